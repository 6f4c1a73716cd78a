/* SPDX-License-Identifier: MIT */
/* What programs write, in tables: the forms of RFC 3875, and those that are to be refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/lang.h"
#include "serve/cgi_response.h"

/* The fields as "name: value|name: value". */
static void check(
	const char *text, size_t len, unsigned status, const char *fields, const char *body)
{
	struct cgi_response response;
	char head[512], why[CGI_WHY_MAX] = "", got[512] = "";

	memcpy(head, text, len);
	assert_int_equal(cgi_response_parse(head, len, &response, why), 0);
	assert_int_equal(response.status, status);
	for (size_t i = 0; i < response.count; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s: %s", i ? "|" : "",
			response.fields[i].name, response.fields[i].value);
	assert_string_equal(got, fields);
	assert_int_equal(len - response.body, strlen(body));
	assert_memory_equal(head + response.body, body, strlen(body));
}

static void test_forms(void **state)
{
	static const struct {
		const char *text;
		unsigned status;
		const char *fields, *body;
	} cases[] = {
		{ "Content-Type: text/plain\n\nhi", 200, "Content-Type: text/plain", "hi" },
		{ "Content-Type: text/plain\r\n\r\nhi\r\n", 200, "Content-Type: text/plain",
			"hi\r\n" },
		{ "content-type:a/b\r\n\n\n", 200, "content-type: a/b", "\n" },
		{ "Status: 404 Not Found\nContent-Type: a/b\n\n", 404, "Content-Type: a/b", "" },
		{ "Status: 204\n\n", 204, "", "" },
		/* The redirects: client's, with a document, local. */
		{ "Location: http://x/\n\n", 302, "Location: http://x/", "" },
		{ "Status: 303 See\nLocation: http://x/\nContent-Type: a/b\n\nz", 303,
			"Location: http://x/|Content-Type: a/b", "z" },
		{ "Location: /a?b\n\n", 302, "Location: /a?b", "" },
		/* Fields of any name, several of one. */
		{ "Content-Type: a/b\nSet-Cookie: a=1\nSet-Cookie: b=2\nX-A:  t\tu \t\n\n", 200,
			"Content-Type: a/b|Set-Cookie: a=1|Set-Cookie: b=2|X-A: t u", "" },
		{ "Content-Type: a/b; charset=\xc3\xa4\n\n", 200,
			"Content-Type: a/b; charset=\xc3\xa4", "" },
		/* The server's own, in any case of letters. */
		{ "Content-Type: a/b\nContent-Length: 5\nTRANSFER-ENCODING: chunked\n"
		  "connection: close\nKeep-Alive: 1\nTE: x\nTrailer: x\nUpgrade: h2c\n"
		  "Date: x\nProxy-Connection: x\n\nz",
			200, "Content-Type: a/b", "z" },
		{ "Content-Type: a/b\nX-Empty:\n\n", 200, "Content-Type: a/b|X-Empty: ", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		check(cases[i].text, strlen(cases[i].text), cases[i].status, cases[i].fields,
			cases[i].body);
}

/* The words behind a status are the program's, and may be none. */
static void test_reasons(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{ "Status: 418 I'm a teapot\n\n", "I'm a teapot" },
		{ "Status: 299 \t Gone  Fishing \n\n", "Gone  Fishing" },
		{ "Status: 404\n\n", "" },
		{ "Status: 404 \r\n\r\n", "" },
		{ "Content-Type: a/b\n\n", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cgi_response response;
		char head[64], why[CGI_WHY_MAX];

		memcpy(head, cases[i].text, strlen(cases[i].text));
		assert_int_equal(
			cgi_response_parse(head, strlen(cases[i].text), &response, why), 0);
		assert_string_equal(response.reason, cases[i].reason);
	}
}

static void refuse(const char *text, size_t len, const char *why)
{
	struct cgi_response response;
	char *head = malloc(len + 1), got[CGI_WHY_MAX] = "";

	memcpy(head, text, len);
	assert_int_equal(cgi_response_parse(head, len, &response, got), -EINVAL);
	if (!strstr(got, why))
		fail_msg("'%s' instead of '%s'", got, why);
	free(head);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		size_t len; /* 0: to the NUL */
		const char *why;
	} cases[] = {
		{ "", 0, "has written nothing; its output must begin with a head" },
		{ "\n", 0, "no Content-Type, Location or Status" },
		{ "X-A: b\n\n", 0, "no Content-Type, Location or Status" },
		{ "Content-Type: a/b\n", 0, "has no end" },
		{ "Content-Type: a/b", 0, "has no end; its output must begin" },
		{ "<html>\n\n", 0,
			"no field of a head: '<html>'; its output must begin with a head, such as "
			"'Content-Type: text/html', and an empty line" },
		{ "HTTP/1.1 200 OK\nContent-Type: a/b\n\n", 0, "no field of a head" },
		{ ": x\n\n", 0, "no field" },
		{ "Content-Type : a/b\n\n", 0, "no field" },
		{ " Content-Type: a/b\n\n", 0, "no field" },
		{ "Content-Type: a/b\n folded\n\n", 0, "no field" },
		{ "X\xe4: b\n\n", 0, "no field" },
		{ "X\0: b\n\n", 8, "no field" },
		/* What would be another header, or the end of the head. */
		{ "Content-Type: a/b\rX-Evil: 1\n\n", 0, "a control character" },
		{ "Location: /\r\r\n\r\n", 0, "a control character" },
		{ "Content-Type: a\0b\n\n", 19, "a control character" },
		{ "Content-Type: a\x1b[2J\n\n", 0,
			"a control character in: 'Content-Type: a\\x1b" },
		{ "Status: 200\nStatus: 404\n\n", 0, "'Status' is there twice" },
		{ "Location: /a\nLOCATION: /b\n\n", 0, "'Location' is there twice" },
		{ "Status: 100 Continue\n\n", 0, "no status" },
		{ "Status: 600\n\n", 0, "no status" },
		{ "Status: 2000\n\n", 0, "no status" },
		{ "Status: OK\n\n", 0, "no status" },
		{ "Status:\n\n", 0, "no status" },
		{ "Status: +20\n\n", 0, "no status" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		refuse(cases[i].text, cases[i].len ? cases[i].len : strlen(cases[i].text),
			cases[i].why);
}

static void test_limits(void **state)
{
	size_t len = CGI_HEAD_MAX + 100;
	char *text = malloc(len);
	FILE *out = fmemopen(text, len, "w");

	memset(text, 'a', len);
	refuse(text, len, "longer than");
	for (int i = 0; i <= CGI_FIELDS_MAX; i++)
		fprintf(out, "X-A: b\n");
	fprintf(out, "\n");
	fclose(out);
	refuse(text, strlen(text), "more than 128 fields");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
