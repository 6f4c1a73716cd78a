/* SPDX-License-Identifier: MIT */
/*
 * Which of a project's files have changed since the last build began, as far as that is a reason
 * for another one. Pure.
 *
 * What a build writes beside its sources must not start the next one, and nobody can say who wrote
 * a file. So a file that is gone again doesn't count, and what has changed during CHANGES_STRIKES
 * builds in a row is taken for their work: from then on it counts only while none runs.
 *
 * A build may also make files of new names each time, of which none is ever known. So the circles
 * are counted: builds in a row that were begun for nothing but what had changed during the one
 * before. At CHANGES_CIRCLES what changes during a build starts no other one any more, until
 * something changes while none runs; and from then on, what comes or goes during a build doesn't
 * count at all. Somebody who saves a file during each of many builds looks much the same, but makes
 * no new names: such a circle weighs less.
 */
#ifndef OS_CHANGES_H
#define OS_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANGES_FILES_MAX 1024 /* more are one change without a name */
#define CHANGES_STRIKES 3
#define CHANGES_CIRCLES 12       /* by weight */
#define CHANGES_CIRCLE_WEIGHT 4U /* of one for files that have come or gone; else 1 */

enum change {
	CHANGE_MADE, /* it has come into being */
	CHANGE_WRITTEN,
	CHANGE_GONE, /* removed, or renamed */
};

struct changed_file {
	uint64_t hash;    /* of its path */
	unsigned build;   /* the last one during which it has changed; 0: none */
	unsigned strikes; /* how many in a row that were */
	bool changed;
	bool seen;  /* something has happened to it since they were told */
	bool fresh; /* the first of that was that it came into being */
};

/* Embedded in its owner, and zeroed at first. */
struct changes {
	/* The first one stands for all that there is no room for, or no name. */
	struct changed_file files[1 + CHANGES_FILES_MAX];
	size_t file_count; /* without the first one */
	size_t count;      /* of those that are a reason for a build */
	unsigned build;    /* number of the last one */
	unsigned circles;  /* their weight */
	bool building;
	bool outside;  /* one of `count` has changed while no build ran */
	bool names;    /* one of `count` has come or gone */
	bool restless; /* the builds have once gone in circles */
};

/* hash 0: of something. True: the build that runs is its author; that is told once per file. */
bool changes_note(struct changes *c, uint64_t hash, enum change change);

/* True once, when it has turned out that the builds go in circles. */
bool changes_circle(struct changes *c);

/* Whether there is a reason for another build. */
bool changes_any(const struct changes *c);

/* They were told, and are collected anew. */
void changes_forget(struct changes *c);

void changes_build_began(struct changes *c);
void changes_build_ended(struct changes *c);

#endif
