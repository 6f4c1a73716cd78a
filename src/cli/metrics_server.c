/* SPDX-License-Identifier: MIT */
/*
 * The answer to GET /metrics. A struct metrics_conn owns its chan, and is freed when the loop has
 * let go of it. Answers are far smaller than a socket's send buffer, so they are written and the
 * connection is closed at once.
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
	struct timeout timeout;
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

/* The last reference that goes tells the owner. */
static void metrics_server_let_go(struct metrics_server *s)
{
	if (!--s->refs)
		s->closed(s->owner);
}

static void metrics_on_chan_closed(struct chan *chan)
{
	struct metrics_conn *c = chan->owner;
	struct metrics_server *s = c->server;

	free(c);
	s->count--;
	metrics_server_let_go(s);
}

static void metrics_conn_close(struct metrics_conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	list_remove(&c->link);
	timeout_disarm(&c->timeout);
	chan_close(&c->chan, false);
}

static void metrics_on_timeout(struct timeouts *q, struct timeout *t)
{
	metrics_conn_close(container_of(t, struct metrics_conn, timeout));
}

static void metrics_on_end(struct chan *chan, int error)
{
	metrics_conn_close(chan->owner);
}

static void metrics_conn_answer(struct metrics_conn *c, int status)
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

static void metrics_on_data(struct chan *chan)
{
	int status = metrics_request_status(buf_head(&chan->in), buf_len(&chan->in));

	if (!status)
		return;
	metrics_conn_answer(chan->owner, status);
	metrics_conn_close(chan->owner);
}

static void metrics_on_accepted(struct listener *l, int fd, const struct addr *from)
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
	c->chan.data = metrics_on_data;
	c->chan.end = metrics_on_end;
	c->chan.closed = metrics_on_chan_closed;
	c->chan.owner = c;
	if (chan_open(&c->chan, s->loop, fd) < 0) {
		close(fd);
		free(c);
		return;
	}
	timeout_init(&c->timeout);
	timeouts_arm(&s->timeouts, &c->timeout);
	list_push_back(&s->conns, &c->link);
	s->count++;
	s->refs++;
}

static void metrics_on_listener_closed(struct listener *l)
{
	metrics_server_let_go(l->owner);
}

static void metrics_on_timeouts_closed(uv_handle_t *handle)
{
	metrics_server_let_go(handle->data);
}

int metrics_server_open(struct metrics_server *s, uv_loop_t *loop, const struct addr *addr)
{
	int r;

	s->loop = loop;
	s->count = 0;
	s->refs = 2;
	list_init(&s->conns);
	s->listener.reserve = NULL;
	s->listener.admits = NULL;
	s->listener.accepted = metrics_on_accepted;
	s->listener.closed = metrics_on_listener_closed;
	s->listener.owner = s;
	r = listener_open(&s->listener, loop, addr, false, true);
	if (r == 0)
		timeouts_init(&s->timeouts, loop, METRICS_TIMEOUT_MS, metrics_on_timeout, s);
	return r;
}

void metrics_server_close(struct metrics_server *s)
{
	list_for_each_safe(link, &s->conns)
		metrics_conn_close(list_entry(link, struct metrics_conn, link));
	timeouts_close(&s->timeouts, metrics_on_timeouts_closed);
	listener_close(&s->listener);
}
