/* SPDX-License-Identifier: MIT */
/* Exponential backoff with full jitter. The ceiling never exceeds BACKOFF_MAX_MS. */
#include "tunnel/backoff.h"

#include <sys/random.h>

#include "base/lang.h"

/* Jitter needs no quality: where the kernel has no randomness yet, waiting the full time is right.
 */
static uint64_t backoff_random(uint64_t bound)
{
	uint32_t value;

	if (getrandom(&value, sizeof(value), GRND_NONBLOCK) != sizeof(value))
		return bound;
	return value % (bound + 1);
}

void backoff_init(struct backoff *b, backoff_random_fn random)
{
	*b = (struct backoff){ .random = random ? random : backoff_random };
	backoff_reset(b);
}

void backoff_reset(struct backoff *b)
{
	b->ceiling_ms = BACKOFF_FIRST_MS;
}

uint64_t backoff_next_ms(struct backoff *b)
{
	uint64_t ceiling = b->ceiling_ms;

	b->ceiling_ms = min_u64(2 * ceiling, BACKOFF_MAX_MS);
	return b->random(ceiling);
}
