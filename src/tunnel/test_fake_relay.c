/* SPDX-License-Identifier: MIT */
/* See test_fake_relay.h. It reads through net/chan, as the real ones do. */
#include "tunnel/test_fake_relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "net/addr.h"
#include "net/test_turn.h"

void fake_conn_say(struct fake_conn *c, const char *text)
{
	char wire[FAKE_GOT_MAX];
	size_t len = strlen(text);

	assert_true(c->open && len <= sizeof(wire));
	for (size_t i = 0; i < len; i++)
		wire[i] = text[i] == '|' ? '\0' : text[i];
	assert_int_equal(chan_write(&c->chan, wire, len), 0);
}

void fake_conn_hang_up(struct fake_conn *c)
{
	if (c->open)
		chan_close(&c->chan, false);
	c->open = false;
}

static void on_data(struct chan *chan)
{
	struct fake_conn *c = chan->owner;
	size_t len = buf_len(&chan->in);

	assert_true(c->got_len + len <= FAKE_GOT_MAX);
	for (size_t i = 0; i < len; i++) {
		char byte = (char)buf_head(&chan->in)[i];

		c->got[c->got_len++] = byte == '\0' ? '|' : byte;
	}
	buf_consume(&chan->in, len);
	if (c->answered || !c->script->answer)
		return;
	c->answered = true;
	fake_conn_say(c, c->script->answer);
	if (c->script->hang_up)
		fake_conn_hang_up(c);
}

static void on_end(struct chan *chan, int error)
{
	struct fake_conn *c = chan->owner;

	(void)error;
	c->ended = true;
}

static void on_closed(struct chan *chan)
{
	(void)chan;
}

static void on_visitor(uv_poll_t *poll, int status, int events)
{
	struct fake_relay *r = poll->data;
	int fd = accept4(r->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct fake_conn *c = &r->conns[r->count];

	(void)status;
	(void)events;
	if (fd < 0)
		return;
	assert_true(r->count < FAKE_CONNS_MAX);
	c->relay = r;
	c->script = &r->scripts[r->count < r->script_count ? r->count : r->script_count - 1];
	c->open = true;
	c->chan.data = on_data;
	c->chan.end = on_end;
	c->chan.closed = on_closed;
	c->chan.owner = c;
	r->count++;
	assert_int_equal(chan_open(&c->chan, r->loop, fd), 0);
	if (c->script->greeting)
		fake_conn_say(c, c->script->greeting);
	if (c->script->hang_up && !c->script->answer)
		fake_conn_hang_up(c);
}

static int bind_loopback(uint16_t *ret_port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct addr addr;

	assert_true(fd >= 0);
	assert_int_equal(addr_parse_ip("127.0.0.1", 0, &addr), 0);
	assert_int_equal(bind(fd, &addr.sa, addr_len(&addr)), 0);
	assert_int_equal(addr_of_socket(fd, &addr), 0);
	*ret_port = addr_port(&addr);
	return fd;
}

void fake_relay_open(struct fake_relay *r, uv_loop_t *loop, const struct fake_script *scripts,
	size_t script_count)
{
	memset(r, 0, sizeof(*r));
	r->loop = loop;
	r->scripts = scripts;
	r->script_count = script_count;
	r->fd = bind_loopback(&r->port);
	assert_int_equal(listen(r->fd, FAKE_CONNS_MAX), 0);
	assert_int_equal(uv_poll_init(loop, &r->poll, r->fd), 0);
	r->poll.data = r;
	assert_int_equal(uv_poll_start(&r->poll, UV_READABLE, on_visitor), 0);
}

void fake_relay_close(struct fake_relay *r)
{
	for (unsigned i = 0; i < r->count; i++)
		fake_conn_hang_up(&r->conns[i]);
	uv_close((uv_handle_t *)&r->poll, NULL);
	(void)close(r->fd);
}

void fake_run_until(uv_loop_t *loop, bool (*condition)(const void *arg), const void *arg)
{
	uint64_t deadline = clock_now_ms() + FAKE_DEADLINE_MS;

	while (!condition(arg)) {
		assert_true(clock_now_ms() < deadline);
		test_turn(loop);
	}
}

struct expected {
	const struct fake_relay *relay;
	unsigned conn;
	const char *text;
};

static bool has_said(const void *arg)
{
	const struct expected *e = arg;

	return e->relay->count > e->conn && strstr(e->relay->conns[e->conn].got, e->text);
}

void fake_relay_await(const struct fake_relay *r, unsigned conn, const char *text)
{
	const struct expected e = { .relay = r, .conn = conn, .text = text };

	fake_run_until(r->loop, has_said, &e);
}

int fake_refusing_port(uint16_t *ret_port)
{
	return bind_loopback(ret_port);
}
