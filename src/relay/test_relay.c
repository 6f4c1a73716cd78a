/* SPDX-License-Identifier: MIT */
/*
 * A whole relay on a loop, with clients and visitors that are plain sockets of this thread:
 * whenever one of them waits, the loop runs.
 */
#include "relay/relay.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/fd.h"
#include "net/listener.h"
#include "relay/internal.h"

#define DEADLINE_MS 30000
#define EVENTS_MAX 64

struct fixture {
	uv_loop_t loop;
	uv_timer_t deadline, tick;
	struct pump_pool *pool;
	struct relay *relay;
	struct relay_config config;
	struct secret secret;
	struct addr addr;
	enum relay_event_type events[EVENTS_MAX];
	unsigned event_count, drained;
	bool closed;
	char why[128]; /* of the last event that had one */
};

/* A client's connection, or a visitor. */
struct peer {
	int fd;
	size_t len;
	char data[8192]; /* what came */
};

/* --- the fixture --- */

static void on_deadline(uv_timer_t *timer)
{
	fail_msg("nothing happened in time");
}

/* Lets uv_run(ONCE) return now and then, for what only our own sockets see. */
static void on_tick(uv_timer_t *timer)
{
}

static void on_event(void *owner, const struct relay_event *event)
{
	struct fixture *f = owner;

	if (f->event_count < EVENTS_MAX)
		f->events[f->event_count++] = event->type;
	if (event->why)
		(void)snprintf(f->why, sizeof(f->why), "%s", event->why);
}

static void on_closed(void *owner)
{
	((struct fixture *)owner)->closed = true;
}

static void on_drained(void *owner)
{
	((struct fixture *)owner)->drained++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct pump_pool_config pool = { .workers = 1 };

	assert_non_null(f);
	uv_loop_init(&f->loop);
	uv_timer_init(&f->loop, &f->deadline);
	uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0);
	uv_timer_init(&f->loop, &f->tick);
	uv_timer_start(&f->tick, on_tick, 5, 5);
	assert_int_equal(pump_pool_new(&f->loop, &pool, &f->pool), 0);
	f->config = (struct relay_config){
		.min_port = 1024,
		.max_port = 65535,
		.line_dialect = true,
		.max_tunnels_per_addr = 64,
		.max_pending_per_tunnel = 4,
		.max_pending = 64,
		.max_conns_per_tunnel = 6,
		.max_conns = 64,
		.max_handshakes = 8,
		.grace_ms = DEADLINE_MS,
	};
	assert_int_equal(addr_parse_ip("127.0.0.1", 0, &f->config.bind_addr), 0);
	f->config.bind_tunnels = f->config.bind_addr;
	*state = f;
	return 0;
}

static void start(struct fixture *f, const char *secret)
{
	if (secret) {
		assert_int_equal(secret_set(&f->secret, secret, strlen(secret)), 0);
		f->config.secret = &f->secret;
	}
	assert_int_equal(relay_new(&f->loop, f->pool, &f->config, on_event, f, &f->relay), 0);
	assert_int_equal(relay_start(f->relay, &f->addr), 0);
	assert_int_equal(f->events[0], RELAY_LISTENING);
}

static void run(struct fixture *f)
{
	uv_run(&f->loop, UV_RUN_ONCE);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	relay_close(f->relay, on_closed, f);
	while (!f->closed)
		run(f);
	f->closed = false;
	pump_pool_close(f->pool, on_closed, f);
	while (!f->closed)
		run(f);
	uv_close((uv_handle_t *)&f->deadline, NULL);
	uv_close((uv_handle_t *)&f->tick, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	secret_clear(&f->secret);
	free(f);
	return 0;
}

/* --- peers --- */

static struct peer connect_port(struct fixture *f, uint16_t port)
{
	struct peer p = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	struct addr addr = f->addr;

	addr_set_port(&addr, port);
	assert_int_equal(connect(p.fd, &addr.sa, addr_len(&addr)), 0);
	assert_int_equal(fcntl(p.fd, F_SETFL, O_NONBLOCK), 0);
	return p;
}

static void disconnect(struct peer *p)
{
	p->fd = fd_close(p->fd);
}

/* `len` with the NUL of the string, which ends a frame. */
static void say_bytes(struct peer *p, const char *data, size_t len)
{
	assert_int_equal(send(p->fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

#define say(p, frame) say_bytes(p, frame, sizeof(frame))

/* 0: the end; otherwise more bytes. */
static ssize_t await_bytes(struct fixture *f, struct peer *p)
{
	for (;;) {
		ssize_t n = recv(p->fd, p->data + p->len, sizeof(p->data) - p->len, 0);

		if (n > 0)
			p->len += (size_t)n;
		if (n >= 0 || errno != EAGAIN)
			return n < 0 ? 0 : n;
		run(f);
	}
}

static void await_end(struct fixture *f, struct peer *p)
{
	while (await_bytes(f, p) > 0)
		;
}

static bool take_frame(struct peer *p, char *ret_frame)
{
	char *end = memchr(p->data, '\0', p->len);
	size_t len;

	if (!end)
		return false;
	len = (size_t)(end - p->data) + 1;
	memcpy(ret_frame, p->data, len);
	p->len -= len;
	memmove(p->data, end + 1, p->len);
	return true;
}

/* The next frame that is no heartbeat. */
static void await_frame(struct fixture *f, struct peer *p, char ret_frame[512])
{
	for (;;) {
		while (take_frame(p, ret_frame))
			if (strcmp(ret_frame, "\"Heartbeat\"") != 0)
				return;
		if (await_bytes(f, p) == 0)
			fail_msg("the connection ended in place of a frame");
	}
}

static void expect_frame(struct fixture *f, struct peer *p, const char *frame)
{
	char got[512];

	await_frame(f, p, got);
	assert_string_equal(got, frame);
}

static uint16_t await_hello(struct fixture *f, struct peer *p)
{
	char frame[512];
	unsigned port = 0;

	await_frame(f, p, frame);
	assert_int_equal(sscanf(frame, "{\"Hello\":%u}", &port), 1);
	return (uint16_t)port;
}

static void await_connection(struct fixture *f, struct peer *p, char ret_id[UUID_TEXT_LEN + 1])
{
	char frame[512];

	await_frame(f, p, frame);
	assert_int_equal(sscanf(frame, "{\"Connection\":\"%36[0-9a-f-]\"}", ret_id), 1);
}

static void await_token(struct fixture *f, struct peer *p, char ret_token[33])
{
	char frame[512];
	const char *token;

	await_frame(f, p, frame);
	assert_non_null(strstr(frame, "\"Options\""));
	token = strstr(frame, "\"token\":\"");
	assert_non_null(token);
	assert_int_equal(sscanf(token, "\"token\":\"%32[0-9a-f]\"", ret_token), 1);
}

/* A frame with an id or a token in its middle, and what comes behind its NUL. */
static void say_with(
	struct peer *p, const char *head, const char *id, const char *tail, const char *behind)
{
	char frame[512];
	int len = snprintf(frame, sizeof(frame), "%s%s%s", head, id, tail);

	memcpy(frame + len + 1, behind, strlen(behind));
	say_bytes(p, frame, (size_t)len + 1 + strlen(behind));
}

static void expect_text(struct fixture *f, struct peer *p, const char *text)
{
	size_t len = strlen(text);

	while (p->len < len)
		assert_true(await_bytes(f, p) > 0);
	assert_int_equal(p->len, len);
	assert_memory_equal(p->data, text, len);
	p->len = 0;
}

static struct peer open_tunnel(struct fixture *f, uint16_t *ret_port)
{
	struct peer client = connect_port(f, addr_port(&f->addr));

	say(&client, "{\"Hello\":0}");
	*ret_port = await_hello(f, &client);
	return client;
}

static unsigned count_events(const struct fixture *f, enum relay_event_type type)
{
	unsigned count = 0;

	for (unsigned i = 0; i < f->event_count; i++)
		count += f->events[i] == type;
	return count;
}

/* --- the tests --- */

static void test_visitor_is_joined_and_an_id_is_good_once(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitor, data, thief;
	char id[UUID_TEXT_LEN + 1];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	visitor = connect_port(f, port);
	await_connection(f, &client, id);

	/* Bytes behind the Accept are the stream's. */
	data = connect_port(f, addr_port(&f->addr));
	say_with(&data, "{\"Accept\":\"", id, "\"}", "early");
	expect_text(f, &visitor, "early");
	say_bytes(&visitor, "ping", 4);
	expect_text(f, &data, "ping");

	thief = connect_port(f, addr_port(&f->addr));
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
	assert_int_equal(f->relay->joined_count, 0);
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
	visitor = connect_port(f, port);
	await_connection(f, &client, id);
	data = connect_port(f, addr_port(&f->addr));
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
	client = connect_port(f, addr_port(&f->addr));
	say(&client, "{\"Hello\":19999}");
	expect_frame(f, &client, "{\"Error\":\"client port number not in allowed range\"}");
	await_end(f, &client);
	disconnect(&client);
	assert_int_equal(count_events(f, RELAY_TUNNEL_REFUSED), 1);

	client = open_tunnel(f, &port);
	other = connect_port(f, addr_port(&f->addr));
	{
		char hello[32];
		int len = snprintf(hello, sizeof(hello), "{\"Hello\":%u}", port);

		say_bytes(&other, hello, (size_t)len + 1);
	}
	expect_frame(f, &other, "{\"Error\":\"port already in use\"}");
	await_end(f, &other);
	disconnect(&other);
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
	assert_int_equal(f->relay->unclaimed.delay_ms, 10000);
	f->relay->unclaimed.delay_ms = 20;
	client = open_tunnel(f, &port);
	visitor = connect_port(f, port);
	await_end(f, &visitor);
	assert_int_equal(f->relay->counts.visitors_unclaimed, 1);
	assert_string_equal(f->why, "not claimed in time");
	disconnect(&visitor);
	disconnect(&client);
}

static void test_pending_limit_closes_visitors(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitors[8];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	for (size_t i = 0; i < 8; i++)
		visitors[i] = connect_port(f, port);
	while (f->relay->counts.visitors_over_pending < 4)
		run(f);
	assert_int_equal(f->relay->pending.count, f->config.max_pending_per_tunnel);
	for (size_t i = 4; i < 8; i++)
		await_end(f, &visitors[i]);
	for (size_t i = 0; i < 8; i++)
		disconnect(&visitors[i]);
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
		visitors[i] = connect_port(f, port);
		await_connection(f, &client, id);
		data[i] = connect_port(f, addr_port(&f->addr));
		say_with(&data[i], "{\"Accept\":\"", id, "\"}", "x");
		expect_text(f, &visitors[i], "x");
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

static void test_silent_handshakes_are_limited_and_time_out(void **state)
{
	struct fixture *f = *state;
	struct peer peers[64];
	char frame[512];

	start(f, "secret");
	f->relay->challenges.delay_ms = 1;
	for (size_t i = 0; i < 64; i++)
		peers[i] = connect_port(f, addr_port(&f->addr));
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
		slow[i] = connect_port(f, addr_port(&f->addr));
		say_bytes(&slow[i], "{", 1);
	}
	while (f->relay->counts.handshakes < 17)
		run(f);
	assert_int_equal(f->relay->greeting_count, f->config.max_handshakes);
	visitor = connect_port(f, port);
	await_connection(f, &client, id);
	data = connect_port(f, addr_port(&f->addr));
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

static void test_wrong_secret(void **state)
{
	struct fixture *f = *state;
	struct peer client;
	char frame[512];

	start(f, "secret");
	f->relay->challenges.delay_ms = 1;
	client = connect_port(f, addr_port(&f->addr));
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
	client = connect_port(f, addr_port(&f->addr));
	say_bytes(&client, hello, strlen(hello));
	while (!memchr(client.data, '\n', client.len))
		assert_true(await_bytes(f, &client) > 0);
	assert_int_equal(sscanf(client.data, "OK %u\n", &port), 1);
	client.len = 0;
	visitor = connect_port(f, (uint16_t)port);
	while (!memchr(client.data, '\n', client.len))
		assert_true(await_bytes(f, &client) > 0);
	assert_int_equal(sscanf(client.data, "CONN %36[0-9a-f-]\n", id), 1);
	data = connect_port(f, addr_port(&f->addr));
	len = snprintf(text, sizeof(text), "HELLO 1\nAUTH secret\nACCEPT %s\nraw", id);
	say_bytes(&data, text, (size_t)len);
	expect_text(f, &visitor, "raw");
	disconnect(&visitor);
	disconnect(&data);
	disconnect(&client);
}

#define OFFER "{\"Options\":{\"resume\":true,\"refuse\":true}}"

static void say_hello(struct peer *p, uint16_t port)
{
	char hello[32];
	int len = snprintf(hello, sizeof(hello), "{\"Hello\":%u}", port);

	say_bytes(p, hello, (size_t)len + 1);
}

static void test_refused_visitor_is_closed_at_once(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitor;
	char id[UUID_TEXT_LEN + 1], frame[512];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	say(&client, OFFER);
	await_frame(f, &client, frame);
	visitor = connect_port(f, port);
	await_connection(f, &client, id);
	say_with(&client, "{\"Refuse\":{\"id\":\"", id, "\",\"why\":\"it's stopped\"}}", "");
	await_end(f, &visitor);
	assert_int_equal(f->relay->counts.visitors_refused, 1);
	assert_string_equal(f->why, "it\\'s stopped");
	/* An id that nobody waits by is no offence: the visitor may have gone meanwhile. */
	say_with(&client, "{\"Refuse\":{\"id\":\"", id, "\",\"why\":\"\"}}", "");
	disconnect(&visitor);
	visitor = connect_port(f, port);
	await_connection(f, &client, id);
	disconnect(&visitor);
	disconnect(&client);
}

static void test_resume_takes_the_tunnel_over(void **state)
{
	struct fixture *f = *state;
	struct peer client, again, joined, data, waiting;
	char id[UUID_TEXT_LEN + 1], id_again[UUID_TEXT_LEN + 1], token[33], next[33];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	say(&client, OFFER);
	await_token(f, &client, token);
	joined = connect_port(f, port);
	await_connection(f, &client, id);
	data = connect_port(f, addr_port(&f->addr));
	say_with(&data, "{\"Accept\":\"", id, "\"}", "x");
	expect_text(f, &joined, "x");
	waiting = connect_port(f, port);
	await_connection(f, &client, id);

	/* Hello and Options come apart. */
	again = connect_port(f, addr_port(&f->addr));
	say_hello(&again, port);
	while (f->relay->greeting_count == 0)
		run(f);
	say_with(&again, "{\"Options\":{\"resume\":true,\"token\":\"", token, "\"}}", "");
	assert_int_equal(await_hello(f, &again), port);
	await_token(f, &again, next);
	assert_string_not_equal(token, next);
	await_connection(f, &again, id_again);
	assert_string_equal(id_again, id);
	await_end(f, &client);

	say_bytes(&data, "on", 2);
	expect_text(f, &joined, "on");
	assert_int_equal(f->relay->serving_count, 1);
	assert_int_equal(count_events(f, RELAY_TUNNEL_RESUMED), 1);
	assert_int_equal(count_events(f, RELAY_TUNNEL_CLOSED), 0);
	disconnect(&joined);
	disconnect(&data);
	disconnect(&waiting);
	disconnect(&client);
	disconnect(&again);
}

static void test_no_resume_without_the_right_token(void **state)
{
	static const char *const offers[] = {
		"",
		"{\"Options\":{\"resume\":true}}",
		"{\"Options\":{\"resume\":true,\"token\":\"00000000000000000000000000000000\"}}",
	};
	struct fixture *f = *state;
	struct peer client, other;
	char token[33];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	say(&client, OFFER);
	await_token(f, &client, token);
	for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
		other = connect_port(f, addr_port(&f->addr));
		say_hello(&other, port);
		if (*offers[i])
			say_bytes(&other, offers[i], strlen(offers[i]) + 1);
		expect_frame(f, &other, "{\"Error\":\"port already in use\"}");
		await_end(f, &other);
		disconnect(&other);
	}
	assert_int_equal(f->relay->serving_count, 1);
	disconnect(&client);
}

static void test_port_freed_while_claiming(void **state)
{
	struct fixture *f = *state;
	struct peer client, other;
	char token[33];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	say(&client, OFFER);
	await_token(f, &client, token);
	other = connect_port(f, addr_port(&f->addr));
	say_hello(&other, port);
	while (f->relay->greeting_count == 0)
		run(f);
	disconnect(&client);
	assert_int_equal(await_hello(f, &other), port);
	disconnect(&other);
}

static void test_client_that_beats_and_stops_is_dropped(void **state)
{
	struct fixture *f = *state;
	struct peer client;
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	say(&client, "{\"Options\":{\"beat\":1000}}");
	await_end(f, &client);
	assert_string_equal(f->why, "the client is silent");
	disconnect(&client);
}

static void test_drain_waits_for_open_streams(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitor, data, late;
	char id[UUID_TEXT_LEN + 1];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	visitor = connect_port(f, port);
	await_connection(f, &client, id);
	relay_drain(f->relay, on_drained, f);
	/* Who waits may still be claimed; a new tunnel is refused, and the public port is closed.
	 */
	data = connect_port(f, addr_port(&f->addr));
	say_with(&data, "{\"Accept\":\"", id, "\"}", "x");
	expect_text(f, &visitor, "x");
	late = connect_port(f, addr_port(&f->addr));
	say(&late, "{\"Hello\":0}");
	expect_frame(f, &late, "{\"Error\":\"the server is shutting down\"}");
	await_end(f, &late);
	disconnect(&late);
	late.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	{
		struct addr addr = f->addr;

		addr_set_port(&addr, port);
		assert_int_equal(connect(late.fd, &addr.sa, addr_len(&addr)), -1);
	}
	say_bytes(&visitor, "on", 2);
	expect_text(f, &data, "on");
	assert_int_equal(f->drained, 0);
	disconnect(&visitor);
	disconnect(&data);
	while (!f->drained)
		run(f);
	await_end(f, &client);
	disconnect(&client);
	disconnect(&late);
	assert_int_equal(f->drained, 1);
}

static void test_second_drain_and_grace_end_streams(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitor, data;
	char id[UUID_TEXT_LEN + 1];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	visitor = connect_port(f, port);
	await_connection(f, &client, id);
	data = connect_port(f, addr_port(&f->addr));
	say_with(&data, "{\"Accept\":\"", id, "\"}", "x");
	expect_text(f, &visitor, "x");
	relay_drain(f->relay, on_drained, f);
	assert_int_equal(f->drained, 0);
	relay_drain(f->relay, on_drained, f);
	await_end(f, &visitor);
	while (!f->drained)
		run(f);
	disconnect(&visitor);
	disconnect(&data);
	disconnect(&client);
}

static void test_metrics_name_every_limit(void **state)
{
	static const char *const names[] = { "bore_limit{name=\"max_tunnels_per_addr\"} 64\n",
		"bore_limit{name=\"max_handshakes\"} 8\n", "bore_tunnels 1\n",
		"bore_tunnels_opened_total 1\n", "bore_bytes_total{from=\"visitor\"} 0\n",
		"bore_pipe_pages_limit " };
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
	assert_int_equal(relay_start(other, &addr), -EADDRINUSE);
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
		CASE(test_pending_limit_closes_visitors),
		CASE(test_connection_limit_closes_visitors),
		CASE(test_silent_handshakes_are_limited_and_time_out),
		CASE(test_tunnel_is_not_disturbed_by_a_full_house),
		CASE(test_wrong_secret),
		CASE(test_line_dialect),
		CASE(test_refused_visitor_is_closed_at_once),
		CASE(test_resume_takes_the_tunnel_over),
		CASE(test_no_resume_without_the_right_token),
		CASE(test_port_freed_while_claiming),
		CASE(test_client_that_beats_and_stops_is_dropped),
		CASE(test_drain_waits_for_open_streams),
		CASE(test_second_drain_and_grace_end_streams),
		CASE(test_metrics_name_every_limit),
		CASE(test_control_port_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
