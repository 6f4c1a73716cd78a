/* SPDX-License-Identifier: MIT */
/* Addresses in all their spellings, what leads to an IPv4 address, and which ones are not public.
 */
#include "policy/ipaddr.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/lang.h"
#include "policy/reserved.h"

static struct ipaddr addr_of(const char *text)
{
	struct ipaddr a;

	assert_int_equal(ipaddr_parse(text, &a), 0);
	return a;
}

static void test_one_spelling(void **state)
{
	static const struct {
		const char *text, *format;
	} table[] = {
		{ "10.0.0.1", "10.0.0.1" },
		{ "255.255.255.255", "255.255.255.255" },
		{ "::ffff:10.0.0.1", "10.0.0.1" },
		{ "::FFFF:0a00:0001", "10.0.0.1" },
		{ "::1", "[::1]" },
		{ "0:0:0:0:0:0:0:1", "[::1]" },
		{ "2001:DB8::1", "[2001:db8::1]" },
		{ "64:ff9b::1.2.3.4", "[64:ff9b::102:304]" },
	};
	static const char *const refused[] = { "", "10.0.0", "10.0.0.01", "10.0.0.256",
		"0x7f.0.0.1", "10.0.0.1 ", "10.0.0.1.", "[::1]", "fe80::1%lo", "::1/128", "1::2::3",
		"host" };
	char text[IPADDR_TEXT_MAX];
	struct ipaddr a;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		a = addr_of(table[i].text);
		assert_string_equal(ipaddr_format(&a, text), table[i].format);
	}
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		assert_int_equal(ipaddr_parse(refused[i], &a), -EINVAL);
}

/* The spellings by which a filter on texts is got round, as the C library takes them. */
static void test_aton(void **state)
{
	static const char *const loopback[] = { "127.0.0.1", "127.0.1", "127.1", "2130706433",
		"0x7f000001", "0X7F000001", "017700000001", "0177.0.0.1", "0x7f.1", "0x7f.0x0.0.01",
		"127.0.0.0x1", "0000000000000177.1" };
	static const char *const refused[] = { "", ".", "127.", "127..1", "127.0.0.1.1",
		"4294967296", "256.1", "127.0.0.256", "08.1", "0x", "0xg", "127.0.0.1 x",
		"127.0.0.1\n", "+1", "-1", "1e3", "127.0.0.1." };
	const struct ipaddr wanted = addr_of("127.0.0.1");
	struct ipaddr a;

	for (size_t i = 0; i < ARRAY_LEN(loopback); i++) {
		assert_int_equal(ipaddr_parse_aton(loopback[i], &a), 0);
		assert_true(ipaddr_equal(&a, &wanted));
	}
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (ipaddr_parse_aton(refused[i], &a) != -EINVAL)
			fail_msg("'%s' was taken for an address", refused[i]);
}

static void test_networks(void **state)
{
	static const struct {
		const char *base;
		uint8_t bits;
		const char *addr;
		bool has;
	} table[] = {
		{ "10.0.0.0", 104, "10.255.255.255", true },
		{ "10.0.0.0", 104, "11.0.0.0", false },
		{ "10.0.0.0", 104, "::ffff:10.1.2.3", true },
		{ "10.0.0.0", 104, "64:ff9b::10.1.2.3", false },
		{ "0.0.0.0", 96, "255.1.2.3", true },
		{ "0.0.0.0", 96, "::1", false },
		{ "192.0.2.128", 121, "192.0.2.127", false },
		{ "192.0.2.128", 121, "192.0.2.129", true },
		{ "192.0.2.1", 128, "192.0.2.1", true },
		{ "192.0.2.1", 128, "192.0.2.2", false },
		{ "::", 0, "2001:db8::1", true },
		/* "::/0" is what turns IPv6 off or on, and no IPv4. */
		{ "::", 0, "192.0.2.1", false },
		{ "fc00::", 7, "fdff::", true },
		{ "fc00::", 7, "fe00::", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct ipaddr base = addr_of(table[i].base), a = addr_of(table[i].addr);
		struct ipnet net = ipnet_of(&base, table[i].bits);

		assert_true(ipaddr_equal(&net.base, &base));
		assert_int_equal(ipnet_has(&net, &a), table[i].has);
	}
}

static void test_embedded(void **state)
{
	static const struct {
		const char *addr, *v4[IPADDR_EMBEDDED_MAX];
	} table[] = {
		{ "192.0.2.1", { NULL } },
		{ "2001:db8::c000:201", { NULL } },
		{ "::", { NULL } },
		{ "::1", { NULL } },
		{ "::192.0.2.1", { "192.0.2.1" } },
		{ "::ffff:0:192.0.2.1", { "192.0.2.1" } },
		{ "64:ff9b::192.0.2.1", { "192.0.2.1" } },
		{ "2002:c000:201:1:2:3:4:5", { "192.0.2.1" } },
		/* A server, and a client behind a NAT, with its bits inverted. */
		{ "2001:0:4136:e378:8000:63bf:3fff:fdd2", { "65.54.227.120", "192.0.2.45" } },
		/* RFC 6052, 2.4's examples, in RFC 8215's prefix. */
		{ "64:ff9b:1:c000:2:2100::", { "192.0.2.33", "0.2.33.0", "2.33.0.0", "0.0.0.0" } },
		{ "64:ff9b:1:3c0:0:221::", { "192.0.2.33", "0.2.33.0", "0.0.0.0" } },
		{ "64:ff9b:1:344:c0:2:2100:0", { "192.0.2.33", "33.0.0.0" } },
		/* Byte 8 must be 0, so this one is only of 96 bits. */
		{ "64:ff9b:1:c000:102:2100::", { "0.0.0.0" } },
		{ "64:ff9b:1::192.0.2.33", { "192.0.2.33" } },
	};
	struct ipaddr found[IPADDR_EMBEDDED_MAX];

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct ipaddr a = addr_of(table[i].addr);
		size_t n = ipaddr_embedded(&a, found), wanted = 0;

		while (wanted < IPADDR_EMBEDDED_MAX && table[i].v4[wanted]) {
			struct ipaddr v4 = addr_of(table[i].v4[wanted]);
			bool has = false;

			for (size_t j = 0; j < n; j++)
				has |= ipaddr_equal(&found[j], &v4);
			if (!has)
				fail_msg("'%s' doesn't lead to %s", table[i].addr,
					table[i].v4[wanted]);
			wanted++;
		}
		assert_int_equal(n, wanted);
	}
}

static const struct {
	const char *addr, *what;
} reserved[] = {
	{ "0.0.0.0", "this network" },
	{ "10.0.0.0", "private" },
	{ "10.255.255.255", "private" },
	{ "100.64.0.0", "shared behind a carrier's NAT" },
	{ "100.127.255.255", "shared behind a carrier's NAT" },
	{ "127.0.0.1", "loopback" },
	{ "127.255.255.255", "loopback" },
	{ "168.63.129.16", "the platform of Azure" },
	{ "169.254.169.254", "link-local" },
	{ "172.16.0.0", "private" },
	{ "172.31.255.255", "private" },
	{ "192.0.0.192", "kept for protocols" },
	{ "192.168.0.1", "private" },
	{ "198.18.0.1", "for benchmarks" },
	{ "198.19.255.255", "for benchmarks" },
	{ "224.0.0.1", "multicast" },
	{ "255.255.255.255", "reserved" },
	{ "::", "unspecified" },
	{ "::1", "loopback" },
	{ "::10.0.0.1", "IPv4-compatible" },
	{ "::ffff:10.0.0.1", "private" },
	{ "::ffff:0:8.8.8.8", "IPv4-translated" },
	{ "64:ff9b::8.8.8.8", "NAT64" },
	{ "64:ff9b:1::8.8.8.8", "local NAT64" },
	{ "64:ff9b:2::1", "not given out" },
	{ "100::1", "a place where all is discarded" },
	{ "2001::1", "Teredo" },
	{ "2001:2::1", "kept for protocols" },
	{ "2001:db8::1", "for documentation" },
	{ "2002:808:808::1", "6to4" },
	{ "3fff:fff::1", "for documentation" },
	{ "4000::1", "not given out" },
	{ "5f00::1", "not given out" },
	{ "9000::1", "not given out" },
	{ "fd00:ec2::254", "private" },
	{ "fe80::1", "link-local" },
	{ "fec0::1", "site-local" },
	{ "ff02::1", "multicast" },
};

static void test_reserved(void **state)
{
	static const char *const public[] = { "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0",
		"100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "168.63.129.15",
		"169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255",
		"192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2000::1",
		"2001:4860:4860::8888", "2001:200::1", "2606:4700:4700::1111", "2003::1",
		"3ffe::1" };

	for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
		struct ipaddr a = addr_of(reserved[i].addr);
		const struct reserved *row = reserved_find(&a);

		if (!row || strcmp(row->what, reserved[i].what) != 0)
			fail_msg("'%s' is %s", reserved[i].addr,
				row ? row->what : "taken for public");
	}
	for (size_t i = 0; i < ARRAY_LEN(public); i++) {
		struct ipaddr a = addr_of(public[i]);
		const struct reserved *row = reserved_find(&a);

		if (row)
			fail_msg("'%s' is %s", public[i], row -> what);
	}
}

/* A row behind one that has all its addresses would never be found. */
static void test_reserved_order(void **state)
{
	for (size_t i = 0; i < reserved_table_len; i++) {
		const struct reserved *row = &reserved_table[i];
		struct ipnet net = ipnet_of(&row->net.base, row->net.bits);

		assert_true(ipaddr_equal(&net.base, &row->net.base));
		for (size_t j = 0; j < i; j++)
			assert_false(reserved_table[j].net.bits <= row->net.bits &&
				     ipnet_has(&reserved_table[j].net, &row->net.base));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_spelling),
		cmocka_unit_test(test_aton),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_embedded),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_reserved_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
