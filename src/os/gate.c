/* SPDX-License-Identifier: MIT */
/*
 * TCP has no messages: what a visitor speaks is decided on as many bytes as it takes, however they
 * come. Who was answered then lingers (net/lingering.h).
 */
#include "os/gate.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/addr.h"
#include "net/listener.h"
#include "net/sockopt.h"

#define READ_MAX 64  /* more than a method has letters */
#define RETRY_MS 100 /* until something may have given a descriptor back */
#define LINGER_TURN_MS 1000

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
};

static void gate_end(struct gate *g)
{
	if (g->closing && g->visitor_count == 0 && g->fd < 0)
		g->closed(g->owner);
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

static void on_linger_readable(uv_poll_t *poll, int status, int events)
{
	struct gate *g = poll->data;

	lingering_run(&g->lingering);
}

static void on_linger_turn(uv_timer_t *timer)
{
	struct gate *g = timer->data;

	lingering_run(&g->lingering);
	if (g->lingering.count == 0)
		(void)uv_timer_stop(timer);
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
	struct gate *g = v->gate;

	if (speech == SPEAKS_HTTP)
		(void)!send(v->fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (g->lingers) {
		lingering_add(&g->lingering, v->fd);
		if (!uv_is_active((uv_handle_t *)&g->linger_turn))
			(void)uv_timer_start(
				&g->linger_turn, on_linger_turn, LINGER_TURN_MS, LINGER_TURN_MS);
	}
	visitor_close(v);
}

static void on_visitor_readable(uv_poll_t *poll, int status, int events)
{
	struct gate_visitor *v = poll->data;
	char bytes[READ_MAX];
	ssize_t n = recv(v->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	enum speech speech = n > 0 ? visitor_listen(v, bytes, (size_t)n) : SPEAKS_ON;

	if (speech != SPEAKS_ON)
		visitor_answer(v, speech);
	else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		visitor_close(v);
}

static void gate_take(struct gate *g, uv_loop_t *loop, int fd)
{
	struct gate_visitor *v = calloc(1, sizeof *v);

	/* Who came first has been silent for longest. */
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
		g->wanted(g->owner);
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

/* Without memory for it nobody lingers. */
static void gate_open_lingering(struct gate *g, uv_loop_t *loop)
{
	if (lingering_init(&g->lingering) < 0 ||
		uv_poll_init(loop, &g->linger_poll, g->lingering.epoll_fd) < 0) {
		lingering_deinit(&g->lingering);
		return;
	}
	g->lingers = true;
	g->handles += 2;
	g->linger_poll.data = g->linger_turn.data = g;
	(void)uv_timer_init(loop, &g->linger_turn);
	(void)uv_poll_start(&g->linger_poll, UV_READABLE, on_linger_readable);
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
	g->handles = 2;
	g->lingers = false;
	gate_open_lingering(g, loop);
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

static void on_handle_closed(uv_handle_t *handle)
{
	struct gate *g = handle->data;

	if (--g->handles > 0)
		return;
	if (g->lingers)
		lingering_deinit(&g->lingering);
	g->fd = fd_close(g->fd);
	gate_end(g);
}

void gate_close(struct gate *g)
{
	g->closing = true;
	list_for_each_safe(link, &g->visitors)
		visitor_close(list_entry(link, struct gate_visitor, link));
	uv_close((uv_handle_t *)&g->poll, on_handle_closed);
	uv_close((uv_handle_t *)&g->pause, on_handle_closed);
	if (g->lingers) {
		uv_close((uv_handle_t *)&g->linger_poll, on_handle_closed);
		uv_close((uv_handle_t *)&g->linger_turn, on_handle_closed);
	}
}
