/* SPDX-License-Identifier: MIT */
/*
 * Work for the thread pool: whatever touches the user's files. Those may be on NFS or FUSE, where
 * each call may take minutes or never return, and the loop must answer all the same.
 *
 * A line runs its jobs one after the other. So a file system that doesn't answer holds one of the
 * pool's threads for each line. The project has five lines (what is built, what is watched, the two
 * of network_watch.c, what the API is asked for), the cache and the connection log one each: of the
 * OS_THREADS of cli/cmd_os.c one is left for names, whatever doesn't answer.
 *
 * The kernel can't be made to give up, so a job at work can't be ended. It is dropped instead: it
 * goes on with memory of its own, and nobody hears of its result. A process that ends doesn't wait
 * for one (cli/runtime.c).
 */
#ifndef OS_JOB_H
#define OS_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#include "base/list.h"

struct job_line {
	uv_loop_t *loop;
	struct list jobs; /* the first one is at work */
};

/* Embedded in what it needs and makes. The job owns all of that, or it outlives the loop. */
struct job {
	void (*run)(struct job *job);  /* in a thread */
	void (*done)(struct job *job); /* on the loop, behind `run`; not of one that was dropped */
	void (*free)(struct job *job); /* on the loop, the last call in any case */
	atomic_bool dropped;           /* `run` may look at it, and end early */
	/* Private. */
	struct list link;
	struct job_line *line; /* NULL: it is closed */
	uv_work_t work;
};

void job_line_init(struct job_line *line, uv_loop_t *loop);

/* Drops all its jobs. What is at work doesn't touch the line again. */
void job_line_close(struct job_line *line);

/* Takes the job over, of which `run`, `done` and `free` are set and all else of it is zero. Nothing
 * is called from within. */
void job_start(struct job_line *line, struct job *job);

/* Frees the job: at once if it has not begun, else when `run` has returned. NULL is fine. */
void job_drop(struct job *job);

#endif
