/* SPDX-License-Identifier: MIT */
#include "proto/block.h"

#include <errno.h>
#include <stdbool.h>

void block_encode(enum block_type type, uint32_t len, uint8_t ret_head[BLOCK_HEAD_LEN])
{
	ret_head[0] = (uint8_t)type;
	ret_head[1] = (uint8_t)(len >> 16);
	ret_head[2] = (uint8_t)(len >> 8);
	ret_head[3] = (uint8_t)len;
}

int block_decode(const uint8_t head[BLOCK_HEAD_LEN], struct block *ret_block)
{
	uint32_t len = (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];

	if (head[0] < BLOCK_DATA || head[0] > BLOCK_TAKEN || (head[0] == BLOCK_DATA) != (len > 0))
		return -EBADMSG;
	*ret_block = (struct block){ .type = (enum block_type)head[0], .len = len };
	return 0;
}
