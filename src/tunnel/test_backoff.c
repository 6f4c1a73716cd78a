/* SPDX-License-Identifier: MIT */
/* The delays between attempts, with the jitter taken out, and with the real one inside its bounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tunnel/backoff.h"

static uint64_t random_most(uint64_t bound)
{
	return bound;
}

static uint64_t random_least(uint64_t bound)
{
	(void)bound;
	return 0;
}

static void test_doubles_to_the_maximum(void **state)
{
	static const uint64_t want[] = { 250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000 };
	struct backoff b;

	(void)state;
	backoff_init(&b, random_most);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_int_equal(backoff_next_ms(&b), want[i]);
	for (int i = 0; i < 100; i++)
		assert_int_equal(backoff_next_ms(&b), BACKOFF_MAX_MS);
	backoff_reset(&b);
	assert_int_equal(backoff_next_ms(&b), BACKOFF_FIRST_MS);
}

/* Full jitter: a delay may be nothing, and the ceiling rises all the same. */
static void test_jitter_is_full(void **state)
{
	struct backoff b;

	(void)state;
	backoff_init(&b, random_least);
	for (int i = 0; i < 20; i++)
		assert_int_equal(backoff_next_ms(&b), 0);
	assert_int_equal(b.ceiling_ms, BACKOFF_MAX_MS);
}

static void test_kernel_jitter_keeps_its_bounds(void **state)
{
	uint64_t low = 0;
	struct backoff b;

	(void)state;
	backoff_init(&b, NULL);
	for (int i = 0; i < 10; i++)
		(void)backoff_next_ms(&b);
	for (int i = 0; i < 1000; i++) {
		uint64_t ms = backoff_next_ms(&b);

		assert_true(ms <= BACKOFF_MAX_MS);
		low += ms < BACKOFF_MAX_MS / 2;
	}
	/* A fair coin stays within these bounds but for one run in 10^36. */
	assert_in_range(low, 300, 700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_doubles_to_the_maximum),
		cmocka_unit_test(test_jitter_is_full),
		cmocka_unit_test(test_kernel_jitter_keeps_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
