/* SPDX-License-Identifier: MIT */
/* Which texts name a host, and what is said of the others. */
#include "net/host.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"

#define LABEL_63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg"

static const struct {
	enum host_form form;
	const char *text, *name;
	uint16_t port;
} good[] = {
	/* What stock's --to and --local-host take. */
	{ HOST_ENDPOINT, "bore.pub", "bore.pub", 0 },
	{ HOST_ENDPOINT, "localhost", "localhost", 0 },
	{ HOST_ENDPOINT, "Bore.Pub.", "Bore.Pub.", 0 },
	{ HOST_ENDPOINT, "my_relay-1.example", "my_relay-1.example", 0 },
	{ HOST_ENDPOINT, "xn--mnchen-3ya.example", "xn--mnchen-3ya.example", 0 },
	{ HOST_ENDPOINT, "web.1", "web.1", 0 },
	{ HOST_ENDPOINT, "-", "-", 0 },
	{ HOST_ENDPOINT, "192.0.2.1", "192.0.2.1", 0 },
	{ HOST_ENDPOINT, "127.1", "127.1", 0 },
	{ HOST_ENDPOINT, "0x7f.1", "0x7f.1", 0 },
	{ HOST_ENDPOINT, "::1", "::1", 0 },
	{ HOST_ENDPOINT, "2001:db8::1", "2001:db8::1", 0 },
	{ HOST_ENDPOINT, "fe80::1%eth0", "fe80::1%eth0", 0 },
	{ HOST_ALONE, "host.docker.internal", "host.docker.internal", 0 },
	{ HOST_ALONE, "[::1]", "::1", 0 },
	{ HOST_ALONE, LABEL_63 "." LABEL_63, LABEL_63 "." LABEL_63, 0 },
	/* And ours with a port. */
	{ HOST_ENDPOINT, "bore.pub:1", "bore.pub", 1 },
	{ HOST_ENDPOINT, "10.0.0.1:65535", "10.0.0.1", 65535 },
	{ HOST_ENDPOINT, "[::1]", "::1", 0 },
	{ HOST_ENDPOINT, "[::1]:99", "::1", 99 },
	{ HOST_ENDPOINT, "[fe80::1%lo]:99", "fe80::1%lo", 99 },
	{ HOST_ADDRESS, "0.0.0.0", "0.0.0.0", 0 },
	{ HOST_ADDRESS, "::", "::", 0 },
	{ HOST_ADDRESS, "[::]", "::", 0 },
	{ HOST_ADDRESS, "fe80::1%lo", "fe80::1%lo", 0 },
	{ HOST_ADDRESS_PORT, "127.0.0.1:0", "127.0.0.1", 0 },
	{ HOST_ADDRESS_PORT, "[::1]:9100", "::1", 9100 },
};

static void test_hosts(void **state)
{
	char why[HOST_WHY_MAX], text[ADDR_TEXT_MAX];
	struct host host;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(host_parse(good[i].form, good[i].text, &host, why), 0);
		assert_string_equal(host.name, good[i].name);
		assert_int_equal(host.port, good[i].port);
		if (good[i].form != HOST_ADDRESS && good[i].form != HOST_ADDRESS_PORT)
			continue;
		assert_int_equal(addr_port(&host.addr), good[i].port);
		assert_string_equal(addr_format_ip(&host.addr, text), good[i].name);
	}
}

/*
 * `' host'`, `user@host` and `bore.pub/` became questions to a name server, http://localhost was a
 * local host that nobody could reach, and an escape sequence became a line of the log.
 */
static const struct {
	enum host_form form;
	const char *text, *why;
} bad[] = {
	{ HOST_ENDPOINT, "", "it is empty" },
	{ HOST_ENDPOINT, " host", "there is a blank in it" },
	{ HOST_ENDPOINT, "host ", "there is a blank in it" },
	{ HOST_ENDPOINT, "ho\tst", "'\\x09' is a control character" },
	{ HOST_ENDPOINT, "host\n", "'\\x0a' is a control character" },
	{ HOST_ENDPOINT, "\033[2Jhost", "'\\x1b' is a control character" },
	{ HOST_ENDPOINT, "host\x7f", "'\\x7f' is a control character" },
	{ HOST_ENDPOINT, "m\xc3\xbcnchen.example", "punycode" },
	{ HOST_ENDPOINT, "host\x9b", "it isn't ASCII" },
	{ HOST_ENDPOINT, "user@host", "'user@' is no part of it: write 'host'" },
	{ HOST_ENDPOINT, "a@b@host:1", "'a@b@' is no part of it: write 'host:1'" },
	{ HOST_ENDPOINT, "user@", "'user@' names no host" },
	{ HOST_ENDPOINT, "bore.pub/", "'/' is no part of it: write 'bore.pub'" },
	{ HOST_ENDPOINT, "bore.pub:1/x?y", "'/x?y' is no part of it: write 'bore.pub:1'" },
	{ HOST_ENDPOINT, "bore.pub#x", "'#x' is no part of it: write 'bore.pub'" },
	{ HOST_ALONE, "http://localhost", "'http://' is no part of it: write 'localhost'" },
	{ HOST_ENDPOINT, "https://u@bore.pub:7/",
		"'https://u@' is no part of it: write 'bore.pub:7'" },
	{ HOST_ENDPOINT, "http://", "'http://' names no host" },
	{ HOST_ENDPOINT, "/", "'/' names no host" },
	{ HOST_ENDPOINT, ":99", "it names no host" },
	{ HOST_ENDPOINT, "[]", "it names no host: write bore.pub or bore.pub:7835" },
	{ HOST_ENDPOINT, "a:", "no port follows its ':'" },
	{ HOST_ENDPOINT, "[::1]:", "no port follows its ':'" },
	{ HOST_ENDPOINT, "a:0", "'0' is no port from 1 to 65535" },
	{ HOST_ENDPOINT, "a:65536", "'65536' is no port from 1 to 65535" },
	{ HOST_ENDPOINT, "a:-1", "'-1' is no port from 1 to 65535" },
	{ HOST_ENDPOINT, "a:+1", "'+1' is no port from 1 to 65535" },
	{ HOST_ENDPOINT, "a:http", "'http' is no port from 1 to 65535" },
	{ HOST_ENDPOINT, "[::1", "'[' has no ']'" },
	{ HOST_ENDPOINT, "::1]", "'::1]' is no IPv6 address" },
	{ HOST_ENDPOINT, "host]", "']' has no '[' before it" },
	{ HOST_ENDPOINT, "[::1]x", "'x' behind ']' is no :PORT" },
	{ HOST_ENDPOINT, "[bore.pub]", "'bore.pub' is no IPv6 address" },
	{ HOST_ENDPOINT, "[10.0.0.1]:1", "'10.0.0.1' is no IPv6 address" },
	{ HOST_ENDPOINT, "a:b:c", "'a:b:c' is no IPv6 address" },
	{ HOST_ENDPOINT, "fe80::1%", "'%' names no interface" },
	{ HOST_ENDPOINT, "fe80::1%more-than-15-byte", "names no interface" },
	{ HOST_ENDPOINT, "256.0.0.1", "'256.0.0.1' is no IPv4 address" },
	{ HOST_ENDPOINT, "1.2.3.4.5", "'1.2.3.4.5' is no IPv4 address" },
	{ HOST_ENDPOINT, "a..b", "nothing stands before one of its dots" },
	{ HOST_ENDPOINT, ".a", "nothing stands before one of its dots" },
	{ HOST_ENDPOINT, "a.b..", "nothing stands before one of its dots" },
	{ HOST_ENDPOINT, LABEL_63 "h.example", "has more than 63 bytes without a dot" },
	{ HOST_ENDPOINT, "*.example", "'*' can't stand in a host name" },
	{ HOST_ENDPOINT, "a'b", "'\\'' can't stand in a host name" },
	{ HOST_ENDPOINT, "127.0.0.1%lo", "'%' can't stand in a host name" },
	{ HOST_ALONE, "localhost:3000", "':3000' is no part of it: the host stands alone here" },
	{ HOST_ALONE, "[::1]:3000", "':3000' is no part of it" },
	{ HOST_ADDRESS, "localhost", "it is no IP address: write 127.0.0.1 or ::1" },
	{ HOST_ADDRESS, "127.1", "it is no IP address" },
	{ HOST_ADDRESS, "0.0.0.0:7835", "':7835' is no part of it" },
	{ HOST_ADDRESS, "fe80::1%no-such-if", "an interface that this machine doesn't have" },
	{ HOST_ADDRESS_PORT, "127.0.0.1", "it has no port: write 127.0.0.1:9100" },
	{ HOST_ADDRESS_PORT, "::1:9100", "it has no port: write 127.0.0.1:9100 or [::1]:9100" },
	{ HOST_ADDRESS_PORT, "localhost:9100", "it is no IP address: write 127.0.0.1:9100" },
	{ HOST_ADDRESS_PORT, "127.0.0.1:65536", "'65536' is no port from 0 to 65535" },
};

static void test_no_hosts(void **state)
{
	char why[HOST_WHY_MAX];
	struct host host;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		why[0] = '\0';
		assert_int_equal(host_parse(bad[i].form, bad[i].text, &host, why), -EINVAL);
		if (!strstr(why, bad[i].why))
			fail_msg("'%s': '%s' instead of '%s'", bad[i].text, why, bad[i].why);
	}
}

/* RFC 1035, 2.3.4: 255 bytes on the wire are 253 of text, the root's dot apart. */
static void test_longest_name(void **state)
{
	char name[ADDR_HOST_MAX + 64], why[HOST_WHY_MAX];
	struct host host;

	for (size_t len = 252; len < sizeof(name); len++) {
		memset(name, 'a', len);
		for (size_t i = 60; i < len; i += 60)
			name[i] = '.';
		name[len] = '\0';
		assert_int_equal(
			host_parse(HOST_ENDPOINT, name, &host, why), len <= 253 ? 0 : -EINVAL);
		if (len > 253)
			assert_non_null(strstr(why, "it has more than 253 bytes"));
		name[len - 1] = '.';
		assert_int_equal(
			host_parse(HOST_ENDPOINT, name, &host, why), len <= 254 ? 0 : -EINVAL);
	}
}

static void test_from_a_peer(void **state)
{
	static const struct {
		const char *in, *out;
	} table[] = {
		{ "192.0.2.1:80", "192.0.2.1:80" },
		{ "[2001:DB8::1]:65535", "[2001:db8::1]:65535" },
		{ "[fe80::1]:1", "[fe80::1]:1" },
		{ "[::ffff:192.0.2.1]:80", "192.0.2.1:80" },
	};
	static const char *const refused[] = { "", ":", "192.0.2.1", "192.0.2.1:", "192.0.2.1:0",
		"192.0.2.1:65536", "192.0.2.1:80x", " 192.0.2.1:80", "192.0.2.1 :80",
		"localhost:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]80", "[192.0.2.1]:80",
		"[fe80::1%lo]:80", "192.0.2.1:80\n", "\033[2J:80" };
	char text[ADDR_TEXT_MAX];
	struct addr addr;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		assert_int_equal(host_parse_peer(table[i].in, &addr), 0);
		assert_string_equal(addr_format(&addr, text), table[i].out);
	}
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		assert_int_equal(host_parse_peer(refused[i], &addr), -EINVAL);
}

/* What is printed can be given again, as an address with a port. */
static void test_format(void **state)
{
	static const char *const texts[] = { "bore.pub:7835", "192.0.2.1:1",
		"[2001:db8::1]:65535" };
	char text[HOST_TEXT_MAX], why[HOST_WHY_MAX];
	struct host host;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(host_parse(HOST_ENDPOINT, texts[i], &host, why), 0);
		assert_string_equal(host_format(host.name, host.port, text), texts[i]);
	}
}

/* A relay's text, and how it is written again. */
static void test_relays(void **state)
{
	static const struct {
		const char *text, *written, *path;
		enum host_scheme scheme;
		uint16_t port;
	} table[] = {
		{ "bore.pub:7", "bore.pub:7", "", HOST_RAW, 7 },
		{ "http://bore.pub", "http://bore.pub", "/", HOST_HTTP, 80 },
		{ "HTTPS://Bore.pub/", "https://Bore.pub", "/", HOST_HTTPS, 443 },
		{ "https://bore.pub:443/a/b?c=d", "https://bore.pub/a/b?c=d", "/a/b?c=d",
			HOST_HTTPS, 443 },
		{ "http://[::1]:8080", "http://[::1]:8080", "/", HOST_HTTP, 8080 },
		{ "http://[::1]?a", "http://[::1]/?a", "/?a", HOST_HTTP, 80 },
		{ "https://::1/x", "https://[::1]/x", "/x", HOST_HTTPS, 443 },
	};
	static const struct {
		const char *text, *why;
	} refused[] = {
		{ "http://", "'http://' names no host" },
		{ "https:///a", "'https:///a' names no host" },
		{ "ftp://bore.pub", "'ftp://' is no part of it: write 'bore.pub'" },
		{ "bore.pub/a", "'/a' is no part of it: write 'bore.pub'" },
		{ "https://u:p@bore.pub/", "is no part of it: write 'bore.pub'" },
		{ "https://bore.pub/#a", "'#a' is for browsers" },
		{ "https://bore.pub/ a", "there is a blank in it" },
		{ "https://bore.pub:0/", "'0' is no port from 1 to 65535" },
		{ "https://bore.pub:x/", "'x' is no port from 1 to 65535" },
		{ "https://https://bore.pub", "no port follows its ':'" },
	};
	char text[HOST_RELAY_MAX], why[HOST_WHY_MAX], path[HOST_PATH_MAX + 16] = "http://a/";
	struct host host, again;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		assert_int_equal(host_parse(HOST_RELAY, table[i].text, &host, why), 0);
		assert_string_equal(host_format_relay(&host, text), table[i].written);
		assert_string_equal(host.path, table[i].path);
		assert_int_equal(host.scheme, table[i].scheme);
		assert_int_equal(host.port, table[i].port);
		assert_int_equal(host_parse(HOST_RELAY, text, &again, why), 0);
		assert_true(host_equal(&host, &again));
	}
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		assert_int_equal(host_parse(HOST_RELAY, refused[i].text, &host, why), -EINVAL);
		if (!strstr(why, refused[i].why))
			fail_msg("'%s': %s", refused[i].text, why);
	}
	memset(path + 9, 'a', HOST_PATH_MAX - 2);
	assert_int_equal(host_parse(HOST_RELAY, path, &host, why), 0);
	path[9 + HOST_PATH_MAX - 2] = 'a';
	assert_int_equal(host_parse(HOST_RELAY, path, &host, why), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_no_hosts),
		cmocka_unit_test(test_relays),
		cmocka_unit_test(test_longest_name),
		cmocka_unit_test(test_from_a_peer),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
