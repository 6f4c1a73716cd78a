/* SPDX-License-Identifier: MIT */
/* That a request was given up is told on the component's standard error, which stands in the log.
 */
#include "preload/watchdog.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "preload/accepted.h"
#include "preload/preload.h"
#include "preload/workers.h"

#define TICKS 8 /* in a limit: so exact it is */
#define TICK_MAX_MS 1000
#define CUT_TICK_MS 50

static uint64_t watchdog_limit_ms; /* 0: none */
static void (*watchdog_drain)(void);

static void watchdog_sleep(uint64_t ms)
{
	const struct timespec time = { .tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&time, NULL);
}

/* The clock of accepted.c. */
static uint64_t watchdog_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Waits for a while: some have their answer under way, or the end of it in the socket's queue. */
static void watchdog_end_all(const char *why)
{
	char line[160];

	(void)snprintf(line, sizeof line, "ended because %s (--request-timeout %g s)\n", why,
		(double)watchdog_limit_ms / 1000);
	watchdog_drain();
	for (uint64_t ms = 0; ms < WATCHDOG_CUT_MS && accepted_open() > 0; ms += CUT_TICK_MS)
		watchdog_sleep(CUT_TICK_MS);
	accepted_cut();
	preload_explain(line);
	_exit(EXIT_FAILURE);
}

bool watchdog_count_late(struct watchdog_late *late, uint64_t now_ms, unsigned more)
{
	if (late->count == 0)
		late->halved_ms = now_ms;
	for (; late->count > 0 && now_ms - late->halved_ms >= WATCHDOG_HALVE_MS;
		late->halved_ms += WATCHDOG_HALVE_MS)
		late->count /= 2;
	late->count += more;
	return late->count >= WATCHDOG_LATE_MAX;
}

static void watchdog_tell_late(unsigned count)
{
	char line[160];

	(void)snprintf(line, sizeof line,
		"wasmrun: no answer to %u request%s in %g s (--request-timeout): told so with "
		"504\n",
		count, count > 1 ? "s" : "", (double)watchdog_limit_ms / 1000);
	(void)!write(STDERR_FILENO, line, strlen(line));
}

static void *watchdog_run(void *arg)
{
	const uint64_t limit_ms = watchdog_limit_ms,
		       tick_ms = limit_ms == 0 || limit_ms / TICKS > TICK_MAX_MS
					 ? TICK_MAX_MS
					 : 1 + limit_ms / TICKS;
	struct watchdog_late late = { 0 };

	for (;; watchdog_sleep(tick_ms)) {
		const uint64_t now_ms = watchdog_now_ms();
		unsigned count;

		accepted_make_room(now_ms, WATCHDOG_IDLE_MS);
		if (limit_ms == 0)
			continue;
		count = accepted_turn_away(now_ms, limit_ms);
		if (count > 0)
			watchdog_tell_late(count);
		if (workers_stuck(now_ms, tick_ms, limit_ms))
			watchdog_end_all("a request computes without end");
		if (watchdog_count_late(&late, now_ms, count))
			watchdog_end_all("it has let too many requests wait without an answer");
	}
	return arg;
}

void watchdog_start(uint64_t request_ms, void (*drain)(void))
{
	pthread_t thread;

	watchdog_limit_ms = request_ms;
	watchdog_drain = drain;
	if (pthread_create(&thread, NULL, watchdog_run, NULL) == 0)
		(void)pthread_detach(thread);
}
