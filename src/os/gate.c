/* SPDX-License-Identifier: MIT */
/*
 * A visitor who is turned away is read from until his end, or for a while if he goes on: closing
 * with unread bytes would send a reset, which takes the answer with it (RFC 9112, 9.6).
 *
 * TCP has no messages: what he speaks is decided on as many bytes as it takes, however they come.
 */
#include "os/gate.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/addr.h"
#include "net/listener.h"
#include "net/sockopt.h"

#define READ_MAX 4096
#define READS_PER_TURN 16
#define RETRY_MS 100 /* until something may have given a descriptor back */

/* Letters of a method. "GET" is the shortest, "UPDATEREDIRECTREF" the longest that is registered.
 */
#define METHOD_MIN 3
#define METHOD_MAX 24

static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
			     "Content-Type: text/plain; charset=utf-8\r\n"
			     "Content-Length: 31\r\n"
			     "Retry-After: 5\r\n"
			     "Connection: close\r\n\r\n"
			     "The application is not running\n";

struct gate_visitor {
	struct gate *gate;
	struct list link;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned handles; /* not yet closed */
	int fd;
	unsigned method_len; /* letters that have come so far */
	bool answered;
	uint64_t until_ms; /* of the loop's clock: how long one who was answered may go on */
};

static void gate_end(struct gate *g)
{
	if (g->closing && g->visitor_count == 0 && g->fd < 0)
		g->closed(g);
}

static void on_visitor_closed(uv_handle_t *handle)
{
	struct gate_visitor *v = handle->data;
	struct gate *g = v->gate;

	if (--v->handles > 0)
		return;
	(void)fd_close(v->fd);
	g->visitor_count--;
	free(v);
	gate_end(g);
}

/* One that closes is in the list no more: it is nobody who could make room. */
static void visitor_close(struct gate_visitor *v)
{
	if (uv_is_closing((uv_handle_t *)&v->timer))
		return;
	list_remove(&v->link);
	uv_close((uv_handle_t *)&v->poll, on_visitor_closed);
	uv_close((uv_handle_t *)&v->timer, on_visitor_closed);
}

static void on_visitor_late(uv_timer_t *timer)
{
	visitor_close(timer->data);
}

enum speech { SPEAKS_HTTP, SPEAKS_ANOTHER, SPEAKS_ON };

/* A method is a word of capital letters, and some have a hyphen (RFC 9110, 9.1); a client of
 * another protocol begins with something else, or would have to guess what an HTTP text means. */
static enum speech visitor_listen(struct gate_visitor *v, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len && v->method_len <= METHOD_MAX; i++, v->method_len++) {
		if (bytes[i] == ' ' && v->method_len >= METHOD_MIN)
			return SPEAKS_HTTP;
		if (bytes[i] != '-' && !(bytes[i] >= 'A' && bytes[i] <= 'Z'))
			return SPEAKS_ANOTHER;
	}
	return v->method_len <= METHOD_MAX ? SPEAKS_ON : SPEAKS_ANOTHER;
}

static void visitor_answer(struct gate_visitor *v, enum speech speech)
{
	v->answered = true;
	v->until_ms = uv_now(v->timer.loop) + GATE_LINGER_MS;
	if (speech == SPEAKS_HTTP)
		(void)!send(v->fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)shutdown(v->fd, SHUT_WR);
}

static void on_visitor_readable(uv_poll_t *poll, int status, int events)
{
	struct gate_visitor *v = poll->data;
	char bytes[READ_MAX];
	ssize_t n = 1;

	for (unsigned i = 0; i < READS_PER_TURN && n > 0; i++) {
		n = recv(v->fd, bytes, sizeof bytes, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			visitor_close(v);
			return;
		}
		if (n > 0 && !v->answered) {
			enum speech speech = visitor_listen(v, bytes, (size_t)n);

			if (speech != SPEAKS_ON)
				visitor_answer(v, speech);
		}
	}
	if (v->answered) {
		uint64_t now_ms = uv_now(poll->loop);
		uint64_t left_ms = v->until_ms > now_ms ? v->until_ms - now_ms : 0;

		(void)uv_timer_start(
			&v->timer, on_visitor_late, min_u64(left_ms, GATE_SILENCE_MS), 0);
	}
}

static void gate_take(struct gate *g, uv_loop_t *loop, int fd)
{
	struct gate_visitor *v = calloc(1, sizeof *v);

	/* Who came first has had his answer, or doesn't speak. */
	if (g->visitor_count >= GATE_VISITORS_MAX && !list_empty(&g->visitors))
		visitor_close(list_entry(list_first(&g->visitors), struct gate_visitor, link));
	if (!v || uv_poll_init(loop, &v->poll, fd) < 0) {
		free(v);
		(void)fd_close(fd);
		return;
	}
	v->gate = g;
	v->fd = fd;
	v->handles = 2;
	v->poll.data = v->timer.data = v;
	list_init(&v->link);
	list_push_back(&g->visitors, &v->link);
	g->visitor_count++;
	(void)uv_timer_init(loop, &v->timer);
	(void)uv_timer_start(&v->timer, on_visitor_late, GATE_WORD_MS, 0);
	(void)uv_poll_start(&v->poll, UV_READABLE, on_visitor_readable);
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *timer)
{
	struct gate *g = timer->data;

	(void)uv_poll_start(&g->poll, UV_READABLE, on_readable);
}

/* The visitor stays in the queue, and the socket readable: asking at once would be a busy wait. */
static void gate_back_off(struct gate *g, int error)
{
	(void)uv_poll_stop(&g->poll);
	(void)uv_timer_start(&g->pause, on_pause_over, RETRY_MS, 0);
	if (!g->said_short)
		log_warn("app", "can't turn visitors away, they wait: %s", strerror(error));
	g->said_short = true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct gate *g = poll->data;

	if (g->state == GATE_WATCHED) {
		(void)uv_poll_stop(poll);
		g->wanted(g);
		return;
	}
	for (unsigned i = 0; i < LISTENER_BATCH; i++) {
		int fd = accept4(g->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			g->said_short = false;
			gate_take(g, poll->loop, fd);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			   errno == ENOMEM) {
			gate_back_off(g, errno);
			return;
		} else if (errno == EAGAIN) {
			return;
		}
		/* Else it was that visitor's own mishap (accept(2)). */
	}
}

int gate_open(struct gate *g, uv_loop_t *loop, uint16_t port)
{
	_cleanup_(fd_closep) int fd = -1;
	struct addr addr;
	int r = addr_parse_ip("127.0.0.1", port, &addr);

	assert(r == 0);
	r = listener_socket(&addr, LISTENER_BACKLOG, &fd);
	if (r == 0)
		r = uv_poll_init(loop, &g->poll, fd);
	if (r < 0)
		return r;
	g->fd = take_fd(&fd);
	g->port = addr_port(&addr);
	(void)uv_timer_init(loop, &g->pause);
	g->poll.data = g->pause.data = g;
	list_init(&g->visitors);
	g->visitor_count = 0;
	g->closing = false;
	g->state = GATE_OPEN;
	gate_set(g, GATE_CLOSED);
	return 0;
}

void gate_set(struct gate *g, enum gate_state state)
{
	if (g->state == state)
		return;
	g->state = state;
	(void)uv_poll_stop(&g->poll);
	(void)uv_timer_stop(&g->pause);
	if (state == GATE_CLOSED || state == GATE_WATCHED)
		(void)uv_poll_start(&g->poll, UV_READABLE, on_readable);
	else if (state == GATE_PAUSED)
		(void)uv_timer_start(&g->pause, on_pause_over, GATE_PAUSE_MS, 0);
}

static void on_pause_closed(uv_handle_t *handle)
{
	struct gate *g = handle->data;

	g->fd = fd_close(g->fd);
	gate_end(g);
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct gate *g = handle->data;

	uv_close((uv_handle_t *)&g->pause, on_pause_closed);
}

void gate_close(struct gate *g)
{
	g->closing = true;
	(void)uv_timer_stop(&g->pause);
	list_for_each_safe(link, &g->visitors)
		visitor_close(list_entry(link, struct gate_visitor, link));
	uv_close((uv_handle_t *)&g->poll, on_poll_closed);
}
