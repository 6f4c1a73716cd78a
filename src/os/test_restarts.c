/* SPDX-License-Identifier: MIT */
#include "os/restarts.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static uint64_t longest(uint64_t bound)
{
	return bound;
}

static void begin(struct restarts *r)
{
	restarts_reset(r);
	r->backoff.random = longest;
}

static uint64_t crash(struct restarts *r, enum process_stage stage, uint64_t now_ms)
{
	return restarts_crashed(r, stage, "exit code 1", now_ms);
}

/* Nobody was ever answered: the wait grows, and no visitor shortens it. */
static void test_crash_loop(void **state)
{
	static const enum process_stage stages[] = { PROCESS_LISTENING, PROCESS_VISITED };
	struct restarts r;

	for (size_t i = 0; i < 2; i++) {
		uint64_t last = 0, wait = 0;

		begin(&r);
		for (int n = 0; n < 20; n++) {
			last = wait;
			wait = crash(&r, stages[i], 0);
			assert_true(wait > last || wait == 1 + BACKOFF_MAX_MS);
			assert_false(restarts_for_visitors(&r));
		}
		assert_int_equal(wait, 1 + BACKOFF_MAX_MS);
	}
}

/* A scanner's junk ended one instance after the other, and good visitors waited for half a minute.
 */
static void test_who_has_answered_waits_for_visitors(void **state)
{
	struct restarts r;

	begin(&r);
	for (int n = 0; n < 10; n++)
		(void)crash(&r, PROCESS_VISITED, 0);
	assert_int_equal(crash(&r, PROCESS_ANSWERED, 0), 1 + BACKOFF_FIRST_MS);
	assert_true(restarts_for_visitors(&r));
	/* Those that follow may have met nothing but junk. */
	for (int n = 0; n < 10; n++) {
		(void)crash(&r, PROCESS_VISITED, 0);
		assert_true(restarts_for_visitors(&r));
	}
	/* One that ends without a visitor isn't the visitors' doing. */
	assert_true(crash(&r, PROCESS_LISTENING, 0) > 1 + BACKOFF_FIRST_MS);
	assert_false(restarts_for_visitors(&r));
	restarts_reset(&r);
	(void)crash(&r, PROCESS_VISITED, 0);
	assert_false(restarts_for_visitors(&r));
}

static void test_space_between_starts(void **state)
{
	struct restarts r;

	begin(&r);
	restarts_started(&r, 1000);
	assert_int_equal(restarts_visitor_ms(&r, 1000), RESTARTS_SPACE_MS);
	assert_int_equal(restarts_visitor_ms(&r, 1020), RESTARTS_SPACE_MS - 20);
	assert_int_equal(restarts_visitor_ms(&r, 5000), 1);
}

/* An episode is two lines, or one more each minute. */
static void test_lines(void **state)
{
	char line[RESTARTS_LINE_MAX];
	uint64_t now_ms = 5000;
	struct restarts r;
	unsigned lines = 0;

	begin(&r);
	assert_false(restarts_tell(&r, true, now_ms, line));
	(void)crash(&r, PROCESS_VISITED, now_ms);
	assert_true(restarts_tell(&r, false, now_ms, line));
	assert_string_equal(line, "crashed, starting it again: exit code 1");
	for (int n = 0; n < 999; n++) {
		now_ms += 100;
		(void)crash(&r, PROCESS_VISITED, now_ms);
		lines += restarts_tell(&r, false, now_ms, line);
	}
	assert_int_equal(lines, 1);
	assert_string_equal(line, "crashed 601 times in 60 s, the last time: exit code 1");
	assert_true(restarts_tell(&r, true, now_ms, line));
	assert_string_equal(line, "crashed 1000 times in 99 s, the last time: exit code 1");
	assert_false(restarts_tell(&r, true, now_ms, line));
	/* One crash has been told once. */
	restarts_settle(&r);
	(void)crash(&r, PROCESS_VISITED, now_ms);
	assert_true(restarts_tell(&r, false, now_ms, line));
	assert_false(restarts_tell(&r, true, now_ms, line));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crash_loop),
		cmocka_unit_test(test_who_has_answered_waits_for_visitors),
		cmocka_unit_test(test_space_between_starts),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
