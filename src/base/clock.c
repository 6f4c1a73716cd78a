/* SPDX-License-Identifier: MIT */
/* Through the vDSO, so no call enters the kernel. */
#include "base/clock.h"

#include <time.h>

static uint64_t clock_read_us(clockid_t id)
{
	struct timespec now;

	/* Fails only for a clock that the kernel doesn't have; these two always exist. */
	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_now_ms(void)
{
	return clock_read_us(CLOCK_MONOTONIC) / 1000;
}

uint64_t clock_now_us(void)
{
	return clock_read_us(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ms(void)
{
	return clock_read_us(CLOCK_REALTIME) / 1000;
}
