/* SPDX-License-Identifier: MIT */
#include "net/pump_blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int pump_blocks_keep(struct pump_blocks *b, const void *data, uint32_t len)
{
	if (len == 0)
		return 0;
	b->wire = malloc(len);
	if (!b->wire)
		return -ENOMEM;
	memcpy(b->wire, data, len);
	b->wire_len = len;
	return 0;
}

uint32_t pump_blocks_wrap(struct pump_blocks *b, uint8_t *data, uint32_t len, bool end)
{
	block_encode(BLOCK_DATA, len, data - BLOCK_HEAD_LEN);
	if (!end)
		return BLOCK_HEAD_LEN + len;
	block_encode(BLOCK_END, 0, data + len);
	b->end_said = true;
	return BLOCK_HEAD_LEN + len + BLOCK_HEAD_LEN;
}
