/* SPDX-License-Identifier: MIT */
/* What of a text is shown as it is, and what instead of the rest. */
#include "base/printable.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/lang.h"

static const struct {
	const char *text, *shown;
	size_t columns;
} cases[] = {
	{ "", "", 0 },
	{ "plain ~ \\x1b 'text'", "plain ~ \\x1b 'text'", 19 },
	{ "a\ttab", "a\ttab", 5 },
	{ "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x8e\x89", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x8e\x89", 5 },
	{ "\xc2\xa0", "\xc2\xa0", 1 }, /* the first character behind the C1 set */
	{ "a\nb\r", "a\\x0ab\\x0d", 10 },
	{ "\x1b[31m\x07\x7f", "\\x1b[31m\\x07\\x7f", 16 },
	/* CSI as a byte, which an 8-bit terminal takes, and as a character. */
	{ "\x9b"
	  "2J",
		"\\x9b2J", 6 },
	{ "\xc2\x9b"
	  "2J",
		"\\xc2\\x9b2J", 10 },
	/* Right-to-left override and isolate, each with its end; their neighbours stay. */
	{ "\xe2\x80\xae\xe2\x80\xac", "\\xe2\\x80\\xae\\xe2\\x80\\xac", 24 },
	{ "\xe2\x81\xa6\xe2\x81\xa9", "\\xe2\\x81\\xa6\\xe2\\x81\\xa9", 24 },
	{ "\xe2\x80\xa8", "\\xe2\\x80\\xa8", 12 },
	{ "\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa",
		"\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa", 4 },
	/* No UTF-8: cut, overlong, a surrogate. */
	{ "\xc3", "\\xc3", 4 },
	{ "\xc0\x9b", "\\xc0\\x9b", 8 },
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80", 12 },
};

static void test_write(void **state)
{
	char shown[64];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		FILE *out = fmemopen(shown, sizeof shown, "w");

		assert_non_null(out);
		assert_int_equal(printable_write(out, cases[i].text, strlen(cases[i].text)),
			cases[i].columns);
		(void)fputc('\0', out);
		assert_int_equal(fclose(out), 0);
		assert_string_equal(shown, cases[i].shown);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
