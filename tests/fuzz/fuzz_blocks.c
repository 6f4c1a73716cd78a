/* SPDX-License-Identifier: MIT */
/*
 * A direction of blocks, behind a byte that says whether TAKEN is awaited, and in pieces of which
 * size: it must come to the same as in one piece. What it says is made blocks of again, and read.
 */
#include <assert.h>
#include <string.h>

#include "base/lang.h"
#include "fuzz.h"
#include "net/pump_blocks.h"

#define DATA_MAX 4096

struct outcome {
	uint8_t stream[DATA_MAX];
	uint32_t len, used;
	int error;
	struct block_reader reader;
};

static void read_blocks(
	const uint8_t *data, uint32_t size, uint32_t piece, bool awaits_taken, struct outcome *ret)
{
	struct block_reader r = { .awaits_taken = awaits_taken };
	uint8_t bytes[DATA_MAX];

	ret->len = ret->used = 0;
	ret->error = 0;
	while (ret->used < size && !r.ended && ret->error == 0) {
		uint32_t n = (uint32_t)min_u64(piece, size - ret->used);
		struct block_piece got;

		memcpy(bytes, data + ret->used, n);
		ret->error = block_read(&r, bytes, n, &got);
		assert(got.used <= n && got.at + got.len <= got.used);
		assert(got.used == n || r.ended || ret->error);
		memcpy(ret->stream + ret->len, bytes + got.at, got.len);
		ret->len += got.len;
		ret->used += got.used;
	}
	ret->reader = r;
}

/* As a direction towards blocks would say it. */
static void check_again(const struct outcome *said)
{
	uint8_t wire[DATA_MAX + 2 * BLOCK_HEAD_LEN];
	struct pump_blocks b = { .codec = PUMP_ENCODES };
	struct block_reader r = { 0 };
	struct block_piece got;
	uint32_t len;

	if (!said->len)
		return;
	memcpy(wire + BLOCK_HEAD_LEN, said->stream, said->len);
	len = pump_blocks_wrap(&b, wire + BLOCK_HEAD_LEN, said->len, true);
	assert(block_read(&r, wire, len, &got) == 0 && r.ended && got.used == len);
	assert(got.len == said->len && memcmp(wire + got.at, said->stream, got.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole, pieces;
	uint8_t how;

	if (size < 2 || size > DATA_MAX)
		return 0;
	how = *data++;
	size--;
	read_blocks(data, (uint32_t)size, (uint32_t)size, how & 1, &whole);
	read_blocks(data, (uint32_t)size, 1 + how / 2, how & 1, &pieces);
	assert(whole.error == pieces.error && whole.used == pieces.used);
	assert(whole.len == pieces.len && memcmp(whole.stream, pieces.stream, whole.len) == 0);
	assert(whole.reader.ended == pieces.reader.ended && whole.reader.raw == pieces.reader.raw);
	assert(whole.reader.left == pieces.reader.left);
	check_again(&whole);
	return 0;
}
