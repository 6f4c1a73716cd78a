/* SPDX-License-Identifier: MIT */
/* How many connections an address may have; what becomes of slow ones is in test_http_server.c. */
#include "http/conns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/lang.h"

#include "http/http_server.h"

static struct addr ip(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse_ip(text, 1, &addr), 0);
	return addr;
}

static bool is_admitted(const struct http_conns *set, const char *text)
{
	struct addr addr = ip(text);

	return http_conns_admit(set, &addr);
}

/* One neighbour once could take all connections there are, and the user had none. */
static void test_share_of_an_address(void **state)
{
	struct http_conn conns[3][HTTP_CONNS_PER_ADDR_MAX];
	const char *const addrs[] = { "192.0.2.1", "2001:db8::1", "127.0.0.1" };
	struct http_conns set;

	list_init(&set.mhd.open);
	for (size_t i = 0; i < ARRAY_LEN(addrs); i++)
		for (size_t j = 0; j < HTTP_CONNS_PER_ADDR_MAX; j++) {
			assert_true(is_admitted(&set, addrs[i]));
			conns[i][j].addr = ip(addrs[i]);
			list_push_back(&set.mhd.open, &conns[i][j].mhd.link);
		}
	assert_false(is_admitted(&set, "192.0.2.1"));
	assert_false(is_admitted(&set, "::ffff:192.0.2.1"));
	assert_true(is_admitted(&set, "192.0.2.2"));
	assert_false(is_admitted(&set, "2001:db8::2"));
	assert_true(is_admitted(&set, "2001:db8:0:1::1"));
	assert_true(is_admitted(&set, "127.0.0.1"));
	list_remove(&conns[0][5].mhd.link);
	assert_true(is_admitted(&set, "192.0.2.1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_share_of_an_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
