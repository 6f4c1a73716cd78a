/* SPDX-License-Identifier: MIT */
#include "preload/answer.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#define LINE "HTTP/1.1 200 OK\r\n"

static const struct {
	const char *text;
	unsigned len, head_len; /* and of an answer to HEAD */
} cases[] = {
	{ LINE "content-length: 3\r\n\r\nabc", 41, 38 },
	{ LINE "content-length: 0\r\ndate: x\r\n\r\n", 47, 47 },
	/* The rest is still to come. */
	{ LINE "content-length: 1000000\r\n\r\nabc", 1000044, 44 },
	{ LINE "content-length: 99999999999999999999\r\n\r\n", ANSWER_LONG, 57 },
	{ LINE "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", ANSWER_CHUNKS, 47 },
	/* What stands in the document says nothing of its length. */
	{ LINE "\r\n\r\ncontent-length: 3\r\n\r\n", ANSWER_OPEN, 19 },
	{ "HTTP/1.0 200 OK\r\n\r\nabc", ANSWER_OPEN, 19 },
	{ "HTTP/1.1 100 Continue\r\n\r\n", ANSWER_PROVISIONAL, ANSWER_PROVISIONAL },
	{ "HTTP/1.1 101 Switching Protocols\r\n\r\n", ANSWER_OPEN, ANSWER_OPEN },
	{ "HTTP/1.1 204 No Content\r\n\r\n", 27, 27 },
	{ "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n", 48, 48 },
	/* Programs that serve something else than HTTP. */
	{ "220 ready\r\n", 11, 11 },
	{ "220 ready\r\n\r\n", 13, 13 },
};

static void test_len(void **state)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const size_t len = strlen(cases[i].text);

		assert_int_equal(answer_len(cases[i].text, len, false), cases[i].len);
		assert_int_equal(answer_len(cases[i].text, len, true), cases[i].head_len);
	}
}

static void test_line(void **state)
{
	assert_int_equal(answer_line_len(LINE, strlen(LINE)), 17);
	assert_int_equal(answer_line_len("HTTP/1.1 100 Continue\r\n", 23), 0);
	assert_int_equal(answer_line_len("HTTP/1.1 200 OK", 15), 0);
	assert_int_equal(answer_line_len("HTTP/1.1 ", 9), 0);
	assert_int_equal(answer_line_len("220 ready\r\n", 11), 0);
}

static void test_last_chunk(void **state)
{
	assert_true(answer_is_last_chunk("0\r\n\r\n", 5));
	assert_true(answer_is_last_chunk("1\r\na\r\n0\r\n\r\n", 11));
	assert_false(answer_is_last_chunk("1\r\na\r\n", 6));
	assert_false(answer_is_last_chunk("\r\n\r\n", 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_len),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_last_chunk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
