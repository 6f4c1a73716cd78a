/* SPDX-License-Identifier: MIT */
/* What holds now, what is ours, and what is kept and told of it. */
#include "os/network.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/lang.h"
#include "net/addr.h"
#include "os/log_ring.h"
#include "os/network_settings.h"
#include "os/run_config.h"
#include "os/run_file.h"

#define PAGE_PORT 8420

struct fixture {
	struct network *network;
	struct log_ring *ring;
	struct network_follower follower;
	unsigned changes, told, closed;
	void (*judges)(struct fixture *f); /* at a change; may be NULL */
	bool judged[2];
	struct run_file *file;
	struct network_decision last;
};

static void on_changed(struct network_follower *f)
{
	struct fixture *fixture = container_of(f, struct fixture, follower);

	fixture->changes++;
	if (fixture->judges)
		fixture->judges(fixture);
}

static void on_decided(void *owner, const struct network_decision *decision)
{
	struct fixture *f = owner;

	f->told++;
	f->last = *decision;
}

static void on_closed(void *owner)
{
	((struct fixture *)owner)->closed++;
}

static void set_rules(struct fixture *f, const char *allow, const char *deny)
{
	const struct network_limits limits = {
		.max_connections = 7, .bind_ports = { 8081, 9000 }, .bind_port_count = 2
	};
	struct policy *p = policy_new();
	char why[NET_RULE_WHY_MAX];

	assert_non_null(p);
	if (allow)
		assert_int_equal(policy_add(p, POLICY_ALLOW, allow, "wasmrun.toml:3", why), 0);
	if (deny)
		assert_int_equal(policy_add(p, POLICY_DENY, deny, "--deny-net", why), 0);
	assert_int_equal(network_set(f->network, p, &limits), 0);
}

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ .follower.changed = on_changed };
	f.ring = log_ring_new();
	assert_non_null(f.ring);
	assert_int_equal(network_new(NULL, f.ring, &f.network), 0);
	network_listen(f.network, on_decided, &f);
	network_follow(f.network, &f.follower);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	list_remove(&f->follower.link);
	network_close(f->network, on_closed, f);
	assert_int_equal(f->closed, 1);
	log_ring_free(f->ring);
	return 0;
}

static struct destination at(const char *host, uint16_t port)
{
	char why[DESTINATION_WHY_MAX];
	struct destination d;

	if (destination_parse(host, port, &d, why) < 0)
		fail_msg("'%s': %s", host, why);
	return d;
}

/* `addr` NULL: `host` is not resolved, or an address. */
static bool allows(struct fixture *f, const char *host, uint16_t port, const char *addr)
{
	const struct destination d = at(host, port);
	struct network_verdict v;
	struct ipaddr resolved;

	if (addr)
		assert_int_equal(ipaddr_parse(addr, &resolved), 0);
	return network_allows(f->network, &d, addr ? &resolved : NULL, &v);
}

/* --- the policy that holds --- */

static void test_nothing_at_first(void **state)
{
	assert_false(allows(*state, "a.example", 443, NULL));
	assert_false(allows(*state, "8.8.8.8", 443, NULL));
}

static void test_set(void **state)
{
	struct fixture *f = *state;

	set_rules(f, "a.example:443", NULL);
	assert_int_equal(f->changes, 1);
	assert_true(allows(f, "a.example", 443, NULL));
	assert_true(allows(f, "a.example", 443, "8.8.8.8"));
	assert_false(allows(f, "a.example", 443, "10.0.0.1"));
	assert_false(allows(f, "b.example", 443, NULL));
	assert_true(network_may_bind(f->network, 8081));
	assert_true(network_may_bind(f->network, 9000));
	assert_false(network_may_bind(f->network, 8082));
	assert_int_equal(network_limits(f->network)->max_connections, 7);
	/* For the next judgement. */
	set_rules(f, "b.example", NULL);
	assert_int_equal(f->changes, 2);
	assert_false(allows(f, "a.example", 443, NULL));
	assert_true(allows(f, "b.example", 443, NULL));
	assert_int_equal(network_counts(f->network).changes, 2);
	/* Nobody has asked for a connection. */
	assert_int_equal(f->told, 0);
}

/* An address of this machine is refused by "*", and may be named. */
static void test_own_addresses(void **state)
{
	struct fixture *f = *state;
	char text[ADDR_TEXT_MAX], rule[ADDR_TEXT_MAX + 8];
	struct ifaddrs *list;
	unsigned seen = 0;

	assert_int_equal(getifaddrs(&list), 0);
	for (struct ifaddrs *pos = list; pos; pos = pos->ifa_next) {
		struct ipaddr ip;
		struct addr addr;
		struct destination d;
		struct network_verdict v;

		if (!pos->ifa_addr || addr_from_sockaddr(pos->ifa_addr, &addr) < 0)
			continue;
		ip = network_ipaddr(&addr);
		d = destination_of_addr(&ip, 5432);
		set_rules(f, "*", NULL);
		assert_false(network_allows(f->network, &d, NULL, &v));
		assert_string_not_equal(v.remedy, "");
		(void)snprintf(rule, sizeof(rule), "%s:5432", ipaddr_format(&ip, text));
		set_rules(f, rule, NULL);
		if (!network_allows(f->network, &d, NULL, &v))
			fail_msg("%s by %s: %s", text, rule, v.why);
		seen++;
	}
	freeifaddrs(list);
	assert_true(seen > 0); /* loopback at least */
}

/* --- what is ours --- */

static const struct {
	const char *host, *addr;
	uint16_t port;
	bool allowed;
} ours[] = {
	/* The page listens on 127.0.0.1, and "localhost" is allowed. */
	{ "127.0.0.1", NULL, PAGE_PORT, false },
	{ "127.0.0.1", NULL, PAGE_PORT + 1, true },
	{ "2130706433", NULL, PAGE_PORT, false },
	{ "0x7f.1", NULL, PAGE_PORT, false },
	{ "0x7f.1", NULL, PAGE_PORT + 1, true },
	{ "::ffff:127.0.0.1", NULL, PAGE_PORT, false },
	{ "::ffff:127.0.0.1", NULL, PAGE_PORT + 1, true },
	{ "::1", NULL, PAGE_PORT, false },
	{ "::1", NULL, PAGE_PORT + 1, true },
	{ "localhost", "127.0.0.1", PAGE_PORT, false },
	{ "localhost", "127.0.0.1", PAGE_PORT + 1, true },
	{ "localhost", "::1", PAGE_PORT, false },
	{ "localhost", NULL, PAGE_PORT, false },
	{ "localhost", NULL, PAGE_PORT + 1, true },
};

static void test_page(void **state)
{
	struct fixture *f = *state;

	network_protect(f->network, NETWORK_PAGE, "127.0.0.1", PAGE_PORT);
	set_rules(f, "localhost", NULL);
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (allows(f, ours[i].host, ours[i].port, ours[i].addr) != ours[i].allowed)
			fail_msg("%s:%u", ours[i].host, ours[i].port);
	/* Whatever the rules are called. */
	set_rules(f, "127.0.0.0/8", NULL);
	assert_false(allows(f, "127.0.0.1", PAGE_PORT, NULL));
	assert_false(allows(f, "127.1.2.3", PAGE_PORT, NULL));
	assert_true(allows(f, "127.1.2.3", PAGE_PORT + 1, NULL));
	set_rules(f, "0.0.0.0/32", NULL);
	assert_false(allows(f, "0.0.0.0", PAGE_PORT, NULL));
	assert_true(allows(f, "0.0.0.0", PAGE_PORT + 1, NULL));
	set_rules(f, "[64:ff9b::/96]", NULL);
	assert_false(allows(f, "64:ff9b::7f00:1", PAGE_PORT, NULL));
	/* The gate beside it, and gone again. */
	set_rules(f, "localhost", NULL);
	network_protect(f->network, NETWORK_GATE, "127.0.0.1", PAGE_PORT + 1);
	assert_false(allows(f, "127.0.0.1", PAGE_PORT, NULL));
	assert_false(allows(f, "127.0.0.1", PAGE_PORT + 1, NULL));
	network_protect(f->network, NETWORK_GATE, "127.0.0.1", 0);
	assert_true(allows(f, "127.0.0.1", PAGE_PORT + 1, NULL));
}

static void test_relay(void **state)
{
	struct fixture *f = *state;
	struct addr addrs[2];
	unsigned changes;

	assert_int_equal(addr_parse_ip("203.0.114.9", 7835, &addrs[0]), 0);
	assert_int_equal(addr_parse_ip("2001:4860::9", 7835, &addrs[1]), 0);
	set_rules(f, "*", NULL);
	assert_true(allows(f, "relay.example", 7835, NULL));
	network_protect(f->network, NETWORK_RELAY, "Relay.Example.", 7835);
	assert_false(allows(f, "relay.example", 7835, NULL));
	assert_true(allows(f, "relay.example", 443, NULL));
	assert_true(allows(f, "203.0.114.9", 7835, NULL));
	/* It has more than one address, and who is connected there is to hear of it. */
	changes = f->changes;
	network_protect_relay(f->network, addrs, 2);
	assert_int_equal(f->changes, changes + 1);
	assert_false(allows(f, "203.0.114.9", 7835, NULL));
	assert_false(allows(f, "2001:4860::9", 7835, NULL));
	assert_false(allows(f, "other.example", 7835, "203.0.114.9"));
	assert_true(allows(f, "203.0.114.10", 7835, NULL));
	assert_true(allows(f, "203.0.114.9", 7836, NULL));
	/* It is connected again, and has another one by now. */
	network_protect(f->network, NETWORK_RELAY, "relay.example", 7835);
	network_protect_relay(f->network, addrs, 1);
	assert_int_equal(f->changes, changes + 1);
	assert_int_equal(addr_parse_ip("203.0.114.10", 7835, &addrs[0]), 0);
	network_protect_relay(f->network, addrs, 1);
	assert_int_equal(f->changes, changes + 2);
	assert_false(allows(f, "203.0.114.10", 7835, NULL));
	assert_false(allows(f, "2001:4860::9", 7835, NULL));
	/* Another relay: the one before is none of ours. */
	network_protect(f->network, NETWORK_RELAY, "other.example", 7835);
	assert_int_equal(f->changes, changes + 3);
	assert_true(allows(f, "203.0.114.10", 7835, NULL));
	assert_true(allows(f, "relay.example", 7835, NULL));
}

/* There it is at each address of the machine, connected or not. */
static void test_relay_on_this_machine(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost", "relay.localhost" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		network_protect(f->network, NETWORK_RELAY, hosts[i], 7835);
		set_rules(f, "127.0.0.0/8", NULL);
		assert_false(allows(f, "127.0.0.1", 7835, NULL));
		assert_false(allows(f, "127.0.0.2", 7835, NULL));
		assert_true(allows(f, "127.0.0.2", 7836, NULL));
		set_rules(f, "localhost", NULL);
		assert_false(allows(f, "::1", 7835, NULL));
		assert_true(allows(f, "::1", 7836, NULL));
		network_protect(f->network, NETWORK_RELAY, "", 0);
	}
	assert_true(allows(f, "127.0.0.1", 7835, NULL));
}

/* The page of another run, whose file is in the user's folder. */
static void test_another_page(void **state)
{
	static const char *const urls[] = { "http://127.0.0.1:8421", "http://0.0.0.0:8421",
		"http://[::1]:8421" };
	char folder[] = "/tmp/wasmrun-test-XXXXXX", runs[64];
	struct run_entry entry = { .project = "/p", .token = "", .pid = getpid() };
	struct fixture *f = *state;
	struct run_file *file;

	assert_non_null(mkdtemp(folder));
	assert_int_equal(setenv("XDG_RUNTIME_DIR", folder, 1), 0);
	set_rules(f, "localhost", NULL);
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		assert_true(allows(f, "127.0.0.1", 8421, NULL));
		entry.url = urls[i];
		assert_int_equal(run_file_new(&entry, &file), 0);
		assert_false(allows(f, "127.0.0.1", 8421, NULL));
		assert_false(allows(f, "::1", 8421, NULL));
		assert_false(allows(f, "localhost", 8421, "127.0.0.1"));
		assert_false(allows(f, "localhost", 8421, NULL));
		assert_true(allows(f, "localhost", 8422, NULL));
		assert_true(allows(f, "127.0.0.1", 8422, NULL));
		file = run_file_free(file);
	}
	assert_true(allows(f, "localhost", 8421, "127.0.0.1"));
	/* That port of another machine is somebody else's. */
	assert_int_equal(run_file_new(&entry, &file), 0);
	set_rules(f, "8.8.8.8", NULL);
	assert_true(allows(f, "8.8.8.8", 8421, NULL));
	file = run_file_free(file);
	(void)snprintf(runs, sizeof(runs), "%s/wasmrun", folder);
	assert_int_equal(rmdir(runs), 0);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
}

/* Of two judgements at a change, with another run's start between them. */
static void judge_twice(struct fixture *f)
{
	const struct run_entry entry = {
		.project = "/p", .url = "http://127.0.0.1:8421", .token = "", .pid = getpid()
	};

	f->judged[0] = allows(f, "127.0.0.1", 8421, NULL);
	if (!f->file)
		assert_int_equal(run_file_new(&entry, &f->file), 0);
	f->judged[1] = allows(f, "127.0.0.1", 8421, NULL);
}

/* Each connection that was open had the folder of runs read, and all of their files. */
static void test_pages_read_once(void **state)
{
	char folder[] = "/tmp/wasmrun-test-XXXXXX", runs[64];
	struct fixture *f = *state;

	assert_non_null(mkdtemp(folder));
	assert_int_equal(setenv("XDG_RUNTIME_DIR", folder, 1), 0);
	f->judges = judge_twice;
	set_rules(f, "localhost", NULL);
	assert_true(f->judged[0] && f->judged[1]);
	assert_false(allows(f, "127.0.0.1", 8421, NULL));
	set_rules(f, "localhost", NULL);
	assert_false(f->judged[0] || f->judged[1]);
	f->file = run_file_free(f->file);
	assert_true(allows(f, "127.0.0.1", 8421, NULL));
	(void)snprintf(runs, sizeof(runs), "%s/wasmrun", folder);
	assert_int_equal(rmdir(runs), 0);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
}

/* --- decisions --- */

static void count_decision(void *owner, const struct network_decision *decision)
{
	(*(unsigned *)owner)++;
}

static unsigned count_decisions(struct fixture *f, uint64_t since)
{
	unsigned count = 0;

	network_decisions_each(network_decisions(f->network), since, count_decision, &count);
	return count;
}

static void test_decisions(void **state)
{
	const struct destination good = at("a.example", 443), bad = at("b.example", 443);
	struct fixture *f = *state;
	struct network_verdict v;
	struct ipaddr addr;

	set_rules(f, "a.example:443", NULL);
	assert_true(network_judge(f->network, &good, &v));
	assert_string_equal(v.rule, "a.example:443");
	assert_string_equal(v.where, "wasmrun.toml:3");
	assert_int_equal(f->told, 1);
	assert_int_equal(ipaddr_parse("8.8.8.8", &addr), 0);
	assert_true(network_judge_resolved(f->network, &good, &addr, &v));
	assert_int_equal(f->told, 1); /* the name's yes was told */
	assert_int_equal(ipaddr_parse("10.0.0.1", &addr), 0);
	assert_false(network_judge_resolved(f->network, &good, &addr, &v));
	assert_string_equal(v.remedy, "10.0.0.1:443");
	assert_int_equal(f->told, 2);
	assert_string_equal(f->last.asked, "a.example:443");
	assert_int_equal(f->last.seq, 2);
	assert_false(network_judge(f->network, &bad, &v));
	assert_string_equal(v.remedy, "b.example:443");
	assert_string_equal(v.why, "no rule allows it: allow 'b.example:443'");
	assert_int_equal(f->told, 3);
	/* A repeat is no other one, and isn't told within the same second. */
	assert_false(network_judge(f->network, &bad, &v));
	assert_int_equal(count_decisions(f, 0), 3);
	assert_int_equal(count_decisions(f, 3), 1);
	assert_int_equal(network_decisions(f->network)->last, 4);
	assert_int_equal(network_counts(f->network).allowed, 1);
	assert_int_equal(network_counts(f->network).refused, 3);
	network_note_refusal(f->network, "listen on", "port 9001", "it is no port of its own");
	assert_string_equal(f->last.verdict.why, "it is no port of its own");
	assert_int_equal(count_decisions(f, 4), 1);
}

static void keep_last(void *owner, const struct network_decision *decision)
{
	*(struct network_decision *)owner = *decision;
}

/* The oldest go, and a repeat of one that is kept makes it the newest. */
static void test_ring(void **state)
{
	struct fixture *f = *state;
	struct network_decision last;
	struct network_verdict v;
	char name[32];

	for (unsigned i = 0; i < 2 * NETWORK_DECISIONS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "n%u.example", i);
		assert_false(network_judge_name(f->network, name, &v));
	}
	assert_int_equal(count_decisions(f, 0), NETWORK_DECISIONS_MAX);
	assert_int_equal(count_decisions(f, NETWORK_DECISIONS_MAX), NETWORK_DECISIONS_MAX);
	assert_int_equal(count_decisions(f, 2 * NETWORK_DECISIONS_MAX - 3), 3);
	(void)snprintf(name, sizeof(name), "n%d.example", NETWORK_DECISIONS_MAX);
	assert_false(network_judge_name(f->network, name, &v));
	network_decisions_each(network_decisions(f->network), 0, keep_last, &last);
	assert_string_equal(last.asked, name);
	assert_int_equal(last.count, 2);
	assert_int_equal(last.seq, 2 * NETWORK_DECISIONS_MAX + 1);
	assert_int_equal(count_decisions(f, 0), NETWORK_DECISIONS_MAX);
	/* One that was pushed out is new. */
	assert_false(network_judge_name(f->network, "n0.example", &v));
	network_decisions_each(network_decisions(f->network), 0, keep_last, &last);
	assert_int_equal(last.count, 1);
}

/* A line for a new refusal, and no flood of them. */
static void test_log(void **state)
{
	struct fixture *f = *state;
	struct network_verdict v;
	struct log_line line;
	char name[32];

	assert_false(network_judge_name(f->network, "a.example", &v));
	assert_false(network_judge_name(f->network, "a.example", &v));
	assert_int_equal(log_ring_next(f->ring), 2);
	assert_true(log_ring_get(f->ring, 1, &line));
	assert_string_equal(line.text, "the application may not connect to 'a.example': no rule "
				       "allows it: allow 'a.example'");
	network_note_refusal(f->network, "listen on", "port 9001", "it is no port of its own");
	assert_true(log_ring_get(f->ring, 2, &line));
	assert_string_equal(line.text,
		"the application may not listen on 'port 9001': it is no port of its own");
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "n%u.example", i);
		assert_false(network_judge_name(f->network, name, &v));
	}
	assert_true(log_ring_next(f->ring) < 20);
}

/* --- settings --- */

static void test_settings(void **state)
{
	const char *allow[] = { "a.example:443" }, *deny[] = { "b.example" }, *ports[] = { "81" };
	const struct os_run_config config = { .network = { .allow = { allow, 1 },
						      .deny = { deny, 1 },
						      .bind_ports = { ports, 1 },
						      .max_connections = 5,
						      .max_bandwidth_mbps = 6,
						      .connection_timeout_secs = 7 } };
	struct network_limits limits;
	struct policy *p;

	assert_int_equal(network_settings_make(&config.network, config.file, &p, &limits), 0);
	assert_string_equal(policy_rule_at(p, POLICY_ALLOW, 0)->text, "a.example:443");
	assert_string_equal(policy_rule_at(p, POLICY_ALLOW, 0)->where, "--allow-net");
	assert_null(policy_rule_at(p, POLICY_ALLOW, 1));
	assert_string_equal(policy_rule_at(p, POLICY_DENY, 0)->where, "--deny-net");
	assert_int_equal(limits.max_connections, 5);
	assert_int_equal(limits.max_bandwidth_mbps, 6);
	assert_int_equal(limits.connection_timeout_secs, 7);
	assert_int_equal(limits.bind_port_count, 1);
	assert_int_equal(limits.bind_ports[0], 81);
	policy_free(p);
}

#define NETWORK_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NETWORK_TEST(test_nothing_at_first),
		NETWORK_TEST(test_set),
		NETWORK_TEST(test_own_addresses),
		NETWORK_TEST(test_page),
		NETWORK_TEST(test_relay),
		NETWORK_TEST(test_relay_on_this_machine),
		NETWORK_TEST(test_another_page),
		NETWORK_TEST(test_pages_read_once),
		NETWORK_TEST(test_decisions),
		NETWORK_TEST(test_ring),
		NETWORK_TEST(test_log),
		NETWORK_TEST(test_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
