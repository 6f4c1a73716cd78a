/* SPDX-License-Identifier: MIT */
/*
 * The broker, asked by a guest that speaks the wire by hand. Names are resolved by a table here, so
 * that no test depends on a resolver.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/lang.h"
#include "net/addr.h"
#include "net/bucket.h"
#include "os/app_ports.h"
#include "os/log_ring.h"
#include "os/broker_fixture.h"
#include "os/name_book.h"

/* --- names --- */

static const char *changing; /* what "changes.example" resolves to */
static unsigned questions;

int __real_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb,
	const char *node, const char *service, const struct addrinfo *hints);
int __wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb,
	const char *node, const char *service, const struct addrinfo *hints);

int __wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb,
	const char *node, const char *service, const struct addrinfo *hints)
{
	struct addrinfo numeric = *hints;

	questions++;
	numeric.ai_flags |= AI_NUMERICHOST;
	if (strcmp(node, "changes.example") == 0)
		node = changing;
	else if (strcmp(node, "gone.example") != 0) /* which has no address */
		node = "127.0.0.1";
	return __real_uv_getaddrinfo(loop, req, cb, node, service, &numeric);
}

/* --- help --- */

static char rules[8][64];

/* One more rule, for a port of 127.0.0.1 that is known by now. */
static const char *rule_of(const char *host, uint16_t port)
{
	static int next;
	char *text = rules[next++ % 8];

	snprintf(text, sizeof rules[0], "%s:%u", host, port);
	return text;
}

static const struct network_limits *const limits = &fixture_limits;

static void expect_resolved(struct fixture *f, const char *name, enum broker_family family,
	int error, const char *first)
{
	struct broker_request r = request_resolve(name, family);
	struct broker_request known;
	struct broker_answer a;
	int fd;

	assert_int_equal(guest_call(f, &f->guest, &r, &a, &fd), error);
	assert_int_equal(fd, -1);
	assert_int_equal(a.count > 0, error == 0);
	if (!first)
		return;
	known = request_connect(first, 1);
	assert_memory_equal(&a.addrs[0], &known.addr, sizeof known.addr);
}

/* What the guest connects to for a name. */
static struct broker_request request_name(struct fixture *f, const char *name, uint16_t port)
{
	struct broker_request r = request_resolve(name, BROKER_IPV4);
	struct broker_answer a;
	int fd;

	assert_int_equal(guest_call(f, &f->guest, &r, &a, &fd), 0);
	return (struct broker_request){ .op = BROKER_CONNECT, .port = port, .addr = a.addrs[0] };
}

static int connect_error(struct fixture *f, const struct broker_request *r)
{
	struct broker_answer a;
	int fd, error = guest_call(f, &f->guest, r, &a, &fd);

	assert_int_equal(fd >= 0, error == 0);
	(void)fd_close(fd);
	return error;
}

static int connect_ok(struct fixture *f, const struct broker_request *r)
{
	struct broker_answer a;
	int fd;

	assert_int_equal(guest_call(f, &f->guest, r, &a, &fd), 0);
	assert_true(fd >= 0);
	return fd;
}

/* Bytes go from one to the other. */
static void expect_way(struct fixture *f, int from, int to, const char *text)
{
	char got[64] = "";

	assert_int_equal(send(from, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	WAIT_UNTIL(f, is_readable(to));
	assert_int_equal(recv(to, got, sizeof got - 1, 0), strlen(text));
	assert_string_equal(got, text);
}

static int accept_one(struct fixture *f, int server)
{
	int fd;

	WAIT_UNTIL(f, is_readable(server));
	fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void expect_end(struct fixture *f, int fd, int error)
{
	char byte;

	WAIT_UNTIL(f, is_readable(fd));
	if (error) {
		assert_int_equal(recv(fd, &byte, 1, 0), -1);
		assert_int_equal(errno, error);
	} else {
		assert_int_equal(recv(fd, &byte, 1, 0), 0);
	}
}

/* --- resolve --- */

static void test_names_have_addresses_of_our_own(void **state)
{
	struct fixture f;
	struct broker_request r = request_resolve("api.example", BROKER_IPV6);
	struct broker_answer a;
	int fd;

	fixture_open(&f, RULES("api.example:443", "*.cdn.example"), limits);
	expect_resolved(&f, "api.example", BROKER_IPV4, 0, "198.18.0.1");
	expect_resolved(&f, "a.cdn.example", BROKER_ANY, 0, "198.18.0.2");
	expect_resolved(&f, "API.example.", BROKER_IPV4, 0, "198.18.0.1");
	assert_int_equal(guest_call(&f, &f.guest, &r, &a, &fd), 0);
	assert_int_equal(a.addrs[0].family, BROKER_IPV6);
	assert_int_equal(a.addrs[0].bytes[0], 0xfd);
	assert_int_equal(a.addrs[0].bytes[15], 1);
	expect_resolved(&f, "b.example", BROKER_IPV4, ENOENT, NULL);
	expect_resolved(&f, "cdn.example", BROKER_IPV4, ENOENT, NULL);
	expect_resolved(&f, "no name", BROKER_IPV4, ENOENT, NULL);
	expect_resolved(&f, "localhost", BROKER_IPV4, 0, "127.0.0.1");
	expect_resolved(&f, "localhost", BROKER_IPV6, 0, "::1");
	expect_resolved(&f, "192.0.2.1", BROKER_ANY, 0, "192.0.2.1");
	expect_resolved(&f, "192.0.2.1", BROKER_IPV6, ENOENT, NULL);
	assert_int_equal(f.guest.hostile, 0);
	assert_int_equal(questions, 0);
	fixture_close(&f);
}

static void test_names_are_limited(void **state)
{
	struct fixture f;
	char name[64];

	fixture_open(&f, RULES("*.example"), limits);
	for (int i = 0; i < NAME_BOOK_MAX; i++) {
		snprintf(name, sizeof name, "n%d.example", i);
		expect_resolved(&f, name, BROKER_IPV4, 0, NULL);
	}
	expect_resolved(&f, "one-more.example", BROKER_IPV4, ENOMEM, NULL);
	expect_resolved(&f, "n0.example", BROKER_IPV4, 0, "198.18.0.1");
	expect_resolved(&f, "n4095.example", BROKER_IPV4, 0, "198.18.16.0");
	fixture_close(&f);
}

/* --- connect --- */

static void test_connect_by_name(void **state)
{
	struct fixture f;
	struct broker_request r;
	uint16_t port;
	int server = server_open(&port), guest, peer;
	struct addr own, to;
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;

	fixture_open(&f, RULES(rule_of("db.example", port), rule_of("127.0.0.1", port)), limits);
	r = request_name(&f, "db.example", port);
	guest = connect_ok(&f, &r);
	peer = accept_one(&f, server);
	expect_way(&f, guest, peer, "a question");
	expect_way(&f, peer, guest, "an answer, which is longer");
	assert_int_equal(f.opened, 1);
	/* It is TCP in every respect. */
	assert_int_equal(getpeername(guest, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr((struct sockaddr *)&ss, &to), 0);
	assert_int_equal(addr_of_socket(guest, &own), 0);
	assert_true(addr_is_loopback(&own) && addr_is_loopback(&to));
	assert_int_equal(shutdown(guest, SHUT_WR), 0);
	expect_end(&f, peer, 0);
	expect_way(&f, peer, guest, "more");
	(void)fd_close(peer);
	expect_end(&f, guest, 0);
	(void)fd_close(guest);
	WAIT_UNTIL(&f, f.ended == 1);
	assert_int_equal(f.last.kind, CONN_OUTWARD);
	assert_int_equal(f.last.bytes_out, strlen("a question"));
	assert_int_equal(f.last.bytes_in, strlen("an answer, which is longermore"));
	assert_non_null(strstr(f.last.to, "db.example:"));
	assert_non_null(strstr(f.last.rule, "db.example:"));
	fixture_close(&f);
	(void)fd_close(server);
}

/* Each refusal beside what is the same, and allowed. */
static void test_connect_refusals(void **state)
{
	struct fixture f;
	struct broker_request r;
	uint16_t open_port, other_port, closed_port;
	char remedy[64];
	int server = server_open(&open_port), other = server_open(&other_port);

	(void)fd_close(server_open(&closed_port));
	fixture_open(&f,
		RULES(rule_of("localhost", open_port), rule_of("localhost", closed_port),
			rule_of("evil.example", other_port), rule_of("gone.example", 80)),
		limits);
	r = request_connect("127.0.0.1", open_port);
	assert_int_equal(connect_error(&f, &r), 0);
	/* The same host at a port without a rule. */
	r = request_connect("127.0.0.1", other_port);
	assert_int_equal(connect_error(&f, &r), ECONNREFUSED);
	r = request_connect("::ffff:127.0.0.1", other_port);
	assert_int_equal(connect_error(&f, &r), ECONNREFUSED);
	r = request_connect("0.0.0.0", other_port);
	assert_int_equal(connect_error(&f, &r), ECONNREFUSED);
	r = request_connect("0.0.0.0", open_port);
	assert_int_equal(connect_error(&f, &r), 0);
	/* Allowed, and nobody listens. */
	r = request_connect("127.0.0.1", closed_port);
	assert_int_equal(connect_error(&f, &r), ECONNREFUSED);
	assert_non_null(strstr(f.last.why, "not connected"));
	r = request_connect("127.0.0.1", 0);
	assert_int_equal(connect_error(&f, &r), ECONNREFUSED);
	/* Addresses that no rule names, of ours that were never given, of the metadata service. */
	r = request_connect("192.0.2.1", 443);
	assert_int_equal(connect_error(&f, &r), EACCES);
	r = request_connect("198.18.77.1", 443);
	assert_int_equal(connect_error(&f, &r), EACCES);
	r = request_connect("169.254.169.254", 80);
	assert_int_equal(connect_error(&f, &r), EACCES);
	assert_non_null(strstr(f.last.to, "169.254.169.254:80"));
	/* All of the rule that would help is told, however long it is. */
	r = request_connect("fd12:3456:789a:bcde:1234:5678:9abc:def0", 54320);
	assert_int_equal(connect_error(&f, &r), EACCES);
	assert_non_null(strstr(f.last.why, "'[fd12:3456:789a:bcde:1234:5678:9abc:def0]:54320'"));
	/* The name is allowed, but not what it resolves to. */
	r = request_name(&f, "evil.example", other_port);
	assert_int_equal(connect_error(&f, &r), EACCES);
	snprintf(remedy, sizeof remedy, "must be named, too: allow 'localhost:%u'", other_port);
	assert_non_null(strstr(f.last.why, remedy));
	/* Another port of an allowed name, and one without addresses. */
	r.port = open_port;
	assert_int_equal(connect_error(&f, &r), EACCES);
	r = request_name(&f, "gone.example", 80);
	assert_int_equal(connect_error(&f, &r), EHOSTUNREACH);
	assert_false(is_readable(other));
	assert_int_equal(f.guest.hostile, 0);
	fixture_close(&f);
	(void)fd_close(server);
	(void)fd_close(other);
}

/* Between two connections the name moves to an address that no rule names. */
static void test_a_name_is_judged_by_what_it_is_now(void **state)
{
	struct fixture f;
	struct broker_request r;
	uint16_t port;
	int server = server_open(&port);

	fixture_open(
		&f, RULES(rule_of("changes.example", port), rule_of("127.0.0.1", port)), limits);
	changing = "127.0.0.1";
	r = request_name(&f, "changes.example", port);
	assert_int_equal(connect_error(&f, &r), 0);
	changing = "127.0.0.2";
	assert_int_equal(connect_error(&f, &r), EACCES);
	changing = "127.0.0.1";
	assert_int_equal(connect_error(&f, &r), 0);
	fixture_close(&f);
	(void)fd_close(server);
}

/* Whatever a rule says. */
static void test_ours_is_out_of_reach(void **state)
{
	struct fixture f;
	struct broker_request r;
	uint16_t page, database;
	int server = server_open(&page), other = server_open(&database);

	fixture_open(&f, RULES("localhost", "127.0.0.1", "*"), limits);
	r = request_connect("127.0.0.1", page);
	assert_int_equal(connect_error(&f, &r), 0);
	network_protect(f.network, NETWORK_PAGE, "127.0.0.1", page);
	assert_int_equal(connect_error(&f, &r), ECONNREFUSED);
	r = request_connect("127.0.0.1", f.gate_port);
	assert_int_equal(connect_error(&f, &r), ECONNREFUSED);
	r = request_connect("127.0.0.1", database);
	assert_int_equal(connect_error(&f, &r), 0);
	fixture_close(&f);
	(void)fd_close(server);
	(void)fd_close(other);
}

/* A destination that is silent: yes after a while, and a reset when it comes to nothing. A shorter
 * time is one for who waits, too, and for who comes behind him. */
static void test_patience(void **state)
{
	struct network_limits short_ = fixture_limits;
	struct broker_request r;
	struct silent silent;
	struct fixture f;
	uint64_t since_ms;
	int guests[2];

	short_.connection_timeout_secs = 1;
	silent_open(&silent);
	fixture_open(&f, RULES(rule_of("localhost", silent.port)), limits);
	r = request_connect("127.0.0.1", silent.port);
	since_ms = clock_now_ms();
	guests[0] = connect_ok(&f, &r);
	assert_true(clock_now_ms() - since_ms >= OUTWARD_PATIENCE_MS - 5);
	fixture_allow(&f, RULES(rule_of("localhost", silent.port)), &short_);
	guests[1] = connect_ok(&f, &r);
	for (int i = 0; i < 2; i++) {
		expect_end(&f, guests[i], ECONNRESET);
		(void)fd_close(guests[i]);
	}
	WAIT_UNTIL(&f, f.ended == 2);
	fixture_close(&f);
	silent_close(&silent);
}

/* What is sent before the destination is reached is not lost. */
static void test_early_bytes(void **state)
{
	struct broker_request r;
	struct silent silent;
	struct fixture f;
	char got[16] = "";
	int guest, peer;

	silent_open(&silent);
	fixture_open(&f, RULES(rule_of("localhost", silent.port)), limits);
	r = request_connect("127.0.0.1", silent.port);
	guest = connect_ok(&f, &r);
	assert_int_equal(send(guest, "early", 5, 0), 5);
	/* It wakes up. */
	for (;;) {
		peer = accept_one(&f, silent.fd);
		WAIT_UNTIL(&f, is_readable(peer) || is_readable(silent.fd));
		if (is_readable(peer))
			break;
		(void)fd_close(peer);
	}
	assert_int_equal(recv(peer, got, sizeof got, 0), 5);
	assert_string_equal(got, "early");
	(void)fd_close(peer);
	(void)fd_close(guest);
	WAIT_UNTIL(&f, f.ended == 1);
	fixture_close(&f);
	silent_close(&silent);
}

static void test_a_cancelled_one_is_given_up(void **state)
{
	struct broker_request r;
	struct silent silent;
	struct fixture f;
	int reply;

	silent_open(&silent);
	fixture_open(&f, RULES(rule_of("localhost", silent.port)), limits);
	r = request_connect("127.0.0.1", silent.port);
	reply = guest_ask(&f.guest, &r);
	(void)fd_close(reply);
	WAIT_UNTIL(&f, f.ended == 1);
	assert_string_equal(f.last.why, "the application gave it up");
	fixture_close(&f);
	silent_close(&silent);
}

static void test_a_stricter_policy_closes(void **state)
{
	struct broker_request r;
	struct silent silent;
	struct fixture f;
	uint16_t kept_port, closed_port;
	int kept_server = server_open(&kept_port), closed_server = server_open(&closed_port);
	int kept, closed, kept_peer, closed_peer, reply, fd;
	struct broker_answer a;

	silent_open(&silent);
	fixture_open(&f,
		RULES(rule_of("localhost", kept_port), rule_of("localhost", closed_port),
			rule_of("localhost", silent.port)),
		limits);
	r = request_connect("127.0.0.1", kept_port);
	kept = connect_ok(&f, &r);
	r = request_connect("127.0.0.1", closed_port);
	closed = connect_ok(&f, &r);
	kept_peer = accept_one(&f, kept_server);
	closed_peer = accept_one(&f, closed_server);
	r = request_connect("127.0.0.1", silent.port);
	reply = guest_ask(&f.guest, &r);
	WAIT_UNTIL(&f, !is_readable(reply) && outward_count(broker_outward(f.broker)) == 3);
	fixture_allow(&f, RULES(rule_of("localhost", kept_port)), limits);
	WAIT_UNTIL(&f, has_answer(reply));
	assert_int_equal(take_answer(reply, &a, &fd), EACCES);
	expect_end(&f, closed, ECONNRESET);
	expect_end(&f, closed_peer, ECONNRESET);
	expect_way(&f, kept, kept_peer, "still there");
	WAIT_UNTIL(&f, f.ended == 2);
	assert_string_equal(f.last.why, "the policy no longer allows it");
	(void)fd_close(kept);
	(void)fd_close(kept_peer);
	(void)fd_close(closed);
	(void)fd_close(closed_peer);
	fixture_close(&f);
	silent_close(&silent);
	(void)fd_close(kept_server);
	(void)fd_close(closed_server);
}

static void test_connections_are_limited(void **state)
{
	struct network_limits two = fixture_limits;
	struct broker_request r;
	struct fixture f;
	uint16_t port;
	int server = server_open(&port), first, second;

	two.max_connections = 2;
	fixture_open(&f, RULES(rule_of("localhost", port)), &two);
	r = request_connect("127.0.0.1", port);
	first = connect_ok(&f, &r);
	second = connect_ok(&f, &r);
	assert_int_equal(connect_error(&f, &r), ENOBUFS);
	assert_non_null(strstr(f.last.why, "max_connections"));
	(void)fd_close(first);
	(void)fd_close(accept_one(&f, server));
	WAIT_UNTIL(&f, f.ended == 2);
	assert_int_equal(connect_error(&f, &r), 0);
	(void)fd_close(second);
	fixture_close(&f);
	(void)fd_close(server);
}

/* --- datagrams --- */

static void note_decision(void *owner, const struct network_decision *decision)
{
	*(struct network_decision *)owner = *decision;
}

/* Nobody gets them, whatever the policy: what is asked for is told once, and counted. */
static void test_datagrams(void **state)
{
	struct network_decision told = { 0 };
	struct broker_request r = request_datagrams();
	struct broker_answer a;
	struct fixture f;
	int fd;

	fixture_open(&f, RULES("*"), limits);
	network_listen(f.network, note_decision, &told);
	for (int i = 0; i < 2; i++)
		assert_int_equal(guest_call(&f, &f.guest, &r, &a, &fd), EACCES);
	assert_int_equal(fd, -1);
	assert_string_equal(told.asked, "UDP");
	assert_false(told.verdict.allowed);
	assert_int_equal(network_counts(f.network).refused, 2);
	assert_int_equal(log_ring_next(f.ring), 2); /* the number of the line to come */
	fixture_close(&f);
}

/* --- listen --- */

static int listen_error(
	struct fixture *f, struct guest *g, uint16_t port, uint16_t *ret_port, int *ret_fd)
{
	struct broker_request r = request_listen(port);
	struct broker_answer a;
	int error = guest_call(f, g, &r, &a, ret_fd);

	*ret_port = a.port;
	return error;
}

static uint16_t host_port_of(int fd)
{
	struct addr addr;

	assert_int_equal(addr_of_socket(fd, &addr), 0);
	assert_true(addr_is_loopback(&addr));
	return addr_port(&addr);
}

static void test_listen(void **state)
{
	struct fixture f;
	struct app_ports *ports;
	struct guest next;
	struct broker_request r;
	uint16_t port, host_port;
	int gate, second, again, guest, peer, none;

	fixture_open(&f, NO_RULES, limits);
	ports = broker_ports(f.broker);
	/* The first one is the gate's, whatever it is called; and then others are not. */
	assert_int_equal(listen_error(&f, &f.guest, 8080, &port, &gate), 0);
	assert_int_equal(port, 8080);
	assert_int_equal(host_port_of(gate), f.gate_port);
	assert_int_equal(app_ports_find(ports, 8080), f.gate_port);
	assert_int_equal(listen_error(&f, &f.guest, 9000, &port, &none), EACCES);
	assert_int_equal(none, -1);
	assert_int_equal(listen_error(&f, &f.guest, 9001, &port, &second), 0);
	host_port = host_port_of(second);
	assert_int_equal(app_ports_find(ports, 9001), host_port);
	assert_int_equal(app_ports_find(ports, 9002), 0);
	/* Its own connections to itself need no rule. */
	r = request_connect("127.0.0.1", 9001);
	guest = connect_ok(&f, &r);
	peer = accept_one(&f, second);
	expect_way(&f, guest, peer, "to myself");
	(void)fd_close(peer);
	(void)fd_close(guest);
	r = request_connect("127.0.0.1", 8080);
	(void)fd_close(connect_ok(&f, &r));
	(void)fd_close(accept_one(&f, gate));
	r = request_connect("127.0.0.1", 9002);
	assert_int_equal(connect_error(&f, &r), ECONNREFUSED);
	/* One that replaces it has the same, also when it has ended. */
	guest_open(&f, &next);
	assert_int_equal(listen_error(&f, &next, 8080, &port, &none), 0);
	(void)fd_close(none);
	assert_int_equal(listen_error(&f, &next, 9001, &port, &again), 0);
	assert_int_equal(host_port_of(again), host_port);
	(void)fd_close(second);
	guest_close(&f.guest);
	assert_int_equal(app_ports_find(ports, 9001), host_port);
	/* It shuts that down: whoever else gets the port isn't the application. */
	assert_int_equal(shutdown(again, SHUT_RDWR), 0);
	assert_int_equal(app_ports_find(ports, 9001), 0);
	guest_close(&next);
	assert_int_equal(app_ports_find(ports, 9001), 0);
	(void)fd_close(again);
	(void)fd_close(gate);
	fixture_close(&f);
}

/* A policy without the port ends its listener, for the application as well; one that has it again
 * begins anew. */
static void test_listen_no_more(void **state)
{
	struct network_limits fewer = fixture_limits;
	struct pollfd accepts = { .events = POLLIN };
	struct app_ports *ports;
	struct broker_request r;
	struct fixture f;
	uint16_t port;
	int gate, first, second, again;

	fixture_open(&f, NO_RULES, limits);
	ports = broker_ports(f.broker);
	assert_int_equal(listen_error(&f, &f.guest, 8080, &port, &gate), 0);
	assert_int_equal(listen_error(&f, &f.guest, 9001, &port, &first), 0);
	assert_int_equal(listen_error(&f, &f.guest, 9002, &port, &second), 0);
	fewer.bind_ports[0] = 9002;
	fewer.bind_port_count = 1;
	fixture_allow(&f, NO_RULES, &fewer);
	assert_int_equal(app_ports_find(ports, 9001), 0);
	accepts.fd = first;
	assert_int_equal(poll(&accepts, 1, DEADLINE_MS), 1);
	assert_int_equal(accept(first, NULL, NULL), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(listen_error(&f, &f.guest, 9001, &port, &again), EACCES);
	/* The others are as they were. */
	assert_int_equal(app_ports_find(ports, 8080), f.gate_port);
	assert_int_equal(app_ports_find(ports, 9002), host_port_of(second));
	r = request_connect("127.0.0.1", 9002);
	(void)fd_close(connect_ok(&f, &r));
	(void)fd_close(accept_one(&f, second));

	fixture_allow(&f, NO_RULES, limits);
	assert_int_equal(app_ports_find(ports, 9001), 0);
	assert_int_equal(listen_error(&f, &f.guest, 9001, &port, &again), 0);
	assert_int_equal(app_ports_find(ports, 9001), host_port_of(again));
	(void)fd_close(first);
	(void)fd_close(second);
	(void)fd_close(again);
	(void)fd_close(gate);
	fixture_close(&f);
}

/* --- how much --- */

#define BULK (384 * 1024)

/* Each way by itself; it is never faster than it may be. */
static void test_bandwidth_is_limited(void **state)
{
	static char bytes[BULK];
	struct network_limits slow = fixture_limits;
	struct broker_request r;
	struct fixture f;
	uint64_t since_ms;
	uint16_t port;
	int server = server_open(&port), guest, peer;

	slow.max_bandwidth_mbps = 4; /* 500,000 bytes a second */
	fixture_open(&f, RULES(rule_of("localhost", port)), &slow);
	r = request_connect("127.0.0.1", port);
	guest = connect_ok(&f, &r);
	peer = accept_one(&f, server);
	for (int way = 0; way < 2; way++) {
		int from = way ? peer : guest, to = way ? guest : peer;
		size_t sent = 0, got = 0;

		since_ms = clock_now_ms();
		fixture_arm(&f);
		while (got < BULK) {
			ssize_t n = send(from, bytes, BULK - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

			sent += n > 0 ? (size_t)n : 0;
			n = recv(to, bytes, sizeof bytes, MSG_DONTWAIT);
			got += n > 0 ? (size_t)n : 0;
			fixture_turn(&f);
		}
		assert_true(clock_now_ms() - since_ms >=
			    (BULK - BUCKET_BURST_MIN - 25000) * UINT64_C(1000) / 500000 - 20);
	}
	/* Without a limit what is on its way goes on. */
	assert_int_equal(send(guest, bytes, 100000, MSG_DONTWAIT), 100000);
	fixture_allow(&f, RULES(rule_of("localhost", port)), limits);
	for (size_t got = 0; got < 100000;) {
		ssize_t n = recv(peer, bytes, sizeof bytes, MSG_DONTWAIT);

		got += n > 0 ? (size_t)n : 0;
		fixture_turn(&f);
	}
	(void)fd_close(guest);
	(void)fd_close(peer);
	fixture_close(&f);
	(void)fd_close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_have_addresses_of_our_own),
		cmocka_unit_test(test_names_are_limited),
		cmocka_unit_test(test_connect_by_name),
		cmocka_unit_test(test_connect_refusals),
		cmocka_unit_test(test_a_name_is_judged_by_what_it_is_now),
		cmocka_unit_test(test_ours_is_out_of_reach),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_early_bytes),
		cmocka_unit_test(test_a_cancelled_one_is_given_up),
		cmocka_unit_test(test_a_stricter_policy_closes),
		cmocka_unit_test(test_connections_are_limited),
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_listen),
		cmocka_unit_test(test_listen_no_more),
		cmocka_unit_test(test_bandwidth_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
