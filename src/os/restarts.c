/* SPDX-License-Identifier: MIT */
#include "os/restarts.h"

#include <inttypes.h>
#include <stdio.h>

void restarts_reset(struct restarts *r)
{
	*r = (struct restarts){ 0 };
	backoff_init(&r->backoff, NULL);
}

void restarts_started(struct restarts *r, uint64_t now_ms)
{
	r->started_ms = now_ms;
}

uint64_t restarts_crashed(
	struct restarts *r, enum process_stage stage, const char *reason, uint64_t now_ms)
{
	snprintf(r->reason, sizeof r->reason, "%s", reason);
	r->visited = stage >= PROCESS_VISITED;
	if (stage >= PROCESS_ANSWERED) {
		r->answered = true;
		backoff_reset(&r->backoff);
	}
	if (r->crashes++ == 0)
		r->since_ms = now_ms;
	return 1 + backoff_next_ms(&r->backoff);
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

bool restarts_tell(struct restarts *r, bool end, uint64_t now_ms, char ret_line[RESTARTS_LINE_MAX])
{
	if (r->crashes == r->told)
		return false;
	if (r->told > 0 && !end && now_ms - r->told_ms < RESTARTS_TELL_MS)
		return false;
	if (r->crashes == 1)
		snprintf(ret_line, RESTARTS_LINE_MAX, "crashed, starting it again: %s", r->reason);
	else
		snprintf(ret_line, RESTARTS_LINE_MAX,
			"crashed %u times in %" PRIu64 " s, the last time: %s", r->crashes,
			(now_ms - r->since_ms) / 1000, r->reason);
	r->told = r->crashes;
	r->told_ms = now_ms;
	return true;
}

void restarts_settle(struct restarts *r)
{
	backoff_reset(&r->backoff);
	r->crashes = r->told = 0;
}
