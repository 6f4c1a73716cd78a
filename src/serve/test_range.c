/* SPDX-License-Identifier: MIT */
/* The examples of RFC 9110, and their edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/lang.h"
#include "serve/range.h"

static void test_range(void **state)
{
	static const struct {
		const char *header;
		uint64_t size;
		enum range range;
		uint64_t offset, len;
	} cases[] = {
		{ NULL, 10, RANGE_NONE, 0, 0 },
		{ "bytes=0-0", 10, RANGE_PART, 0, 1 },
		{ "Bytes=0-499", 10000, RANGE_PART, 0, 500 },
		{ "bytes=9500-", 10000, RANGE_PART, 9500, 500 },
		{ "bytes=-500", 10000, RANGE_PART, 9500, 500 },
		{ "bytes=-500", 100, RANGE_PART, 0, 100 },
		{ "bytes=5-9999", 10, RANGE_PART, 5, 5 },
		{ "bytes=9-9", 10, RANGE_PART, 9, 1 },
		{ "bytes=10-", 10, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=0-", 0, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=-0", 10, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=-1", 0, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=9223372036854775807-", 10, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=9223372036854775808-", 10, RANGE_NONE, 0, 0 },
		{ "bytes=5-2", 10, RANGE_NONE, 0, 0 },
		{ "bytes=-", 10, RANGE_NONE, 0, 0 },
		{ "bytes=0-1,3-4", 10, RANGE_NONE, 0, 0 },
		{ "bytes=--1", 10, RANGE_NONE, 0, 0 },
		{ "bytes=+1-2", 10, RANGE_NONE, 0, 0 },
		{ "lines=0-1", 10, RANGE_NONE, 0, 0 },
		{ "", 10, RANGE_NONE, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t offset = 0, len = 0;

		assert_int_equal(
			range_parse(cases[i].header, cases[i].size, &offset, &len), cases[i].range);
		assert_int_equal(offset, cases[i].offset);
		assert_int_equal(len, cases[i].len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
