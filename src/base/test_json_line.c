/* SPDX-License-Identifier: MIT */
/* Objects of a log, byte by byte, whatever the text is. */
#include "base/json_line.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"

#define TIME_MS UINT64_C(1769860800123)
#define HEAD                                                                                  \
	"{\"time\":\"2026-01-31T12:00:00.123Z\",\"level\":\"warn\",\"component\":\"tunnel\"," \
	"\"message\":\""
#define TAIL "\"}\n"

static const struct {
	const char *text;
	size_t len;
	const char *shown;
} cases[] = {
	{ "plain", 5, "plain" },
	{ "a \"b\" \\c/", 9, "a \\\"b\\\" \\\\c/" },
	{ "\n\t\0\x1b\x7f", 5, "\\u000a\\u0009\\u0000\\u001b\\u007f" },
	{ "\xc3\xa4\xe2\x80\xae\xe2\x80\xac", 8, "\\u00e4\\u202e\\u202c" },
	{ "\xf0\x9f\x98\x80", 4, "\\ud83d\\ude00" },
	{ "\xf4\x8f\xbf\xbf", 4, "\\udbff\\udfff" },
	/* A stray byte, an overlong form, a surrogate, a character that is cut. */
	{ "\xff"
	  "a",
		2, "\\ufffda" },
	{ "\xc0\xaf", 2, "\\ufffd\\ufffd" },
	{ "\xed\xa0\x80", 3, "\\ufffd\\ufffd\\ufffd" },
	{ "\xe2\x82", 2, "\\ufffd\\ufffd" },
};

static void test_texts(void **state)
{
	struct json_line line;
	char expected[256];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_line_begin(&line, TIME_MS, "warn", "tunnel");
		assert_int_equal(
			json_line_add(&line, "message", cases[i].text, cases[i].len), cases[i].len);
		json_line_end(&line);
		(void)snprintf(expected, sizeof expected, HEAD "%s" TAIL, cases[i].shown);
		assert_int_equal(line.len, strlen(expected));
		assert_memory_equal(line.text, expected, line.len);
	}
}

/* Of each kind of character as many as fit, none of them in parts, and nothing behind them. */
static void test_full(void **state)
{
	static const struct {
		const char *character;
		size_t in, out;
	} kinds[] = { { "a", 1, 1 }, { "\"", 1, 2 }, { "\xff", 1, 6 },
		{ "\xf0\x9f\x98\x80", 4, 12 } };
	struct json_line line;
	char text[2 * JSON_LINE_MAX];

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t fit = (JSON_LINE_MAX - strlen(HEAD TAIL)) / kinds[i].out;

		for (size_t at = 0; at + kinds[i].in <= sizeof text; at += kinds[i].in)
			memcpy(text + at, kinds[i].character, kinds[i].in);
		json_line_begin(&line, TIME_MS, "warn", "tunnel");
		assert_int_equal(
			json_line_add(&line, "message", text, sizeof text), fit * kinds[i].in);
		assert_int_equal(json_line_add(&line, "further", "more text", 9), 0);
		json_line_end(&line);
		assert_int_equal(line.len, strlen(HEAD TAIL) + fit * kinds[i].out);
		assert_memory_equal(line.text + line.len - strlen(TAIL), TAIL, strlen(TAIL));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
