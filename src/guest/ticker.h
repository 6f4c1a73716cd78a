/* SPDX-License-Identifier: MIT */
/*
 * What ends a guest whose time is over: its code looks at the engine's epoch in every loop, and the
 * ticker moves that on while somebody is interested. Calls that wait look at the clock instead.
 */
#ifndef GUEST_TICKER_H
#define GUEST_TICKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define TICKER_MS 50 /* an epoch */

struct wasm_engine_t;

struct ticker {
	struct wasm_engine_t *engine; /* borrowed; NULL: not started */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned users; /* that it ticks for */
	bool ending;
};

/* Negative errno: there is no thread. */
int ticker_start(struct ticker *t, struct wasm_engine_t *engine);

/* Fine on one that was not started. */
void ticker_stop(struct ticker *t);

/* Between these two it ticks. */
void ticker_hold(struct ticker *t);
void ticker_release(struct ticker *t);

/* The epochs that are over for certain after so long. */
static inline uint64_t ticker_epochs(uint64_t ms)
{
	return ms / TICKER_MS + 2;
}

#endif
