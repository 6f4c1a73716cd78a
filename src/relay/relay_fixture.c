/* SPDX-License-Identifier: MIT */
/* A whole relay for the tests. Its sockets are those of this process, so whoever waits lets the
 * loop run. */
#include "relay/relay_fixture.h"

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
#include "base/fd.h"

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

void on_closed(void *owner)
{
	((struct fixture *)owner)->closed = true;
}

int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	uv_loop_init(&f->loop);
	uv_timer_init(&f->loop, &f->deadline);
	uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0);
	uv_timer_init(&f->loop, &f->tick);
	uv_timer_start(&f->tick, on_tick, 5, 5);
	f->pool_config.workers = 1;
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
		.half_close_timeout_ms = 60000,
	};
	assert_int_equal(addr_parse_ip("127.0.0.1", 0, &f->config.bind_addr), 0);
	f->config.bind_tunnels = f->config.bind_addr;
	*state = f;
	return 0;
}

void start(struct fixture *f, const char *secret)
{
	if (secret) {
		assert_int_equal(secret_set(&f->secret, secret, strlen(secret)), 0);
		f->config.secret = &f->secret;
	}
	assert_int_equal(pump_pool_new(&f->loop, &f->pool_config, &f->pool), 0);
	assert_int_equal(relay_new(&f->loop, f->pool, &f->config, on_event, f, &f->relay), 0);
	assert_int_equal(relay_start(f->relay, NULL, &f->addr), 0);
	assert_int_equal(f->events[0], RELAY_LISTENING);
}

void run(struct fixture *f)
{
	uv_run(&f->loop, UV_RUN_ONCE);
}

int teardown(void **state)
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

struct peer connect_port(struct fixture *f, uint16_t port)
{
	struct peer p = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	struct addr addr = f->addr;

	addr_set_port(&addr, port);
	assert_int_equal(connect(p.fd, &addr.sa, addr_len(&addr)), 0);
	assert_int_equal(fcntl(p.fd, F_SETFL, O_NONBLOCK), 0);
	return p;
}

struct peer connect_control(struct fixture *f)
{
	return connect_port(f, addr_port(&f->addr));
}

void disconnect(struct peer *p)
{
	p->fd = fd_close(p->fd);
}

/* `len` with the NUL of the string, which ends a frame. */
void say_bytes(struct peer *p, const char *data, size_t len)
{
	assert_int_equal(send(p->fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* 0: the end; otherwise more bytes. */
ssize_t await_bytes(struct fixture *f, struct peer *p)
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

void await_end(struct fixture *f, struct peer *p)
{
	while (await_bytes(f, p) > 0)
		;
}

void await_refusal(struct fixture *f, struct peer *p, const char *error)
{
	char frame[512];

	(void)snprintf(frame, sizeof(frame), "{\"Error\":\"%s\"}", error);
	expect_frame(f, p, frame);
	await_end(f, p);
	disconnect(p);
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
void await_frame(struct fixture *f, struct peer *p, char ret_frame[512])
{
	for (;;) {
		while (take_frame(p, ret_frame))
			if (strcmp(ret_frame, "\"Heartbeat\"") != 0)
				return;
		if (await_bytes(f, p) == 0)
			fail_msg("the connection ended in place of a frame");
	}
}

unsigned await_ready(
	struct fixture *f, struct peer *p, const char *before, char ret_key[UUID_TEXT_LEN + 1])
{
	char frame[512], head[64];
	size_t len = (size_t)snprintf(head, sizeof(head), "{\"Options\":{%s", before);
	unsigned granted;

	await_frame(f, p, frame);
	assert_memory_equal(frame, head, len);
	assert_int_equal(
		sscanf(frame + len, "\"ready\":%u,\"key\":\"%36[0-9a-f-]\"}}", &granted, ret_key),
		2);
	return granted;
}

void expect_frame(struct fixture *f, struct peer *p, const char *frame)
{
	char got[512];

	await_frame(f, p, got);
	assert_string_equal(got, frame);
}

uint16_t await_hello(struct fixture *f, struct peer *p)
{
	char frame[512];
	unsigned port = 0;

	await_frame(f, p, frame);
	assert_int_equal(sscanf(frame, "{\"Hello\":%u}", &port), 1);
	return (uint16_t)port;
}

void await_connection(struct fixture *f, struct peer *p, char ret_id[UUID_TEXT_LEN + 1])
{
	char frame[512];

	await_frame(f, p, frame);
	assert_int_equal(sscanf(frame, "{\"Connection\":\"%36[0-9a-f-]\"}", ret_id), 1);
}

void await_token(struct fixture *f, struct peer *p, char ret_token[33])
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
void say_with(
	struct peer *p, const char *head, const char *id, const char *tail, const char *behind)
{
	char frame[512];
	int len = snprintf(frame, sizeof(frame), "%s%s%s", head, id, tail);

	memcpy(frame + len + 1, behind, strlen(behind));
	say_bytes(p, frame, (size_t)len + 1 + strlen(behind));
}

void expect_text(struct fixture *f, struct peer *p, const char *text)
{
	size_t len = strlen(text);

	while (p->len < len)
		assert_true(await_bytes(f, p) > 0);
	assert_int_equal(p->len, len);
	assert_memory_equal(p->data, text, len);
	p->len = 0;
}

void say_hello(struct peer *p, uint16_t port)
{
	char hello[32];
	int len = snprintf(hello, sizeof(hello), "{\"Hello\":%u}", port);

	say_bytes(p, hello, (size_t)len + 1);
}

struct peer open_tunnel(struct fixture *f, uint16_t *ret_port)
{
	struct peer client = connect_control(f);

	say_hello(&client, 0);
	*ret_port = await_hello(f, &client);
	return client;
}

struct peer open_tunnel_with_token(struct fixture *f, uint16_t *ret_port, char ret_token[33])
{
	struct peer client = open_tunnel(f, ret_port);

	say(&client, "{\"Options\":{\"resume\":true,\"refuse\":true}}");
	await_token(f, &client, ret_token);
	return client;
}

struct peer visit(
	struct fixture *f, struct peer *client, uint16_t port, char ret_id[UUID_TEXT_LEN + 1])
{
	struct peer visitor = connect_port(f, port);

	await_connection(f, client, ret_id);
	return visitor;
}

struct peer join(struct fixture *f, const char *id, struct peer *visitor)
{
	struct peer data = connect_control(f);

	say_with(&data, "{\"Accept\":\"", id, "\"}", "x");
	expect_text(f, visitor, "x");
	return data;
}

unsigned count_events(const struct fixture *f, enum relay_event_type type)
{
	unsigned count = 0;

	for (unsigned i = 0; i < f->event_count; i++)
		count += f->events[i] == type;
	return count;
}
