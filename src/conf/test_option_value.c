/* SPDX-License-Identifier: MIT */
/* Every type of value: texts that it takes, and what it says of those that it doesn't. */
#include "conf/option_value.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "base/lang.h"
#include "base/secret.h"
#include "conf/option.h"

static const char *const words[] = { "auto", "bore", "line", NULL };

static const struct option_def port = { .type = OPTION_NUMBER, .min = 1, .max = 65535 };
static const struct option_def timeout = { .type = OPTION_DURATION, .min = 0, .max = 3600000 };
static const struct option_def delay = { .type = OPTION_DURATION, .min = 1500, .max = 60000 };
static const struct option_def choice = { .type = OPTION_CHOICE, .choices = words };

static const struct {
	const struct option_def *def;
	const char *text;
	int r;
	uint64_t value;
	const char *why;
} cases[] = {
	{ &port, "1", 0, 1, NULL },
	{ &port, "65535", 0, 65535, NULL },
	{ &port, "0", -ERANGE, 0, "it is not in 1..=65535" },
	{ &port, "65536", -ERANGE, 0, "it is not in 1..=65535" },
	{ &port, "99999999999999999999", -ERANGE, 0, "it is not in 1..=65535" },
	{ &port, "-1", -EINVAL, 0, "it is not a number" },
	{ &port, "", -EINVAL, 0, "it is not a number" },
	{ &timeout, "0", 0, 0, NULL },
	{ &timeout, "none", 0, 0, NULL },
	{ &timeout, "90", 0, 90000, NULL },
	{ &timeout, "1h", 0, 3600000, NULL },
	{ &timeout, "2h", -ERANGE, 0, "it is not in 0h..=1h" },
	{ &timeout, "1d", -EINVAL, 0, "it is not a duration such as 500ms, 30s, 5m or 1h" },
	{ &delay, "none", -EINVAL, 0, "it is not a duration such as 500ms, 30s, 5m or 1h" },
	{ &delay, "1s", -ERANGE, 0, "it is not in 1500ms..=1m" },
	{ &delay, "99999999999999999999s", -ERANGE, 0, "it is not in 1500ms..=1m" },
	{ &choice, "auto", 0, 0, NULL },
	{ &choice, "line", 0, 2, NULL },
	{ &choice, "", -EINVAL, 0, "it is none of auto, bore, line" },
	{ &choice, "AUTO", -EINVAL, 0, "it is none of auto, bore, line" },
};

static void test_numbers(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t value = 77;
		char why[OPTION_WHY_MAX] = "";

		assert_int_equal(
			option_value_set(cases[i].def, cases[i].text, &value, why), cases[i].r);
		assert_int_equal(value, cases[i].r ? 77 : cases[i].value);
		assert_string_equal(why, cases[i].why ? cases[i].why : "");
	}
}

static void test_texts(void **state)
{
	const struct option_def text = { .type = OPTION_TEXT }, file = { .type = OPTION_FILE };
	const char *value = NULL;
	char why[OPTION_WHY_MAX];

	assert_int_equal(option_value_set(&text, "", &value, why), -EINVAL);
	assert_string_equal(why, "it is empty");
	assert_null(value);
	assert_int_equal(option_value_set(&text, "x", &value, why), 0);
	assert_string_equal(value, "x");
	assert_int_equal(option_value_set(&file, "a/b", &value, why), 0);
	assert_string_equal(value, "a/b");
}

/* A list grows to its limit and no further, and what is refused leaves it as it was. */
static void test_list(void **state)
{
	const struct option_def def = { .type = OPTION_LIST };
	struct option_list list = { 0 };
	char why[OPTION_WHY_MAX], texts[2][8] = { "even", "odd" };

	for (size_t i = 0; i < OPTION_LIST_MAX; i++)
		assert_int_equal(option_value_set(&def, texts[i % 2], &list, why), 0);
	assert_int_equal(option_value_set(&def, "one more", &list, why), -E2BIG);
	assert_string_equal(why, "there are more than 4096 of them");
	assert_int_equal(list.count, OPTION_LIST_MAX);
	for (size_t i = 0; i < OPTION_LIST_MAX; i++)
		assert_ptr_equal(list.items[i], texts[i % 2]);
	option_value_clear(&def, &list);
	assert_int_equal(list.count, 0);
	assert_null(list.items);
}

static int check_first(int form, const char *text, char *ret_why)
{
	if (*text == form)
		return 0;
	(void)snprintf(ret_why, OPTION_WHY_MAX, "it doesn't begin with %c", form);
	return -EINVAL;
}

/* Whatever its type, a value that its check refuses is not stored. */
static void test_check(void **state)
{
	struct option_def def = { .min = 0, .max = 99, .check = check_first, .form = '1' };
	const enum option_type types[] = { OPTION_TEXT, OPTION_FILE, OPTION_NUMBER, OPTION_LIST,
		OPTION_FOLDERS };

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		union {
			const char *text;
			uint64_t number;
			struct option_list list;
		} value = { 0 };
		char why[OPTION_WHY_MAX];

		def.type = types[i];
		assert_int_equal(option_value_set(&def, "2", &value, why), -EINVAL);
		assert_string_equal(why, "it doesn't begin with 1");
		assert_null(value.text);
		assert_int_equal(option_value_set(&def, "1", &value, why), 0);
		assert_non_null(value.text);
		option_value_clear(&def, &value);
	}
}

static void test_offset(void **state)
{
	struct {
		bool before, flag, behind;
	} values = { 0 };
	struct option_def flag = { .type = OPTION_FLAG, .offset = 1 };
	char why[OPTION_WHY_MAX];

	assert_int_equal(option_value_set(&flag, NULL, &values, why), 0);
	assert_true(values.flag && !values.before && !values.behind);
}

static void test_format_duration(void **state)
{
	char text[OPTION_DURATION_TEXT_MAX];

	assert_string_equal(option_format_duration(3600000, text), "1h");
	assert_string_equal(option_format_duration(90000, text), "90s");
	assert_string_equal(option_format_duration(1500, text), "1500ms");
	assert_string_equal(option_format_duration(UINT64_MAX, text), "18446744073709551615ms");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_offset),
		cmocka_unit_test(test_format_duration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
