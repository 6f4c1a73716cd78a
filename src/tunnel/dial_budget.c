/* SPDX-License-Identifier: MIT */
/* A token bucket, kept as what is missing in it. A rate of N a second is N thousandths a ms. */
#include "tunnel/dial_budget.h"

#include "base/lang.h"

#define DIAL_BUDGET_ONE UINT64_C(1000)
#define DIAL_BUDGET_ALL (DIAL_BUDGET_MAX * DIAL_BUDGET_ONE)

static void dial_budget_refill(struct dial_budget *b, uint64_t thousandths)
{
	b->spent -= min_u64(b->spent, thousandths);
}

bool dial_budget_spend(struct dial_budget *b, uint64_t now_ms)
{
	dial_budget_refill(b, (now_ms - b->counted_ms) * DIAL_BUDGET_PER_S);
	b->counted_ms = now_ms;
	if (b->spent + DIAL_BUDGET_ONE > DIAL_BUDGET_ALL)
		return false;
	b->spent += DIAL_BUDGET_ONE;
	return true;
}

void dial_budget_earn(struct dial_budget *b)
{
	dial_budget_refill(b, DIAL_BUDGET_ONE);
}

uint64_t dial_budget_wait_ms(const struct dial_budget *b)
{
	uint64_t over = b->spent + DIAL_BUDGET_ONE - DIAL_BUDGET_ALL;

	return (over + DIAL_BUDGET_PER_S - 1) / DIAL_BUDGET_PER_S;
}
