/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/lang.h"
#include "http/param.h"

#define LONGEST "0123456789012345678901234567890123456789012345678901234567890123"

static const char *const words[] = { "red", "blue", NULL };
static const struct http_param any = { .type = HTTP_TEXT }, wanted = { .required = true },
			       port = { .type = HTTP_NUMBER, .min = 1, .max = 65535 },
			       seq = { .type = HTTP_NUMBER, .max = INT64_MAX },
			       color = { .type = HTTP_WORD, .words = words },
			       id = { .type = HTTP_ID };

static const struct {
	const struct http_param *param;
	const char *text, *must; /* NULL: it is right */
} cases[] = {
	{ &any, NULL, NULL },
	{ &any, "../x", NULL },
	{ &any, "", "must not be empty" },
	{ &wanted, "x", NULL },
	{ &wanted, NULL, "is missing" },
	{ &port, NULL, NULL },
	{ &port, "1", NULL },
	{ &port, "65535", NULL },
	{ &port, "0", "must be a number from 1 to 65535" },
	{ &port, "65536", "must be a number from 1 to 65535" },
	{ &port, "", "must be a number from 1 to 65535" },
	{ &port, "+1", "must be a number from 1 to 65535" },
	{ &port, "-1", "must be a number from 1 to 65535" },
	{ &port, " 1", "must be a number from 1 to 65535" },
	{ &port, "1x", "must be a number from 1 to 65535" },
	{ &port, "0x1", "must be a number from 1 to 65535" },
	{ &port, "18446744073709551617", "must be a number from 1 to 65535" },
	{ &port, LONGEST, "must be a number from 1 to 65535" },
	{ &seq, "9223372036854775807", NULL },
	{ &seq, "9223372036854775808", "must be a number from 0 to 9223372036854775807" },
	{ &color, NULL, NULL },
	{ &color, "red", NULL },
	{ &color, "blue", NULL },
	{ &color, "Red", "must be one of red, blue" },
	{ &color, "redd", "must be one of red, blue" },
	{ &color, "", "must be one of red, blue" },
	{ &id, "5b3c6d2e-8f1a-4c7b-9d0e-1f2a3b4c5d6e", NULL },
	{ &id, "A_z-0", NULL },
	{ &id, LONGEST, NULL },
	{ &id, LONGEST "4", "must be letters, digits, '-' and '_', up to 64 of them" },
	{ &id, "", "must be letters, digits, '-' and '_', up to 64 of them" },
	{ &id, ".", "must be letters, digits, '-' and '_', up to 64 of them" },
	{ &id, "..", "must be letters, digits, '-' and '_', up to 64 of them" },
	{ &id, "a/b", "must be letters, digits, '-' and '_', up to 64 of them" },
	{ &id, "a%2Fb", "must be letters, digits, '-' and '_', up to 64 of them" },
	{ &id, "\xc3\xa9", "must be letters, digits, '-' and '_', up to 64 of them" },
};

static void test_check(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char must[HTTP_PARAM_MUST_MAX];
		int r = http_param_check(cases[i].param, cases[i].text, must);

		assert_int_equal(r, cases[i].must ? -EINVAL : 0);
		if (cases[i].must)
			assert_string_equal(must, cases[i].must);
	}
}

static void test_word(void **state)
{
	assert_int_equal(http_param_word(&color, "red"), 0);
	assert_int_equal(http_param_word(&color, "blue"), 1);
	assert_int_equal(http_param_word(&color, "green"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
