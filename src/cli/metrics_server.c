/* SPDX-License-Identifier: MIT */
/*
 * The answer to GET /metrics. A struct metrics_conn owns its chan and its timer, and is freed when
 * the loop has let go of both. Answers are far smaller than a socket's send buffer, so they are
 * written and the connection is closed at once.
 */
#include "cli/metrics_server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/lang.h"
#include "base/prometheus.h"
#include "net/chan.h"

struct metrics_conn {
	struct list link; /* in server->conns */
	struct metrics_server *server;
	struct chan chan;
	uv_timer_t timer;
	unsigned handles; /* chan and timer, while the loop knows them */
	bool closing;
};

static const struct {
	int status;
	const char *reason, *header;
} answers[] = {
	{ 200, "OK", "Content-Type: " PROMETHEUS_TYPE "\r\n" },
	{ 400, "Bad Request", "" },
	{ 404, "Not Found", "" },
	{ 405, "Method Not Allowed", "Allow: GET\r\n" },
};

int metrics_request_status(const void *data, size_t len)
{
	const char *line = data, *end, *target, *version;

	if (!memmem(data, len, "\r\n\r\n", 4))
		return len < CHAN_IN_MAX ? 0 : 400;
	end = memmem(line, len, "\r\n", 2);
	target = memchr(line, ' ', (size_t)(end - line));
	version = target ? memchr(target + 1, ' ', (size_t)(end - target - 1)) : NULL;
	if (!version || end - version != 9 || memcmp(version, " HTTP/1.", 8) != 0)
		return 400;
	if (target - line != 3 || memcmp(line, "GET", 3) != 0)
		return 405;
	if (version - target != 9 || memcmp(target, " /metrics", 9) != 0)
		return 404;
	return 200;
}

/* The listener and every connection are one reference each; the last one out tells the owner. */
static void server_let_go(struct metrics_server *s)
{
	if (!--s->refs)
		s->closed(s->owner);
}

static void conn_let_go(struct metrics_conn *c)
{
	struct metrics_server *s = c->server;

	if (--c->handles)
		return;
	free(c);
	s->count--;
	server_let_go(s);
}

static void on_timer_closed(uv_handle_t *handle)
{
	conn_let_go(container_of((uv_timer_t *)handle, struct metrics_conn, timer));
}

static void on_chan_closed(struct chan *chan)
{
	conn_let_go(chan->owner);
}

static void conn_close(struct metrics_conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	list_remove(&c->link);
	uv_close((uv_handle_t *)&c->timer, on_timer_closed);
	chan_close(&c->chan, false);
}

static void on_timeout(uv_timer_t *timer)
{
	conn_close(container_of(timer, struct metrics_conn, timer));
}

static void on_end(struct chan *chan, int error)
{
	conn_close(chan->owner);
}

static void conn_answer(struct metrics_conn *c, int status)
{
	struct metrics_server *s = c->server;
	char *body = NULL, head[256];
	size_t i = 0, len = 0;
	FILE *out = open_memstream(&body, &len);
	int n;

	if (!out)
		return;
	if (status == 200)
		s->write(s->owner, out);
	if (fclose(out) == 0) {
		while (answers[i].status != status)
			i++;
		n = snprintf(head, sizeof head,
			"HTTP/1.1 %d %s\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n",
			status, answers[i].reason, answers[i].header, len);
		if (chan_queue(&c->chan, head, (size_t)n) == 0 &&
			chan_queue(&c->chan, body, len) == 0)
			chan_flush(&c->chan);
	}
	free(body);
}

static void on_data(struct chan *chan)
{
	int status = metrics_request_status(buf_head(&chan->in), buf_len(&chan->in));

	if (!status)
		return;
	conn_answer(chan->owner, status);
	conn_close(chan->owner);
}

static void on_accepted(struct listener *l, int fd, const struct addr *from)
{
	struct metrics_server *s = l->owner;
	struct metrics_conn *c = NULL;

	if (s->count < METRICS_CONNS_MAX)
		c = calloc(1, sizeof *c);
	if (!c) {
		close(fd);
		return;
	}
	c->server = s;
	c->chan.data = on_data;
	c->chan.end = on_end;
	c->chan.closed = on_chan_closed;
	c->chan.owner = c;
	if (chan_open(&c->chan, s->loop, fd) < 0) {
		close(fd);
		free(c);
		return;
	}
	(void)uv_timer_init(s->loop, &c->timer);
	(void)uv_timer_start(&c->timer, on_timeout, METRICS_TIMEOUT_MS, 0);
	c->handles = 2;
	list_push_back(&s->conns, &c->link);
	s->count++;
	s->refs++;
}

static void on_listener_closed(struct listener *l)
{
	server_let_go(l->owner);
}

int metrics_server_open(struct metrics_server *s, uv_loop_t *loop, const struct addr *addr)
{
	s->loop = loop;
	s->count = 0;
	s->refs = 1;
	list_init(&s->conns);
	s->listener.reserve = NULL;
	s->listener.admits = NULL;
	s->listener.accepted = on_accepted;
	s->listener.closed = on_listener_closed;
	s->listener.owner = s;
	return listener_open(&s->listener, loop, addr, false, true);
}

void metrics_server_close(struct metrics_server *s)
{
	list_for_each_safe(link, &s->conns)
		conn_close(list_entry(link, struct metrics_conn, link));
	listener_close(&s->listener);
}
