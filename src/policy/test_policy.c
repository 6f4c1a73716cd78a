/* SPDX-License-Identifier: MIT */
/* Judgements, each refusal beside what is allowed, and what people are told of them. */
#include "policy/policy.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"

#define RULES_MAX 4

struct example {
	const char *allow[RULES_MAX], *deny[RULES_MAX];
	const char *host;
	uint16_t port;
	const char *addr; /* that the name has; NULL: judged before it is resolved */
	enum verdict_cause cause;
	const char *says;
};

static struct policy *policy_of(const char *const *allow, const char *const *deny)
{
	static const uint8_t own[4] = { 203, 0, 114, 5 };
	const struct ipaddr addrs[] = { ipaddr_from_v4(own),
		ipaddr_from_v4((const uint8_t[4]){ 192, 168, 1, 5 }),
		ipaddr_from_v4((const uint8_t[4]){ 127, 0, 0, 1 }) };
	struct policy *p = policy_new();
	char why[NET_RULE_WHY_MAX];

	assert_non_null(p);
	assert_int_equal(policy_set_own(p, addrs, ARRAY_LEN(addrs)), 0);
	for (size_t i = 0; i < RULES_MAX && allow[i]; i++)
		assert_int_equal(policy_add(p, POLICY_ALLOW, allow[i], "--allow-net", why), 0);
	for (size_t i = 0; i < RULES_MAX && deny[i]; i++)
		assert_int_equal(policy_add(p, POLICY_DENY, deny[i], "wasmrun.toml:7", why), 0);
	return p;
}

static void judge(const struct policy *p, const struct example *e, struct verdict *ret_verdict)
{
	char why[DESTINATION_WHY_MAX];
	struct destination d;
	struct ipaddr addr;

	if (destination_parse(e->host, e->port, &d, why) < 0)
		fail_msg("'%s': %s", e->host, why);
	if (!e->addr) {
		policy_judge(p, &d, ret_verdict);
		return;
	}
	assert_int_equal(ipaddr_parse(e->addr, &addr), 0);
	policy_judge_resolved(p, &d, &addr, ret_verdict);
}

static const struct example examples[] = {
	/* Nothing is allowed by default. */
	{ { NULL }, { NULL }, "example.com", 443, NULL, VERDICT_UNKNOWN,
		"no rule allows it: allow 'example.com:443'" },
	{ { NULL }, { NULL }, "8.8.8.8", 53, NULL, VERDICT_UNKNOWN,
		"no rule allows it: allow '8.8.8.8:53'" },
	{ { NULL }, { NULL }, "2606:4700::1111", 53, NULL, VERDICT_UNKNOWN,
		"no rule allows it: allow '[2606:4700::1111]:53'" },
	{ { "example.com:443" }, { NULL }, "Example.com.", 443, NULL, VERDICT_ALLOWED,
		"'example.com:443' (--allow-net) allows it" },
	{ { "example.com:443" }, { NULL }, "example.com", 80, NULL, VERDICT_UNKNOWN,
		"no rule allows it: allow 'example.com:80'" },
	{ { "example.com:443" }, { NULL }, "example.com", 443, "93.184.215.14", VERDICT_ALLOWED,
		"'example.com:443' (--allow-net) allows it" },
	/* The rule that the older wasmrun would have taken. */
	{ { "example.com:443" }, { NULL }, "api.example.com", 443, NULL, VERDICT_UNKNOWN,
		"no rule allows it: allow 'api.example.com:443'; 'example.com:443' (--allow-net) "
		"doesn't cover it: write '*.example.com:443' too" },
	{ { "*.example.com" }, { NULL }, "example.com", 443, NULL, VERDICT_UNKNOWN,
		"no rule allows it: allow 'example.com:443'; '*.example.com' (--allow-net) doesn't "
		"cover it: write 'example.com' too" },
	{ { "example.com:443" }, { NULL }, "api.example.com", 80, NULL, VERDICT_UNKNOWN,
		"no rule allows it: allow 'api.example.com:80'" },
	{ { "example.com" }, { "*" }, "example.com", 443, NULL, VERDICT_DENIED,
		"'*' (wasmrun.toml:7) denies it: leave it out, for what no rule allows is refused "
		"anyway" },
	{ { NULL }, { "*" }, "example.com", 443, NULL, VERDICT_DENIED,
		"'*' (wasmrun.toml:7) denies it" },
	/* Deny wins, and is wide. */
	{ { "*" }, { "example.com" }, "example.com", 443, NULL, VERDICT_DENIED,
		"'example.com' (wasmrun.toml:7) denies it" },
	{ { "*", "api.example.com" }, { "example.com" }, "api.example.com", 443, NULL,
		VERDICT_DENIED, "'example.com' (wasmrun.toml:7) denies it" },
	{ { "*" }, { "example.com:443" }, "api.example.com", 80, NULL, VERDICT_ALLOWED,
		"'*' (--allow-net) allows it" },
	{ { "*" }, { "example.com" }, "notexample.com", 443, NULL, VERDICT_ALLOWED,
		"'*' (--allow-net) allows it" },
	{ { "*" }, { ":25" }, "mail.example", 25, NULL, VERDICT_DENIED,
		"':25' (wasmrun.toml:7) denies it" },
	{ { "*", "10.0.0.0/8" }, { "10.1.0.0/16" }, "10.1.2.3", 80, NULL, VERDICT_DENIED,
		"'10.1.0.0/16' (wasmrun.toml:7) denies it" },
	{ { "*", "10.0.0.0/8" }, { "10.1.0.0/16" }, "10.2.2.3", 80, NULL, VERDICT_ALLOWED,
		"'10.0.0.0/8' (--allow-net) allows it" },
	{ { "*" }, { "8.8.8.0/24" }, "dns.example", 53, "8.8.8.8", VERDICT_DENIED,
		"'8.8.8.0/24' (wasmrun.toml:7) denies it" },
	{ { "*" }, { "8.8.8.0/24" }, "dns.example", 53, "8.8.4.4", VERDICT_ALLOWED,
		"'*' (--allow-net) allows it" },
	{ { "*" }, { "example.com" }, "example.com", 53, "8.8.4.4", VERDICT_DENIED,
		"'example.com' (wasmrun.toml:7) denies it" },
	{ { "[64:ff9b::/96]" }, { "8.8.8.8" }, "64:ff9b::808:808", 53, NULL, VERDICT_DENIED,
		"'8.8.8.8' (wasmrun.toml:7) denies it" },
	{ { "[64:ff9b::/96]" }, { "8.8.8.8" }, "64:ff9b::808:809", 53, NULL, VERDICT_ALLOWED,
		"'[64:ff9b::/96]' (--allow-net) allows it" },
	/* This machine's loopback: by name, by number, however it is spelled. */
	{ { "*" }, { NULL }, "localhost", 5432, NULL, VERDICT_UNKNOWN,
		"no rule allows it: allow 'localhost:5432'" },
	{ { "*" }, { NULL }, "127.0.0.1", 5432, NULL, VERDICT_RESERVED,
		"127.0.0.1 is loopback (RFC 1122, 3.2.1.3) and must be named: allow "
		"'localhost:5432'" },
	{ { "*" }, { NULL }, "0x7f.1", 5432, NULL, VERDICT_RESERVED,
		"127.0.0.1 is loopback (RFC 1122, 3.2.1.3) and must be named: allow "
		"'localhost:5432'" },
	{ { "*" }, { NULL }, "::ffff:127.0.0.1", 5432, NULL, VERDICT_RESERVED,
		"127.0.0.1 is loopback (RFC 1122, 3.2.1.3) and must be named: allow "
		"'localhost:5432'" },
	{ { "*" }, { NULL }, "0.0.0.0", 5432, NULL, VERDICT_RESERVED,
		"0.0.0.0 is this network (RFC 1122, 3.2.1.3) and must be named: allow "
		"'0.0.0.0:5432'" },
	{ { "localhost:5432" }, { NULL }, "localhost", 5432, "127.0.0.1", VERDICT_ALLOWED,
		"'localhost:5432' (--allow-net) allows it" },
	{ { "localhost:5432" }, { NULL }, "127.0.0.1", 5432, NULL, VERDICT_ALLOWED,
		"'localhost:5432' (--allow-net) allows it" },
	{ { "localhost:5432" }, { NULL }, "::1", 5432, NULL, VERDICT_ALLOWED,
		"'localhost:5432' (--allow-net) allows it" },
	{ { "localhost:5432" }, { "127.0.0.0/8" }, "localhost", 5432, "127.0.0.1", VERDICT_DENIED,
		"'127.0.0.0/8' (wasmrun.toml:7) denies it" },
	{ { "localhost:5432" }, { NULL }, "localhost", 5432, "10.0.0.1", VERDICT_RESERVED,
		"10.0.0.1 is private (RFC 1918) and must be named, too: allow '10.0.0.1:5432'" },
	/* A name whose address is not public. */
	{ { "db.example:5432" }, { NULL }, "db.example", 5432, "10.0.0.5", VERDICT_RESERVED,
		"10.0.0.5 is private (RFC 1918) and must be named, too: allow '10.0.0.5:5432'" },
	{ { "db.example:5432", "10.0.0.0/24:5432" }, { NULL }, "db.example", 5432, "10.0.0.5",
		VERDICT_ALLOWED, "'db.example:5432' (--allow-net) allows it" },
	{ { "db.example:5432", "10.0.0.0/24:80" }, { NULL }, "db.example", 5432, "10.0.0.5",
		VERDICT_RESERVED,
		"10.0.0.5 is private (RFC 1918) and must be named, too: allow '10.0.0.5:5432'" },
	{ { "*" }, { NULL }, "rebound.example", 80, "169.254.169.254", VERDICT_RESERVED,
		"169.254.169.254 is link-local (RFC 3927) and must be named, too: allow "
		"'169.254.169.254:80'" },
	{ { "*" }, { NULL }, "rebound.example", 80, "fd00:ec2::254", VERDICT_RESERVED,
		"[fd00:ec2::254] is private (RFC 4193) and must be named, too: allow "
		"'[fd00:ec2::254]:80'" },
	/* A network that is wider than the one that isn't public was not meant to open it. */
	{ { "0.0.0.0/0" }, { NULL }, "10.0.0.1", 80, NULL, VERDICT_RESERVED,
		"10.0.0.1 is private (RFC 1918) and must be named: allow '10.0.0.1:80'" },
	{ { "0.0.0.0/0" }, { NULL }, "8.8.8.8", 80, NULL, VERDICT_ALLOWED,
		"'0.0.0.0/0' (--allow-net) allows it" },
	{ { "10.0.0.0/7" }, { NULL }, "10.0.0.1", 80, NULL, VERDICT_RESERVED,
		"10.0.0.1 is private (RFC 1918) and must be named: allow '10.0.0.1:80'" },
	{ { "10.0.0.0/8" }, { NULL }, "10.0.0.1", 80, NULL, VERDICT_ALLOWED,
		"'10.0.0.0/8' (--allow-net) allows it" },
	{ { "[::/0]" }, { NULL }, "::1", 80, NULL, VERDICT_RESERVED,
		"[::1] is loopback (RFC 4291, 2.5.3) and must be named: allow 'localhost:80'" },
	/* What leads to an IPv4 address has to pass for that one, too. */
	{ { "*" }, { NULL }, "64:ff9b::808:808", 443, NULL, VERDICT_RESERVED,
		"[64:ff9b::808:808] is NAT64 (RFC 6052, 2.1) and must be named: allow "
		"'[64:ff9b::/96]:443'" },
	{ { "*", "[64:ff9b::/96]" }, { NULL }, "v4only.example", 443, "64:ff9b::808:808",
		VERDICT_ALLOWED, "'*' (--allow-net) allows it" },
	{ { "*", "[64:ff9b::/96]" }, { NULL }, "v4only.example", 443, "64:ff9b::a00:1",
		VERDICT_RESERVED,
		"10.0.0.1 is private (RFC 1918) and must be named, too: allow '10.0.0.1:443'" },
	{ { "[2002::/16]" }, { NULL }, "2002:7f00:1::", 443, NULL, VERDICT_RESERVED,
		"127.0.0.1 is loopback (RFC 1122, 3.2.1.3) and must be named: allow "
		"'localhost:443'" },
	/* This machine's own addresses: only by themselves. */
	{ { "*", "203.0.114.0/24" }, { NULL }, "203.0.114.5", 22, NULL, VERDICT_OWN,
		"203.0.114.5 is an address of this machine and must be named: allow "
		"'203.0.114.5:22'" },
	{ { "*" }, { NULL }, "me.example", 22, "203.0.114.5", VERDICT_OWN,
		"203.0.114.5 is an address of this machine and must be named, too: allow "
		"'203.0.114.5:22'" },
	{ { "192.168.1.0/24" }, { NULL }, "192.168.1.5", 22, NULL, VERDICT_OWN,
		"192.168.1.5 is an address of this machine and must be named: allow "
		"'192.168.1.5:22'" },
	{ { "192.168.1.0/24" }, { NULL }, "192.168.1.6", 22, NULL, VERDICT_ALLOWED,
		"'192.168.1.0/24' (--allow-net) allows it" },
	{ { "192.168.1.5" }, { NULL }, "192.168.1.5", 22, NULL, VERDICT_ALLOWED,
		"'192.168.1.5' (--allow-net) allows it" },
	{ { "127.0.0.0/8:22" }, { NULL }, "127.0.0.1", 22, NULL, VERDICT_ALLOWED,
		"'127.0.0.0/8:22' (--allow-net) allows it" },
};

static void test_examples(void **state)
{
	char text[VERDICT_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
		const struct example *e = &examples[i];
		struct policy *p = policy_of(e->allow, e->deny);
		struct verdict v;

		judge(p, e, &v);
		verdict_explain(&v, text);
		if (v.cause != e->cause || strcmp(text, e->says) != 0)
			fail_msg("%zu, %s:%u: %s\n  instead of: %s", i, e->host, e->port, text,
				e->says);
		policy_free(p);
	}
}

/* An address that has just gone from the machine must not be refused for ever, nor the next one be
 * open. */
static void test_own_changes(void **state)
{
	static const char *const allow[RULES_MAX] = { "*" }, *const deny[RULES_MAX] = { NULL };
	struct example e = { .host = "203.0.114.5", .port = 80 };
	struct policy *p = policy_of(allow, deny);
	struct ipaddr *many = test_calloc(POLICY_ADDRS_MAX + 1, sizeof(*many));
	struct verdict v;

	judge(p, &e, &v);
	assert_int_equal(v.cause, VERDICT_OWN);
	assert_int_equal(policy_set_own(p, many, POLICY_ADDRS_MAX + 1), -E2BIG);
	judge(p, &e, &v);
	assert_int_equal(v.cause, VERDICT_OWN);
	assert_int_equal(policy_set_own(p, NULL, 0), 0);
	judge(p, &e, &v);
	assert_int_equal(v.cause, VERDICT_ALLOWED);
	test_free(many);
	policy_free(p);
}

static void test_limits(void **state)
{
	struct policy *p = policy_new();
	char why[NET_RULE_WHY_MAX], where[2 * POLICY_WHERE_MAX], text[VERDICT_TEXT_MAX];
	struct destination d;
	struct verdict v;

	assert_int_equal(policy_add(p, POLICY_ALLOW, "https://a.example", "", why), -EINVAL);
	assert_string_equal(why, "'https://' is no part of a rule, which is no URL: write "
				 "'a.example:443'");
	memset(where, '\'', sizeof(where) - 1);
	where[sizeof(where) - 1] = '\0';
	for (size_t i = 0; i < POLICY_RULES_MAX; i++)
		assert_int_equal(policy_add(p, POLICY_ALLOW, "a.example", where, why), 0);
	assert_int_equal(policy_add(p, POLICY_ALLOW, "b.example", "", why), -E2BIG);
	assert_string_equal(why, "there are more than 256 rules: one for a network or for '*.' can "
				 "stand for many");
	/* The other list has its own limit. */
	assert_int_equal(policy_add(p, POLICY_DENY, "b.example", where, why), 0);
	assert_int_equal(destination_parse("b.example", 1, &d, why), 0);
	policy_judge(p, &d, &v);
	assert_int_equal(v.cause, VERDICT_DENIED);
	assert_true(strlen(verdict_explain(&v, text)) < VERDICT_TEXT_MAX - 1);
	policy_free(p);
}

/* Before its port is known, a name is as good as its best port. */
static const struct {
	const char *allow[RULES_MAX], *deny[RULES_MAX];
	const char *name;
	enum verdict_cause cause;
	const char *says;
} names[] = {
	{ { "a.example:443" }, { NULL }, "a.example", VERDICT_ALLOWED, "'a.example:443'" },
	{ { "a.example:443" }, { NULL }, "b.example", VERDICT_UNKNOWN,
		"no rule allows it: allow 'b.example'" },
	{ { ":443" }, { NULL }, "b.example", VERDICT_ALLOWED, "':443'" },
	{ { ":443" }, { NULL }, "localhost", VERDICT_UNKNOWN, "allow 'localhost'" },
	{ { "10.0.0.0/8" }, { NULL }, "a.example", VERDICT_UNKNOWN, "allow 'a.example'" },
	{ { "*.example" }, { "a.example" }, "a.example", VERDICT_DENIED, "'a.example'" },
	{ { "*.example" }, { "a.example" }, "b.example", VERDICT_ALLOWED, "'*.example'" },
	/* What is denied leaves ports, before, behind and between. */
	{ { "a.example" }, { "a.example:1" }, "a.example", VERDICT_ALLOWED, "" },
	{ { "a.example" }, { "a.example:1-65534" }, "a.example", VERDICT_ALLOWED, "" },
	{ { "a.example" }, { "a.example:2-65535" }, "a.example", VERDICT_ALLOWED, "" },
	{ { "a.example" }, { ":1-9", "*:10", ":12-65535" }, "a.example", VERDICT_ALLOWED, "" },
	{ { "a.example:5-7" }, { ":1-5", ":7" }, "a.example", VERDICT_ALLOWED, "" },
	{ { "a.example:5-7" }, { ":1-5", ":7", ":6" }, "a.example", VERDICT_DENIED, "denies it" },
	{ { "a.example" }, { ":1-9", "*:10-65535" }, "a.example", VERDICT_DENIED, "denies it" },
	/* Nobody allows it, and one denies all of it. */
	{ { NULL }, { "a.example" }, "a.example", VERDICT_DENIED, "'a.example'" },
	{ { NULL }, { "a.example:443" }, "a.example", VERDICT_UNKNOWN, "allow 'a.example'" },
};

static void test_names(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct policy *p = policy_of(names[i].allow, names[i].deny);
		char text[VERDICT_TEXT_MAX];
		struct verdict v;

		policy_judge_name(p, names[i].name, &v);
		verdict_explain(&v, text);
		if (v.cause != names[i].cause || !strstr(text, names[i].says))
			fail_msg("%zu: '%s'", i, text);
		policy_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_own_changes),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
