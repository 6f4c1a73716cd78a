/* SPDX-License-Identifier: MIT */
#include "os/restarts.h"

#include <inttypes.h>
#include <stdio.h>

/* What is in no line yet; while the episode goes on, not more often than RESTARTS_TELL_MS. */
static void restarts_tell(struct restarts *r, bool end, uint64_t now_ms)
{
	char line[RESTARTS_LINE_MAX];

	if (r->crashes == r->told)
		return;
	if (r->told > 0 && !end && now_ms - r->told_ms < RESTARTS_TELL_MS)
		return;
	if (r->crashes == 1)
		snprintf(line, sizeof line, "crashed, starting it again: %s", r->reason);
	else
		snprintf(line, sizeof line, "crashed %u times in %" PRIu64 " s, the last time: %s",
			r->crashes, (now_ms - r->since_ms) / 1000, r->reason);
	r->told = r->crashes;
	r->told_ms = now_ms;
	r->tell(r->owner, line);
}

void restarts_init(struct restarts *r, restarts_tell_fn tell, void *owner)
{
	*r = (struct restarts){ .tell = tell, .owner = owner };
	backoff_init(&r->backoff, NULL);
}

void restarts_started(struct restarts *r, uint64_t now_ms)
{
	r->started_ms = now_ms;
}

void restarts_reset(struct restarts *r, uint64_t now_ms)
{
	restarts_end_episode(r, now_ms);
	r->answered = r->visited = false;
	restarts_started(r, now_ms);
}

void restarts_crashed(
	struct restarts *r, enum instance_stage stage, const char *reason, uint64_t now_ms)
{
	snprintf(r->reason, sizeof r->reason, "%s", reason);
	r->visited = stage >= INSTANCE_VISITED;
	if (stage >= INSTANCE_ANSWERED) {
		r->answered = true;
		backoff_reset(&r->backoff);
	}
	if (r->crashes++ == 0)
		r->since_ms = now_ms;
	r->wait_ms = 1 + backoff_next_ms(&r->backoff);
	restarts_tell(r, false, now_ms);
}

bool restarts_for_visitors(const struct restarts *r)
{
	return r->answered && r->visited;
}

uint64_t restarts_visitor_ms(const struct restarts *r, uint64_t now_ms)
{
	uint64_t at_ms = r->started_ms + RESTARTS_SPACE_MS;

	return at_ms > now_ms ? at_ms - now_ms : 1;
}

void restarts_end_episode(struct restarts *r, uint64_t now_ms)
{
	restarts_tell(r, true, now_ms);
	backoff_reset(&r->backoff);
	r->crashes = r->told = 0;
}
