/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/lang.h"
#include "http/route.h"

static const struct http_route routes[] = {
	{ .method = HTTP_GET, .path = "/" },
	{ .method = HTTP_GET, .path = "/api/both" },
	{ .method = HTTP_PUT, .path = "/api/both" },
	{ .method = HTTP_POST, .path = "/api/post" },
};

static const struct {
	const char *method, *path;
	int found; /* index; -1: none */
	const char *allow;
} cases[] = {
	{ "GET", "/", 0, "" },
	{ "HEAD", "/", 0, "" },
	{ "GET", "/api/both", 1, "" },
	{ "PUT", "/api/both", 2, "GET, HEAD" },
	{ "POST", "/api/post", 3, "" },
	{ "POST", "/api/both", -1, "GET, HEAD, PUT" },
	{ "GET", "/api/post", -1, "POST" },
	{ "HEAD", "/api/post", -1, "POST" },
	{ "get", "/", -1, "GET, HEAD" },
	{ "OPTIONS", "/", -1, "GET, HEAD" },
	{ "GET", "", -1, "" },
	{ "GET", "//", -1, "" },
	{ "GET", "/api/both/", -1, "" },
	{ "GET", "/api/bot", -1, "" },
	{ "GET", "/API/BOTH", -1, "" },
};

static void test_find(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char allow[HTTP_ALLOW_MAX];
		const struct http_route *found = http_route_find(
			routes, ARRAY_LEN(routes), cases[i].method, cases[i].path, allow);

		if (cases[i].found < 0) {
			assert_null(found);
			assert_string_equal(allow, cases[i].allow);
		} else {
			assert_ptr_equal(found, &routes[cases[i].found]);
		}
	}
}

static void test_names(void **state)
{
	assert_string_equal(http_method_name(HTTP_GET), "GET");
	assert_string_equal(http_method_name(HTTP_DELETE), "DELETE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
