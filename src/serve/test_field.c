/* SPDX-License-Identifier: MIT */
#include "serve/field.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"

static void test_taken(void **state)
{
	static const struct {
		const char *text, *name, *value;
	} cases[] = {
		{ "Cross-Origin-Opener-Policy: same-origin", "Cross-Origin-Opener-Policy",
			"same-origin" },
		{ "X:y", "X", "y" },
		{ "x-a:   b  c: d  ", "x-a", "b  c: d" },
		{ "Cache-Control: max-age=60", "Cache-Control", "max-age=60" },
		{ "X-Date: today", "X-Date", "today" },
		{ "X: \xc3\xa4", "X", "\xc3\xa4" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[64];
		struct field field;

		snprintf(text, sizeof text, "%s", cases[i].text);
		assert_null(field_refusal(text));
		field = field_split(text);
		assert_string_equal(field.name, cases[i].name);
		assert_string_equal(field.value, cases[i].value);
	}
}

/* What would be another header, a second frame, or a lie about a file. */
static void test_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "no NAME: VALUE" },
		{ ": x", "no NAME: VALUE" },
		{ "X", "no NAME: VALUE" },
		{ "X Y: z", "no NAME: VALUE" },
		{ " X: z", "no NAME: VALUE" },
		{ "X\xe4: z", "no NAME: VALUE" },
		{ "X:", "no value" },
		{ "X:   ", "no value" },
		{ "X: a\r\nY: b", "control character" },
		{ "X: a\nY: b", "control character" },
		{ "X: a\x1b[2J", "control character" },
		{ "X: a\x7f", "control character" },
		{ "X: a\tb", "control character" },
		{ "content-length: 3", "of each connection" },
		{ "Transfer-Encoding: chunked", "of each connection" },
		{ "CONNECTION: close", "of each connection" },
		{ "Date: today", "of each connection" },
		{ "Content-Type: a/b", "of each file" },
		{ "Location: /", "of each file" },
		{ "etag: \"x\"", "of each file" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *why = field_refusal(cases[i].text);

		if (!why || !strstr(why, cases[i].why))
			fail_msg("'%s': %s", cases[i].text, why ? why : "taken");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
