/* SPDX-License-Identifier: MIT */
#include "net/bucket.h"

#include "base/lang.h"

void bucket_init(struct bucket *b)
{
	*b = (struct bucket){ 0 };
	pthread_mutex_init(&b->lock, NULL);
}

void bucket_deinit(struct bucket *b)
{
	pthread_mutex_destroy(&b->lock);
}

void bucket_set_rate(struct bucket *b, uint64_t bytes_per_second)
{
	atomic_store_explicit(&b->rate, bytes_per_second, memory_order_relaxed);
}

static uint64_t bucket_rate(struct bucket *b)
{
	return atomic_load_explicit(&b->rate, memory_order_relaxed);
}

/* In thousandths, as the tokens. */
static uint64_t bucket_capacity(uint64_t rate)
{
	return max_u64(rate * BUCKET_BURST_MS, BUCKET_BURST_MIN * UINT64_C(1000));
}

uint32_t bucket_take(struct bucket *b, uint32_t want, uint64_t now_ms)
{
	uint64_t rate = bucket_rate(b), taken;

	if (!rate)
		return want;
	pthread_mutex_lock(&b->lock);
	/* The clocks of two threads that take at the same time may be in the wrong order. */
	if (now_ms > b->filled_ms) {
		uint64_t ms = min_u64(now_ms - b->filled_ms, 60000);

		b->tokens = min_u64(b->tokens + ms * rate, bucket_capacity(rate));
		b->filled_ms = now_ms;
	}
	taken = min_u64(want, b->tokens / 1000);
	if (taken < want && taken < BUCKET_PIECE)
		taken = 0;
	b->tokens -= taken * 1000;
	pthread_mutex_unlock(&b->lock);
	return (uint32_t)taken;
}

void bucket_give_back(struct bucket *b, uint32_t count)
{
	if (!count || !bucket_rate(b))
		return;
	pthread_mutex_lock(&b->lock);
	b->tokens += count * UINT64_C(1000);
	pthread_mutex_unlock(&b->lock);
}
