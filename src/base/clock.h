/* SPDX-License-Identifier: MIT */
/* The time in milliseconds, or in microseconds where a request's is told. Deadlines and durations
 * use the monotonic clock, only logs the wall's. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC: since some point in the past, never steps, stands still while suspended. */
uint64_t clock_now_ms(void);
uint64_t clock_now_us(void);

/* CLOCK_REALTIME: since 1970-01-01 UTC, may step. */
uint64_t clock_wall_ms(void);

#endif
