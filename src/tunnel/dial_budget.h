/* SPDX-License-Identifier: MIT */
/*
 * How many warm connections may be dialled, whatever becomes of them: so many at once, so many a
 * second, and one for each visitor who was served to his end or moved DIAL_BUDGET_BYTES: bulk is
 * spliced, and its connection isn't used again. A relay whose visitors end well is never held up by
 * it; one that gives them and resets them has the client dial DIAL_BUDGET_PER_S. Pure: the time is
 * passed in.
 */
#ifndef TUNNEL_DIAL_BUDGET_H
#define TUNNEL_DIAL_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define DIAL_BUDGET_MAX 128 /* that are saved up: twice what may wait */
#define DIAL_BUDGET_PER_S 64
#define DIAL_BUDGET_BYTES 65536

/* All zero is a full one. */
struct dial_budget {
	uint64_t spent;      /* thousandths of a dial, of DIAL_BUDGET_MAX */
	uint64_t counted_ms; /* up to then time has been counted */
};

/* One is dialled. False: not yet. */
bool dial_budget_spend(struct dial_budget *b, uint64_t now_ms);
/* A visitor was worth his connection. */
void dial_budget_earn(struct dial_budget *b);
/* After dial_budget_spend() was false: when it is worth to ask again, in ms. */
uint64_t dial_budget_wait_ms(const struct dial_budget *b);

#endif
