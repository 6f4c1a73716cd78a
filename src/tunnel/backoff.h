/* SPDX-License-Identifier: MIT */
/*
 * How long to wait before the next attempt: exponential with full jitter, so that the clients of a
 * relay that comes back don't all come back in the same moment. The n-th delay is uniform in
 * 0..min(250 ms * 2^n, 30 s).
 */
#ifndef TUNNEL_BACKOFF_H
#define TUNNEL_BACKOFF_H

#include <stdint.h>

#define BACKOFF_FIRST_MS 250
#define BACKOFF_MAX_MS 30000

/* A number in 0..bound, both included. */
typedef uint64_t (*backoff_random_fn)(uint64_t bound);

struct backoff {
	uint64_t ceiling_ms; /* of the next delay */
	backoff_random_fn random;
};

/* random NULL: the kernel's source. */
void backoff_init(struct backoff *b, backoff_random_fn random);

/* The next delay is one of the first again. */
void backoff_reset(struct backoff *b);

uint64_t backoff_next_ms(struct backoff *b);

#endif
