/* SPDX-License-Identifier: MIT */
/*
 * One thread, which sleeps while nobody holds the ticker: an engine that has nothing to end is
 * never woken. `users` and `ending` are under the lock; the epoch is the engine's own atomic
 * number.
 */
#include "guest/ticker.h"

#include <time.h>
#include <wasmtime.h>

static struct timespec ticker_next(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += TICKER_MS * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_nsec -= 1000000000;
		at.tv_sec++;
	}
	return at;
}

static void *ticker_main(void *data)
{
	struct ticker *t = data;

	pthread_mutex_lock(&t->lock);
	while (!t->ending) {
		struct timespec at = ticker_next();

		if (t->users == 0) {
			pthread_cond_wait(&t->wake, &t->lock);
			continue;
		}
		if (pthread_cond_timedwait(&t->wake, &t->lock, &at) != 0)
			wasmtime_engine_increment_epoch(t->engine);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

int ticker_start(struct ticker *t, struct wasm_engine_t *engine)
{
	pthread_condattr_t monotonic;
	int r;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&t->lock, NULL);
	t->users = 0;
	t->ending = false;
	t->engine = engine;
	r = pthread_create(&t->thread, NULL, ticker_main, t);
	if (r != 0)
		t->engine = NULL;
	return -r;
}

void ticker_stop(struct ticker *t)
{
	if (!t->engine)
		return;
	pthread_mutex_lock(&t->lock);
	t->ending = true;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->lock);
	t->engine = NULL;
}

void ticker_hold(struct ticker *t)
{
	pthread_mutex_lock(&t->lock);
	if (t->users++ == 0)
		pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
}

void ticker_release(struct ticker *t)
{
	pthread_mutex_lock(&t->lock);
	t->users--;
	pthread_mutex_unlock(&t->lock);
}
