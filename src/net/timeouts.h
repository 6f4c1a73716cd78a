/* SPDX-License-Identifier: MIT */
/*
 * Deadlines that all lie the same time ahead: a queue in the order of arming and one timer for all
 * of them. Arming and disarming cost a few stores, and thousands of waiting connections cost one
 * timer.
 */
#ifndef NET_TIMEOUTS_H
#define NET_TIMEOUTS_H

#include <stdint.h>
#include <uv.h>

#include "base/list.h"

/* Embedded in what waits; disarmed before that goes. */
struct timeout {
	struct list link;
	uint64_t at_ms; /* loop time */
};

struct timeouts {
	uv_timer_t timer; /* active whenever the queue isn't empty */
	struct list queue;
	uint64_t delay_ms;
	uint64_t polled_ms; /* for those till then the loop has asked for events */
	/* `t` is disarmed; may arm and disarm any. */
	void (*expired)(struct timeouts *q, struct timeout *t);
	void *owner;
};

void timeouts_init(struct timeouts *q, uv_loop_t *loop, uint64_t delay_ms,
	void (*expired)(struct timeouts *q, struct timeout *t), void *owner);

/* The queue must be empty; `closed` is of the timer's handle, whose `data` is the owner. */
void timeouts_close(struct timeouts *q, uv_close_cb closed);

/* From now on, delay_ms; also when armed already. */
void timeouts_arm(struct timeouts *q, struct timeout *t);

/* For those that are armed, too: as if it had been so when they were. */
void timeouts_set_delay(struct timeouts *q, uint64_t delay_ms);

/* The one that is over next; NULL: none is armed. */
struct timeout *timeouts_first(const struct timeouts *q);

void timeout_init(struct timeout *t);
void timeout_disarm(struct timeout *t);

#endif
