/* SPDX-License-Identifier: MIT */
/* Heads, whole and in every piece of them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "front/head.h"

static const struct {
	const char *text;
	enum head_result result;
	const char *fields; /* of a whole one: "name=value;…" */
} cases[] = {
	{ "GET / HTTP/1.1\r\n\r\n", HEAD_WHOLE, "" },
	{ "GET / HTTP/1.1\r\nA: b\r\nC:\td e \r\nF:\r\n\r\nrest", HEAD_WHOLE, "A=b;C=d e;F=;" },
	{ "GET / HTTP/1.1\r\nA: b\r\n", HEAD_PARTIAL },
	{ "GET / HTTP/1.1\r", HEAD_PARTIAL },
	{ "", HEAD_PARTIAL },
	/* What one program takes for the end of a line, and another one doesn't. */
	{ "GET / HTTP/1.1\nA: b\n\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\nA : b\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\n: b\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\nA b\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\nA\xc3\xa4: b\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\nA: \x01\r\n\r\n", HEAD_BAD },
	{ "GET / HTTP/1.1\r\nA: \x7f\r\n\r\n", HEAD_BAD },
	{ "\r\nGET / HTTP/1.1\r\n\r\n", HEAD_BAD },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const uint8_t *data = (const uint8_t *)cases[i].text;
		size_t len = strlen(cases[i].text), used = 0;
		struct span name, value;
		char fields[256] = "";
		struct head head;

		assert_int_equal(head_read(data, len, &head, &used), cases[i].result);
		if (cases[i].result != HEAD_WHOLE)
			continue;
		assert_int_equal(used, strstr(cases[i].text, "\r\n\r\n") + 4 - cases[i].text);
		for (size_t n = 0; n < used; n++)
			assert_int_equal(head_read(data, n, &head, &used), HEAD_PARTIAL);
		assert_int_equal(head_read(data, len, &head, &used), HEAD_WHOLE);
		for (size_t at = 0; head_next(&head.fields, &name, &value);)
			at += (size_t)snprintf(fields + at, sizeof(fields) - at, "%.*s=%.*s;",
				(int)name.len, name.at, (int)value.len, value.at);
		assert_string_equal(fields, cases[i].fields);
	}
}

/* A NUL ends no text. */
static void test_nul(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n";
	struct head head;
	size_t used;

	(void)state;
	assert_int_equal(
		head_read((const uint8_t *)text, sizeof(text) - 1, &head, &used), HEAD_BAD);
}

static void test_fields(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nConnection: keep-alive, UPGRADE\r\n"
				   "X-a: 1\r\nx-A: 2\r\nconnection: ,, close\r\n\r\n";
	struct span found = { 0 };
	struct head head;
	size_t used;

	(void)state;
	assert_int_equal(
		head_read((const uint8_t *)text, sizeof(text) - 1, &head, &used), HEAD_WHOLE);
	assert_int_equal(head_field(&head, "X-A", &found), 2);
	assert_true(span_is(&found, "1"));
	assert_int_equal(head_field(&head, "X", &found), 0);
	assert_true(head_lists(&head, "Connection", "upgrade", &found));
	assert_memory_equal(found.at, "UPGRADE", found.len);
	assert_true(head_lists(&head, "Connection", "close", NULL));
	assert_false(head_lists(&head, "Connection", "keep", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
