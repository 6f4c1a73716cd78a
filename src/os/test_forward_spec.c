/* SPDX-License-Identifier: MIT */
#include "os/forward_spec.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/lang.h"

static void test_good(void **state)
{
	static const struct {
		const char *text, *addr;
		uint16_t app_port;
	} table[] = {
		{ "5000", "127.0.0.1:5000", 0 },
		{ "0", "127.0.0.1:0", 0 },
		{ "65535:65535", "127.0.0.1:65535", 65535 },
		{ "5000:80", "127.0.0.1:5000", 80 },
		{ "192.0.2.1:5000", "192.0.2.1:5000", 0 },
		{ "0.0.0.0:5000:80", "0.0.0.0:5000", 80 },
		{ "[::1]:5000", "[::1]:5000", 0 },
		{ "[::]:5000:80", "[::]:5000", 80 },
		{ "[::ffff:127.0.0.1]:5000", "127.0.0.1:5000", 0 },
	};
	char why[HOST_WHY_MAX], text[ADDR_TEXT_MAX];
	struct forward_spec spec;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		assert_int_equal(forward_spec_parse(table[i].text, &spec, why), 0);
		assert_string_equal(addr_format(&spec.addr, text), table[i].addr);
		assert_int_equal(spec.app_port, table[i].app_port);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *text, *why;
	} table[] = {
		{ "", "[ADDR:]HOST_PORT[:APP_PORT]" },
		{ "web", "[ADDR:]HOST_PORT[:APP_PORT]" },
		{ "127.0.0.1", "[ADDR:]HOST_PORT[:APP_PORT]" },
		{ "[::1]", "[ADDR:]HOST_PORT[:APP_PORT]" },
		{ "[::1", "[ADDR:]HOST_PORT[:APP_PORT]" },
		{ "65536", "HOST_PORT is no number from 0 to 65535" },
		{ "127.0.0.1:", "HOST_PORT is no number" },
		{ "127.0.0.1:-1", "HOST_PORT is no number" },
		{ "5000:", "APP_PORT is no number from 1 to 65535" },
		{ "5000:0", "APP_PORT is no number from 1" },
		{ "5000:80:90", "APP_PORT is no number" },
		{ "5000:http", "APP_PORT is no number" },
		{ "5000 ", "[ADDR:]HOST_PORT" },
		{ "localhost:5000", "write 127.0.0.1" },
		{ "::1:5000", "in brackets" },
		{ "example.com:5000", "" },
		{ "*:5000", "" },
	};
	char why[HOST_WHY_MAX];
	struct forward_spec spec;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		assert_int_equal(forward_spec_parse(table[i].text, &spec, why), -EINVAL);
		if (!strstr(why, table[i].why))
			fail_msg("'%s': %s", table[i].text, why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
