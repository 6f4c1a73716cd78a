/* SPDX-License-Identifier: MIT */
#include "net/flow_end.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/lang.h"

/* What stands before and behind the owner's word. */
static const struct {
	const char *before, *behind;
} flow_end_texts[] = {
	[FLOW_END_CLOSED] = { "closed", "" },
	[FLOW_END_RESET] = { "reset by ", "" },
	[FLOW_END_VANISHED] = { "", " has vanished" },
	[FLOW_END_HALF_CLOSED] = { "half closed for too long", "" },
	[FLOW_END_IDLE] = { "idle for too long", "" },
	[FLOW_END_NO_MEMORY] = { "out of memory", "" },
	[FLOW_END_UNTAKEN] = { "not taken", "" },
	[FLOW_END_LATE] = { "", "" },
	[FLOW_END_STOPPED] = { "the process is ending", "" },
};
static_assert(ARRAY_LEN(flow_end_texts) == FLOW_ENDS, "a text for each end");

enum flow_end flow_end_of(const struct pump_result *result)
{
	static const enum flow_end ends[] = {
		[PUMP_END_CLOSED] = FLOW_END_CLOSED,
		[PUMP_END_RESET] = FLOW_END_RESET,
		[PUMP_END_HALF_CLOSED] = FLOW_END_HALF_CLOSED,
		[PUMP_END_IDLE] = FLOW_END_IDLE,
		[PUMP_END_ABORTED] = FLOW_END_STOPPED,
		[PUMP_END_UNTAKEN] = FLOW_END_UNTAKEN,
		[PUMP_END_NO_MEMORY] = FLOW_END_NO_MEMORY,
	};

	if (result->end == PUMP_END_RESET && result->error == ETIMEDOUT)
		return FLOW_END_VANISHED;
	return ends[result->end];
}

const char *flow_end_text(const struct flow_words *words, enum flow_end end, enum pump_side side,
	char ret_text[FLOW_WHY_MAX])
{
	const char *word = "";

	if (end == FLOW_END_RESET)
		word = words->resetter[side];
	else if (end == FLOW_END_VANISHED)
		word = words->peer[side];
	else if (end == FLOW_END_LATE)
		word = words->late;
	(void)snprintf(ret_text, FLOW_WHY_MAX, "%s%s%s", flow_end_texts[end].before, word,
		flow_end_texts[end].behind);
	return ret_text;
}
