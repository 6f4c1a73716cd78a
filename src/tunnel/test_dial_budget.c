/* SPDX-License-Identifier: MIT */
/* How fast warm connections may be dialled. */
#include "tunnel/dial_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define NOW 1000000

/* Every ms for `ms`, each dial lost; of those that could be had, every `served`-th visitor is
 * served to his end (0: none). */
static unsigned dial_for(struct dial_budget *b, uint64_t from_ms, uint64_t ms, unsigned served)
{
	unsigned dials = 0;

	for (uint64_t now = from_ms; now < from_ms + ms; now++) {
		if (!dial_budget_spend(b, now))
			continue;
		dials++;
		if (served && dials % served == 0)
			dial_budget_earn(b);
	}
	return dials;
}

static void test_bound(void **state)
{
	struct dial_budget b = { 0 };

	(void)state;
	/* All at once, and then by the clock. */
	for (int n = 0; n < DIAL_BUDGET_MAX; n++)
		assert_true(dial_budget_spend(&b, NOW));
	assert_false(dial_budget_spend(&b, NOW));
	assert_in_range(
		dial_for(&b, NOW, 10000, 0), 10 * DIAL_BUDGET_PER_S - 1, 10 * DIAL_BUDGET_PER_S);
	/* A quiet hour gives no more than there can be. */
	assert_in_range(dial_for(&b, NOW + 3600000, 1000, 0),
		DIAL_BUDGET_MAX + DIAL_BUDGET_PER_S - 1, DIAL_BUDGET_MAX + DIAL_BUDGET_PER_S);
}

static void test_who_serves_is_not_held_up(void **state)
{
	struct dial_budget b = { 0 };

	(void)state;
	assert_int_equal(dial_for(&b, NOW, 10000, 1), 10000);
	/* Every second one is lost: a dial for each that is served, and those of the clock. */
	b = (struct dial_budget){ 0 };
	assert_in_range(dial_for(&b, NOW, 10000, 2), 1500, 1600);
	/* Nobody saves up more than there can be. */
	b = (struct dial_budget){ 0 };
	for (int n = 0; n < 10000; n++)
		dial_budget_earn(&b);
	assert_in_range(dial_for(&b, NOW, 1000, 0), DIAL_BUDGET_MAX + DIAL_BUDGET_PER_S - 1,
		DIAL_BUDGET_MAX + DIAL_BUDGET_PER_S);
}

static void test_wait(void **state)
{
	struct dial_budget b = { 0 };
	uint64_t now = NOW;

	(void)state;
	for (int n = 0; n < 1000; n++) {
		if (dial_budget_spend(&b, now))
			continue;
		assert_in_range(dial_budget_wait_ms(&b), 1, 1000 / DIAL_BUDGET_PER_S + 1);
		now += dial_budget_wait_ms(&b);
		assert_true(dial_budget_spend(&b, now));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_who_serves_is_not_held_up),
		cmocka_unit_test(test_wait),
	};

	return cmocka_run_group_tests_name("tunnel/dial_budget", tests, NULL, NULL);
}
