/* SPDX-License-Identifier: MIT */
#include "proto/block.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

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

/* A head is complete. */
static int block_reader_take(struct block_reader *r)
{
	struct block block;
	int error = block_decode(r->head, &block);

	r->head_len = 0;
	if (error < 0)
		return error;
	if (r->awaits_taken != (block.type == BLOCK_TAKEN))
		return -EBADMSG;
	r->awaits_taken = false;
	r->ended = block.type == BLOCK_END;
	r->raw = block.type == BLOCK_RAW;
	r->left = block.len;
	return 0;
}

/* The next bytes of the stream, put behind those that this piece has brought before. */
static void block_piece_add(struct block_piece *piece, uint8_t *data, uint32_t len)
{
	if (!piece->len)
		piece->at = piece->used;
	else if (piece->at + piece->len != piece->used)
		memmove(data + piece->at + piece->len, data + piece->used, len);
	piece->len += len;
	piece->used += len;
}

int block_read(struct block_reader *r, uint8_t *data, uint32_t len, struct block_piece *ret_piece)
{
	struct block_piece piece = { 0 };
	int error = 0;

	assert(!r->ended);
	while (piece.used < len && !r->ended && error == 0) {
		uint32_t there = len - piece.used;

		if (r->raw) {
			block_piece_add(&piece, data, there);
		} else if (r->left) {
			uint32_t n = r->left < there ? r->left : there;

			r->left -= n;
			block_piece_add(&piece, data, n);
		} else {
			r->head[r->head_len++] = data[piece.used++];
			if (r->head_len == BLOCK_HEAD_LEN)
				error = block_reader_take(r);
		}
	}
	*ret_piece = piece;
	return error;
}
