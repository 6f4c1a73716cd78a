/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "os/version.h"

static void test_of(void **state)
{
	char version[VERSION_MAX], etag[VERSION_ETAG_MAX];

	/* The first half of what sha256sum(1) says. */
	assert_int_equal(version_of("", 0, version), 0);
	assert_string_equal(version, "e3b0c44298fc1c149afbf4c8996fb924");
	assert_int_equal(version_of("abc", 3, version), 0);
	assert_string_equal(version, "ba7816bf8f01cfea414140de5dae2223");
	assert_string_equal(version_etag(version, etag), "\"ba7816bf8f01cfea414140de5dae2223\"");
}

static void test_may_go(void **state)
{
	static const char version[] = "ba7816bf8f01cfea414140de5dae2223";

	assert_true(version_may_go(version, "\"ba7816bf8f01cfea414140de5dae2223\""));
	assert_true(version_may_go(version, "*"));
	assert_true(version_may_go(version, NULL));
	assert_false(version_may_go(version, "\"ba7816bf8f01cfea414140de5dae2224\""));
	assert_false(version_may_go(version, "W/\"ba7816bf8f01cfea414140de5dae2223\""));
	assert_false(version_may_go(version, ""));
	/* What is there and was not read may be anything. */
	assert_true(version_may_go("", "*"));
	assert_true(version_may_go("", NULL));
	assert_false(version_may_go("", "\"\""));
	assert_false(version_may_go("", "\"ba7816bf8f01cfea414140de5dae2223\""));
	/* What is gone is no version that anybody has seen. */
	assert_true(version_may_go(NULL, NULL));
	assert_false(version_may_go(NULL, "*"));
	assert_false(version_may_go(NULL, "\"ba7816bf8f01cfea414140de5dae2223\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of),
		cmocka_unit_test(test_may_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
