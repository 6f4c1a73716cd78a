/* SPDX-License-Identifier: MIT */
/*
 * The blocks of a warm connection (docs/protocol.md, "Warm connections"): a stream's bytes and its
 * end on a connection that goes on afterwards. Pure: bytes in, bytes out.
 *
 * A block is one byte type and three bytes length, big-endian, and as many bytes behind them. What
 * ends the connection within a stream, before that direction's BLOCK_END, is a reset of the stream.
 */
#ifndef PROTO_BLOCK_H
#define PROTO_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_HEAD_LEN 4
#define BLOCK_LEN_MAX 0xffffffU /* bytes behind a head */

enum block_type {
	BLOCK_DATA = 1,  /* bytes of the stream, at least one */
	BLOCK_END = 2,   /* the stream's FIN; no length */
	BLOCK_RAW = 3,   /* what follows is the stream, to TCP's own FIN; no length */
	BLOCK_TAKEN = 4, /* the client's first, once: it has the visitor; no length */
};

struct block {
	enum block_type type;
	uint32_t len;
};

/* The head of a block of `len` bytes. */
void block_encode(enum block_type type, uint32_t len, uint8_t ret_head[BLOCK_HEAD_LEN]);

/* 0, or -EBADMSG: an unknown type, a DATA without bytes, another one with some. */
int block_decode(const uint8_t head[BLOCK_HEAD_LEN], struct block *ret_block);

/* What has come of one direction so far; zeroed, with `awaits_taken` set, it is at its start. */
struct block_reader {
	uint8_t head[BLOCK_HEAD_LEN];
	uint32_t head_len; /* bytes of the next head that are there */
	uint32_t left;     /* bytes of the block in hand that are still to come */
	bool awaits_taken; /* its first block is a TAKEN, and none came yet */
	bool ended;        /* END: what comes behind it is none of this stream's */
	bool raw;          /* RAW: there are no more blocks */
};

/* What one piece was. */
struct block_piece {
	uint32_t at, len; /* the stream's bytes, in one piece */
	uint32_t used;    /* up to the end of END, or of the block that is wrong, else all */
};

/*
 * Takes the next `len` bytes, whose heads it overwrites with what comes behind them. 0, or -EBADMSG
 * as of block_decode(), and for a TAKEN that isn't awaited or one that is missing: the stream's
 * bytes before it are good all the same. Not to be called once that or `ended` was said.
 */
int block_read(struct block_reader *r, uint8_t *data, uint32_t len, struct block_piece *ret_piece);

#endif
