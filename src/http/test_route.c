/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/lang.h"
#include "http/route.h"

#define PORT                                                                \
	{                                                                   \
		.name = "port", .type = HTTP_NUMBER, .min = 1, .max = 65535 \
	}
#define ID                                    \
	{                                     \
		.name = "id", .type = HTTP_ID \
	}
#define LONGEST "0123456789012345678901234567890123456789012345678901234567890123"

static const struct http_route routes[] = {
	{ .method = HTTP_GET, .path = "/" },
	{ .method = HTTP_GET, .path = "/api/both" },
	{ .method = HTTP_PUT, .path = "/api/both" },
	{ .method = HTTP_POST, .path = "/api/post" },
	{ .method = HTTP_DELETE, .path = "/api/ports/{port}", .params = { PORT } },
	{ .method = HTTP_GET, .path = "/api/items/{id}", .params = { { .name = "query" }, ID } },
	{ .method = HTTP_POST, .path = "/api/items/record" },
	{ .method = HTTP_POST, .path = "/api/items/{id}/ports/{port}", .params = { PORT, ID } },
};

static const struct {
	const char *method, *path;
	int found;                     /* index; -1: none */
	const char *allow, *values[2]; /* of the route's first parameters; NULL: "" */
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
	{ "DELETE", "/api/ports/8080", 4, "", { "8080" } },
	/* What it may be is another question, see http/param.h. */
	{ "DELETE", "/api/ports/x", 4, "", { "x" } },
	{ "DELETE", "/api/ports/..", 4, "", { ".." } },
	{ "GET", "/api/ports/8080", -1, "DELETE" },
	{ "DELETE", "/api/ports/", -1, "" },
	{ "DELETE", "/api/ports", -1, "" },
	{ "DELETE", "/api/ports//8080", -1, "" },
	{ "DELETE", "/api/ports/8080/", -1, "" },
	{ "DELETE", "/api/ports/80/80", -1, "" },
	{ "DELETE", "/api/ports/../ports/80", -1, "" },
	{ "DELETE", "/api/ports/" LONGEST, 4, "", { LONGEST } },
	{ "DELETE", "/api/ports/" LONGEST "4", -1, "" },
	{ "GET", "/api/items/a-1", 5, "", { NULL, "a-1" } },
	{ "HEAD", "/api/items/a-1", 5, "", { NULL, "a-1" } },
	{ "POST", "/api/items/a-1", -1, "GET, HEAD" },
	{ "GET", "/api/items/{id}", 5, "", { NULL, "{id}" } },
	/* A path of its own is no item, whatever is asked of it. */
	{ "POST", "/api/items/record", 6, "" },
	{ "GET", "/api/items/record", -1, "POST" },
	{ "GET", "/api/items/records", 5, "", { NULL, "records" } },
	{ "POST", "/api/items/a/ports/80", 7, "", { "80", "a" } },
	{ "POST", "/api/items/a/ports", -1, "" },
	{ "POST", "/api/items//ports/80", -1, "" },
};

static void test_find(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_match match;

		http_route_find(routes, ARRAY_LEN(routes), cases[i].method, cases[i].path, &match);
		if (cases[i].found < 0) {
			assert_null(match.route);
			assert_string_equal(match.allow, cases[i].allow);
			continue;
		}
		assert_ptr_equal(match.route, &routes[cases[i].found]);
		for (size_t j = 0; j < ARRAY_LEN(cases[i].values); j++)
			assert_string_equal(
				match.values[j], cases[i].values[j] ? cases[i].values[j] : "");
	}
}

static void test_soundness(void **state)
{
	static const struct http_route wrong[] = {
		{ .path = "api/ports" },
		{ .path = "/api/ports/{port}" },
		{ .path = "/api/ports/{port", .params = { PORT } },
		{ .path = "/api/ports/x{port}", .params = { PORT } },
		{ .path = "/api/ports/{port}x", .params = { PORT } },
		{ .path = "/api/files/{path}",
			.params = { { .name = "path", .type = HTTP_TEXT } } },
	};

	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		assert_true(http_route_is_sound(&routes[i]));
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(http_route_is_sound(&wrong[i]));
}

static void test_places(void **state)
{
	assert_true(http_route_has_in_path(&routes[4], &routes[4].params[0]));
	assert_false(http_route_has_in_path(&routes[5], &routes[5].params[0]));
	assert_true(http_route_has_in_path(&routes[5], &routes[5].params[1]));
	assert_true(http_route_has_in_path(&routes[7], &routes[7].params[0]));
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
		cmocka_unit_test(test_soundness),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
