/* SPDX-License-Identifier: MIT */
/*
 * A worker: an edge-triggered epoll with its share of the pumps, and mostly a thread that runs it.
 *
 * The control loop talks to a thread through three lists under one lock: `incoming` and `aborts`
 * towards the worker, `done` back. Each side wakes the other only when the list was empty. A pump
 * belongs to the worker from pump_worker_add() until it is in `done`.
 *
 * One worker has no thread: the control loop runs it (net/pump_inline.h), and nothing of it is
 * behind the lock.
 */
#ifndef NET_PUMP_WORKER_H
#define NET_PUMP_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "net/pump.h"
#include "net/pump_deadlines.h"

struct pump_worker {
	/* Set before the thread starts. */
	pthread_t thread;
	bool started;
	int epoll_fd, wake_fd, timer_fd; /* the last two are a thread's */
	uv_async_t *notify; /* of the pool: sent when `done` was empty, and at the thread's end */
	struct pump_inline *in_loop; /* NULL: it is a thread's */
	unsigned max_turns;          /* on the control loop, as inline_turns of the config */

	pthread_mutex_t lock;
	struct list incoming, aborts, done; /* under lock */
	bool stopping, exited;              /* under lock */

	/* Of whoever runs it. */
	struct pump_io io;
	struct list open;      /* every pump that it has */
	struct list run_queue; /* those with something to do now */
	struct list moving;    /* those that are to go from the control loop to a thread */
	struct list finished;  /* to be moved to `done` at the end of the round */
	struct pump_deadlines deadlines;
	uint64_t armed_for_ms; /* when the timer fires; monotonic, UINT64_MAX: it isn't set */

	unsigned load; /* the control loop's own: pumps handed over and not yet completed */
};

/* Everything but the thread; one that the control loop runs if `in_loop` is not NULL. On failure
 * nothing is left. */
int pump_worker_init(struct pump_worker *w, const struct pump_pool_config *config,
	struct pipe_pool *pipes, uv_async_t *notify, struct pump_inline *in_loop);
void pump_worker_deinit(struct pump_worker *w);

int pump_worker_start(struct pump_worker *w);

/* The thread aborts what it has, completes it, sets `exited` and ends. */
void pump_worker_stop(struct pump_worker *w);

void pump_worker_add(struct pump_worker *w, struct pump *p);
void pump_worker_abort(struct pump_worker *w, struct pump *p);

/* Moves the completed pumps to ret_done, a head. Returns whether the thread has ended. */
bool pump_worker_take_done(struct pump_worker *w, struct list *ret_done);

/* --- without a thread, for the control loop --- */

void pump_worker_take(struct pump_worker *w, struct pump *p);
/* Ends it with the next round. */
void pump_worker_end(struct pump_worker *w, struct pump *p);
/* A turn for each that has something to do, behind what has come since the last round if epoll is
 * `ready`, or if nobody has. Leaves the finished ones in w->finished, and those that have become a
 * thread's business in w->moving. */
void pump_worker_round(struct pump_worker *w, bool ready);
/* The timer is over that pump_inline_arm() was asked for. */
void pump_worker_tick(struct pump_worker *w);
void pump_worker_abort_all(struct pump_worker *w);

#endif
