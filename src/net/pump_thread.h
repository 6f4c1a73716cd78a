/* SPDX-License-Identifier: MIT */
/*
 * A thread with a worker. The control loop talks to it through three lists under one lock:
 * `incoming` and `aborts` towards the worker, `done` back. Each side wakes the other only when the
 * list was empty. A pump belongs to the thread from pump_thread_add() until it is in `done`.
 */
#ifndef NET_PUMP_THREAD_H
#define NET_PUMP_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

#include "base/list.h"
#include "net/pump_worker.h"

struct pump_thread {
	struct pump_worker worker; /* the thread's own, but for `load` */
	/* Set before the thread starts. */
	pthread_t thread;
	bool started;
	int wake_fd, timer_fd;
	uv_async_t *notify; /* of the pool: sent when `done` was empty, and at the thread's end */

	pthread_mutex_t lock;
	struct list incoming, aborts, done; /* under lock */
	bool stopping, exited;              /* under lock */
};

/* Everything but the thread. On failure nothing is left. */
int pump_thread_init(struct pump_thread *t, const struct pump_pool_config *config,
	struct pipe_pool *pipes, uv_async_t *notify);
void pump_thread_deinit(struct pump_thread *t);

int pump_thread_start(struct pump_thread *t);
/* The thread aborts what it has, completes it, sets `exited` and ends. */
void pump_thread_stop(struct pump_thread *t);
/* Waits for its end; nothing if it was never started. */
void pump_thread_join(struct pump_thread *t);

void pump_thread_add(struct pump_thread *t, struct pump *p);
void pump_thread_abort(struct pump_thread *t, struct pump *p);

/* Moves the completed pumps to ret_done, a head. Returns whether the thread has ended. */
bool pump_thread_take_done(struct pump_thread *t, struct list *ret_done);

#endif
