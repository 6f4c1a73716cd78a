/* SPDX-License-Identifier: MIT */
/*
 * A walk through a project, which adds each of its folders to inotify(7). It is a job, since the
 * project may be on a file system that doesn't answer.
 */
#ifndef OS_WATCH_WALK_H
#define OS_WATCH_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/job.h"
#include "os/tree.h"

#define WATCH_FOLDERS_MAX 4096 /* further ones are not watched, and that is said once */
#define WATCH_WHY_MAX 256

struct watch_folder {
	int wd;
	uint64_t hash; /* of its path */
};

struct watch_folders {
	struct watch_folder items[WATCH_FOLDERS_MAX];
	size_t count;
};

struct watch_walk {
	struct job job;
	void *owner; /* the loop's alone */
	/* All is owned. */
	struct tree tree;
	int fd;                        /* of inotify */
	struct watch_folders *folders; /* those that were added; may be taken */
	bool looks;                    /* the kernel tells too little: only the first is added */
	bool there;                    /* the tree's folder is */
	bool full;                     /* there are more than can be watched */
	char why[WATCH_WHY_MAX];       /* why `looks` has become true; "": it hasn't */
};

/*
 * Begins one, over copies of `tree` and of the descriptor `fd`. `looks`: as it is known before.
 * `done` is that of struct job; job_drop() ends the walk early, and what it has added stays with
 * the inotify instance. NULL: out of memory or descriptors.
 */
struct watch_walk *watch_walk_start(struct job_line *line, const struct tree *tree, int fd,
	bool looks, void (*done)(struct job *job), void *owner);

#endif
