/* SPDX-License-Identifier: MIT */
/* A few threads that take jobs from one queue, in their order. */
#ifndef SERVE_JOB_POOL_H
#define SERVE_JOB_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"

struct job_pool {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct list queue; /* borrowed links */
	bool ending;
	pthread_t *threads; /* owned */
	size_t count;
	void (*fn)(void *owner, struct list *job);
	void *owner;
};

/* Starts them, each calling fn for one job at a time; to be stopped on failure, too. */
int job_pool_start(
	struct job_pool *w, size_t count, void (*fn)(void *owner, struct list *job), void *owner);

/* Waits for the jobs at work. None is in the queue. Fine on one that is all zero. */
void job_pool_stop(struct job_pool *w);

void job_pool_push(struct job_pool *w, struct list *job);

/* Takes the oldest job back that no thread has taken, if `wanted` says so of it. NULL: there is
 * none.
 */
struct list *job_pool_take_back(struct job_pool *w, bool (*wanted)(const struct list *job));

#endif
