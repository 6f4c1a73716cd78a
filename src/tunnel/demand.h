/* SPDX-License-Identifier: MIT */
/*
 * How many connections are to wait for visitors who haven't come yet: as many as came lately. Pure:
 * times in, a number out.
 */
#ifndef TUNNEL_DEMAND_H
#define TUNNEL_DEMAND_H

#include <stdint.h>

#define DEMAND_MIN 2         /* while nobody comes */
#define DEMAND_MAX 64        /* what our client offers to keep (struct options) */
#define DEMAND_SPAN_MS 10000 /* "lately" */

struct demand {
	uint64_t begun_ms[DEMAND_MAX]; /* when the last ones began, a ring */
	uint64_t count;                /* since the start */
};

/* What there is of connections. */
struct demand_have {
	unsigned idle;      /* they wait */
	unsigned dialling;  /* they will */
	unsigned returning; /* they serve somebody since less than DEMAND_SPAN_MS: mostly they will
			     * wait again in a moment */
};

/* A visitor has begun. All zero is a good start. */
void demand_note(struct demand *d, uint64_t now_ms);

/* How many should be idle, of `limit` at most. */
unsigned demand_wanted(const struct demand *d, unsigned limit, uint64_t now_ms);

/*
 * How many of the wanted are to be dialled now. Those that return count towards the limit, so that
 * a visitor a moment doesn't mean a dial a moment; those that serve long don't.
 */
unsigned demand_missing(const struct demand_have *have, unsigned wanted, unsigned limit);

#endif
