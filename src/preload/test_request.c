/* SPDX-License-Identifier: MIT */
#include "preload/request.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#define LINE "POST / HTTP/1.1\r\n"

static const struct {
	const char *text;
	bool whole, head_only;
} cases[] = {
	{ "GET / HTTP/1.1\r\n\r\n", true },
	{ "GET / HTTP/1.1\n\n", true },
	{ "HEAD / HTTP/1.1\r\n\r\n", true, true },
	{ "HEADS / HTTP/1.1\r\n\r\n", true },
	{ LINE "Content-Length: 3\r\n\r\nabc", true },
	{ LINE "Content-Length: 3\r\n\r\nab", false },
	{ LINE "HOST: a\r\nCONTENT-LENGTH:\t 10 \r\n\r\n0123456789", true },
	{ LINE "HOST: a\r\nCONTENT-LENGTH:\t 10 \r\n\r\n012345678", false },
	{ LINE "Content-Length: 99999999999999999999\r\n\r\nabc", false },
	{ LINE "Content-Length:\r\n\r\n", true },
	{ LINE "Content-Length: 0\r\n\r\n", true },
	{ LINE "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", false },
	{ LINE "transfer-encoding:chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", true },
	{ LINE "transfer-encoding:chunked\r\n\r\n3\r\nab0\r\n00\r\n\r\n", true },
	{ LINE "transfer-encoding:chunked\r\n\r\n3\r\nabc\r\n0\r\n", false },
	/* Neither a name that only begins so, nor what stands behind the head. */
	{ LINE "X-Content-Length: 3\r\nContent-Length-X: 3\r\n\r\n", true },
	{ LINE "\r\nContent-Length: 3\r\n\r\n", true },
	/* Fields of any length. */
	{ LINE "Cookie: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n"
	       "Content-Length: 1\r\n\r\n",
		false },
	{ LINE "Cookie: 012345678901234567890123456789012345678\r\r\n\r\n", true },
	/* No request yet. */
	{ "\r\n\r\n", false },
	{ "\r\nGET / HTTP/1.1\r\n\r\n", true },
	{ LINE "Content-Length: 3\r\n", false },
	{ "", false },
};

static void test_read(void **state)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct request r = { 0 };

		assert_int_equal(
			request_read(&r, cases[i].text, strlen(cases[i].text)), cases[i].whole);
		assert_int_equal(r.head_only, cases[i].head_only);
	}
}

/* A head that came in pieces counted as one without a body, and its end in two as none. */
static void test_pieces(void **state)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *text = cases[i].text;
		const size_t len = strlen(text);
		struct request bytes = { 0 };

		for (size_t at = 1; at < len; at++) {
			struct request r = { 0 };

			(void)request_read(&r, text, at);
			assert_int_equal(request_read(&r, text + at, len - at), cases[i].whole);
			assert_int_equal(r.head_only, cases[i].head_only);
			(void)request_read(&bytes, text + at - 1, 1);
		}
		if (len > 0)
			assert_int_equal(request_read(&bytes, text + len - 1, 1), cases[i].whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
