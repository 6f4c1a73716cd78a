/* SPDX-License-Identifier: MIT */
/*
 * A thread that serves visitors reads and writes every now and then, and one that has nothing to do
 * sleeps. So a thread has been in a component all along if it has used the processor in every tick
 * of a long time without one of the calls that preload/accepted.c sees. How much of the processor
 * it has used doesn't matter: there may be many such threads, and few processors.
 */
#include "preload/workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#define WORKERS_MAX 256   /* threads; those beyond are not looked at */
#define BUSY_PER_TICK 100 /* a hundredth of a tick: what waits for its turn gets as much */

struct worker {
	atomic_bool taken;
	atomic_bool known; /* `clock` is set */
	clockid_t clock;   /* its processor time */
	atomic_uint returns;
	/* The watchdog's own: as of its last look, and since when that has been so. */
	unsigned seen_returns;
	uint64_t seen_us, since_ms;
};

static struct worker workers[WORKERS_MAX];
static _Thread_local struct worker *self;

static void workers_join(void)
{
	for (size_t i = 0; i < WORKERS_MAX; i++)
		if (!atomic_exchange(&workers[i].taken, true)) {
			/* Before it is known: what the watchdog remembers is of another thread. */
			(void)atomic_fetch_add_explicit(
				&workers[i].returns, 1, memory_order_relaxed);
			if (pthread_getcpuclockid(pthread_self(), &workers[i].clock) == 0)
				workers[i].known = true;
			self = &workers[i];
			return;
		}
}

void workers_return(void)
{
	if (!self)
		workers_join();
	if (self)
		(void)atomic_fetch_add_explicit(&self->returns, 1, memory_order_relaxed);
}

static bool workers_is_stuck(struct worker *w, uint64_t now_ms, uint64_t tick_ms, uint64_t limit_ms)
{
	unsigned returns = w->returns;
	struct timespec used;
	uint64_t used_us;

	if (clock_gettime(w->clock, &used) < 0) {
		/* It has ended. */
		w->known = false;
		w->taken = false;
		return false;
	}
	used_us = (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
	if (returns != w->seen_returns || used_us - w->seen_us < tick_ms * 1000 / BUSY_PER_TICK)
		w->since_ms = now_ms;
	w->seen_returns = returns;
	w->seen_us = used_us;
	return now_ms - w->since_ms >= limit_ms;
}

bool workers_stuck(uint64_t now_ms, uint64_t tick_ms, uint64_t limit_ms)
{
	bool stuck = false;

	for (size_t i = 0; i < WORKERS_MAX; i++)
		if (workers[i].known && workers_is_stuck(&workers[i], now_ms, tick_ms, limit_ms))
			stuck = true;
	return stuck;
}
