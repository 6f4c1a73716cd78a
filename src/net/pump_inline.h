/* SPDX-License-Identifier: MIT */
/*
 * The control loop's own worker: pumps that are served where they were joined, without a thread, a
 * lock or a wake-up. Its epoll set is watched by the loop as one descriptor, or the loop's by it
 * where it may wait in the loop's place.
 */
#ifndef NET_PUMP_INLINE_H
#define NET_PUMP_INLINE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "net/pump_worker.h"

struct pump_inline {
	struct pump_worker worker;
	uv_poll_t poll;       /* the worker's epoll set has events; stopped where it waits */
	uv_timer_t timer;     /* pump_worker_arm() has said for when */
	uv_prepare_t prepare; /* before the loop waits, what is due is done */
	uv_idle_t idle;       /* runs while something is due, so that the loop doesn't wait */
	unsigned handles;     /* not yet closed */
	bool due;             /* something was taken or ended since the last round */
	bool busy;            /* `idle` runs */
	bool waits;           /* as of the config */
	void (*finished)(struct pump_inline *in, struct pump *p); /* the pump is the pool's again */
	void (*moving)(struct pump_inline *in, struct pump *p);   /* it is to be a thread's */
	void (*turn_ends)(struct pump_inline *in);                /* the loop is about to wait */
	void (*closed)(struct pump_inline *in);
};

/* The calls are set by the caller before; none is made from within one of these. On failure nothing
 * is left. */
int pump_inline_open(struct pump_inline *in, uv_loop_t *loop, const struct pump_pool_config *config,
	struct pipe_pool *pipes);

/* Takes it over; its first turn is the loop's next. */
void pump_inline_add(struct pump_inline *in, struct pump *p);
void pump_inline_abort(struct pump_inline *in, struct pump *p);
/* None of those that there are moves any more: each finishes with the next round. */
void pump_inline_abort_all(struct pump_inline *in);

/* Aborts all, and tells of each that it has finished, from within this call; `closed` follows,
 * never from within. */
void pump_inline_close(struct pump_inline *in);
void pump_inline_deinit(struct pump_inline *in);

#endif
