/* SPDX-License-Identifier: MIT */
/*
 * A bounded byte queue in one allocation. The invariant: start <= end <= cap, end - start <= max,
 * and an empty queue has start == end == 0.
 */
#include "base/buf.h"

#include "base/lang.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The first allocation; a handshake frame with room to spare. */
#define BUF_FIRST 512

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_deinit(struct buf *b)
{
	if (!b)
		return;
	free(b->data);
	*b = (struct buf){ .max = b->max };
}

uint8_t *buf_head(const struct buf *b)
{
	return b->data ? b->data + b->start : NULL;
}

size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}

int buf_append(struct buf *b, const void *data, size_t len)
{
	uint8_t *tail;
	int r;

	if (!len)
		return 0;
	r = buf_reserve(b, len, &tail);
	if (r < 0)
		return r;
	memcpy(tail, data, len);
	buf_commit(b, len);
	return 0;
}

int buf_reserve(struct buf *b, size_t n, uint8_t **ret_tail)
{
	size_t len = buf_len(b), cap;
	uint8_t *data;

	if (n > b->max - len)
		return -ENOBUFS;
	if (n > b->cap - b->end && b->start) {
		memmove(b->data, b->data + b->start, len);
		b->start = 0;
		b->end = len;
	}
	if (n > b->cap - b->end || !b->data) {
		cap = max_u64(len + n, min_u64(max_u64(b->cap * 2, BUF_FIRST), b->max));
		data = realloc(b->data, max_u64(cap, 1));
		if (!data)
			return -ENOMEM;
		b->data = data;
		b->cap = cap;
	}
	*ret_tail = b->data + b->end;
	return 0;
}

void buf_commit(struct buf *b, size_t n)
{
	assert(n <= b->cap - b->end);
	b->end += n;
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= buf_len(b));
	b->start += n;
	if (b->start < b->end)
		return;
	b->start = b->end = 0;
	if (b->cap > BUF_KEEP)
		buf_deinit(b);
}
