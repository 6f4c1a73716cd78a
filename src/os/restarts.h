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
 * Crashes that are less than RESTARTS_STEADY_MS apart are one episode.
 */
#ifndef OS_RESTARTS_H
#define OS_RESTARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "os/process.h"
#include "tunnel/backoff.h"

#define RESTARTS_STEADY_MS 10000 /* running for so long: the episode is over */
#define RESTARTS_SPACE_MS 50     /* between two starts at least: what visitors can cost */
#define RESTARTS_TELL_MS 60000   /* between two lines about an episode that goes on */
#define RESTARTS_REASON_MAX 320
#define RESTARTS_LINE_MAX (RESTARTS_REASON_MAX + 64)

struct restarts {
	struct backoff backoff;
	bool answered;                    /* an instance of this application has */
	bool visited;                     /* the last one had taken a visitor */
	uint64_t started_ms;              /* the last start */
	uint64_t since_ms;                /* the episode's first crash */
	uint64_t told_ms;                 /* its last line */
	unsigned crashes;                 /* of the episode; 0: there is none */
	unsigned told;                    /* of those, in a line */
	char reason[RESTARTS_REASON_MAX]; /* of the last crash, one line */
};

/* Another application, of which nothing is known. */
void restarts_reset(struct restarts *r);

void restarts_started(struct restarts *r, uint64_t now_ms);

/* An instance that got to that stage has crashed. Returns how long to wait, never 0. */
uint64_t restarts_crashed(
	struct restarts *r, enum process_stage stage, const char *reason, uint64_t now_ms);

/* After a crash: whether a visitor ends the wait, */
bool restarts_for_visitors(const struct restarts *r);

/* and how long he waits, never 0. */
uint64_t restarts_visitor_ms(const struct restarts *r, uint64_t now_ms);

/* Whether a line is due: about the episode's first crash, then each RESTARTS_TELL_MS, and at its
 * end about those that are in none. It counts as told. */
bool restarts_tell(struct restarts *r, bool end, uint64_t now_ms, char ret_line[RESTARTS_LINE_MAX]);

/* The episode is over. */
void restarts_settle(struct restarts *r);

#endif
