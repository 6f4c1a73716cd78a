/* SPDX-License-Identifier: MIT */
/*
 * A bounded byte queue: bytes are appended at the tail and consumed at the head. It never holds
 * more than max bytes. When it runs empty and had grown beyond BUF_KEEP, its memory is given back,
 * so an idle object holds no big buffer.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

/* The most memory, in bytes, that an empty buffer keeps for its next use: one page. */
#define BUF_KEEP 4096

struct buf {
	uint8_t *data; /* owned; NULL while cap is 0 */
	size_t start;  /* the first byte not yet consumed */
	size_t end;    /* behind the last byte */
	size_t cap;    /* bytes allocated at data */
	size_t max;    /* the most bytes it may hold */
};

void buf_init(struct buf *b, size_t max);
void buf_deinit(struct buf *b);

/* The bytes in the queue; both stay valid until the next call that takes a non-const buf. */
uint8_t *buf_head(const struct buf *b);
size_t buf_len(const struct buf *b);

/* Adds all of data or nothing: -ENOBUFS when it would exceed max, -ENOMEM. */
int buf_append(struct buf *b, const void *data, size_t len);

/* Makes room for n contiguous bytes at the tail, to be filled and then given to buf_commit(). */
int buf_reserve(struct buf *b, size_t n, uint8_t **ret_tail);
void buf_commit(struct buf *b, size_t n);

/* Drops n <= buf_len() bytes from the head. */
void buf_consume(struct buf *b, size_t n);

#endif
