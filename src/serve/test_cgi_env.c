/* SPDX-License-Identifier: MIT */
/* The variables of requests, friendly and other. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/lang.h"
#include "base/owner.h"
#include "serve/cgi_env.h"

static const struct cgi_request plain = {
	.method = "GET",
	.version = "HTTP/1.1",
	.path = "/",
	.host = "example.com:8080",
	.peer = "127.0.0.1",
	.port = 4000,
};

/* NULL when it is not set. */
static const char *get(const struct cgi_env *e, const char *name)
{
	for (size_t i = 0; i < e->count; i++)
		if (strncmp(e->vars[i], name, strlen(name)) == 0 && e->vars[i][strlen(name)] == '=')
			return e->vars[i] + strlen(name) + 1;
	return NULL;
}

static void test_request(void **state)
{
	_cleanup_(cgi_env_clear) struct cgi_env e = { 0 };
	struct cgi_request request = plain;
	static const struct {
		const char *name, *value;
	} expected[] = {
		{ "CONTENT_LENGTH", "12" },
		{ "CONTENT_TYPE", "a/b" },
		{ "GATEWAY_INTERFACE", "CGI/1.1" },
		{ "PATH_INFO", "/a b/\xc3\xa4" },
		{ "QUERY_STRING", "x=%20&y" },
		{ "REMOTE_ADDR", "127.0.0.1" },
		{ "REQUEST_METHOD", "POST" },
		{ "REQUEST_URI", "/a%20b/%c3%a4?x=%20&y" },
		{ "SCRIPT_NAME", "" },
		{ "SERVER_NAME", "example.com" },
		{ "SERVER_PORT", "8080" },
		{ "SERVER_PROTOCOL", "HTTP/1.1" },
		{ "SERVER_SOFTWARE", "wasmrun/" WASMRUN_VERSION },
		{ "X_FULL_URL", "http://example.com:8080/a%20b/%c3%a4?x=%20&y" },
		{ "X_MATCHED_ROUTE", "/..." },
		{ "X_RAW_PATH_INFO", "/a%20b/%c3%a4" },
	};

	request.method = "POST";
	request.path = "/a%20b/%c3%a4";
	request.query = "x=%20&y";
	request.content_type = "a/b";
	request.body_len = 12;
	assert_int_equal(cgi_env_init(&e, &request), 0);
	for (size_t i = 0; i < ARRAY_LEN(expected); i++)
		assert_string_equal(get(&e, expected[i].name), expected[i].value);
}

static void test_no_body(void **state)
{
	_cleanup_(cgi_env_clear) struct cgi_env e = { 0 };

	assert_int_equal(cgi_env_init(&e, &plain), 0);
	assert_null(get(&e, "CONTENT_LENGTH"));
	assert_string_equal(get(&e, "QUERY_STRING"), "");
	assert_string_equal(get(&e, "REQUEST_URI"), "/");
}

static void test_hosts(void **state)
{
	static const struct {
		const char *host, *name, *port; /* name NULL: refused */
	} cases[] = {
		{ NULL, "localhost", "4000" },
		{ "a", "a", "80" },
		{ "a:", "a", "80" },
		{ "[::1]", "[::1]", "80" },
		{ "[::1]:81", "[::1]", "81" },
		{ "a:x", NULL, NULL },
		{ "a:65536", NULL, NULL },
		{ ":80", NULL, NULL },
		{ "", NULL, NULL },
		{ "a/b", NULL, NULL },
		{ "a@b", NULL, NULL },
		{ "\xc3\xa4", NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_(cgi_env_clear) struct cgi_env e = { 0 };
		struct cgi_request request = plain;

		request.host = cases[i].host;
		assert_int_equal(cgi_env_init(&e, &request), cases[i].name ? 0 : -EINVAL);
		if (!cases[i].name)
			continue;
		assert_string_equal(get(&e, "SERVER_NAME"), cases[i].name);
		assert_string_equal(get(&e, "SERVER_PORT"), cases[i].port);
	}
}

static void test_bad_paths(void **state)
{
	static const char *const paths[] = { "/%", "/%00", "/%ff", "/%c0%80", "/%ed%a0%80",
		"/%f5%80%80%80", "/%e2%82" };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		_cleanup_(cgi_env_clear) struct cgi_env e = { 0 };
		struct cgi_request request = plain;

		request.path = paths[i];
		assert_int_equal(cgi_env_init(&e, &request), -EINVAL);
	}
}

static void test_headers(void **state)
{
	_cleanup_(cgi_env_clear) struct cgi_env e = { 0 };
	static const struct {
		const char *name, *value;
	} headers[] = {
		{ "X-A", "1" },
		{ "Cookie", "a=1" },
		{ "Authorization", "Basic eA==" },
		{ "x-a", "2" },
		{ "cookie", "b=2" },
		{ "X-Latin", "\xe4" },
		{ "Proxy", "http://evil/" },
		{ "Content-Type", "a/b" },
		{ "X_A", "3" },
		{ "X.A", "4" },
		{ "", "5" },
	};
	size_t before;

	assert_int_equal(cgi_env_init(&e, &plain), 0);
	before = e.count;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		assert_int_equal(cgi_env_add_header(&e, headers[i].name, headers[i].value), 0);
	assert_int_equal(e.count, before + 4);
	assert_string_equal(get(&e, "HTTP_X_A"), "1, 2");
	assert_string_equal(get(&e, "HTTP_COOKIE"), "a=1; b=2");
	assert_string_equal(get(&e, "HTTP_AUTHORIZATION"), "Basic eA==");
	assert_string_equal(get(&e, "HTTP_X_LATIN"), "\xc3\xa4");
	for (int i = 0; i < 2 * CGI_ENV_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "X-N%d", i);
		assert_int_equal(cgi_env_add_header(&e, name, ""), 0);
	}
	assert_int_equal(e.count, CGI_ENV_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_no_body),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_bad_paths),
		cmocka_unit_test(test_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
