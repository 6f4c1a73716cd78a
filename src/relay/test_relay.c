/* SPDX-License-Identifier: MIT */
/* The relay with stock clients: tunnels, visitors, refusals, and each limit that loopback is not
 * exempt from. */
#include "relay/relay.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/lang.h"
#include "relay/relay_internal.h"
#include "relay/relay_fixture.h"

static void test_visitor_is_joined_and_an_id_is_good_once(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitor, data, thief;
	char id[UUID_TEXT_LEN + 1];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	visitor = visit(f, &client, port, id);

	/* Bytes behind the Accept are the stream's. */
	data = connect_control(f);
	say_with(&data, "{\"Accept\":\"", id, "\"}", "early");
	expect_text(f, &visitor, "early");
	say_bytes(&visitor, "ping", 4);
	expect_text(f, &data, "ping");

	thief = connect_control(f);
	say_with(&thief, "{\"Accept\":\"", id, "\"}", "");
	await_end(f, &thief);
	assert_int_equal(f->relay->counts.accepts_unknown, 1);

	/* The stream outlives the tunnel, as with stock. */
	disconnect(&client);
	while (!count_events(f, RELAY_TUNNEL_CLOSED))
		run(f);
	say_bytes(&data, "on", 2);
	expect_text(f, &visitor, "on");
	disconnect(&visitor);
	await_end(f, &data);
	disconnect(&data);
	while (!count_events(f, RELAY_VISITOR_CLOSED))
		run(f);
	assert_int_equal(f->relay->streams.open_count, 0);
	disconnect(&thief);
}

static void test_accept_split_at_every_byte(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitor, data;
	char id[UUID_TEXT_LEN + 1], frame[128];
	uint16_t port;
	int len;

	start(f, NULL);
	client = open_tunnel(f, &port);
	visitor = visit(f, &client, port, id);
	data = connect_control(f);
	len = snprintf(frame, sizeof(frame), "{\"Accept\":\"%s\"}", id);
	for (int i = 0; i <= len; i++) {
		say_bytes(&data, frame + i, 1);
		run(f);
	}
	say_bytes(&data, "x", 1);
	expect_text(f, &visitor, "x");
	disconnect(&visitor);
	disconnect(&data);
	disconnect(&client);
}

static void test_heartbeats_come(void **state)
{
	struct fixture *f = *state;
	struct peer client;
	uint16_t port;

	start(f, NULL);
	f->relay->heartbeats.delay_ms = 1;
	client = open_tunnel(f, &port);
	for (int i = 0; i < 3; i++) {
		while (client.len < sizeof("\"Heartbeat\""))
			assert_true(await_bytes(f, &client) > 0);
		assert_memory_equal(client.data, "\"Heartbeat\"", sizeof("\"Heartbeat\""));
		client.len -= sizeof("\"Heartbeat\"");
		memmove(client.data, client.data + sizeof("\"Heartbeat\""), client.len);
	}
	disconnect(&client);
}

static void test_refusals_as_stock(void **state)
{
	struct fixture *f = *state;
	struct peer client, other;
	uint16_t port;

	f->config.min_port = 20000;
	start(f, NULL);
	client = connect_control(f);
	say(&client, "{\"Hello\":19999}");
	await_refusal(f, &client, "client port number not in allowed range");
	assert_int_equal(count_events(f, RELAY_TUNNEL_REFUSED), 1);

	client = open_tunnel(f, &port);
	other = connect_control(f);
	say_hello(&other, port);
	await_refusal(f, &other, "port already in use");
	disconnect(&client);
}

static void test_port_is_free_when_its_client_has_gone(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitor;
	struct addr addr;
	uint16_t port;
	int fd;

	start(f, NULL);
	client = open_tunnel(f, &port);
	visitor = connect_port(f, port);
	while (f->relay->pending.count == 0)
		run(f);
	disconnect(&client);
	await_end(f, &visitor); /* unclaimed, and now for ever */
	assert_int_equal(f->relay->serving_count, 0);
	addr = f->addr;
	addr_set_port(&addr, port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* The visitor's side of the port is in TIME_WAIT. */
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)), 0);
	assert_int_equal(bind(fd, &addr.sa, addr_len(&addr)), 0);
	close(fd);
	disconnect(&visitor);
}

static void test_garbage_from_a_client_ends_its_tunnel(void **state)
{
	static const char *const garbage[] = { "GET / HTTP/1.1\r\n\r\n", "{\"Hello\":0}",
		"{\"Challenge\":1}", "" };
	struct fixture *f = *state;
	struct peer client;
	uint16_t port;
	char flood[1000];

	start(f, NULL);
	for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
		client = open_tunnel(f, &port);
		say_bytes(&client, garbage[i], strlen(garbage[i]) + 1);
		await_end(f, &client);
		disconnect(&client);
	}
	memset(flood, 'x', sizeof(flood));
	client = open_tunnel(f, &port);
	say_bytes(&client, flood, sizeof(flood));
	await_end(f, &client);
	disconnect(&client);
	while (f->relay->objects)
		run(f);
	assert_int_equal(count_events(f, RELAY_TUNNEL_CLOSED), ARRAY_LEN(garbage) + 1);
}

static void test_unclaimed_visitor_is_dropped(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitor;
	uint16_t port;

	start(f, NULL);
	assert_int_equal(f->relay->streams.deadlines.delay_ms, 10000);
	f->relay->streams.deadlines.delay_ms = 20;
	client = open_tunnel(f, &port);
	visitor = connect_port(f, port);
	await_end(f, &visitor);
	assert_int_equal(f->relay->counts.visitors_unclaimed, 1);
	assert_string_equal(f->why, "not claimed in time");
	disconnect(&visitor);
	disconnect(&client);
}

static void test_connection_limit_closes_visitors(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitors[7], data[6];
	char id[UUID_TEXT_LEN + 1];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	for (size_t i = 0; i < 6; i++) {
		visitors[i] = visit(f, &client, port, id);
		data[i] = join(f, id, &visitors[i]);
	}
	visitors[6] = connect_port(f, port);
	await_end(f, &visitors[6]);
	assert_int_equal(f->relay->counts.visitors_over_conns, 1);
	for (size_t i = 0; i < 7; i++)
		disconnect(&visitors[i]);
	for (size_t i = 0; i < 6; i++)
		disconnect(&data[i]);
	disconnect(&client);
}

/* All descriptors went to visitors, and none was left for the data connections that they waited
 * for. */
static void test_visitors_leave_descriptors_for_data_connections(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitor;
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	f->relay->max_fds = 16;
	visitor = connect_port(f, port);
	await_end(f, &visitor);
	assert_int_equal(f->relay->reserve.shed_total, 1);
	disconnect(&visitor);
	disconnect(&client);
}

static void test_silent_handshakes_are_limited_and_time_out(void **state)
{
	struct fixture *f = *state;
	struct peer peers[64];
	char frame[512];

	start(f, "secret");
	f->relay->challenges.delay_ms = 1;
	for (size_t i = 0; i < 64; i++)
		peers[i] = connect_control(f);
	while (f->relay->counts.handshakes < 64) {
		run(f);
		assert_true(f->relay->greeting_count <= f->config.max_handshakes);
	}
	assert_true(f->relay->counts.handshakes_dropped >= 64 - f->config.max_handshakes);
	/* The first was admitted, is challenged, and then times out with stock's word. */
	await_frame(f, &peers[0], frame);
	assert_non_null(strstr(frame, "\"Challenge\""));
	expect_frame(f, &peers[0], "{\"Error\":\"timed out waiting for initial message\"}");
	for (size_t i = 0; i < 64; i++) {
		await_end(f, &peers[i]);
		disconnect(&peers[i]);
	}
	while (f->relay->objects)
		run(f);
	assert_int_equal(f->relay->greeting_count, 0);
}

/* Slow handshakes from the same address as a tunnel's client must not keep its data connections
 * out. */
static void test_tunnel_is_not_disturbed_by_a_full_house(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitor, data, slow[16];
	char id[UUID_TEXT_LEN + 1];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	for (size_t i = 0; i < 16; i++) {
		slow[i] = connect_control(f);
		say_bytes(&slow[i], "{", 1);
	}
	while (f->relay->counts.handshakes < 17)
		run(f);
	assert_int_equal(f->relay->greeting_count, f->config.max_handshakes);
	visitor = visit(f, &client, port, id);
	data = connect_control(f);
	say_bytes(&data, "{", 1);
	while (f->relay->counts.handshakes < 18)
		run(f);
	say_with(&data, "\"Accept\":\"", id, "\"}", "x");
	expect_text(f, &visitor, "x");
	for (size_t i = 0; i < 16; i++)
		disconnect(&slow[i]);
	disconnect(&visitor);
	disconnect(&data);
	disconnect(&client);
}

static struct peer connect_from(struct fixture *f, const char *ip)
{
	struct peer p = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	struct addr addr;

	assert_int_equal(addr_parse_ip(ip, 0, &addr), 0);
	assert_int_equal(bind(p.fd, &addr.sa, addr_len(&addr)), 0);
	assert_int_equal(connect(p.fd, &f->addr.sa, addr_len(&f->addr)), 0);
	assert_int_equal(fcntl(p.fd, F_SETFL, O_NONBLOCK), 0);
	return p;
}

/* Who has a tunnel gets in where the house is full, and once put out whoever had come first: with
 * enough connections of its own, everybody else. */
static void test_full_house_puts_out_its_own(void **state)
{
	struct fixture *f = *state;
	struct peer client, other, slow[32];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	other = connect_from(f, "127.0.0.2");
	say_bytes(&other, "{\"Hello\"", 8);
	while (f->relay->greeting_count < 1)
		run(f);
	for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
		slow[i] = connect_control(f);
		say_bytes(&slow[i], "{", 1);
	}
	while (f->relay->counts.handshakes < 2 + ARRAY_LEN(slow))
		run(f);
	assert_int_equal(f->relay->greeting_count, f->config.max_handshakes);
	say_bytes(&other, ":0}", 4);
	assert_true(await_hello(f, &other) > 0);
	for (size_t i = 0; i < ARRAY_LEN(slow); i++)
		disconnect(&slow[i]);
	disconnect(&other);
	disconnect(&client);
}

static void test_wrong_secret(void **state)
{
	struct fixture *f = *state;
	struct peer client;
	char frame[512];

	start(f, "secret");
	f->relay->challenges.delay_ms = 1;
	client = connect_control(f);
	await_frame(f, &client, frame);
	assert_non_null(strstr(frame, "\"Challenge\""));
	say(&client, "{\"Authenticate\":"
		     "\"0000000000000000000000000000000000000000000000000000000000000000\"}");
	expect_frame(f, &client, "{\"Error\":\"invalid secret\"}");
	await_end(f, &client);
	assert_int_equal(f->relay->counts.bad_secrets, 1);
	assert_int_equal(f->relay->limits.penalties.count, 0); /* loopback */
	disconnect(&client);
}

static void test_line_dialect(void **state)
{
	static const char hello[] = "HELLO 1\nAUTH secret\n8000\n";
	struct fixture *f = *state;
	struct peer client, visitor, data;
	unsigned port = 0;
	char id[UUID_TEXT_LEN + 1], text[256];
	int len;

	start(f, "secret");
	f->relay->heartbeats.delay_ms = DEADLINE_MS;
	client = connect_control(f);
	say_bytes(&client, hello, strlen(hello));
	while (!memchr(client.data, '\n', client.len))
		assert_true(await_bytes(f, &client) > 0);
	assert_int_equal(sscanf(client.data, "OK %u\n", &port), 1);
	client.len = 0;
	visitor = connect_port(f, (uint16_t)port);
	while (!memchr(client.data, '\n', client.len))
		assert_true(await_bytes(f, &client) > 0);
	assert_int_equal(sscanf(client.data, "CONN %36[0-9a-f-]\n", id), 1);
	data = connect_control(f);
	len = snprintf(text, sizeof(text), "HELLO 1\nAUTH secret\nACCEPT %s\nraw", id);
	say_bytes(&data, text, (size_t)len);
	expect_text(f, &visitor, "raw");
	disconnect(&visitor);
	disconnect(&data);
	disconnect(&client);
}

/* A visitor that is joined, and closes its side or is just quiet, until the relay ends it. */
static void wait_for_timeout(struct fixture *f, bool close_half)
{
	struct peer client, visitor, data;
	char id[UUID_TEXT_LEN + 1];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	visitor = visit(f, &client, port, id);
	data = join(f, id, &visitor);
	if (close_half)
		shutdown(visitor.fd, SHUT_WR);
	await_end(f, &visitor);
	while (f->relay->streams.open_count)
		run(f);
	disconnect(&visitor);
	disconnect(&data);
	disconnect(&client);
}

static void test_idle_visitor_ends(void **state)
{
	struct fixture *f = *state;

	f->pool_config.idle_timeout_ms = 50;
	wait_for_timeout(f, false);
	assert_int_equal(f->relay->counts.visitors_idle, 1);
}

static void test_half_closed_visitor_ends(void **state)
{
	struct fixture *f = *state;

	f->pool_config.half_close_timeout_ms = 50;
	wait_for_timeout(f, true);
	assert_int_equal(f->relay->counts.visitors_half_closed, 1);
}

static void test_metrics_name_every_limit(void **state)
{
	static const char *const names[] = { "bore_limit{name=\"max_tunnels_per_addr\"} 64\n",
		"bore_limit{name=\"max_handshakes\"} 8\n", "bore_tunnels 1\n",
		("bore_build_info{version=\"" WASMRUN_VERSION "\"} 1\n"),
		"bore_tunnels_opened_total 1\n",
		"bore_limit{name=\"half_close_timeout_ms\"} 60000\n",
		"bore_bytes_total{from=\"visitor\"} 0\n", "bore_pipe_pages_limit " };
	struct fixture *f = *state;
	struct peer client;
	char *text = NULL;
	size_t size = 0;
	uint16_t port;
	FILE *out;

	start(f, NULL);
	client = open_tunnel(f, &port);
	out = open_memstream(&text, &size);
	relay_write_metrics(f->relay, out);
	(void)fclose(out);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_non_null(strstr(text, names[i]));
	free(text);
	disconnect(&client);
}

static void test_control_port_taken(void **state)
{
	struct fixture *f = *state;
	struct relay *other;
	struct addr addr;

	start(f, NULL);
	f->config.bind_addr = f->addr;
	assert_int_equal(relay_new(&f->loop, f->pool, &f->config, NULL, NULL, &other), 0);
	assert_int_equal(relay_start(other, NULL, &addr), -EADDRINUSE);
	assert_true(addr_equal(&addr, &f->addr));
	relay_close(other, on_closed, f);
	while (!f->closed)
		run(f);
	f->closed = false;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_visitor_is_joined_and_an_id_is_good_once),
		CASE(test_accept_split_at_every_byte),
		CASE(test_heartbeats_come),
		CASE(test_refusals_as_stock),
		CASE(test_port_is_free_when_its_client_has_gone),
		CASE(test_garbage_from_a_client_ends_its_tunnel),
		CASE(test_unclaimed_visitor_is_dropped),
		CASE(test_connection_limit_closes_visitors),
		CASE(test_visitors_leave_descriptors_for_data_connections),
		CASE(test_silent_handshakes_are_limited_and_time_out),
		CASE(test_tunnel_is_not_disturbed_by_a_full_house),
		CASE(test_full_house_puts_out_its_own),
		CASE(test_wrong_secret),
		CASE(test_line_dialect),
		CASE(test_idle_visitor_ends),
		CASE(test_half_closed_visitor_ends),
		CASE(test_metrics_name_every_limit),
		CASE(test_control_port_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
