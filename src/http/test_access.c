/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/lang.h"
#include "http/access.h"

#define TOKEN "0123456789abcdef"

static const struct {
	const char *token, *host, *origin, *authorization;
	bool open;
	enum access_verdict verdict;
	const char *fetch_site;
} cases[] = {
	/* Bound to loopback. */
	{ NULL, "localhost", NULL, NULL, false, ACCESS_OK },
	{ NULL, "localhost:8420", NULL, NULL, false, ACCESS_OK },
	{ NULL, "LOCALHOST:1", NULL, NULL, false, ACCESS_OK },
	{ NULL, "127.0.0.1:8420", NULL, NULL, false, ACCESS_OK },
	{ NULL, "[::1]:65535", NULL, NULL, false, ACCESS_OK },
	{ NULL, "[::1]", NULL, NULL, false, ACCESS_OK },
	{ NULL, NULL, NULL, NULL, false, ACCESS_BAD_HOST },
	{ NULL, "", NULL, NULL, false, ACCESS_BAD_HOST },
	{ NULL, "evil.example", NULL, NULL, false, ACCESS_BAD_HOST },
	{ NULL, "evil.example", NULL, NULL, true, ACCESS_BAD_HOST },
	{ NULL, "localhost.evil.example", NULL, NULL, false, ACCESS_BAD_HOST },
	{ NULL, "localhost:8420.evil.example", NULL, NULL, false, ACCESS_BAD_HOST },
	{ NULL, "localhost:", NULL, NULL, false, ACCESS_BAD_HOST },
	{ NULL, "localhost:65536", NULL, NULL, false, ACCESS_BAD_HOST },
	{ NULL, "127.0.0.2", NULL, NULL, false, ACCESS_BAD_HOST },
	{ NULL, "::1", NULL, NULL, false, ACCESS_BAD_HOST },
	{ NULL, "localhost:80", "http://localhost:80", NULL, false, ACCESS_OK },
	{ NULL, "localhost:80", "http://localhost:3000", NULL, false, ACCESS_BAD_ORIGIN },
	{ NULL, "localhost:80", "https://localhost:80", NULL, false, ACCESS_BAD_ORIGIN },
	{ NULL, "localhost:80", "http://127.0.0.1:80", NULL, false, ACCESS_BAD_ORIGIN },
	{ NULL, "localhost:80", "http://evil.example", NULL, false, ACCESS_BAD_ORIGIN },
	{ NULL, "localhost:80", "http://evil.example", NULL, true, ACCESS_BAD_ORIGIN },
	{ NULL, "localhost:80", "null", NULL, false, ACCESS_BAD_ORIGIN },
	{ NULL, "localhost:80", "", NULL, false, ACCESS_BAD_ORIGIN },
	/* Bound elsewhere. */
	{ TOKEN, "192.0.2.1:8420", NULL, "Bearer " TOKEN, false, ACCESS_OK },
	{ TOKEN, "box.example", NULL, "bearer " TOKEN, false, ACCESS_OK },
	{ TOKEN, NULL, NULL, "Bearer " TOKEN, false, ACCESS_OK },
	{ TOKEN, "192.0.2.1", NULL, NULL, false, ACCESS_BAD_TOKEN },
	{ TOKEN, "localhost", NULL, NULL, false, ACCESS_BAD_TOKEN },
	{ TOKEN, "192.0.2.1", NULL, "Bearer ", false, ACCESS_BAD_TOKEN },
	{ TOKEN, "192.0.2.1", NULL, "Bearer 0123456789abcdeX", false, ACCESS_BAD_TOKEN },
	{ TOKEN, "192.0.2.1", NULL, "Bearer " TOKEN "0", false, ACCESS_BAD_TOKEN },
	{ TOKEN, "192.0.2.1", NULL, "Basic " TOKEN, false, ACCESS_BAD_TOKEN },
	{ TOKEN, "192.0.2.1", NULL, NULL, true, ACCESS_OK },
	{ TOKEN, "192.0.2.1", "http://evil.example", "Bearer " TOKEN, false, ACCESS_BAD_ORIGIN },
	{ TOKEN, "192.0.2.1", "http://192.0.2.1", "Bearer " TOKEN, false, ACCESS_OK },
	{ TOKEN, NULL, "http://192.0.2.1", "Bearer " TOKEN, false, ACCESS_BAD_ORIGIN },
	/* Behind a front with TLS. */
	{ TOKEN, "box.example", "https://box.example", "Bearer " TOKEN, false, ACCESS_OK },
	{ TOKEN, "box.example", "https://box.example", NULL, false, ACCESS_BAD_TOKEN },
	{ TOKEN, "box.example", "https://evil.example", "Bearer " TOKEN, false, ACCESS_BAD_ORIGIN },
	{ TOKEN, "box.example", "https://box.example:80", "Bearer " TOKEN, false,
		ACCESS_BAD_ORIGIN },
	/* What comes without an Origin, as images do. */
	{ NULL, "localhost", NULL, NULL, false, ACCESS_OK, "same-origin" },
	{ NULL, "localhost", NULL, NULL, false, ACCESS_OK, "none" },
	{ NULL, "localhost", NULL, NULL, false, ACCESS_BAD_SITE, "cross-site" },
	{ NULL, "localhost", NULL, NULL, false, ACCESS_BAD_SITE, "same-site" },
	{ NULL, "localhost", NULL, NULL, false, ACCESS_BAD_SITE, "" },
	{ NULL, "evil.example", NULL, NULL, false, ACCESS_BAD_HOST, "none" },
	{ TOKEN, "box.example", NULL, "Bearer " TOKEN, false, ACCESS_BAD_SITE, "cross-site" },
	{ TOKEN, "box.example", NULL, NULL, false, ACCESS_BAD_TOKEN, "none" },
};

static void test_rules(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct access_headers headers = {
			.host = cases[i].host,
			.origin = cases[i].origin,
			.authorization = cases[i].authorization,
			.fetch_site = cases[i].fetch_site,
		};
		enum access_verdict verdict = access_check(&headers, cases[i].token, cases[i].open);

		if (verdict != cases[i].verdict)
			print_error("case %zu: host %s, origin %s\n", i,
				cases[i].host ? cases[i].host : "-",
				cases[i].origin ? cases[i].origin : "-");
		assert_int_equal(verdict, cases[i].verdict);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
