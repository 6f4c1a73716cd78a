/* SPDX-License-Identifier: MIT */
/* UUIDs as text, and random ones. */
#include "base/uuid.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "base/lang.h"

#define TEXT "0123abcd-4567-89ef-a5b6-00ff10203040"

static const struct {
	const char *text;
	int r;
} cases[] = {
	{ TEXT, 0 },
	{ "0123ABCD-4567-89EF-A5B6-00FF10203040", 0 },
	{ "0123abcd456789efa5b600ff10203040", 0 },
	{ "", -EINVAL },
	{ TEXT "0", -EINVAL },
	{ "0123abcd-4567-89ef-a5b6-00ff1020304", -EINVAL },
	{ "0123abcd4-567-89ef-a5b6-00ff10203040", -EINVAL },
	{ "0123abcd-4567-89ef-a5b6-00ff1020304g", -EINVAL },
	{ "0123abcd-4567-89ef-a5b6+00ff10203040", -EINVAL },
	{ "------------------------------------", -EINVAL },
	{ "{0123abcd-4567-89ef-a5b6-00ff10203040}", -EINVAL },
};

static void test_parse_and_format(void **state)
{
	char text[UUID_TEXT_LEN + 1];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct uuid u = { { 0 } };

		assert_int_equal(uuid_parse(cases[i].text, strlen(cases[i].text), &u), cases[i].r);
		if (cases[i].r < 0)
			continue;
		uuid_format(&u, text);
		assert_string_equal(text, TEXT);
	}
}

static void test_random_is_version_4_and_differs(void **state)
{
	char text[UUID_TEXT_LEN + 1];
	struct uuid a, b, c;

	assert_int_equal(uuid_random(&a), 0);
	assert_int_equal(uuid_random(&b), 0);
	assert_false(uuid_equal(&a, &b));
	uuid_format(&a, text);
	assert_int_equal(text[14], '4');
	assert_non_null(strchr("89ab", text[19]));
	assert_int_equal(uuid_parse(text, UUID_TEXT_LEN, &c), 0);
	assert_true(uuid_equal(&a, &c));
}

/* They are drawn in batches: none comes twice, within one or from one to the next. */
static void test_many_differ(void **state)
{
	struct uuid all[200];

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_int_equal(uuid_random(&all[i]), 0);
		for (size_t j = 0; j < i; j++)
			assert_false(uuid_equal(&all[i], &all[j]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_and_format),
		cmocka_unit_test(test_random_is_version_4_and_differs),
		cmocka_unit_test(test_many_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
