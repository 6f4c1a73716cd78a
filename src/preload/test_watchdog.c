/* SPDX-License-Identifier: MIT */
#include "preload/watchdog.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "preload/accepted.h"
#include "preload/preload.h"
#include "preload/workers.h"

/* What the thread looks at, which doesn't run here. */
void accepted_cut(void)
{
}

void accepted_make_room(uint64_t now_ms, uint64_t idle_ms)
{
}

unsigned accepted_open(void)
{
	return 0;
}

unsigned accepted_turn_away(uint64_t now_ms, uint64_t limit_ms)
{
	return 0;
}

void preload_explain(const char *line)
{
}

bool workers_stuck(uint64_t now_ms, uint64_t tick_ms, uint64_t limit_ms)
{
	return false;
}

/* A component that left one request in a quarter of an hour without an answer was ended each day.
 */
static void test_late(void **state)
{
	struct watchdog_late late = { 0 };
	uint64_t now_ms = 1000000;

	for (int i = 0; i < 1000; i++, now_ms += 900000)
		assert_false(watchdog_count_late(&late, now_ms, 1));
	/* As often as it goes for ever, and once more. */
	late = (struct watchdog_late){ 0 };
	for (int i = 0; i < 1000; i++, now_ms += WATCHDOG_HALVE_MS)
		assert_false(watchdog_count_late(&late, now_ms, WATCHDOG_LATE_MAX / 2 - 1));
	assert_true(watchdog_count_late(&late, now_ms, WATCHDOG_LATE_MAX / 2 + 2));
	/* At once, or one by one. */
	late = (struct watchdog_late){ 0 };
	assert_true(watchdog_count_late(&late, now_ms, WATCHDOG_LATE_MAX));
	late = (struct watchdog_late){ 0 };
	for (unsigned i = 1; i <= WATCHDOG_LATE_MAX; i++, now_ms += WATCHDOG_HALVE_MS / 200)
		assert_int_equal(watchdog_count_late(&late, now_ms, 1), i == WATCHDOG_LATE_MAX);
	/* A long time without one is over at once. */
	assert_false(watchdog_count_late(&late, UINT64_MAX, 0));
	assert_int_equal(late.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_late) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
