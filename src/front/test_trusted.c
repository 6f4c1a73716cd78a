/* SPDX-License-Identifier: MIT */
/* Which proxies are trusted, and whom they name. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "front/trusted.h"

static struct addr addr(const char *ip)
{
	struct addr a;

	assert_int_equal(addr_parse_ip(ip, 4711, &a), 0);
	return a;
}

static struct trusted trust(const char *first, const char *second)
{
	struct trusted t = { 0 };
	char why[TRUSTED_WHY_MAX];

	assert_int_equal(trusted_parse(first, &t.nets[t.count++], why), 0);
	if (second)
		assert_int_equal(trusted_parse(second, &t.nets[t.count++], why), 0);
	return t;
}

static const struct {
	const char *net, *in, *out;
} nets[] = {
	{ "127.0.0.1", "127.0.0.1", "127.0.0.2" },
	{ "10.0.0.0/8", "10.255.0.1", "11.0.0.1" },
	{ "10.1.2.3/8", "10.255.0.1", "::a00:1" }, /* the bits behind the prefix don't count */
	{ "0.0.0.0/0", "192.0.2.1", "2001:db8::1" },
	{ "::/0", "2001:db8::1", "192.0.2.1" },
	{ "fd00::/8", "fd12::1", "fe80::1" },
	{ "::1", "::1", "::2" },
	{ "192.0.2.1/32", "192.0.2.1", "192.0.2.2" },
};

static void test_networks(void **state)
{
	static const char *const bad[] = { "", "a", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1",
		"10.0.0", "::/129", "10.0.0.0/8/8", "[::1]", "010.0.0.1", "localhost",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000" };
	char why[TRUSTED_WHY_MAX];
	struct ipnet net;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
		struct trusted t = trust(nets[i].net, NULL);
		struct addr in = addr(nets[i].in), out = addr(nets[i].out);

		assert_true(trusted_has(&t, &in));
		assert_false(trusted_has(&t, &out));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		why[0] = '\0';
		assert_int_equal(trusted_parse(bad[i], &net, why), -EINVAL);
		assert_true(why[0]);
	}
}

#define XFF "X-Forwarded-For: "
#define REAL "X-Real-IP: "

static const struct {
	const char *fields;
	const char *client; /* NULL: refused */
} clients[] = {
	{ "", "10.0.0.1:4711" },
	{ REAL "192.0.2.1\r\n", "192.0.2.1:0" },
	{ REAL "[2001:db8::1]\r\n", "[2001:db8::1]:0" },
	{ XFF "192.0.2.1\r\n", "192.0.2.1:0" },
	{ XFF "192.0.2.1:5000\r\n", "192.0.2.1:5000" },
	{ XFF "[2001:db8::1]:5000\r\n", "[2001:db8::1]:5000" },
	{ XFF "2001:db8::1\r\n", "[2001:db8::1]:0" },
	{ XFF "::ffff:192.0.2.1\r\n", "192.0.2.1:0" },
	/* What the client has made up stands before what the proxy has added. */
	{ XFF "198.51.100.1, 192.0.2.1\r\n", "192.0.2.1:0" },
	{ XFF "198.51.100.1\r\n" XFF "192.0.2.1\r\n", "192.0.2.1:0" },
	{ XFF "junk, 127.0.0.1, 192.0.2.1\r\n", "192.0.2.1:0" },
	{ XFF "198.51.100.1, 192.0.2.1, 10.0.0.3, 10.0.0.2\r\n", "192.0.2.1:0" },
	{ XFF "198.51.100.1, 192.0.2.1\r\n" XFF "10.0.0.3\r\nA: b\r\n" XFF "10.0.0.2\r\n",
		"192.0.2.1:0" },
	{ XFF "10.0.0.4, 10.0.0.3\r\n", "10.0.0.4:0" },
	{ XFF ", 192.0.2.1 ,, \r\n", "192.0.2.1:0" },
	{ XFF "192.0.2.1\r\n" REAL "192.0.2.1\r\n", "192.0.2.1:0" },
	{ XFF "192.0.2.1:5000\r\n" REAL "192.0.2.1\r\n", "192.0.2.1:5000" },
	/* nginx behind a proxy of its own names that one. */
	{ XFF "192.0.2.1, 10.0.0.2\r\n" REAL "10.0.0.2\r\n", "192.0.2.1:0" },
	/* One of the two is made up, and nobody knows which. */
	{ XFF "192.0.2.1\r\n" REAL "198.51.100.1\r\n", NULL },
	{ XFF "192.0.2.1, 10.0.0.2\r\n" REAL "198.51.100.1\r\n", NULL },
	{ REAL "192.0.2.1\r\n" REAL "192.0.2.1\r\n", NULL },
	{ REAL "unknown\r\n", NULL },
	{ REAL "\r\n", NULL },
	{ REAL "192.0.2.1, 192.0.2.2\r\n", NULL },
	{ XFF "192.0.2.1, unknown\r\n", NULL },
	{ XFF "192.0.2.1, fe80::1%lo\r\n", NULL },
	{ XFF "192.0.2.1, 10.0.0.2:0x50\r\n", NULL },
};

static void test_clients(void **state)
{
	const struct trusted t = trust("10.0.0.0/8", "::1");
	const struct addr proxy = addr("10.0.0.1");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		char text[1024], client[ADDR_TEXT_MAX];
		struct addr found;
		struct head head;
		size_t used;
		int r;

		(void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", clients[i].fields);
		assert_int_equal(
			head_read((uint8_t *)text, strlen(text), &head, &used), HEAD_WHOLE);
		r = trusted_client(&t, &head, &proxy, &found);
		if ((r == 0) != (clients[i].client != NULL))
			fail_msg("'%s': %d", clients[i].fields, r);
		if (r == 0)
			assert_string_equal(addr_format(&found, client), clients[i].client);
		assert_int_equal(trusted_is_told(&head), clients[i].fields[0] != '\0');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
