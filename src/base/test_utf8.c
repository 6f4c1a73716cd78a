/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/lang.h"

static void test_characters(void **state)
{
	static const char *const characters[] = { "a", "\x7f", "\xc2\x80", "\xdf\xbf",
		"\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
		"\xf4\x8f\xbf\xbf" };

	for (size_t i = 0; i < ARRAY_LEN(characters); i++) {
		size_t len = strlen(characters[i]);

		assert_int_equal(utf8_len(characters[i], len + 1), len);
		/* One that is cut off is none. */
		assert_int_equal(utf8_len(characters[i], len - 1), 0);
	}
	assert_int_equal(utf8_len("", 1), 1);
}

static void test_others(void **state)
{
	/* Alone, overlong, a surrogate, too high, and with another byte inside. */
	static const char *const others[] = { "\x80", "\xbf", "\xc0\x80", "\xc1\xbf",
		"\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff", "\xc2!", "\xe1\x80!",
		"\xf1\x80\x80!" };

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_int_equal(utf8_len(others[i], strlen(others[i]) + 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_characters),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
