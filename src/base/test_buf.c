/* SPDX-License-Identifier: MIT */
/* The byte queue: order, bounds, and that an empty one holds no big memory. */
#include "base/buf.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void test_order_is_kept_across_compaction(void **state)
{
	struct buf b;
	uint8_t next_in = 0, next_out = 0;

	buf_init(&b, 1000);
	/* 7 in, 5 out, until it is full: the head wanders and the buffer compacts and grows. */
	while (buf_len(&b) + 7 <= 1000) {
		uint8_t in[7];

		for (size_t i = 0; i < sizeof in; i++)
			in[i] = next_in++;
		assert_int_equal(buf_append(&b, in, sizeof in), 0);
		for (size_t i = 0; i < 5; i++)
			assert_int_equal(buf_head(&b)[i], next_out++);
		buf_consume(&b, 5);
	}
	while (buf_len(&b)) {
		assert_int_equal(*buf_head(&b), next_out++);
		buf_consume(&b, 1);
	}
	assert_int_equal(next_in, next_out);
	buf_deinit(&b);
}

static void test_max_is_all_or_nothing(void **state)
{
	static const uint8_t data[20];
	uint8_t *tail;
	struct buf b;

	buf_init(&b, 16);
	assert_int_equal(buf_append(&b, data, 17), -ENOBUFS);
	assert_int_equal(buf_len(&b), 0);
	assert_int_equal(buf_append(&b, data, 16), 0);
	assert_int_equal(buf_append(&b, data, 1), -ENOBUFS);
	assert_int_equal(buf_append(&b, data, 0), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX, &tail), -ENOBUFS);
	assert_int_equal(buf_len(&b), 16);
	assert_true(b.cap <= 16);
	buf_deinit(&b);
	assert_null(b.data);
	buf_deinit(&b);
	buf_deinit(NULL);
}

static void test_reserve_then_commit_less(void **state)
{
	uint8_t *tail;
	struct buf b;

	buf_init(&b, 100);
	assert_int_equal(buf_append(&b, "ab", 2), 0);
	assert_int_equal(buf_reserve(&b, 98, &tail), 0);
	memcpy(tail, "cd", 2);
	buf_commit(&b, 2);
	assert_int_equal(buf_len(&b), 4);
	assert_memory_equal(buf_head(&b), "abcd", 4);
	buf_deinit(&b);
}

static void test_empty_gives_big_memory_back(void **state)
{
	uint8_t *tail;
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_int_equal(buf_append(&b, "x", 1), 0);
	buf_consume(&b, 1);
	assert_non_null(b.data);
	assert_int_equal(buf_reserve(&b, BUF_KEEP + 1, &tail), 0);
	buf_commit(&b, BUF_KEEP + 1);
	buf_consume(&b, BUF_KEEP);
	assert_non_null(b.data);
	buf_consume(&b, 1);
	assert_null(b.data);
	assert_int_equal(b.cap, 0);
	assert_int_equal(b.max, 1 << 20);
	assert_int_equal(buf_append(&b, "y", 1), 0);
	buf_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_is_kept_across_compaction),
		cmocka_unit_test(test_max_is_all_or_nothing),
		cmocka_unit_test(test_reserve_then_commit_less),
		cmocka_unit_test(test_empty_gives_big_memory_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
