/* SPDX-License-Identifier: MIT */
/* One host, one reading: what the C library would resolve or dial is what is judged. */
#include "policy/destination.h"

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
#define NAME_253                               \
	LABEL_63 "." LABEL_63 "." LABEL_63 "." \
		 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffg"

static void test_good(void **state)
{
	static const struct {
		const char *host, *format;
	} table[] = {
		{ "example.com", "example.com:443" },
		{ "Example.COM", "example.com:443" },
		{ "example.com.", "example.com:443" },
		{ "LOCALHOST.", "localhost:443" },
		{ "my_host-1", "my_host-1:443" },
		{ "xn--mnchen-3ya.example", "xn--mnchen-3ya.example:443" },
		{ "1e100.net", "1e100.net:443" },
		{ "10.0.0.1.example", "10.0.0.1.example:443" },
		{ LABEL_63, LABEL_63 ":443" },
		{ NAME_253, NAME_253 ":443" },
		{ NAME_253 ".", NAME_253 ":443" },
		{ "10.0.0.1", "10.0.0.1:443" },
		{ "10.0.0.1.", "10.0.0.1:443" },
		{ "0xA.1", "10.0.0.1:443" },
		{ "167772161", "10.0.0.1:443" },
		{ "012.0.0.1", "10.0.0.1:443" },
		{ "10.1", "10.0.0.1:443" },
		{ "::1", "[::1]:443" },
		{ "::ffff:10.0.0.1", "10.0.0.1:443" },
		{ "0:0:0:0:0:FFFF:0a00:1", "10.0.0.1:443" },
		{ "2001:DB8:0::1", "[2001:db8::1]:443" },
	};
	char text[DESTINATION_TEXT_MAX], why[DESTINATION_WHY_MAX];
	struct destination d;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (destination_parse(table[i].host, 443, &d, why) < 0)
			fail_msg("'%s': %s", table[i].host, why);
		assert_string_equal(destination_format(&d, text), table[i].format);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *host, *why;
	} table[] = {
		{ "", "it names no host" },
		{ ".", "it names no host" },
		{ "..", "it has an empty label" },
		{ "example..com", "it has an empty label" },
		{ ".example.com", "it has an empty label" },
		{ "example.com..", "it has an empty label" },
		{ "münchen.example", "it isn't ASCII" },
		{ "example\xe3\x80\x82"
		  "com",
			"it isn't ASCII" },
		{ "exa mple.com", "a name has only" },
		{ "example.com/", "a name has only" },
		{ "user@example.com", "a name has only" },
		{ "*", "a name has only" },
		{ "example.com\n", "a name has only" },
		{ LABEL_63 "g.example", "it has more than 63 bytes" },
		{ NAME_253 "g", "it has more than 253 bytes" },
		{ "fe80::1%eth0", "an address with a zone" },
		{ "::1%lo", "an address with a zone" },
		{ "[::1]", "it is no IPv6 address" },
		{ "::1::", "it is no IPv6 address" },
		{ "example.com:80", "it is no IPv6 address" },
		{ "256.0.0.1", "it ends in a number" },
		{ "1.2.3.4.5", "it ends in a number" },
		{ "4294967296", "it ends in a number" },
		{ "09", "it ends in a number" },
		{ "example.1", "it ends in a number" },
		{ "example.0x1f", "it ends in a number" },
		{ "example.0x", "it ends in a number" },
	};
	char why[DESTINATION_WHY_MAX];
	struct destination d;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (destination_parse(table[i].host, 443, &d, why) != -EINVAL)
			fail_msg("'%s' was taken for a host", table[i].host);
		if (strncmp(why, table[i].why, strlen(table[i].why)) != 0)
			fail_msg("'%s': %s", table[i].host, why);
	}
	assert_int_equal(destination_parse("example.com", 0, &d, why), -EINVAL);
	assert_string_equal(why, "nobody can be reached at port 0");
}

static void test_below(void **state)
{
	assert_true(hostname_is_below("a.example.com", "example.com"));
	assert_true(hostname_is_below("b.a.example.com", "example.com"));
	assert_false(hostname_is_below("example.com", "example.com"));
	assert_false(hostname_is_below("notexample.com", "example.com"));
	assert_false(hostname_is_below("example.com.evil.test", "example.com"));
	assert_false(hostname_is_below("com", "example.com"));
	assert_true(hostname_is_localhost("localhost"));
	assert_true(hostname_is_localhost("db.localhost"));
	assert_false(hostname_is_localhost("localhost.example"));
	assert_false(hostname_is_localhost("notlocalhost"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
