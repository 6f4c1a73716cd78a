/* SPDX-License-Identifier: MIT */
#include "os/supervisor_news.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "os/log_ring.h"

void supervisor_news_state(
	struct supervisor_news *n, enum supervisor_state new_state, const char *cause, bool quiet)
{
	char line[SUPERVISOR_CAUSE_MAX + 64];
	int len = snprintf(line, sizeof line, "%s -> %s (%s)", supervisor_state_name(n->new_state),
		supervisor_state_name(new_state), cause);

	assert(!n->state);
	n->state = true;
	n->old_state = n->new_state;
	n->new_state = new_state;
	snprintf(n->state_cause, sizeof n->state_cause, "%s", cause);
	if (!quiet)
		log_ring_append(n->ring, LOG_STREAM_SUPERVISOR, line, (size_t)len);
}

void supervisor_news_next(struct supervisor_news *n, enum supervisor_next next, const char *cause)
{
	const char *name = supervisor_next_name(next);
	char line[SUPERVISOR_CAUSE_MAX + 64];
	int len = snprintf(line, sizeof line, "next: %s (%s)", name ? name : "none",
		cause ? cause : "it serves");

	assert(!n->next);
	n->next = true;
	n->new_next = next;
	snprintf(n->next_cause, sizeof n->next_cause, "%s", cause ? cause : "");
	log_ring_append(n->ring, LOG_STREAM_SUPERVISOR, line, (size_t)len);
}

void supervisor_news_crashes(void *news, const char *line)
{
	struct supervisor_news *n = news;

	log_ring_append(n->ring, LOG_STREAM_SUPERVISOR, line, strlen(line));
	n->events.crashed(n->events.owner, line);
}

void supervisor_news_tell(struct supervisor_news *n)
{
	const struct supervisor_news news = *n;

	n->state = false;
	if (news.state)
		n->events.state(n->events.owner, news.old_state, news.new_state, news.state_cause);
	/* Unless it was told with what the owner has done from there. */
	if (!n->next)
		return;
	n->next = false;
	n->events.next(n->events.owner, news.new_next, *news.next_cause ? news.next_cause : NULL);
}
