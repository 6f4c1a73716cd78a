/* SPDX-License-Identifier: MIT */
/*
 * Which of a project's files have changed since the last build began, as far as that is a reason
 * for another one. Pure.
 *
 * What a build writes beside its sources must not start the next one, and nobody can say who wrote
 * a file. So a file that is gone again doesn't count, and what has changed during CHANGES_STRIKES
 * builds in a row is taken for their work: from then on it counts only while none runs.
 */
#ifndef OS_CHANGES_H
#define OS_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANGES_FILES_MAX 1024 /* more are one change without a name */
#define CHANGES_STRIKES 3

enum change {
	CHANGE_MADE, /* it has come into being */
	CHANGE_WRITTEN,
	CHANGE_GONE, /* removed, or renamed */
};

struct changed_file {
	uint64_t hash;    /* of its path */
	unsigned build;   /* the last one during which it has changed; 0: none */
	unsigned strikes; /* how many in a row that were */
	bool changed, fresh;
};

/* Embedded in its owner, and zeroed at first. */
struct changes {
	/* The first one stands for all that there is no room for, or no name. */
	struct changed_file files[1 + CHANGES_FILES_MAX];
	size_t file_count; /* without the first one */
	size_t count;      /* of those that are a reason for a build */
	unsigned build;    /* number of the last one */
	bool building;
};

/* hash 0: of something. True: the build that runs is its author; that is told once per file. */
bool changes_note(struct changes *c, uint64_t hash, enum change change);

/* Whether there is a reason for another build. */
bool changes_any(const struct changes *c);

/* They were told, and are collected anew. */
void changes_forget(struct changes *c);

void changes_build_began(struct changes *c);
void changes_build_ended(struct changes *c);

#endif
