/* SPDX-License-Identifier: MIT */
#include "proto/block.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/lang.h"

#define TEXT(t) .data = (t), .len = sizeof(t) - 1

static void test_heads(void **state)
{
	static const struct {
		uint8_t head[BLOCK_HEAD_LEN];
		int error;
		struct block block;
	} cases[] = {
		{ { 1, 0, 0, 1 }, 0, { BLOCK_DATA, 1 } },
		{ { 1, 1, 2, 3 }, 0, { BLOCK_DATA, 0x010203 } },
		{ { 1, 0xff, 0xff, 0xff }, 0, { BLOCK_DATA, BLOCK_LEN_MAX } },
		{ { 2, 0, 0, 0 }, 0, { BLOCK_END, 0 } },
		{ { 3, 0, 0, 0 }, 0, { BLOCK_RAW, 0 } },
		{ { 4, 0, 0, 0 }, 0, { BLOCK_TAKEN, 0 } },
		{ .head = { 0, 0, 0, 0 }, .error = -EBADMSG },
		{ .head = { 0, 0, 0, 1 }, .error = -EBADMSG },
		{ .head = { 5, 0, 0, 0 }, .error = -EBADMSG },
		{ .head = { 0xff, 0, 0, 0 }, .error = -EBADMSG },
		{ .head = { 1, 0, 0, 0 }, .error = -EBADMSG },
		{ .head = { 2, 0, 0, 1 }, .error = -EBADMSG },
		{ .head = { 3, 1, 0, 0 }, .error = -EBADMSG },
		{ .head = { 4, 0, 1, 0 }, .error = -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t head[BLOCK_HEAD_LEN];
		struct block block = { 0 };

		assert_int_equal(block_decode(cases[i].head, &block), cases[i].error);
		if (cases[i].error)
			continue;
		assert_int_equal(block.type, cases[i].block.type);
		assert_int_equal(block.len, cases[i].block.len);
		block_encode(block.type, block.len, head);
		assert_memory_equal(head, cases[i].head, BLOCK_HEAD_LEN);
	}
}

/* What has come in all, in pieces of `piece` bytes. */
struct outcome {
	char stream[64];
	size_t len, used;
	int error;
	struct block_reader reader;
};

static void run(const char *data, size_t len, size_t piece, bool awaits_taken, struct outcome *ret)
{
	struct block_reader r = { .awaits_taken = awaits_taken };
	uint8_t bytes[64];
	size_t n;

	memset(ret, 0, sizeof(*ret));
	for (size_t at = 0; at < len && !r.ended && !ret->error; at += n) {
		struct block_piece got;

		n = len - at < piece ? len - at : piece;
		memcpy(bytes, data + at, n);
		ret->error = block_read(&r, bytes, (uint32_t)n, &got);
		assert_true(got.used <= n && got.at + got.len <= got.used);
		assert_true(got.used == n || r.ended || ret->error);
		memcpy(ret->stream + ret->len, bytes + got.at, got.len);
		ret->len += got.len;
		ret->used += got.used;
	}
	ret->reader = r;
}

/* Each of them as a whole and in pieces of every size: always the same comes out. */
static void test_streams(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const char *stream;
		size_t behind; /* bytes that are not the stream's: of what follows END or a fault */
		int error;
		bool awaits_taken, taken_left, ended, raw;
	} cases[] = {
		{ TEXT("\1\0\0\3abc"), .stream = "abc" },
		{ TEXT("\1\0\0\3abc\1\0\0\1d\1\0\0\2ef"), .stream = "abcdef" },
		{ TEXT("\1\0\0\5abc"), .stream = "abc" },
		{ TEXT("\1\0\0"), .stream = "" },
		{ TEXT("\2\0\0\0"), .stream = "", .ended = true },
		{ TEXT("\1\0\0\2ab\2\0\0\0"), .stream = "ab", .ended = true },
		{ TEXT("\1\0\0\2ab\2\0\0\0{}"), .stream = "ab", .behind = 2, .ended = true },
		{ TEXT("\3\0\0\0"), .stream = "", .raw = true },
		{ TEXT("\1\0\0\2ab\3\0\0\0\2\1\1\1"), .stream = "ab\2\1\1\1", .raw = true },
		{ TEXT("\1\0\0\2ab\5\0\0\0cd"), .stream = "ab", .behind = 2, .error = -EBADMSG },
		{ TEXT("\1\0\0\2ab\1\0\0\0"), .stream = "ab", .error = -EBADMSG },
		{ TEXT("\4\0\0\0\1\0\0\1x\2\0\0\0"), .stream = "x", .awaits_taken = true,
			.ended = true },
		{ TEXT("\4\0\0\0\3\0\0\0x"), .stream = "x", .awaits_taken = true, .raw = true },
		{ TEXT("\4\0\0"), .stream = "", .awaits_taken = true, .taken_left = true },
		/* One that nobody awaits, a second one, one that comes too late, none. */
		{ TEXT("\4\0\0\0"), .stream = "", .error = -EBADMSG },
		{ TEXT("\4\0\0\0\4\0\0\0"), .stream = "", .error = -EBADMSG, .awaits_taken = true },
		{ TEXT("\1\0\0\1x\4\0\0\0"), .stream = "", .behind = 5, .error = -EBADMSG,
			.awaits_taken = true, .taken_left = true },
		{ TEXT("\2\0\0\0"), .stream = "", .error = -EBADMSG, .awaits_taken = true,
			.taken_left = true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t piece = 1; piece <= cases[i].len; piece++) {
			struct outcome o;

			run(cases[i].data, cases[i].len, piece, cases[i].awaits_taken, &o);
			assert_int_equal(o.error, cases[i].error);
			assert_int_equal(o.len, strlen(cases[i].stream));
			assert_memory_equal(o.stream, cases[i].stream, o.len);
			assert_int_equal(o.used, cases[i].len - cases[i].behind);
			if (cases[i].error == 0)
				assert_int_equal(o.reader.ended, cases[i].ended);
			assert_int_equal(o.reader.raw, cases[i].raw);
			assert_int_equal(o.reader.awaits_taken, cases[i].taken_left);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_streams),
	};

	return cmocka_run_group_tests_name("proto/block", tests, NULL, NULL);
}
