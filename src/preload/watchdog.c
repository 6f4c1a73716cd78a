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

#include "preload/preload.h"
#include "preload/accepted.h"
#include "preload/workers.h"

#define TICKS 8 /* in a limit: so exact it is */
#define TICK_MAX_MS 1000
#define CUT_TICK_MS 50

static uint64_t limit_ms; /* 0: none */
static void (*take_no_more)(void);

static void sleep_ms(uint64_t ms)
{
	const struct timespec time = { .tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&time, NULL);
}

/* The clock of visitors.c. */
static uint64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Some have their answer under way, or the end of it in the socket's queue. */
static void end_all(const char *why)
{
	char line[160];

	(void)snprintf(line, sizeof line, "ended because %s (--request-timeout %g s)\n", why,
		(double)limit_ms / 1000);
	take_no_more();
	for (uint64_t ms = 0; ms < LIMIT_CUT_MS && accepted_open() > 0; ms += CUT_TICK_MS)
		sleep_ms(CUT_TICK_MS);
	accepted_cut();
	preload_explain(line);
	_exit(EXIT_FAILURE);
}

static void *watch(void *arg)
{
	const uint64_t tick_ms = limit_ms == 0 || limit_ms / TICKS > TICK_MAX_MS
					 ? TICK_MAX_MS
					 : 1 + limit_ms / TICKS;
	unsigned late = 0, count;
	char line[160];

	for (;; sleep_ms(tick_ms)) {
		accepted_make_room(now_ms(), LIMIT_IDLE_MS);
		if (limit_ms == 0)
			continue;
		count = accepted_turn_away(now_ms(), limit_ms);
		late += count;
		if (count > 0) {
			(void)snprintf(line, sizeof line,
				"wasmrun: no answer to %u request%s in %g s (--request-timeout): "
				"told so with 504\n",
				count, count > 1 ? "s" : "", (double)limit_ms / 1000);
			(void)!write(STDERR_FILENO, line, strlen(line));
		}
		if (workers_stuck(now_ms(), tick_ms, limit_ms))
			end_all("a request computes without end");
		if (late >= LIMIT_LATE_MAX)
			end_all("it has let too many requests wait without an "
				"answer");
	}
	return arg;
}

void watchdog_start(uint64_t request_ms, void (*drain)(void))
{
	pthread_t thread;

	limit_ms = request_ms;
	take_no_more = drain;
	if (pthread_create(&thread, NULL, watch, NULL) == 0)
		(void)pthread_detach(thread);
}
