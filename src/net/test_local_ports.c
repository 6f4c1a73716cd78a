/* SPDX-License-Identifier: MIT */
/* What begins an episode of explicit binds, and what does not, with a clock of its own. */
#include "net/local_ports.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#define SLOW LOCAL_PORTS_SLOW_US
#define FAST (LOCAL_PORTS_SLOW_US - 1)

/* A single slow connect(2), which any interruption makes, began one. */
static void test_what_is_evidence(void **state)
{
	static const struct {
		uint64_t at_ms[3], cpu_us[3];
		bool crowded;
	} cases[] = {
		{ { 1, 2, 3 }, { FAST, FAST, FAST }, false },
		{ { 1, 2, 3 }, { FAST, SLOW, FAST }, false },
		{ { 1, 2, 3 }, { SLOW, FAST, SLOW }, false },
		{ { 1, 2, 3 }, { FAST, SLOW, SLOW }, true },
		{ { 1, 2, 2 + LOCAL_PORTS_AGAIN_MS - 1 }, { FAST, SLOW, SLOW }, true },
		{ { 1, 2, 2 + LOCAL_PORTS_AGAIN_MS }, { FAST, SLOW, SLOW }, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct local_ports p = { 0 };

		for (size_t n = 0; n < 3; n++)
			local_ports_note(&p, cases[i].at_ms[n], cases[i].cpu_us[n], false);
		assert_int_equal(local_ports_crowded(&p, cases[i].at_ms[2]), cases[i].crowded);
	}
}

/* Whose peer may be the socket itself. */
static void test_which_the_kernel_may_pick(void **state)
{
	struct local_ports p = { 0 };
	uint16_t low, high;

	(void)state;
	local_ports_range(&low, &high);
	assert_true(local_ports_may_be(&p, low));
	assert_true(local_ports_may_be(&p, high));
	assert_false(local_ports_may_be(&p, low - 1));
	assert_false(local_ports_may_be(&p, (uint16_t)(high + 1)));
	/* An episode still begins within the range. */
	local_ports_note(&p, 5, FAST, true);
	assert_true(local_ports_may_be(&p, local_ports_next(&p)));
}

static void test_none_left_is_evidence_enough(void **state)
{
	struct local_ports p = { 0 };

	local_ports_note(&p, 5, FAST, true);
	assert_true(local_ports_crowded(&p, 5));
	assert_true(local_ports_crowded(&p, 5 + LOCAL_PORTS_CROWDED_MS - 1));
	assert_false(local_ports_crowded(&p, 5 + LOCAL_PORTS_CROWDED_MS));
}

static void test_range_is_read_once_an_episode_and_gone_through(void **state)
{
	struct local_ports p = { 0 };
	uint16_t first, second;

	local_ports_note(&p, 5, FAST, true);
	assert_true(p.low && p.low <= p.high);
	p.low = 20; /* not what the kernel says */
	p.high = p.next = 21;
	local_ports_note(&p, 6, FAST, true);
	first = local_ports_next(&p);
	second = local_ports_next(&p);
	assert_int_equal(first, 21);
	assert_int_equal(second, 20);
	assert_int_equal(local_ports_next(&p), 21);

	local_ports_note(&p, 6 + LOCAL_PORTS_CROWDED_MS, FAST, true);
	assert_int_not_equal(p.high, 21);
	assert_true(p.next >= p.low && p.next <= p.high);
}

static void test_reserved_ports_are_left_out(void **state)
{
	static const struct {
		uint16_t low, high;
		const char *reserved;
		unsigned left;
	} cases[] = {
		{ 32768, 60999, "", 28232 },
		{ 32768, 60999, "\n", 28232 },
		{ 40000, 40009, "40000\n", 9 },
		{ 40000, 40009, "8080,40003-40005,40009,50000\n", 6 },
		{ 40000, 40009, "1-65535\n", 0 },
		{ 40000, 40009, "39990-40001,40008-40020\n", 6 },
		{ 40000, 40009, "none", 10 },
		{ 40009, 40000, "", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
			local_ports_unreserved(cases[i].low, cases[i].high, cases[i].reserved),
			cases[i].left);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_evidence),
		cmocka_unit_test(test_none_left_is_evidence_enough),
		cmocka_unit_test(test_which_the_kernel_may_pick),
		cmocka_unit_test(test_reserved_ports_are_left_out),
		cmocka_unit_test(test_range_is_read_once_an_episode_and_gone_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
