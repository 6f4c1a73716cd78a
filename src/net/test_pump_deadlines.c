/* SPDX-License-Identifier: MIT */
/* When pumps are looked at: pumps without sockets, told to be in this state or that one. */
#include "net/pump_deadlines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "net/pump.h"

#define TAKEN_EVERY_MS 187 /* a sixteenth of PUMP_TAKEN_MS */

/* The test's clock; update() has the real one, which isn't before START_MS. */
#define START_MS 1000

static struct pump *pump_of(void (*become)(struct pump *p))
{
	struct pump *p = pump_new(&(struct pump_job){ .fd = { -1, -1 } });

	assert_non_null(p);
	if (become)
		become(p);
	return p;
}

static void be_untaken(struct pump *p)
{
	p->dir[PUMP_INNER].blocks.reader.awaits_taken = true;
}

static void be_reset(struct pump *p)
{
	p->failed[PUMP_OUTER] = true;
}

static void be_throttled(struct pump *p)
{
	p->dir[PUMP_OUTER].throttled = true;
}

static void drop(struct pump *p)
{
	pump_deadlines_remove(p);
	pump_free(p);
}

/* Each timeout alone, and the cap, against how often the usual row is looked through. */
static void test_every(void **state)
{
	static const struct {
		struct pump_pool_config config;
		uint64_t most_ms, every_ms;
	} cases[] = {
		{ { 0 }, 0, UINT64_MAX },
		{ { 0 }, 1000, 1000 },
		{ { .vanished_timeout_ms = PUMP_VANISHED_MS }, 0, PUMP_VANISHED_MS / 16 },
		{ { .vanished_timeout_ms = PUMP_VANISHED_MS }, 1000, 1000 },
		{ { .idle_timeout_ms = 320, .half_close_timeout_ms = 640 }, 1000, 20 },
		{ { .idle_timeout_ms = 640, .half_close_timeout_ms = 320 }, 0, 20 },
		{ { .idle_timeout_ms = 1 }, 0, 10 },
	};
	struct pump_deadlines d;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pump_deadlines_init(&d, &cases[i].config, cases[i].most_ms);
		assert_int_equal(d.row[PUMP_ROW_USUAL].every_ms, cases[i].every_ms);
		assert_true(d.next_ms == UINT64_MAX);
	}
}

/* Without a timeout nobody is ever looked at, whatever the clock says. */
static void test_never(void **state)
{
	const struct pump_io io = { 0 };
	struct pump *p = pump_of(NULL);
	struct pump_deadlines d;

	(void)state;
	pump_deadlines_init(&d, &(struct pump_pool_config){ 0 }, 0);
	pump_deadlines_add(&d, p, &io, START_MS);
	assert_true(d.next_ms == UINT64_MAX);
	assert_false(pump_deadlines_due(&d, PUMP_ROW_USUAL, UINT64_MAX - 1));
	drop(p);
}

/* Each stands in the row of its deadline, and goes to another one when that changes. */
static void test_rows(void **state)
{
	const struct pump_pool_config config = { .idle_timeout_ms = 16000 };
	const struct pump_io io = { .idle_timeout_ms = 16000 };
	struct pump *usual = pump_of(NULL), *untaken = pump_of(be_untaken);
	struct pump_deadlines d;
	uint64_t now_ms;

	(void)state;
	pump_deadlines_init(&d, &config, 0);
	pump_deadlines_add(&d, usual, &io, START_MS);
	assert_int_equal(d.next_ms, START_MS + 1000);
	pump_deadlines_add(&d, untaken, &io, START_MS);
	assert_int_equal(d.next_ms, START_MS + TAKEN_EVERY_MS);
	assert_ptr_equal(list_first(&d.row[PUMP_ROW_USUAL].pumps), &usual->deadline_link);
	assert_ptr_equal(list_first(&d.row[PUMP_ROW_TAKEN].pumps), &untaken->deadline_link);
	assert_int_equal(untaken->progress_ms, START_MS);
	/* Nothing has changed: its deadline goes on. */
	pump_deadlines_update(&d, untaken, &io);
	assert_int_equal(untaken->progress_ms, START_MS);
	now_ms = clock_now_ms();
	be_reset(usual);
	pump_deadlines_update(&d, usual, &io);
	assert_true(list_empty(&d.row[PUMP_ROW_USUAL].pumps));
	assert_ptr_equal(list_first(&d.row[PUMP_ROW_DELIVERY].pumps), &usual->deadline_link);
	assert_true(usual->progress_ms >= now_ms);
	drop(usual);
	drop(untaken);
	for (size_t i = 0; i < PUMP_ROWS; i++)
		assert_true(list_empty(&d.row[i].pumps));
}

/* One that waits for a bucket has its deadline as well, and is asked for once. */
static void test_throttled(void **state)
{
	const struct pump_pool_config config = { .idle_timeout_ms = 16000 };
	const struct pump_io io = { .idle_timeout_ms = 16000 };
	struct pump *p = pump_of(be_throttled);
	struct pump_deadlines d;

	(void)state;
	pump_deadlines_init(&d, &config, 0);
	pump_deadlines_add(&d, p, &io, START_MS);
	pump_deadlines_update(&d, p, &io);
	assert_ptr_equal(list_first(&d.row[PUMP_ROW_THROTTLED].pumps), &p->throttled_link);
	assert_ptr_equal(d.row[PUMP_ROW_THROTTLED].pumps.prev, &p->throttled_link);
	assert_ptr_equal(list_first(&d.row[PUMP_ROW_USUAL].pumps), &p->deadline_link);
	list_remove(&p->throttled_link);
	assert_false(pump_deadlines_due(&d, PUMP_ROW_THROTTLED, UINT64_MAX));
	drop(p);
}

/* A row's looks follow each other by its own measure; the next one is the first of any row. */
static void test_looks(void **state)
{
	const struct pump_pool_config config = { .idle_timeout_ms = 16000 };
	const struct pump_io io = { .idle_timeout_ms = 16000 };
	struct pump *usual = pump_of(NULL), *untaken = pump_of(be_untaken);
	struct pump_deadlines d;

	(void)state;
	pump_deadlines_init(&d, &config, 0);
	pump_deadlines_add(&d, usual, &io, START_MS);
	pump_deadlines_add(&d, untaken, &io, START_MS);
	assert_false(pump_deadlines_due(&d, PUMP_ROW_TAKEN, START_MS + TAKEN_EVERY_MS - 1));
	assert_true(pump_deadlines_due(&d, PUMP_ROW_TAKEN, START_MS + TAKEN_EVERY_MS));
	assert_false(pump_deadlines_due(&d, PUMP_ROW_TAKEN, START_MS + TAKEN_EVERY_MS));
	assert_false(pump_deadlines_due(&d, PUMP_ROW_USUAL, START_MS + TAKEN_EVERY_MS));
	pump_deadlines_looked(&d);
	assert_int_equal(d.next_ms, START_MS + 2 * TAKEN_EVERY_MS);
	/* Nobody is in it any more: its look counts no longer, and the next one to come has its
	 * own. */
	drop(untaken);
	pump_deadlines_looked(&d);
	assert_int_equal(d.next_ms, START_MS + 1000);
	untaken = pump_of(be_untaken);
	pump_deadlines_add(&d, untaken, &io, START_MS + 500);
	assert_int_equal(d.next_ms, START_MS + 500 + TAKEN_EVERY_MS);
	drop(untaken);
	drop(usual);
	pump_deadlines_looked(&d);
	assert_true(d.next_ms == UINT64_MAX);
}

/* While somebody awaited TAKEN, an idle timeout of a second was looked at every 187 ms instead of
 * every 62: the timer was set for the first row that had somebody, not for the next look. */
static void test_no_row_holds_up_another(void **state)
{
	const struct pump_pool_config config = { .idle_timeout_ms = 1000 };
	const struct pump_io io = { .idle_timeout_ms = 1000 };
	struct pump *untaken = pump_of(be_untaken), *usual = pump_of(NULL);
	struct pump_deadlines d;

	(void)state;
	pump_deadlines_init(&d, &config, 0);
	pump_deadlines_add(&d, untaken, &io, START_MS);
	pump_deadlines_add(&d, usual, &io, START_MS);
	assert_int_equal(d.next_ms, START_MS + 62);
	assert_true(pump_deadlines_due(&d, PUMP_ROW_USUAL, START_MS + 62));
	pump_deadlines_looked(&d);
	assert_int_equal(d.next_ms, START_MS + 124);
	drop(untaken);
	drop(usual);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_throttled),
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_no_row_holds_up_another),
	};

	return cmocka_run_group_tests_name("net/pump_deadlines", tests, NULL, NULL);
}
