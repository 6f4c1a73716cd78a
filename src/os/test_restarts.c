/* SPDX-License-Identifier: MIT */
#include "os/restarts.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

static uint64_t longest(uint64_t bound)
{
	return bound;
}

/* What was told. */
struct lines {
	unsigned count;
	char last[RESTARTS_LINE_MAX];
};

static void on_line(void *owner, const char *line)
{
	struct lines *lines = owner;

	lines->count++;
	snprintf(lines->last, sizeof lines->last, "%s", line);
}

static void begin(struct restarts *r, struct lines *lines)
{
	*lines = (struct lines){ 0 };
	restarts_init(r, on_line, lines);
	r->backoff.random = longest;
}

static uint64_t crash(struct restarts *r, enum instance_stage stage, uint64_t now_ms)
{
	restarts_crashed(r, stage, "exit code 1", now_ms);
	return r->wait_ms;
}

/* Nobody was ever answered: the wait grows, and no visitor shortens it. */
static void test_crash_loop(void **state)
{
	static const enum instance_stage stages[] = { INSTANCE_LISTENING, INSTANCE_VISITED };
	struct lines lines;
	struct restarts r;

	for (size_t i = 0; i < 2; i++) {
		uint64_t last = 0, wait = 0;

		begin(&r, &lines);
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
	struct lines lines;
	struct restarts r;

	begin(&r, &lines);
	for (int n = 0; n < 10; n++)
		(void)crash(&r, INSTANCE_VISITED, 0);
	assert_int_equal(crash(&r, INSTANCE_ANSWERED, 0), 1 + BACKOFF_FIRST_MS);
	assert_true(restarts_for_visitors(&r));
	/* Those that follow may have met nothing but junk. */
	for (int n = 0; n < 10; n++) {
		(void)crash(&r, INSTANCE_VISITED, 0);
		assert_true(restarts_for_visitors(&r));
	}
	/* One that ends without a visitor isn't the visitors' doing. */
	assert_true(crash(&r, INSTANCE_LISTENING, 0) > 1 + BACKOFF_FIRST_MS);
	assert_false(restarts_for_visitors(&r));
	restarts_reset(&r, 0);
	(void)crash(&r, INSTANCE_VISITED, 0);
	assert_false(restarts_for_visitors(&r));
}

static void test_space_between_starts(void **state)
{
	struct lines lines;
	struct restarts r;

	begin(&r, &lines);
	restarts_started(&r, 1000);
	assert_int_equal(restarts_visitor_ms(&r, 1000), RESTARTS_SPACE_MS);
	assert_int_equal(restarts_visitor_ms(&r, 1020), RESTARTS_SPACE_MS - 20);
	assert_int_equal(restarts_visitor_ms(&r, 5000), 1);
}

/* An episode is two lines, or one more each minute. */
static void test_lines(void **state)
{
	uint64_t now_ms = 5000;
	struct lines lines;
	struct restarts r;

	begin(&r, &lines);
	restarts_end_episode(&r, now_ms);
	assert_int_equal(lines.count, 0);
	(void)crash(&r, INSTANCE_VISITED, now_ms);
	assert_int_equal(lines.count, 1);
	assert_string_equal(lines.last, "crashed, starting it again: exit code 1");
	for (int n = 0; n < 999; n++) {
		now_ms += 100;
		(void)crash(&r, INSTANCE_VISITED, now_ms);
	}
	assert_int_equal(lines.count, 2);
	assert_string_equal(lines.last, "crashed 601 times in 60 s, the last time: exit code 1");
	restarts_end_episode(&r, now_ms);
	assert_int_equal(lines.count, 3);
	assert_string_equal(lines.last, "crashed 1000 times in 99 s, the last time: exit code 1");
	restarts_end_episode(&r, now_ms);
	assert_int_equal(lines.count, 3);
	/* One crash has been told once. */
	(void)crash(&r, INSTANCE_VISITED, now_ms);
	assert_int_equal(lines.count, 4);
	restarts_reset(&r, now_ms);
	assert_int_equal(lines.count, 4);
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
