/* SPDX-License-Identifier: MIT */
/* What is told of troubles that come again, and how much of it. */
#include "tunnel/episode.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

/*
 * A visitor that was served between two failures, within two seconds of the first, once hid the
 * second for ever; so did the first one hide those with another reason.
 */
static void test_each_new_reason(void **state)
{
	struct episode e = { 0 };

	assert_false(episode_end(&e));
	assert_true(episode_tells(&e, "refused", 0));
	assert_false(episode_tells(&e, "refused", 1));
	assert_true(episode_tells(&e, "no descriptors", 2));
	assert_false(episode_tells(&e, "refused", 3));
	assert_false(episode_tells(&e, "no descriptors", 4));
	assert_int_equal(e.untold, 2);
	assert_true(episode_end(&e));
	assert_false(episode_end(&e));
	assert_true(episode_tells(&e, "refused", 5));
}

/* However often things go well in between, and however many reasons there are. */
static void test_lines_are_bounded(void **state)
{
	static const unsigned hour_ms = 3600 * 1000;
	char reason[16];

	for (unsigned kinds = 1; kinds <= 1000; kinds *= 10) {
		struct episode e = { 0 };
		unsigned lines = 0, at_once = 0;

		for (uint64_t now = 0; now < hour_ms; now += 100) {
			(void)snprintf(reason, sizeof(reason), "%u", (unsigned)(now / 100) % kinds);
			lines += episode_tells(&e, reason, now);
			at_once = now < EPISODE_LINE_MS ? lines : at_once;
			(void)episode_end(&e);
		}
		assert_int_equal(at_once, EPISODE_BURST);
		assert_in_range(lines, hour_ms / EPISODE_LINE_MS, hour_ms / EPISODE_LINE_MS + 8);
	}
}

/* What found no line is told as soon as there is one, and a quiet time brings the burst back. */
static void test_told_late(void **state)
{
	struct episode e = { 0 };

	for (unsigned i = 0; i < EPISODE_BURST; i++) {
		assert_true(episode_tells(&e, "refused", 0));
		(void)episode_end(&e);
	}
	assert_false(episode_tells(&e, "refused", 0));
	assert_false(episode_tells(&e, "other", EPISODE_LINE_MS - 1));
	assert_int_equal(e.untold, 2);
	assert_true(episode_tells(&e, "other", EPISODE_LINE_MS));
	assert_int_equal(e.untold, 0);
	(void)episode_end(&e);
	for (unsigned i = 0; i < EPISODE_BURST; i++) {
		assert_true(episode_tells(&e, "refused", 20 * EPISODE_LINE_MS));
		(void)episode_end(&e);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_new_reason),
		cmocka_unit_test(test_lines_are_bounded),
		cmocka_unit_test(test_told_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
