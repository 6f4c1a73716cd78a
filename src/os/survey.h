/* SPDX-License-Identifier: MIT */
/*
 * Changes where the kernel tells of none: what other machines, or the host of this one, do to files
 * on a file system that is shared with them. The files are looked at again and again, in jobs.
 *
 * It costs at most the SURVEY_SHARE-th part of a processor.
 */
#ifndef OS_SURVEY_H
#define OS_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "os/changes.h"
#include "os/job.h"
#include "os/tree.h"

#define SURVEY_MS 1000         /* from the end of one look to the next */
#define SURVEY_SHARE 10        /* a look that takes longer waits so many times as long */
#define SURVEY_FILES_MAX 65536 /* further ones are not looked at, and that is said once */

/* The word for a file system by whose mounts changes may come unseen; NULL: it isn't known as such.
 */
const char *survey_file_system(const char *path);

struct survey_file {
	uint64_t hash; /* tree_file_hash() */
	uint64_t sign; /* of its size and time */
};

/* One look. */
struct survey_list {
	struct survey_file *files; /* by their hash; owned */
	size_t count;
	bool full;
	bool failed; /* the folder isn't there, or there was no memory */
};

struct survey_events {
	void (*changed)(void *owner, uint64_t hash, enum change change);
	/* A look is over, which had begun after the last survey_now(). */
	void (*looked)(void *owner);
	void *owner;
};

/* Embedded in its owner, and zeroed at first. */
struct survey {
	struct survey_events events;
	struct job_line *line; /* the owner's */
	uv_timer_t timer;
	const struct tree *wanted; /* the owner's; NULL: nothing is looked at */
	struct survey_look *look;  /* under way; NULL: none */
	struct survey_list old;    /* what the last one has found */
	bool anew;                 /* that was of another tree */
	bool said_full;
	void (*closed)(void *owner);
};

/* The line is open until survey_close(). */
void survey_init(struct survey *s, struct job_line *line, const struct survey_events *events);

/* From now on; what is there at the first look is what was there. NULL: no longer. It must stay, or
 * survey_set() be called again. */
void survey_set(struct survey *s, const struct tree *tree);

/* At once, and `looked` follows. */
void survey_now(struct survey *s);

/* `closed` follows, never from within. */
void survey_close(struct survey *s, void (*closed)(void *owner));

#endif
