/* SPDX-License-Identifier: MIT */
/*
 * What is told of an application: the log hears it at once, the owner behind the event, when
 * nothing is half done any more, because he may call in again from there.
 */
#ifndef OS_SUPERVISOR_NEWS_H
#define OS_SUPERVISOR_NEWS_H

#include <stdbool.h>

#include "os/builder.h"
#include "os/supervisor.h"

#define SUPERVISOR_CAUSE_MAX BUILDER_WHY_MAX

/* Embedded in the supervisor, which sets the first two. */
struct supervisor_news {
	struct log_ring *ring;
	struct supervisor_events events;
	bool state, next;                           /* there is one that the owner isn't told yet */
	enum supervisor_state old_state, new_state; /* the last one that was noted, told or not */
	enum supervisor_next new_next;
	char state_cause[SUPERVISOR_CAUSE_MAX];
	char next_cause[SUPERVISOR_CAUSE_MAX]; /* "": it has replaced the application */
};

/* Not while another one is untold. `quiet`: the log needs no line of it. */
void supervisor_news_state(
	struct supervisor_news *n, enum supervisor_state new_state, const char *cause, bool quiet);

/* Likewise. `cause` is NULL where it has replaced the application. */
void supervisor_news_next(struct supervisor_news *n, enum supervisor_next next, const char *cause);

/* A restarts_tell_fn of a struct supervisor_news. The owner hears it at once, and doesn't call in
 * from there. */
void supervisor_news_crashes(void *news, const char *line);

/* Tells the owner, who may call in again, and hears what follows from that at once. */
void supervisor_news_tell(struct supervisor_news *n);

#endif
