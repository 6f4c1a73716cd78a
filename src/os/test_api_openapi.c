/* SPDX-License-Identifier: MIT */
/* How parameters are described that no route of today has; the rest is in tests/e2e/test_os_api.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/lang.h"
#include "os/api_internal.h"

static const char *const words[] = { "red", "blue", NULL };

static const struct http_route routes[] = {
	{ .method = HTTP_DELETE,
		.path = "/api/forwards/{port}",
		.summary = "Ends it",
		.params = { { .name = "port",
				    .type = HTTP_NUMBER,
				    .min = 1,
				    .max = 65535,
				    .help = "The host's" },
			{ .name = "color", .type = HTTP_WORD, .words = words, .help = "Which" },
			{ .name = "limit",
				.type = HTTP_NUMBER,
				.min = 1,
				.max = 9,
				.fallback = 5,
				.help = "How many" } },
		.answers = { { .status = 204, .type = "", .help = "It is gone" } } },
	{ .method = HTTP_GET,
		.path = "/api/forwards/{port}",
		.summary = "Shows it",
		.params = { { .name = "port",
			.type = HTTP_NUMBER,
			.min = 1,
			.max = 65535,
			.help = "" } } },
};

static const char *const wanted[] = {
	"{\"name\":\"port\",\"in\":\"path\",\"required\":true,\"description\":\"The host's\","
	"\"schema\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":65535}}",
	"{\"name\":\"color\",\"in\":\"query\",\"required\":false,\"description\":\"Which\","
	"\"schema\":{\"enum\":[\"red\",\"blue\"]}}",
	"{\"name\":\"limit\",\"in\":\"query\",\"required\":false,\"description\":\"How many\","
	"\"schema\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9,\"default\":5}}",
};

static void test_parameters(void **state)
{
	json_t *document = api_openapi_json(routes, ARRAY_LEN(routes)), *path, *operation, *params;

	path = json_object_get(json_object_get(document, "paths"), "/api/forwards/{port}");
	assert_int_equal(json_object_size(path), 2);
	operation = json_object_get(path, "delete");
	assert_string_equal(json_string_value(json_object_get(operation, "operationId")),
		"deleteApiForwardsPort");
	params = json_object_get(operation, "parameters");
	assert_int_equal(json_array_size(params), ARRAY_LEN(wanted));
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		json_t *right = json_loads(wanted[i], 0, NULL);

		assert_non_null(right);
		assert_true(json_equal(json_array_get(params, i), right));
		json_decref(right);
	}
	assert_null(json_object_get(
		json_object_get(json_object_get(operation, "responses"), "204"), "content"));
	json_decref(document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
