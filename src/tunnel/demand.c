/* SPDX-License-Identifier: MIT */
/* The ring has as many places as there can be connections wanted: more visitors change nothing. */
#include "tunnel/demand.h"

#include "base/lang.h"

void demand_note(struct demand *d, uint64_t now_ms)
{
	d->begun_ms[d->count++ % DEMAND_MAX] = now_ms;
}

unsigned demand_wanted(const struct demand *d, unsigned limit, uint64_t now_ms)
{
	uint64_t known = min_u64(d->count, DEMAND_MAX);
	unsigned lately = 0;

	for (uint64_t i = 0; i < known; i++)
		lately += now_ms - d->begun_ms[i] < DEMAND_SPAN_MS;
	return (unsigned)min_u64(max_u64(lately, DEMAND_MIN), limit);
}

unsigned demand_missing(const struct demand_have *have, unsigned wanted, unsigned limit)
{
	unsigned coming = have->idle + have->dialling, all = coming + have->returning;

	if (coming >= wanted || all >= limit)
		return 0;
	return (unsigned)min_u64(wanted - coming, limit - all);
}
