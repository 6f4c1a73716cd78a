/* SPDX-License-Identifier: MIT */
/* What reaches the terminal of others' text. */
#include "cli/terminal.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/err.h"

static const struct {
	const char *text, *shown;
} cases[] = {
	{ "plain text", "plain text" },
	{ "a\ttab", "a\ttab" },
	{ "\x1b[31mred\a\r\x7f", "?[31mred???" },
	{ "a\nb", "a?b" },
	{ "\xc3\xa4 \xe2\x82\xac \xc2\xa0", "\xc3\xa4 \xe2\x82\xac \xc2\xa0" },
	{ "\xc2\x9b"
	  "31m",
		"?31m" }, /* CSI as one character of the C1 set */
	{ "\xc2", "\xc2" },
};

static void test_write(void **state)
{
	char shown[64];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		FILE *out = fmemopen(shown, sizeof shown, "w");

		assert_non_null(out);
		terminal_write(out, cases[i].text, strlen(cases[i].text));
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
