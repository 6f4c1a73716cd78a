/* SPDX-License-Identifier: MIT */
/* Which texts are rules, what they cover, and what is said of the others. */
#include "policy/net_rule.h"

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

static struct net_rule rule_of(const char *text)
{
	char why[NET_RULE_WHY_MAX] = "";
	struct net_rule rule;

	if (net_rule_parse(text, &rule, why) < 0)
		fail_msg("'%s': %s", text, why);
	return rule;
}

static void test_good(void **state)
{
	static const struct {
		const char *text;
		enum net_rule_kind kind;
		const char *format; /* NULL: as the text */
	} table[] = {
		{ "*", NET_RULE_ANY, NULL },
		{ ":443", NET_RULE_ANY, "*:443" },
		{ "*:443", NET_RULE_ANY, NULL },
		{ ":8000-8999", NET_RULE_ANY, "*:8000-8999" },
		{ "localhost", NET_RULE_LOCALHOST, NULL },
		{ "LocalHost.:5432", NET_RULE_LOCALHOST, "localhost:5432" },
		{ "example.com", NET_RULE_NAME, NULL },
		{ "Example.Com.:80-80", NET_RULE_NAME, "example.com:80" },
		{ "example.com:1-65535", NET_RULE_NAME, "example.com" },
		{ "db.localhost", NET_RULE_NAME, NULL },
		{ NAME_253 ".:10000-65535", NET_RULE_NAME, NAME_253 ":10000-65535" },
		{ "*.example.com", NET_RULE_DOMAIN, NULL },
		{ "*.Example.com.:443", NET_RULE_DOMAIN, "*.example.com:443" },
		{ "*." NAME_253 ".:10000-65535", NET_RULE_DOMAIN, "*." NAME_253 ":10000-65535" },
		{ "10.0.0.1", NET_RULE_NETWORK, NULL },
		{ "10.0.0.1.:80", NET_RULE_NETWORK, "10.0.0.1:80" },
		{ "10.0.0.1/32:22", NET_RULE_NETWORK, "10.0.0.1:22" },
		{ "10.0.0.0/8", NET_RULE_NETWORK, NULL },
		{ "0.0.0.0/0:443", NET_RULE_NETWORK, NULL },
		{ "[::1]", NET_RULE_NETWORK, NULL },
		{ "[2001:DB8::]:443", NET_RULE_NETWORK, "[2001:db8::]:443" },
		{ "[::/0]", NET_RULE_NETWORK, NULL },
		{ "[fd00::/8]:1-1024", NET_RULE_NETWORK, NULL },
		{ "[::1/128]", NET_RULE_NETWORK, "[::1]" },
		{ "[::ffff:10.0.0.0/104]", NET_RULE_NETWORK, "10.0.0.0/8" },
	};
	char text[NET_RULE_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct net_rule rule = rule_of(table[i].text), again;

		assert_int_equal(rule.kind, table[i].kind);
		assert_string_equal(net_rule_format(&rule, text),
			table[i].format ? table[i].format : table[i].text);
		again = rule_of(text);
		assert_memory_equal(&again, &rule, sizeof(rule));
	}
}

static const struct {
	const char *text, *why;
} refused[] = {
	{ "", "it is empty: write a host, or leave it out" },
	{ " ", "there is a blank in it" },
	{ " example.com", "there is a blank in it: write 'example.com'" },
	{ "example.com ", "there is a blank in it: write 'example.com'" },
	{ "example.com 443", "there is a blank in it" },
	{ "a.com,b.com", "there is a comma in it: write each rule by itself" },
	{ "münchen.example", "it isn't ASCII: write the name in punycode, such as "
			     "xn--mnchen-3ya.example" },
	{ "a\033[2Jb", "'\\x1b' is a control character" },
	/* What belongs to a URL. */
	{ "https://example.com", "'https://' is no part of a rule, which is no URL: write "
				 "'example.com:443'" },
	{ "HTTP://example.com/", "'HTTP://' is no part of a rule, which is no URL: write "
				 "'example.com:80'" },
	{ "https://example.com:8443/v1?a#b",
		"'https://' is no part of a rule, which is no URL: write "
		"'example.com:8443'" },
	{ "wss://[::1]", "'wss://' is no part of a rule, which is no URL: write '[::1]:443'" },
	{ "wss://[::1]:1/", "'wss://' is no part of a rule, which is no URL: write '[::1]:1'" },
	{ "postgres://db.example", "'postgres://' is no part of a rule, which is no URL: "
				   "write 'db.example:5432'" },
	{ "postgres://me:secret@db.example:5432/x",
		"'postgres://' is no part of a rule, which is no URL: write "
		"'db.example:5432'" },
	{ "https://", "'https://' is no part of a rule, which is no URL" },
	{ "me@example.com", "a user is no part of a rule: write 'example.com'" },
	{ "example.com/v1", "'/v1' is no part of a rule, which knows no paths: write "
			    "'example.com'" },
	{ "example.com:443/", "'/' is no part of a rule, which knows no paths: write "
			      "'example.com:443'" },
	{ "example.com?x", "'?x' is no part of a rule, which knows no paths: write "
			   "'example.com'" },
	/* Networks. */
	{ "10.0.0.1/8", "'10.0.0.1/8' has bits behind its prefix (without '/8' it is the "
			"address alone): write '10.0.0.0/8'" },
	{ "10.0.0.1/8:22", "'10.0.0.1/8' has bits behind its prefix (without '/8' it is the "
			   "address alone): write '10.0.0.0/8:22'" },
	{ "[fd00::1/8]:22", "'fd00::1/8' has bits behind its prefix (without '/8' it is the "
			    "address alone): write '[fd00::/8]:22'" },
	{ "10.0.0.0/33", "'/33' is no length of a prefix from /0 to /32" },
	{ "10.0.0.0/", "'/' is no length of a prefix from /0 to /32" },
	{ "10.0.0.0/-1", "'/-1' is no length of a prefix from /0 to /32" },
	{ "10.0.0.0/255.0.0.0", "'/255.0.0.0' is no length of a prefix from /0 to /32" },
	{ "[::/129]", "'/129' is no length of a prefix from /0 to /128" },
	{ "10.0.0/8", "'10.0.0' is an IPv4 address in an unusual spelling: write "
		      "'10.0.0.0/8'" },
	{ "127.1:80", "'127.1' is an IPv4 address in an unusual spelling: write "
		      "'127.0.0.1:80'" },
	{ "2130706433", "'2130706433' is an IPv4 address in an unusual spelling: write "
			"'127.0.0.1'" },
	{ "443", "'443' is a port, which stands behind a colon: write ':443'" },
	{ "65536", "'65536' is an IPv4 address in an unusual spelling: write '0.1.0.0'" },
	{ "0x7f000001", "'0x7f000001' is an IPv4 address in an unusual spelling: write "
			"'127.0.0.1'" },
	{ "256.1.1.1", "'256.1.1.1' is no IPv4 address" },
	{ "1.2.3.4.5", "'1.2.3.4.5' is no IPv4 address" },
	{ "example.1", "'example.1' is no IPv4 address" },
	/* IPv6 and its brackets. */
	{ "::1", "an IPv6 address stands in brackets: write '[::1]'" },
	{ "fd00::/8", "an IPv6 address stands in brackets: write '[fd00::/8]'" },
	{ "fd00::/8:443", "an IPv6 address stands in brackets: write '[fd00::/8]:443'" },
	{ "[fd00::]/8", "a network's length stands inside the brackets: write '[fd00::/8]'" },
	{ "[fd00::]/8:443", "a network's length stands inside the brackets: write "
			    "'[fd00::/8]:443'" },
	{ "[fe80::1%eth0]:80", "a rule knows no interfaces, and so no zone: write "
			       "'[fe80::1]:80'" },
	{ "[10.0.0.0/8]:22", "only IPv6 addresses stand in brackets: write '10.0.0.0/8:22'" },
	{ "[example.com]", "'example.com' is no IPv6 address" },
	{ "[]", "'' is no IPv6 address" },
	{ "[::1", "'[' has no ']'" },
	{ "[::1]443", "only a port can follow ']'" },
	/* Ports. */
	{ ":", "no port follows ':', and without one all are meant" },
	{ "example.com:", "no port follows ':', and without one all are meant: write "
			  "'example.com'" },
	{ "example.com:*", "no port follows ':', and without one all are meant: write "
			   "'example.com'" },
	{ "example.com:0", "'0' is no port from 1 to 65535, nor a range of them such as "
			   "8000-8999" },
	{ "example.com:65536", "'65536' is no port from 1 to 65535, nor a range of them such "
			       "as 8000-8999" },
	{ "example.com:https", "'https' is no port from 1 to 65535, nor a range of them such "
			       "as 8000-8999" },
	{ "example.com:80-", "'80-' is no port from 1 to 65535, nor a range of them such as "
			     "8000-8999" },
	{ "example.com:0-80", "'0-80' is no port from 1 to 65535, nor a range of them such "
			      "as 8000-8999" },
	{ "example.com:90-80", "the range of ports '90-80' goes backwards: write "
			       "'example.com:80-90'" },
	/* Names. */
	{ ".example.com", "names below another are meant by '*.' at the start: write "
			  "'*.example.com'" },
	{ "*example.com:1", "names below another are meant by '*.' at the start: write "
			    "'*.example.com:1'" },
	{ "api.*.example.com", "names below another are meant by '*.' at the start" },
	{ "*.*.example.com", "names below another are meant by '*.' at the start" },
	{ "example.*", "names below another are meant by '*.' at the start" },
	{ "**", "names below another are meant by '*.' at the start" },
	{ "*.", "it names no host" },
	{ "*.10.0.0.1", "'*.' stands before a name, and not a number" },
	{ "example..com", "it has an empty label: a dot at its start, or two in a row" },
	{ "exa$mple.com", "a name has only letters, digits, '-', '_' and dots" },
	{ LABEL_63 "g.example", "it has more than 63 bytes without a dot, which no name may" },
	{ NAME_253 "g", "it has more than 253 bytes, which no name may" },
	{ "*." NAME_253 ".:10000-655350", "it has more than 268 bytes" },
};

static void test_refused(void **state)
{
	char why[NET_RULE_WHY_MAX];
	struct net_rule rule;

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		if (net_rule_parse(refused[i].text, &rule, why) != -EINVAL)
			fail_msg("'%s' was taken for a rule", refused[i].text);
		if (strcmp(why, refused[i].why) != 0)
			fail_msg(
				"'%s': %s\n  instead of: %s", refused[i].text, why, refused[i].why);
	}
}

static const struct {
	const char *rule, *host;
	uint16_t port;
	bool allows, denies, allowed_once;
} matches[] = {
	{ "*", "example.com", 80, true, true, false },
	{ "*", "8.8.8.8", 80, true, true, false },
	{ "*", "localhost", 80, false, true, false },
	{ "*", "db.localhost", 80, false, true, false },
	{ ":443", "example.com", 443, true, true, false },
	{ ":443", "example.com", 444, false, false, false },
	{ "example.com", "example.com", 1, true, true, true },
	{ "example.com", "EXAMPLE.com.", 65535, true, true, true },
	{ "example.com", "api.example.com", 443, false, true, true },
	{ "example.com", "notexample.com", 443, false, false, false },
	{ "example.com:443", "api.example.com", 443, false, true, true },
	{ "example.com:443", "api.example.com", 80, false, false, false },
	{ "*.example.com", "example.com", 443, false, true, true },
	{ "*.example.com", "api.example.com", 443, true, true, true },
	{ "*.example.com", "b.a.example.com", 443, true, true, true },
	{ "*.example.com", "notexample.com", 443, false, false, false },
	{ "localhost:5432", "localhost", 5432, true, true, false },
	{ "localhost:5432", "LOCALHOST.", 5432, true, true, false },
	{ "localhost:5432", "db.localhost", 5432, false, true, false },
	{ "localhost:5432", "127.0.0.1", 5432, true, true, false },
	{ "localhost:5432", "2130706433", 5432, true, true, false },
	{ "localhost:5432", "::1", 5432, true, true, false },
	{ "localhost:5432", "::ffff:127.0.0.1", 5432, true, true, false },
	{ "localhost:5432", "127.0.0.2", 5432, false, true, false },
	{ "localhost:5432", "0.0.0.0", 5432, false, true, false },
	{ "localhost:5432", "::", 5432, false, true, false },
	{ "localhost:5432", "64:ff9b::7f00:1", 5432, false, true, false },
	{ "localhost:5432", "127.0.0.1", 5433, false, false, false },
	{ "localhost", "10.0.0.1", 80, false, false, false },
	{ "10.0.0.0/8", "10.1.2.3", 80, true, true, false },
	{ "10.0.0.0/8", "0xa010203", 80, true, true, false },
	{ "10.0.0.0/8", "::ffff:10.1.2.3", 80, true, true, false },
	{ "10.0.0.0/8", "11.1.2.3", 80, false, false, false },
	{ "10.0.0.0/8", "example.com", 80, false, false, false },
	/* What leads to an address is denied with it, and not allowed with it. */
	{ "10.0.0.0/8", "::10.1.2.3", 80, false, true, false },
	{ "10.0.0.0/8", "::ffff:0:10.1.2.3", 80, false, true, false },
	{ "10.0.0.0/8", "64:ff9b::10.1.2.3", 80, false, true, false },
	{ "10.0.0.0/8", "64:ff9b:1::10.1.2.3", 80, false, true, false },
	{ "10.0.0.0/8", "2002:a01:203::1", 80, false, true, false },
	{ "10.0.0.0/8", "2001:0:0a01:0203::", 80, false, true, false },
	{ "10.0.0.0/8", "2001::f5fe:fdfc", 80, false, true, false },
	{ "[64:ff9b::/96]", "64:ff9b::10.1.2.3", 80, true, true, false },
	{ "[::/0]", "10.1.2.3", 80, false, false, false },
	{ "[::/0]", "2001:db8::1", 80, true, true, false },
	{ "0.0.0.0/0", "10.1.2.3", 80, true, true, false },
	{ "0.0.0.0/0", "::1", 80, false, false, false },
};

static void test_matching(void **state)
{
	char why[DESTINATION_WHY_MAX];
	struct destination d;

	for (size_t i = 0; i < ARRAY_LEN(matches); i++) {
		struct net_rule rule = rule_of(matches[i].rule);

		assert_int_equal(destination_parse(matches[i].host, matches[i].port, &d, why), 0);
		if (net_rule_allows(&rule, &d) != matches[i].allows ||
			net_rule_denies(&rule, &d) != matches[i].denies ||
			net_rule_allowed_once(&rule, &d) != matches[i].allowed_once)
			fail_msg("'%s' and %s:%u: allows %d, denies %d, once %d", matches[i].rule,
				matches[i].host, matches[i].port, net_rule_allows(&rule, &d),
				net_rule_denies(&rule, &d), net_rule_allowed_once(&rule, &d));
	}
}

/* The manual page's table: each row is a rule, and no form is missing. */
static void test_forms(void **state)
{
	bool seen[NET_RULE_NETWORK + 1] = { false };

	for (size_t i = 0; i < net_rule_forms_len; i++) {
		seen[rule_of(net_rule_forms[i].example).kind] = true;
		assert_true(*net_rule_forms[i].allows && *net_rule_forms[i].denies);
	}
	for (size_t i = 0; i < ARRAY_LEN(seen); i++)
		assert_true(seen[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_matching),
		cmocka_unit_test(test_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
