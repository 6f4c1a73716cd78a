/* SPDX-License-Identifier: MIT */
/*
 * Random policies against a judge that is slow and obvious: it knows addresses as texts of "0" and
 * "1", networks as the beginnings of such texts, and reads the design's sentences one by one.
 */
#include "policy/policy.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"

#define ROUNDS 40000
#define RULES_MAX 24
#define BITS_SIZE 129

/* What a rule was made of; its text is made of the same. */
struct ref_rule {
	char kind; /* '*', 'l'ocalhost, 'n'ame, 'd'omain, 'a'ddress or network */
	char name[64];
	char bits[BITS_SIZE]; /* the prefix: at most 32 of IPv4, 128 of IPv6 */
	bool v4;
	unsigned first, last;
	char text[128];
};

struct ref_policy {
	struct ref_rule allow[RULES_MAX], deny[RULES_MAX];
	size_t n_allow, n_deny;
};

static uint64_t seed = 20261127;

/* xorshift64* (Vigna, 2016). */
static unsigned pick(unsigned n)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (unsigned)((seed * UINT64_C(2685821657736338717)) >> 33) % n;
}

/* The IANA's list once more, in another form. */
static const char *const ref_reserved[] = { "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10",
	"127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "::/128", "::1/128", "::/96",
	"::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001::/23",
	"2001:db8::/32", "2002::/16", "3fff::/20", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
	"::/3", "4000::/2", "8000::/1" };

static const char *const names[] = { "a.test", "b.a.test", "c.b.a.test", "xa.test", "localhost",
	"db.localhost" };

static const char *const v4s[] = { "10.0.0.1", "10.1.2.3", "127.0.0.1", "127.0.0.2", "0.0.0.0",
	"8.8.8.8", "8.8.4.4", "9.9.9.9", "192.168.1.5", "192.168.1.6", "169.254.169.254",
	"255.255.255.255" };

static const char *const v6s[] = { "::", "::1", "2606:4700::1", "2606:4700::2", "fd00::1",
	"fe80::1", "2001:db8::1" };

static const unsigned ports[] = { 1, 80, 81, 443, 65535 };

/* This machine's. */
static const char *const own[] = { "127.0.0.1", "192.168.1.5", "9.9.9.9", "2606:4700::2" };

static bool bits_of(const char *text, char bits[BITS_SIZE])
{
	uint8_t bytes[16];
	bool v4 = inet_pton(AF_INET, text, bytes) == 1;
	unsigned n = v4 ? 32 : 128;

	if (!v4)
		assert_int_equal(inet_pton(AF_INET6, text, bytes), 1);
	for (unsigned i = 0; i < n; i++)
		bits[i] = bytes[i / 8] & 0x80 >> i % 8 ? '1' : '0';
	bits[n] = '\0';
	return v4;
}

/* A mapped address is the IPv4 address. */
static bool normal_bits_of(const char *text, char bits[BITS_SIZE])
{
	bool v4 = bits_of(text, bits);

	if (v4 || strncmp(bits + 80, "1111111111111111", 16) != 0 || strspn(bits, "0") != 80)
		return v4;
	memmove(bits, bits + 96, 33);
	return true;
}

static void text_of_bits(const char *bits, char text[INET6_ADDRSTRLEN])
{
	uint8_t bytes[16] = { 0 };

	for (size_t i = 0; bits[i]; i++)
		bytes[i / 8] |= (uint8_t)((bits[i] - '0') << (7 - i % 8));
	assert_non_null(
		inet_ntop(strlen(bits) == 32 ? AF_INET : AF_INET6, bytes, text, INET6_ADDRSTRLEN));
}

static bool starts(const char *bits, const char *prefix)
{
	return strncmp(bits, prefix, strlen(prefix)) == 0;
}

static bool in_network(const char *bits, bool v4, const char *cidr)
{
	char text[64], prefix[BITS_SIZE];

	(void)snprintf(text, sizeof(text), "%s", cidr);
	*strchr(text, '/') = '\0';
	if (bits_of(text, prefix) != v4)
		return false;
	prefix[atoi(strchr(cidr, '/') + 1)] = '\0';
	return starts(bits, prefix);
}

/* Puts four bytes of the address together. */
static void take_bytes(const char *bits, const unsigned at[4], bool inverted, char out[BITS_SIZE])
{
	for (unsigned i = 0; i < 32; i++) {
		char bit = bits[8 * at[i / 8] + i % 8];

		out[i] = inverted ? (char)('0' + '1' - bit) : bit;
	}
	out[32] = '\0';
}

static bool zeros(const char *bits, unsigned from)
{
	return strspn(bits + 8 * from, "0") == strlen(bits + 8 * from);
}

/* The IPv4 addresses that an IPv6 address may lead to. */
static size_t ref_embedded(const char *bits, char out[4][BITS_SIZE])
{
	static const unsigned end[4] = { 12, 13, 14, 15 }, nat48[4] = { 6, 7, 9, 10 },
			      nat56[4] = { 7, 9, 10, 11 }, nat64[4] = { 9, 10, 11, 12 },
			      server[4] = { 4, 5, 6, 7 }, sixto4[4] = { 2, 3, 4, 5 };
	bool byte8 = strncmp(bits + 64, "00000000", 8) == 0;
	size_t n = 0;

	if ((in_network(bits, false, "::/96") && strncmp(bits + 96, "00000000", 8) != 0) ||
		in_network(bits, false, "::ffff:0:0:0/96") ||
		in_network(bits, false, "64:ff9b::/96") ||
		in_network(bits, false, "64:ff9b:1::/48"))
		take_bytes(bits, end, false, out[n++]);
	if (in_network(bits, false, "64:ff9b:1::/48") && byte8) {
		if (zeros(bits, 11))
			take_bytes(bits, nat48, false, out[n++]);
		if (zeros(bits, 12))
			take_bytes(bits, nat56, false, out[n++]);
		if (zeros(bits, 13))
			take_bytes(bits, nat64, false, out[n++]);
	}
	if (in_network(bits, false, "2001::/32")) {
		take_bytes(bits, server, false, out[n++]);
		take_bytes(bits, end, true, out[n++]);
	}
	if (in_network(bits, false, "2002::/16"))
		take_bytes(bits, sixto4, false, out[n++]);
	return n;
}

static bool has_port(const struct ref_rule *r, unsigned port)
{
	return r->first <= port && port <= r->last;
}

static bool ends_in(const char *name, const char *domain)
{
	char dotted[70];

	(void)snprintf(dotted, sizeof(dotted), ".%s", domain);
	return strlen(name) > strlen(dotted) &&
	       strcmp(name + strlen(name) - strlen(dotted), dotted) == 0;
}

static bool is_text(const char *bits, const char *text)
{
	char other[BITS_SIZE];

	bits_of(text, other);
	return strcmp(bits, other) == 0;
}

static bool ref_denies_bits(const struct ref_rule *r, const char *bits, bool v4)
{
	if (r->kind == 'l')
		return in_network(bits, v4, "127.0.0.0/8") || is_text(bits, "::1") ||
		       is_text(bits, "::") || is_text(bits, "0.0.0.0");
	return r->kind == 'a' && r->v4 == v4 && starts(bits, r->bits);
}

static bool ref_denies_name(const struct ref_rule *r, const char *name)
{
	return r->kind == '*' || ((r->kind == 'l' || r->kind == 'n' || r->kind == 'd') &&
					 (strcmp(name, r->name) == 0 || ends_in(name, r->name)));
}

static bool ref_allows_name(const struct ref_rule *r, const char *name)
{
	bool local = strcmp(name, "localhost") == 0 || ends_in(name, "localhost");

	return (r->kind == '*' && !local) ||
	       ((r->kind == 'l' || r->kind == 'n') && strcmp(name, r->name) == 0) ||
	       (r->kind == 'd' && ends_in(name, r->name));
}

/* A rule for the address, and for nothing wider than `least` bits. */
static bool ref_is_named(
	const struct ref_policy *p, const char *bits, bool v4, unsigned port, size_t least)
{
	for (size_t i = 0; i < p->n_allow; i++) {
		const struct ref_rule *r = &p->allow[i];

		if (!has_port(r, port))
			continue;
		if (r->kind == 'l' && (is_text(bits, "127.0.0.1") || is_text(bits, "::1")))
			return true;
		if (r->kind == 'a' && r->v4 == v4 && starts(bits, r->bits) &&
			strlen(r->bits) >= least)
			return true;
	}
	return false;
}

static bool ref_may_be_reached(const struct ref_policy *p, const char *bits, bool v4, unsigned port)
{
	size_t least = 0;
	bool loopback = in_network(bits, v4, "127.0.0.0/8") || is_text(bits, "::1");

	for (size_t i = 0; i < ARRAY_LEN(ref_reserved); i++) {
		size_t len = (size_t)atoi(strchr(ref_reserved[i], '/') + 1);

		/* The narrowest of those that have it counts; 0 is none. */
		if (in_network(bits, v4, ref_reserved[i]) && len > least)
			least = len;
	}
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (is_text(bits, own[i]) && !loopback)
			least = v4 ? 32 : 128;
	return least == 0 || ref_is_named(p, bits, v4, port, least);
}

/* All but: which rule allows it? */
static bool ref_addr_passes(const struct ref_policy *p, const char *bits, bool v4, unsigned port)
{
	char forms[5][BITS_SIZE];
	size_t n = 1;

	(void)snprintf(forms[0], BITS_SIZE, "%s", bits);
	if (!v4)
		n += ref_embedded(bits, forms + 1);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < p->n_deny; j++)
			if (has_port(&p->deny[j], port) &&
				(p->deny[j].kind == '*' ||
					ref_denies_bits(&p->deny[j], forms[i], v4 || i > 0)))
				return false;
	for (size_t i = 0; i < n; i++)
		if (!(i > 0 && starts(forms[i], "00000000")) &&
			!ref_may_be_reached(p, forms[i], v4 || i > 0, port))
			return false;
	return true;
}

static bool ref_allows_addr(const struct ref_policy *p, const char *bits, bool v4, unsigned port)
{
	bool any = ref_is_named(p, bits, v4, port, 0);

	for (size_t i = 0; i < p->n_allow; i++)
		any |= p->allow[i].kind == '*' && has_port(&p->allow[i], port);
	return any && ref_addr_passes(p, bits, v4, port);
}

static bool ref_allows_by_name(const struct ref_policy *p, const char *name, unsigned port)
{
	bool any = false;

	for (size_t i = 0; i < p->n_deny; i++)
		if (has_port(&p->deny[i], port) && ref_denies_name(&p->deny[i], name))
			return false;
	for (size_t i = 0; i < p->n_allow; i++)
		any |= has_port(&p->allow[i], port) && ref_allows_name(&p->allow[i], name);
	return any;
}

/* An address of the lists, or one that leads to one of IPv4. */
static void make_addr(char text[INET6_ADDRSTRLEN])
{
	static const char *const prefixes[] = { "", "", "",
		"::", "::ffff:", "::ffff:0:", "64:ff9b::", "64:ff9b:1::", "64:ff9b:1:102:3:4:" };
	const char *v4 = v4s[pick(ARRAY_LEN(v4s))];
	unsigned high, low;
	uint8_t b[4];

	assert_int_equal(inet_pton(AF_INET, v4, b), 1);
	high = (unsigned)(b[0] << 8 | b[1]);
	low = (unsigned)(b[2] << 8 | b[3]);
	switch (pick(8)) {
	case 0:
		(void)snprintf(text, INET6_ADDRSTRLEN, "%s", v6s[pick(ARRAY_LEN(v6s))]);
		break;
	case 1:
		(void)snprintf(text, INET6_ADDRSTRLEN, "2002:%x:%x::1", high, low);
		break;
	case 2:
		(void)snprintf(text, INET6_ADDRSTRLEN, "2001:0:808:808:0:1:%x:%x", high ^ 0xffff,
			low ^ 0xffff);
		break;
	case 3:
		(void)snprintf(text, INET6_ADDRSTRLEN, "64:ff9b:1:%x:%x:%x::", high, b[2],
			(unsigned)b[3] << 8);
		break;
	default:
		(void)snprintf(
			text, INET6_ADDRSTRLEN, "%s%s", prefixes[pick(ARRAY_LEN(prefixes))], v4);
	}
}

static void make_network(struct ref_rule *r, char host[80])
{
	char text[INET6_ADDRSTRLEN], base[BITS_SIZE];
	size_t max, len;

	make_addr(text);
	r->v4 = normal_bits_of(text, r->bits);
	max = strlen(r->bits);
	len = pick(2) ? max : max - pick(pick(2) ? (unsigned)max + 1 : 25);
	(void)snprintf(base, sizeof(base), "%s", r->bits);
	memset(base + len, '0', max - len);
	text_of_bits(base, text);
	r->bits[len] = '\0';
	(void)snprintf(host, 80, r->v4 ? "%s/%zu" : "[%s/%zu]", text, len);
}

static void make_rule(struct ref_rule *r)
{
	const char *name = names[pick(ARRAY_LEN(names))];
	char host[80] = "*";

	*r = (struct ref_rule){ .kind = "*lndaaaa"[pick(8)], .first = 1, .last = 65535 };
	if (r->kind == 'l' || (r->kind == 'n' && strcmp(name, "localhost") == 0)) {
		r->kind = 'l';
		name = "localhost";
	}
	if (r->kind == 'a') {
		make_network(r, host);
	} else if (r->kind != '*') {
		(void)snprintf(r->name, sizeof(r->name), "%s", name);
		(void)snprintf(host, sizeof(host), r->kind == 'd' ? "*.%s" : "%s", name);
	}
	(void)snprintf(r->text, sizeof(r->text), "%s", host);
	if (pick(3))
		return;
	r->first = ports[pick(ARRAY_LEN(ports))];
	r->last = ports[pick(ARRAY_LEN(ports))];
	if (r->first > r->last)
		r->last = r->first;
	(void)snprintf(r->text, sizeof(r->text), "%s:%u-%u", host, r->first, r->last);
}

static void add(struct policy *p, enum policy_list list, const char *text)
{
	char why[NET_RULE_WHY_MAX];

	if (policy_add(p, list, text, "test", why) < 0)
		fail_msg("'%s': %s", text, why);
}

static struct policy *make_policy(struct ref_policy *ref)
{
	struct policy *p = policy_new();
	struct ipaddr addrs[ARRAY_LEN(own)];

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		assert_int_equal(ipaddr_parse(own[i], &addrs[i]), 0);
	assert_int_equal(policy_set_own(p, addrs, ARRAY_LEN(own)), 0);
	*ref = (struct ref_policy){ .n_allow = pick(RULES_MAX), .n_deny = pick(3) * pick(2) };
	for (size_t i = 0; i < ref->n_allow; i++) {
		make_rule(&ref->allow[i]);
		add(p, POLICY_ALLOW, ref->allow[i].text);
	}
	for (size_t i = 0; i < ref->n_deny; i++) {
		make_rule(&ref->deny[i]);
		add(p, POLICY_DENY, ref->deny[i].text);
	}
	return p;
}

/* What is asked: a name, a name with one of its addresses, or an address. */
struct question {
	const char *name; /* NULL: an address */
	char addr[INET6_ADDRSTRLEN];
	bool resolved;
	unsigned port;
};

static void ask(const struct policy *p, const struct question *q, struct verdict *ret_verdict)
{
	char why[DESTINATION_WHY_MAX];
	struct destination d;
	struct ipaddr addr;

	assert_int_equal(
		destination_parse(q->name ? q->name : q->addr, (uint16_t)q->port, &d, why), 0);
	assert_int_equal(ipaddr_parse(q->addr, &addr), 0);
	if (q->resolved)
		policy_judge_resolved(p, &d, &addr, ret_verdict);
	else
		policy_judge(p, &d, ret_verdict);
}

static bool ref_ask(const struct ref_policy *p, const struct question *q)
{
	char bits[BITS_SIZE];
	bool v4 = normal_bits_of(q->addr, bits);

	if (!q->name)
		return ref_allows_addr(p, bits, v4, q->port);
	return ref_allows_by_name(p, q->name, q->port) &&
	       (!q->resolved || ref_addr_passes(p, bits, v4, q->port));
}

static void tell(const struct ref_policy *ref, const struct question *q, const struct verdict *v)
{
	char text[VERDICT_TEXT_MAX];

	for (size_t i = 0; i < ref->n_allow; i++)
		print_error("allow %s\n", ref->allow[i].text);
	for (size_t i = 0; i < ref->n_deny; i++)
		print_error("deny %s\n", ref->deny[i].text);
	fail_msg("%s %s port %u: %s", q->name ? q->name : "", q->addr, q->port,
		verdict_explain(v, text));
}

static struct question make_question(void)
{
	struct question q = { .port = ports[pick(ARRAY_LEN(ports))] };

	make_addr(q.addr);
	if (pick(2)) {
		q.name = names[pick(ARRAY_LEN(names))];
		q.resolved = pick(2);
	}
	return q;
}

static void test_judgement(void **state)
{
	unsigned allowed = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct ref_policy ref;
		struct policy *p = make_policy(&ref);
		struct question q = make_question();
		struct verdict v;

		ask(p, &q, &v);
		if (verdict_is_allowed(&v) != ref_ask(&ref, &q))
			tell(&ref, &q, &v);
		allowed += verdict_is_allowed(&v);
		policy_free(p);
	}
	/* Neither answer is rare, or little would have been compared. */
	assert_in_range(allowed, ROUNDS / 5, ROUNDS * 4 / 5);
}

/* Whoever adds to `allow` what a refusal says, and then what the next one says, comes through. */
static void test_remedies(void **state)
{
	for (unsigned i = 0; i < ROUNDS / 4; i++) {
		struct ref_policy ref;
		struct policy *p = make_policy(&ref);
		struct question q = make_question();
		struct verdict v;
		unsigned steps = 0;

		for (ask(p, &q, &v); v.remedy[0]; ask(p, &q, &v)) {
			if (++steps > 2 + IPADDR_EMBEDDED_MAX)
				tell(&ref, &q, &v);
			add(p, POLICY_ALLOW, v.remedy);
		}
		if (v.cause != VERDICT_ALLOWED && v.cause != VERDICT_DENIED)
			tell(&ref, &q, &v);
		policy_free(p);
	}
}

/* One more rule that allows refuses nothing, one more that denies allows nothing. */
static void test_monotony(void **state)
{
	for (unsigned i = 0; i < ROUNDS / 4; i++) {
		enum policy_list list = pick(2) ? POLICY_ALLOW : POLICY_DENY;
		struct ref_policy ref;
		struct policy *p = make_policy(&ref);
		struct question q = make_question();
		struct verdict before, after;
		struct ref_rule more;

		make_rule(&more);
		ask(p, &q, &before);
		add(p, list, more.text);
		ask(p, &q, &after);
		if (verdict_is_allowed(list == POLICY_ALLOW ? &before : &after) &&
			!verdict_is_allowed(list == POLICY_ALLOW ? &after : &before))
			tell(&ref, &q, &after);
		policy_free(p);
	}
}

/* A number as one of the spellings that inet_aton(3) knows. */
static size_t spell(char *out, size_t size, uint32_t number)
{
	switch (pick(6)) {
	case 0:
		return (size_t)snprintf(out, size, "%u", number);
	case 1:
		return (size_t)snprintf(out, size, "0%o", number);
	case 2:
		return (size_t)snprintf(out, size, "0x%x", number);
	case 3:
		return (size_t)snprintf(out, size, "0X%X", number);
	case 4:
		return (size_t)snprintf(out, size, "000%o", number);
	default:
		return (size_t)snprintf(out, size, "0x000%x", number);
	}
}

static void test_spellings(void **state)
{
	static const uint32_t last[] = { 0xffffffff, 0xffffff, 0xffff, 0xff };

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint32_t number = (uint32_t)pick(1u << 16) << 16 | pick(1u << 16);
		unsigned parts = 1 + pick(ARRAY_LEN(last));
		uint8_t bytes[4] = { (uint8_t)(number >> 24), (uint8_t)(number >> 16),
			(uint8_t)(number >> 8), (uint8_t)number };
		struct ipaddr wanted = ipaddr_from_v4(bytes);
		char text[80] = "", why[DESTINATION_WHY_MAX];
		struct destination d;
		size_t len = 0;

		for (unsigned j = 0; j + 1 < parts; j++) {
			len += spell(text + len, sizeof(text) - len, bytes[j]);
			text[len++] = '.';
		}
		len += spell(text + len, sizeof(text) - len, number & last[parts - 1]);
		if (pick(2))
			text[len++] = '.';
		text[len] = '\0';
		if (destination_parse(text, 80, &d, why) < 0 || d.name[0] ||
			!ipaddr_equal(&d.addr, &wanted))
			fail_msg("'%s' is not seen to be an address", text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judgement),
		cmocka_unit_test(test_remedies),
		cmocka_unit_test(test_monotony),
		cmocka_unit_test(test_spellings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
