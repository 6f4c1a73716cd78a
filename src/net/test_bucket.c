/* SPDX-License-Identifier: MIT */
/* A token bucket with a clock of its own. */
#include "net/bucket.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#define START_MS 1000000
#define RATE 1000000 /* a byte per microsecond; a burst is 50,000 */

static void test_no_limit(void **state)
{
	struct bucket b;

	bucket_init(&b);
	assert_int_equal(bucket_take(&b, UINT32_MAX, START_MS), UINT32_MAX);
	bucket_give_back(&b, 1000);
	assert_int_equal(bucket_take(&b, UINT32_MAX, START_MS), UINT32_MAX);
	bucket_deinit(&b);
}

static void test_rate(void **state)
{
	struct bucket b;
	uint64_t taken = 0;

	bucket_init(&b);
	bucket_set_rate(&b, RATE);
	assert_int_equal(bucket_take(&b, 1 << 20, START_MS), 50000);
	assert_int_equal(bucket_take(&b, 1, START_MS), 0);
	/* A piece that isn't worth a read is kept, but for who wants no more. */
	assert_int_equal(bucket_take(&b, 5000, START_MS + 1), 0);
	assert_int_equal(bucket_take(&b, 1000, START_MS + 1), 1000);
	assert_int_equal(bucket_take(&b, 5000, START_MS + 3), 2000);
	/* What was not needed is there for the next one; a clock that goes back adds nothing. */
	bucket_give_back(&b, 1900);
	assert_int_equal(bucket_take(&b, 5000, START_MS + 2), 1900);
	for (int ms = 4; ms <= 1003; ms++)
		taken += bucket_take(&b, 1 << 20, START_MS + ms);
	assert_in_range(taken, RATE - BUCKET_PIECE, RATE);
	/* After a long pause there is a burst, and no more. */
	assert_int_equal(bucket_take(&b, 1 << 20, START_MS + 3600000), 50000);
	bucket_deinit(&b);
}

static void test_slow_and_changed(void **state)
{
	struct bucket b;

	bucket_init(&b);
	bucket_set_rate(&b, 1000);
	assert_int_equal(bucket_take(&b, 1 << 20, START_MS), BUCKET_BURST_MIN);
	assert_int_equal(bucket_take(&b, 1 << 20, START_MS + 1000), 0);
	assert_int_equal(bucket_take(&b, 1 << 20, START_MS + 2000), 2000);
	bucket_set_rate(&b, RATE);
	assert_int_equal(bucket_take(&b, 1 << 20, START_MS + 2010), 10000);
	bucket_set_rate(&b, 0);
	assert_int_equal(bucket_take(&b, 1 << 20, START_MS + 2010), 1 << 20);
	bucket_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_slow_and_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
