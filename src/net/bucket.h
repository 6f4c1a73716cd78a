/* SPDX-License-Identifier: MIT */
/*
 * A token bucket: a rate for many connections together, on whatever threads they are pumped. A
 * token is a byte. It holds what BUCKET_BURST_MS bring, and BUCKET_BURST_MIN at least, so that
 * many may be idle and one can have it all.
 */
#ifndef NET_BUCKET_H
#define NET_BUCKET_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define BUCKET_BURST_MS 50
#define BUCKET_BURST_MIN 16384U
/* Less than that isn't handed out to who wants more: a read has its price. */
#define BUCKET_PIECE 1448U

struct bucket {
	_Atomic uint64_t rate; /* bytes per second; 0: no limit */
	pthread_mutex_t lock;  /* of the following */
	uint64_t tokens;       /* thousandths of a byte, since the clock has milliseconds */
	uint64_t filled_ms;
};

void bucket_init(struct bucket *b);
void bucket_deinit(struct bucket *b);

/* From now on. */
void bucket_set_rate(struct bucket *b, uint64_t bytes_per_second);

/* How many of `want` bytes may move now; 0: ask again a little later. */
uint32_t bucket_take(struct bucket *b, uint32_t want, uint64_t now_ms);

/* These were taken, and not needed. */
void bucket_give_back(struct bucket *b, uint32_t count);

#endif
