/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/lang.h"
#include "http/json_text.h"

#define R "\xef\xbf\xbd" /* U+FFFD */

static const struct {
	const char *text, *json;
} cases[] = {
	{ "", "" },
	{ "plain", "plain" },
	{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
	{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
	{ "\xff", R },
	{ "a\x80z", "a" R "z" },
	{ "\xc3", R },
	{ "\xc3(", R "(" },
	{ "\xc0\xaf", R R },             /* overlong */
	{ "\xe0\x80\xaf", R R R },       /* overlong */
	{ "\xed\xa0\x80", R R R },       /* a surrogate */
	{ "\xf4\x90\x80\x80", R R R R }, /* beyond U+10FFFF */
	{ "\xe2\x82", R R },             /* cut off */
	{ "ok\xf0\x9f\x98z\xc3\xa9", "ok" R R R "z\xc3\xa9" },
};

static void test_any_bytes(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		json_t *json = json_text(cases[i].text, strlen(cases[i].text));

		assert_non_null(json);
		assert_string_equal(json_string_value(json), cases[i].json);
		json_decref(json);
	}
}

static void test_zero_byte(void **state)
{
	json_t *json = json_text("a\0\xff", 3);

	assert_int_equal(json_string_length(json), 2 + strlen(R));
	assert_memory_equal(json_string_value(json), "a\0" R, 2 + strlen(R));
	json_decref(json);
}

static void test_null(void **state)
{
	json_t *json = json_text_or_null(NULL);

	assert_true(json_is_null(json));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_zero_byte),
		cmocka_unit_test(test_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
