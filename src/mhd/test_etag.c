/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mhd/etag.h"

static void test_etag(void **state)
{
	static const char etag[] = "\"a-1\"";

	assert_true(etag_matches("\"a-1\"", etag));
	assert_true(etag_matches("W/\"a-1\"", etag));
	assert_true(etag_matches("\"b\", \"a-1\" , \"c\"", etag));
	assert_true(etag_matches("*", etag));
	assert_false(etag_matches("", etag));
	assert_false(etag_matches(" , ,", etag));
	assert_false(etag_matches("\"a-12\"", etag));
	assert_false(etag_matches("\"a-1\"x", etag));
	assert_false(etag_matches("a-1", etag));
}

/* What is replaced must be what was seen, to the byte. */
static void test_strongly(void **state)
{
	static const char etag[] = "\"a-1\"";

	assert_true(etag_matches_strongly("\"a-1\"", etag));
	assert_true(etag_matches_strongly("W/\"a-1\", \"a-1\"", etag));
	assert_true(etag_matches_strongly("*", etag));
	assert_false(etag_matches_strongly("W/\"a-1\"", etag));
	assert_false(etag_matches_strongly("", etag));
	assert_false(etag_matches_strongly("\"a-12\"", etag));
	assert_false(etag_matches_strongly("a-1", etag));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_etag),
		cmocka_unit_test(test_strongly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
