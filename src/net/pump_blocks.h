/* SPDX-License-Identifier: MIT */
/*
 * What a direction keeps whose source or destination speaks blocks (proto/block.h). It does no I/O:
 * pump_dir.c does.
 */
#ifndef NET_PUMP_BLOCKS_H
#define NET_PUMP_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/block.h"

enum pump_codec {
	PUMP_PLAIN,   /* bytes are passed on as they come: no blocks, or RAW was said */
	PUMP_ENCODES, /* towards the side of blocks */
	PUMP_DECODES, /* from there */
};

struct pump_blocks {
	enum pump_codec codec;
	/* Its first turn is to come, and it has something for it: a preface, which waits for bytes
	 * to go with, or early bytes to decode. */
	bool begins;
	bool end_said; /* PUMP_ENCODES: END was sent, or is the last that is pending */
	struct block_reader reader;
	/* PUMP_DECODES: what was read and not decoded, owned. Early bytes; from END on what has
	 * come behind it. */
	uint8_t *wire;
	uint32_t wire_len;
};

/* Copies `len` bytes to `wire`. 0 or -ENOMEM. */
int pump_blocks_keep(struct pump_blocks *b, const void *data, uint32_t len);

/*
 * Makes a block of `len` bytes, an END behind it where `end`: BLOCK_HEAD_LEN before and behind them
 * are free. Returns the length from the head on.
 */
uint32_t pump_blocks_wrap(struct pump_blocks *b, uint8_t *data, uint32_t len, bool end);

#endif
