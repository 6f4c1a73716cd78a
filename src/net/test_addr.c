/* SPDX-License-Identifier: MIT */
/* Addresses: texts both ways, mapped addresses, the keys that limits count by. */
#include "net/addr.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include "base/lang.h"

static struct addr ip(const char *text, uint16_t port)
{
	struct addr addr;

	assert_int_equal(addr_parse_ip(text, port, &addr), 0);
	return addr;
}

static void test_texts(void **state)
{
	static const struct {
		const char *in, *out, *out_ip;
	} table[] = {
		{ "127.0.0.1", "127.0.0.1:80", "127.0.0.1" },
		{ "::1", "[::1]:80", "::1" },
		{ "[::1]", "[::1]:80", "::1" },
		{ "::ffff:192.0.2.1", "192.0.2.1:80", "192.0.2.1" },
		{ "2001:DB8::0:1", "[2001:db8::1]:80", "2001:db8::1" },
		{ "fe80::1%lo", "[fe80::1%lo]:80", "fe80::1%lo" },
		{ "fe80::1%1", "[fe80::1%lo]:80", "fe80::1%lo" },
	};
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct addr addr = ip(table[i].in, 80);

		assert_string_equal(addr_format(&addr, text), table[i].out);
		assert_string_equal(addr_format_ip(&addr, text), table[i].out_ip);
	}
}

static void test_not_addresses(void **state)
{
	static const char *const table[] = { "", "[", "[]", "localhost", "127.1", "1.2.3.4.5",
		"::g", "fe80::1%", "fe80::1%no-such-interface", "127.0.0.1 ", "[127.0.0.1",
		"00000000000000000000000000000000000000000000000000000000000000000::1" };
	struct addr addr;

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		assert_int_equal(addr_parse_ip(table[i], 1, &addr), -EINVAL);
}

static void test_kinds(void **state)
{
	struct addr a;

	a = ip("127.9.9.9", 1);
	assert_true(addr_is_loopback(&a) && !addr_is_any(&a));
	a = ip("::1", 1);
	assert_true(addr_is_loopback(&a) && !addr_is_any(&a));
	a = ip("::ffff:127.0.0.1", 1);
	assert_true(addr_is_loopback(&a));
	a = ip("128.0.0.1", 1);
	assert_true(!addr_is_loopback(&a));
	a = ip("0.0.0.0", 1);
	assert_true(addr_is_any(&a));
	a = ip("::", 1);
	assert_true(addr_is_any(&a) && !addr_is_loopback(&a));
}

static bool same_key(const char *a, const char *b)
{
	struct addr x = ip(a, 1), y = ip(b, 2);
	struct addr_key kx = addr_limit_key(&x), ky = addr_limit_key(&y);

	return memcmp(&kx, &ky, sizeof(kx)) == 0;
}

static void test_limit_keys(void **state)
{
	assert_true(same_key("192.0.2.1", "192.0.2.1"));
	assert_true(same_key("192.0.2.1", "::ffff:192.0.2.1"));
	assert_false(same_key("192.0.2.1", "192.0.2.2"));
	assert_true(same_key("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
	assert_false(same_key("2001:db8:1:2::1", "2001:db8:1:3::1"));
	assert_false(same_key("0.0.0.0", "::"));
}

static void test_equality_and_other_families(void **state)
{
	struct addr a = ip("192.0.2.1", 5), b = ip("::ffff:192.0.2.1", 5);
	struct sockaddr other = { .sa_family = AF_UNIX };

	assert_true(addr_equal(&a, &b));
	addr_set_port(&b, 6);
	assert_int_equal(addr_port(&b), 6);
	assert_false(addr_equal(&a, &b));
	b = ip("2001:db8::1", 5);
	assert_false(addr_equal(&a, &b));
	assert_int_equal(addr_from_sockaddr(&other, &a), -EAFNOSUPPORT);
}

static void test_families_take_turns(void **state)
{
	static const struct {
		const char *in, *out; /* 6 and 4 with a letter each */
	} table[] = {
		{ "", "" },
		{ "6a", "6a" },
		{ "6a6b6c4d4e", "6a4d6b4e6c" },
		{ "4a4b6c", "4a6c4b" },
		{ "6a4b6c4d", "6a4b6c4d" },
		{ "6a6b", "6a6b" },
	};
	struct addr addrs[8];
	char out[2 * ARRAY_LEN(addrs) + 1];

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		size_t count = strlen(table[i].in) / 2;

		for (size_t n = 0; n < count; n++)
			addrs[n] = ip(table[i].in[2 * n] == '6' ? "2001:db8::1" : "192.0.2.1",
				(uint16_t)table[i].in[2 * n + 1]);
		addr_interleave(addrs, count);
		for (size_t n = 0; n < count; n++) {
			out[2 * n] = addrs[n].sa.sa_family == AF_INET6 ? '6' : '4';
			out[2 * n + 1] = (char)addr_port(&addrs[n]);
		}
		out[2 * count] = '\0';
		assert_string_equal(out, table[i].out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_not_addresses),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_families_take_turns),
		cmocka_unit_test(test_limit_keys),
		cmocka_unit_test(test_equality_and_other_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
