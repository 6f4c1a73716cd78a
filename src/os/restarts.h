/* SPDX-License-Identifier: MIT */
/*
 * How soon an application that has crashed is started again, and how often that is told. Pure;
 * times are monotonic.
 *
 * The wait grows from crash to crash, and begins anew with an instance that has answered somebody,
 * or has been steady. An application that has answered, and now ends on what a visitor has sent, is
 * started for the next visitor without that wait: else a scanner on its public address, whose every
 * word ends an instance, would leave nothing of it to others. One that crashes before it has taken
 * a visitor waits, however many there are.
 *
 * Crashes that are less than RESTARTS_STEADY_MS apart are one episode. It is told in a line at its
 * first crash, then each RESTARTS_TELL_MS, and at its end if there were crashes since.
 */
#ifndef OS_RESTARTS_H
#define OS_RESTARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "os/instance.h"
#include "tunnel/backoff.h"

#define RESTARTS_STEADY_MS 10000 /* running for so long: the episode is over */
#define RESTARTS_SPACE_MS 50     /* between two starts at least: what visitors can cost */
#define RESTARTS_TELL_MS 60000   /* between two lines about an episode that goes on */
#define RESTARTS_REASON_MAX 320
#define RESTARTS_LINE_MAX (RESTARTS_REASON_MAX + 64)

/* `line` is valid during the call. */
typedef void (*restarts_tell_fn)(void *owner, const char *line);

struct restarts {
	struct backoff backoff;
	restarts_tell_fn tell;
	void *owner;
	bool answered;                    /* an instance of this application has */
	bool visited;                     /* the last one had taken a visitor */
	uint64_t started_ms;              /* the last start */
	uint64_t wait_ms;                 /* from the last crash to the next start; never 0 */
	uint64_t since_ms;                /* the episode's first crash */
	uint64_t told_ms;                 /* its last line */
	unsigned crashes;                 /* of the episode; 0: there is none */
	unsigned told;                    /* of those, in a line */
	char reason[RESTARTS_REASON_MAX]; /* of the last crash, one line */
};

void restarts_init(struct restarts *r, restarts_tell_fn tell, void *owner);

/* Another application starts, of which nothing is known. An episode is over. */
void restarts_reset(struct restarts *r, uint64_t now_ms);

void restarts_started(struct restarts *r, uint64_t now_ms);

/* An instance that got to that stage has crashed: sets wait_ms. */
void restarts_crashed(
	struct restarts *r, enum instance_stage stage, const char *reason, uint64_t now_ms);

/* After a crash: whether a visitor ends the wait, */
bool restarts_for_visitors(const struct restarts *r);

/* and how long he waits, never 0. */
uint64_t restarts_visitor_ms(const struct restarts *r, uint64_t now_ms);

void restarts_end_episode(struct restarts *r, uint64_t now_ms);

#endif
