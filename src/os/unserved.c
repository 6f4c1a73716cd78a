/* SPDX-License-Identifier: MIT */
/*
 * TCP has no messages: what a visitor speaks is decided on as many bytes as it takes, however they
 * come. He leaves by one way, unserved_let_go(): answered, silent for too long, gone, the oldest of
 * too many, or because all is closed. His timeout is armed until then, and he is freed when his
 * handle is closed.
 */
#include "os/unserved.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/lang.h"

#define READ_MAX 64 /* more than a method has letters */
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

struct unserved_visitor {
	struct unserved *all;
	struct timeout timeout;
	uv_poll_t poll;
	int fd;
	unsigned method_len; /* letters that have come so far */
};

static void unserved_end(struct unserved *u)
{
	if (!u->closed || u->count > 0 || u->handles > 0)
		return;
	if (u->lingers)
		lingering_deinit(&u->lingering);
	u->closed(u->owner);
}

static void unserved_on_visitor_closed(uv_handle_t *handle)
{
	struct unserved_visitor *v = handle->data;
	struct unserved *u = v->all;

	(void)fd_close(v->fd);
	u->count--;
	free(v);
	unserved_end(u);
}

static void unserved_let_go(struct unserved_visitor *v)
{
	timeout_disarm(&v->timeout);
	uv_close((uv_handle_t *)&v->poll, unserved_on_visitor_closed);
}

static void unserved_on_late(struct timeouts *q, struct timeout *t)
{
	unserved_let_go(container_of(t, struct unserved_visitor, timeout));
}

enum speech { SPEAKS_HTTP, SPEAKS_ANOTHER, SPEAKS_ON };

/* A method is a word of capital letters, and some have a hyphen (RFC 9110, 9.1); a client of
 * another protocol begins with something else, or would have to guess what an HTTP text means. */
static enum speech unserved_listen(struct unserved_visitor *v, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len && v->method_len <= METHOD_MAX; i++, v->method_len++) {
		if (bytes[i] == ' ' && v->method_len >= METHOD_MIN)
			return SPEAKS_HTTP;
		if (bytes[i] != '-' && !(bytes[i] >= 'A' && bytes[i] <= 'Z'))
			return SPEAKS_ANOTHER;
	}
	return v->method_len <= METHOD_MAX ? SPEAKS_ON : SPEAKS_ANOTHER;
}

static void unserved_on_linger_readable(uv_poll_t *poll, int status, int events)
{
	struct unserved *u = poll->data;

	lingering_run(&u->lingering);
}

static void unserved_on_linger_turn(uv_timer_t *timer)
{
	struct unserved *u = timer->data;

	lingering_run(&u->lingering);
	if (u->lingering.count == 0)
		(void)uv_timer_stop(timer);
}

static void unserved_answer(struct unserved_visitor *v, enum speech speech)
{
	struct unserved *u = v->all;

	if (speech == SPEAKS_HTTP)
		(void)!send(v->fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (u->lingers) {
		lingering_add(&u->lingering, v->fd);
		if (!uv_is_active((uv_handle_t *)&u->linger_turn))
			(void)uv_timer_start(&u->linger_turn, unserved_on_linger_turn,
				LINGER_TURN_MS, LINGER_TURN_MS);
	}
	unserved_let_go(v);
}

static void unserved_on_visitor_readable(uv_poll_t *poll, int status, int events)
{
	struct unserved_visitor *v = poll->data;
	char bytes[READ_MAX];
	ssize_t n = recv(v->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	enum speech speech = n > 0 ? unserved_listen(v, bytes, (size_t)n) : SPEAKS_ON;

	if (speech != SPEAKS_ON)
		unserved_answer(v, speech);
	else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		unserved_let_go(v);
}

void unserved_init(struct unserved *u, uv_loop_t *loop)
{
	*u = (struct unserved){ .loop = loop, .handles = 2 };
	timeouts_init(&u->waiting, loop, UNSERVED_WORD_MS, unserved_on_late, u);
	(void)uv_timer_init(loop, &u->linger_turn);
	u->linger_poll.data = u->linger_turn.data = u;
	if (lingering_init(&u->lingering) < 0 ||
		uv_poll_init(loop, &u->linger_poll, u->lingering.epoll_fd) < 0) {
		lingering_deinit(&u->lingering);
		return;
	}
	u->lingers = true;
	u->handles++;
	(void)uv_poll_start(&u->linger_poll, UV_READABLE, unserved_on_linger_readable);
}

void unserved_add(struct unserved *u, int fd)
{
	struct unserved_visitor *v = calloc(1, sizeof *v);
	struct timeout *first = timeouts_first(&u->waiting);

	/* Who came first has been silent for longest. */
	if (u->count >= UNSERVED_MAX && first)
		unserved_on_late(&u->waiting, first);
	if (!v || uv_poll_init(u->loop, &v->poll, fd) < 0) {
		free(v);
		(void)fd_close(fd);
		return;
	}
	v->all = u;
	v->fd = fd;
	v->poll.data = v;
	timeout_init(&v->timeout);
	timeouts_arm(&u->waiting, &v->timeout);
	u->count++;
	(void)uv_poll_start(&v->poll, UV_READABLE, unserved_on_visitor_readable);
}

static void unserved_on_part_closed(uv_handle_t *handle)
{
	struct unserved *u = handle->data;

	u->handles--;
	unserved_end(u);
}

void unserved_close(struct unserved *u, void (*closed)(void *owner), void *owner)
{
	struct timeout *first;

	u->closed = closed;
	u->owner = owner;
	while ((first = timeouts_first(&u->waiting)))
		unserved_on_late(&u->waiting, first);
	timeouts_close(&u->waiting, unserved_on_part_closed);
	uv_close((uv_handle_t *)&u->linger_turn, unserved_on_part_closed);
	if (u->lingers)
		uv_close((uv_handle_t *)&u->linger_poll, unserved_on_part_closed);
}
