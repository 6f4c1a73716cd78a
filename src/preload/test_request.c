/* SPDX-License-Identifier: MIT */
#include "preload/request.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "preload/answer.h"

#define LINE "POST / HTTP/1.1\r\n"

static const struct {
	const char *text;
	unsigned len;
} cases[] = {
	{ "GET / HTTP/1.1\r\n\r\n", 18 },
	{ LINE "Content-Length: 3\r\n\r\nab", 41 },
	{ LINE "HOST: a\r\nCONTENT-LENGTH:\t 10 \r\n\r\n", 60 },
	{ LINE "Content-Length: 99999999999999999999\r\n\r\n", ANSWER_LONG },
	{ LINE "Content-Length:\r\n\r\n", 36 },
	{ LINE "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", ANSWER_CHUNKS },
	/* Neither a name that only begins so, nor what stands behind the head. */
	{ LINE "X-Content-Length: 3\r\nContent-Length-X: 3\r\n\r\n", 61 },
	{ LINE "\r\nContent-Length: 3\r\n\r\n", 19 },
	{ "\r\n\r\n", 4 },
	{ LINE "Content-Length: 3\r\n", ANSWER_OPEN },
	{ "", ANSWER_OPEN },
};

static void test_len(void **state)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(request_len(cases[i].text, strlen(cases[i].text)), cases[i].len);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_len) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
