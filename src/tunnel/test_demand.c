/* SPDX-License-Identifier: MIT */
/* How many connections are wanted ready, and how many of them are dialled. */
#include "tunnel/demand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/lang.h"

#define NOW 1000000

static void test_wanted(void **state)
{
	/* `visitors` began, `every_ms`, the last of them `ago_ms`. */
	static const struct {
		unsigned visitors;
		uint64_t every_ms, ago_ms;
		unsigned limit, wanted;
	} table[] = {
		{ 0, 0, 0, 64, 2 },
		{ 0, 0, 0, 1, 1 },
		{ 0, 0, 0, 0, 0 },
		{ 1, 0, 0, 64, 2 },
		{ 3, 0, 0, 64, 3 },
		{ 3, 0, 9999, 64, 3 },
		{ 3, 0, 10000, 64, 2 },
		/* The oldest of them is too long ago. */
		{ 11, 1000, 0, 64, 10 },
		{ 5, 4000, 0, 64, 3 },
		{ 5, 0, 0, 4, 4 },
		{ 64, 0, 0, 64, 64 },
		{ 65, 0, 0, 64, 64 },
		{ 5000, 1, 0, 64, 64 },
		{ 5000, 1, 9950, 64, 50 },
		{ 5000, 1, 20000, 64, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct demand d = { 0 };

		for (unsigned n = table[i].visitors; n > 0; n--)
			demand_note(&d, NOW - table[i].ago_ms - (n - 1) * table[i].every_ms);
		assert_int_equal(demand_wanted(&d, table[i].limit, NOW), table[i].wanted);
	}
}

static void test_missing(void **state)
{
	static const struct {
		struct demand_have have;
		unsigned wanted, limit, missing;
	} table[] = {
		{ { 0 }, 2, 64, 2 },
		{ { .idle = 1 }, 2, 64, 1 },
		{ { .idle = 2 }, 2, 64, 0 },
		{ { .idle = 3 }, 2, 64, 0 },
		{ { .dialling = 2 }, 2, 64, 0 },
		{ { .idle = 1, .dialling = 1 }, 2, 64, 0 },
		/* A visitor has one: there are to be two all the same. */
		{ { .idle = 1, .returning = 1 }, 2, 64, 1 },
		/* But for those that come back there would be no room. */
		{ { .idle = 63, .returning = 1 }, 64, 64, 0 },
		{ { .idle = 24, .returning = 40 }, 64, 64, 0 },
		{ { .idle = 20, .returning = 40 }, 64, 64, 4 },
		{ { .returning = 200 }, 64, 64, 0 },
		{ { 0 }, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		assert_int_equal(demand_missing(&table[i].have, table[i].wanted, table[i].limit),
			table[i].missing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests_name("tunnel/demand", tests, NULL, NULL);
}
