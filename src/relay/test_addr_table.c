/* SPDX-License-Identifier: MIT */
/* The bounded table of addresses: who is forgotten first. */
#include "relay/addr_table.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>

static struct addr nth(uint32_t n)
{
	struct addr addr = { .in4 = { .sin_family = AF_INET } };

	addr.in4.sin_addr.s_addr = htonl(0x0a000000 + n);
	return addr;
}

static void test_oldest_touched_is_forgotten(void **state)
{
	struct addr a = nth(1), b = nth(2), c = nth(3), d = nth(4);
	struct addr_table t;

	assert_int_equal(addr_table_init(&t, 3), 0);
	addr_table_touch(&t, &a)->count = 1;
	addr_table_touch(&t, &b)->count = 2;
	addr_table_touch(&t, &c)->count = 3;
	assert_int_equal(addr_table_touch(&t, &a)->count, 1);
	assert_int_equal(addr_table_touch(&t, &d)->count, 0);
	assert_null(addr_table_find(&t, &b));
	assert_int_equal(addr_table_find(&t, &a)->count, 1);
	assert_int_equal(addr_table_find(&t, &c)->count, 3);
	assert_int_equal(t.count, 3);
	addr_table_deinit(&t);
}

static void test_removal(void **state)
{
	struct addr_table t;

	assert_int_equal(addr_table_init(&t, 1000), 0);
	for (uint32_t i = 0; i < 1000; i++) {
		struct addr a = nth(i);

		assert_non_null(addr_table_touch(&t, &a));
	}
	for (uint32_t i = 0; i < 1000; i += 2) {
		struct addr a = nth(i);

		addr_table_remove(&t, addr_table_find(&t, &a));
		assert_null(addr_table_find(&t, &a));
	}
	for (uint32_t i = 1; i < 1000; i += 2) {
		struct addr a = nth(i);

		assert_non_null(addr_table_find(&t, &a));
	}
	addr_table_remove(&t, NULL);
	assert_int_equal(t.count, 500);
	addr_table_deinit(&t);
	addr_table_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oldest_touched_is_forgotten),
		cmocka_unit_test(test_removal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
