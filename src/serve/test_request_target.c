/* SPDX-License-Identifier: MIT */
/* Targets as visitors write them, the hostile ones included. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/lang.h"
#include "serve/request_target.h"

static void test_split(void **state)
{
	static const struct {
		const char *target, *path, *query; /* path NULL: refused */
	} cases[] = {
		{ "/", "/", NULL },
		{ "/a/b", "/a/b", NULL },
		{ "/a?", "/a", "" },
		{ "/a?x=1?y", "/a", "x=1?y" },
		{ "//host/a", "//host/a", NULL },
		{ "http://host/a?b", "/a", "b" },
		{ "HTTP://host", "/", NULL },
		{ "http://host?b", "/", "b" },
		{ "http://?b", "/", "b" },
		{ "", NULL, NULL },
		{ "*", NULL, NULL },
		{ "a", NULL, NULL },
		{ "host:443", NULL, NULL },
		{ "https://host/a", NULL, NULL },
		{ "/a b", NULL, NULL },
		{ "/a\tb", NULL, NULL },
		{ "/a\x7f", NULL, NULL },
		{ "/?a\rb", NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char target[64], *path, *query;
		int r;

		snprintf(target, sizeof(target), "%s", cases[i].target);
		r = request_target_split(target, &path, &query);
		assert_int_equal(r, cases[i].path ? 0 : -EINVAL);
		if (!cases[i].path)
			continue;
		assert_string_equal(path, cases[i].path);
		if (cases[i].query)
			assert_string_equal(query, cases[i].query);
		else
			assert_null(query);
	}
}

static void test_decode(void **state)
{
	static const struct {
		const char *path, *decoded;
	} cases[] = {
		{ "/", "/" },
		{ "/a%20b", "/a b" },
		{ "/%2e%2E%2f", "/../" },
		{ "/%25%32%35", "/%25" },
		{ "/%c3%a4+", "/\xc3\xa4+" },
		{ "/%", NULL },
		{ "/%4", NULL },
		{ "/%4g", NULL },
		{ "/a%00b", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char path[64];

		snprintf(path, sizeof(path), "%s", cases[i].path);
		assert_int_equal(request_target_decode(path), cases[i].decoded ? 0 : -EINVAL);
		if (cases[i].decoded)
			assert_string_equal(path, cases[i].decoded);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_decode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
