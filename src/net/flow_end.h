/* SPDX-License-Identifier: MIT */
/* How a flow (net/flow.h) can end, and the words for it in logs and events. */
#ifndef NET_FLOW_END_H
#define NET_FLOW_END_H

#include <stdbool.h>
#include <stdint.h>

#include "net/pump_pool.h"

#define FLOW_WHY_MAX 64

enum flow_end {
	FLOW_END_CLOSED,      /* both sides have said all, and all was delivered */
	FLOW_END_RESET,       /* a side was reset */
	FLOW_END_VANISHED,    /* a side answers no more */
	FLOW_END_HALF_CLOSED, /* the pool's half-close timeout */
	FLOW_END_IDLE,        /* the pool's idle timeout */
	FLOW_END_NO_MEMORY,   /* it could not be set up */
	FLOW_END_UNTAKEN,     /* as of PUMP_END_UNTAKEN */
	FLOW_END_LATE,        /* an end was awaited for too long */
	FLOW_END_STOPPED, /* its owner has closed it, and has the words, or the pool was closed */
	FLOW_ENDS,
};

struct flow_result {
	enum flow_end end;
	const char *why;            /* in words; as long as the call */
	bool joined;                /* it had both ends */
	uint64_t bytes[PUMP_SIDES]; /* see struct pump_result */
	uint64_t duration_ms;       /* since it was started */
	enum pump_side first;       /* joined: as of struct pump_result, */
	uint64_t quiet_ms;          /* and so are all of these */
	bool untaken, taken;
	int fd[PUMP_SIDES]; /* not joined: -1 */
	const uint8_t *rest;
	size_t rest_len;
};

/* What the owner of a kind of flows calls those who take part. */
struct flow_words {
	const char *resetter[PUMP_SIDES]; /* who may have reset that side: "reset by …" */
	const char *peer[PUMP_SIDES];     /* who is connected there: "… has vanished" */
	const char *late;                 /* the whole text for FLOW_END_LATE */
};

enum flow_end flow_end_of(const struct pump_result *result);

/* `side` is the one that was reset or has vanished. Returns `ret_text`. */
const char *flow_end_text(const struct flow_words *words, enum flow_end end, enum pump_side side,
	char ret_text[FLOW_WHY_MAX]);

#endif
