/* SPDX-License-Identifier: MIT */
/*
 * A passage has the socket on which the answer is awaited: the connection itself, or the half of a
 * pair that its TLS link has given out. The answer is looked at where it lies, in the socket's
 * queue, until it is whole, and taken out alone: what comes behind it is its owner's, and stays.
 * While it isn't whole, SO_RCVLOWAT lets poll tell of more than was seen, and not of that again.
 *
 * It ends by its answer, a failure of TLS, its deadline, or its owner. A link outlives it, and is
 * the front's until it is closed.
 */
#include "front/front.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "front/upgrade.h"
#include "net/sockopt.h"
#include "net/timeouts.h"

struct front {
	uv_loop_t *loop;
	struct host host;
	char authority[HOST_TEXT_MAX]; /* for Host */
	struct tls_context *tls;       /* NULL: without */
	struct list links, passages;
	struct timeouts deadlines;
	unsigned refs; /* links, passages' handles, and the deadlines' */
	void (*closed)(void *owner);
	void *closed_owner;
};

/* A TLS link, for as long as it is open. */
struct front_link {
	struct list link;
	struct front *front;
	struct tls_link *tls;
	struct passage *passage; /* NULL: it is through, or gone */
};

struct passage {
	struct list link;
	struct front *front;
	struct front_link *tls; /* NULL: without, or gone */
	uv_poll_t poll;
	int fd;
	struct timeout deadline;
	passage_fn done;
	void *owner;
	size_t seen; /* of the answer, which wasn't whole yet */
	struct buf out;
};

static void front_unref(struct front *front)
{
	void (*closed)(void *owner) = front->closed;
	void *owner = front->closed_owner;

	if (--front->refs)
		return;
	(void)tls_context_free(front->tls);
	free(front);
	closed(owner);
}

/* --- the words --- */

static const struct {
	unsigned from, to;
	const char *cause, *remedy;
} front_answers[] = {
	{ 101, 101, "it has upgraded to another protocol", "is a bore relay behind that path?" },
	{ 200, 299, "it answers with a page, and passes no upgrade on",
		"check the path, and that this path of the front is proxied to the relay's control "
		"port "
		"with the headers Upgrade and Connection" },
	{ 301, 308, "it redirects", "write that address" },
	{ 400, 400, "it refuses the request",
		"is this a port of https://? Or does the front name the client in two ways?" },
	{ 401, 407, "it asks for a login, or refuses", "let the front pass this path without one" },
	{ 426, 426, "it does not pass the upgrade on",
		"let it speak HTTP/1.1 to the relay, with the headers Upgrade and Connection" },
	{ 429, 429, "too many attempts or wrong secrets came from here",
		"wait a while, and check the secret" },
	{ 502, 504, "it can't reach the relay",
		"is `bore server` running behind it, and is its control port the one that the "
		"front is "
		"told?" },
};

/* What is more to the point than its range. */
static bool front_explain_404(unsigned status, char why[FRONT_WHY_MAX])
{
	if (status != 404)
		return false;
	(void)snprintf(why, FRONT_WHY_MAX,
		"it has nothing at that path (404); check the path, and the front's configuration");
	return true;
}

static void front_explain(const struct upgrade_answer *answer, char why[FRONT_WHY_MAX])
{
	char to[2 * HOST_PATH_MAX] = "";

	if (front_explain_404(answer->status, why))
		return;
	if (answer->location.len)
		log_escape(to, sizeof(to), answer->location.at, answer->location.len);
	for (size_t i = 0; i < ARRAY_LEN(front_answers); i++) {
		if (answer->status < front_answers[i].from || answer->status > front_answers[i].to)
			continue;
		(void)snprintf(why, FRONT_WHY_MAX, "%s (%u%s%s%s); %s", front_answers[i].cause,
			answer->status, to[0] ? " to '" : "", to, to[0] ? "'" : "",
			front_answers[i].remedy);
		return;
	}
	(void)snprintf(why, FRONT_WHY_MAX, "it answers with status %u; what does its log say?",
		answer->status);
}

/* --- a passage --- */

static void passage_on_closed(uv_handle_t *handle)
{
	struct passage *p = handle->data;
	struct front *front = p->front;

	buf_deinit(&p->out);
	free(p);
	front_unref(front);
}

/* Ends it: the descriptor is closed, unless it was taken. */
static void passage_end(struct passage *p)
{
	list_remove(&p->link);
	timeout_disarm(&p->deadline);
	if (p->tls) {
		p->tls->passage = NULL;
		tls_link_forget(p->tls->tls);
	}
	uv_close((uv_handle_t *)&p->poll, passage_on_closed);
	p->fd = fd_close(p->fd);
}

static void passage_fail(struct passage *p, const char *why)
{
	passage_fn done = p->done;
	void *owner = p->owner;

	passage_cancel(p);
	done(owner, -1, why);
}

static void passage_succeed(struct passage *p, size_t used)
{
	uint8_t answer[UPGRADE_HEAD_MAX];
	passage_fn done = p->done;
	void *owner = p->owner;
	int fd;

	/* It was seen in the queue, so that nothing less is there. */
	(void)recv(p->fd, answer, used, 0);
	(void)sockopt_set_int(p->fd, SOL_SOCKET, SO_RCVLOWAT, 1);
	/* The handle leaves the loop's epoll set before the descriptor goes to another one. */
	(void)uv_poll_stop(&p->poll);
	fd = take_fd(&p->fd);
	passage_end(p);
	done(owner, fd, NULL);
}

static void passage_cut(struct passage *p, int error)
{
	char why[FRONT_WHY_MAX];

	/* A link that has failed says why in its own event, which may be still to come. */
	if (p->tls && error)
		return;
	(void)snprintf(why, sizeof(why), "it closed the connection in place of an answer%s%s%s",
		error ? " (" : "", error ? strerror(error) : "", error ? ")" : "");
	(void)snprintf(why + strlen(why), sizeof(why) - strlen(why),
		"; is it an HTTP front, and not the relay's own port?");
	passage_fail(p, why);
}

static void passage_read(struct passage *p)
{
	uint8_t data[UPGRADE_HEAD_MAX];
	struct upgrade_answer answer;
	char why[FRONT_WHY_MAX];
	size_t used;
	ssize_t n = recv(p->fd, data, sizeof(data), MSG_PEEK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		passage_cut(p, n < 0 ? errno : 0);
		return;
	}
	switch (upgrade_read_answer(data, (size_t)n, &answer, &used)) {
	case UPGRADE_ANSWER_PARTIAL:
		/* An end makes the socket readable as well, and adds no byte. */
		if ((size_t)n > p->seen &&
			sockopt_set_int(p->fd, SOL_SOCKET, SO_RCVLOWAT, (int)n + 1) == 0)
			p->seen = (size_t)n;
		else
			passage_cut(p, 0);
		return;
	case UPGRADE_ANSWER_ACCEPTED:
		passage_succeed(p, used);
		return;
	case UPGRADE_ANSWER_OTHER:
		front_explain(&answer, why);
		break;
	case UPGRADE_ANSWER_NO_HTTP:
		(void)snprintf(why, sizeof(why),
			"its answer is no HTTP; is that the relay's own port? Leave http:// away "
			"then%s",
			p->front->tls ? "" : "; or a port of TLS? Write https://");
		break;
	}
	passage_fail(p, why);
}

static void passage_on_event(uv_poll_t *poll, int status, int events);

static void passage_write(struct passage *p)
{
	ssize_t n = 0;

	while (buf_len(&p->out) && n >= 0) {
		n = send(p->fd, buf_head(&p->out), buf_len(&p->out), MSG_NOSIGNAL);
		if (n > 0)
			buf_consume(&p->out, (size_t)n);
	}
	/* What can't be written shows when the answer is read. */
	(void)uv_poll_start(&p->poll,
		buf_len(&p->out) && errno == EAGAIN ? UV_READABLE | UV_WRITABLE : UV_READABLE,
		passage_on_event);
}

static void passage_on_event(uv_poll_t *poll, int status, int events)
{
	struct passage *p = poll->data;

	if (events & UV_WRITABLE)
		passage_write(p);
	if (status < 0 || (events & UV_READABLE))
		passage_read(p);
}

static void passage_on_late(struct timeouts *q, struct timeout *t)
{
	passage_fail(container_of(t, struct passage, deadline),
		"it did not answer in time; is the relay behind it overloaded or stopped?");
}

/* --- with TLS --- */

static void front_on_tls_failed(void *owner, const char *why)
{
	struct front_link *link = owner;

	if (link->passage)
		passage_fail(link->passage, why);
}

static void front_on_tls_closed(void *owner)
{
	struct front_link *link = owner;
	struct front *front = link->front;

	if (link->passage)
		link->passage->tls = NULL;
	list_remove(&link->link);
	free(link);
	front_unref(front);
}

/* The socket of a TLS connection over `fd`, which is taken. */
static int passage_open_tls(struct passage *p, int fd, int *ret_fd)
{
	struct front_link *link = calloc(1, sizeof(*link));
	const struct tls_events events = {
		.failed = front_on_tls_failed,
		.closed = front_on_tls_closed,
		.owner = link,
	};
	int r;

	if (!link)
		return -ENOMEM;
	r = tls_link_open(p->front->tls, p->front->loop, fd, &events, &link->tls, ret_fd);
	if (r < 0) {
		free(link);
		return r;
	}
	link->front = p->front;
	link->passage = p;
	p->tls = link;
	p->front->refs++;
	list_push_back(&p->front->links, &link->link);
	return 0;
}

/* --- public --- */

int passage_start(
	struct front *front, int fd, passage_fn done, void *owner, struct passage **ret_passage)
{
	struct passage *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->front = front;
	p->fd = fd;
	p->done = done;
	p->owner = owner;
	p->poll.data = p;
	timeout_init(&p->deadline);
	buf_init(&p->out, UPGRADE_OUT_MAX);
	r = upgrade_write_request(front->authority, front->host.path, &p->out);
	if (r == 0 && front->tls)
		r = passage_open_tls(p, fd, &p->fd);
	if (r == 0)
		r = uv_poll_init(front->loop, &p->poll, p->fd);
	if (r < 0)
		goto fail;
	front->refs++;
	list_push_back(&front->passages, &p->link);
	timeouts_arm(&front->deadlines, &p->deadline);
	(void)uv_poll_start(&p->poll, UV_WRITABLE, passage_on_event);
	*ret_passage = p;
	return 0;
fail:
	if (p->tls) {
		/* The link has taken the connection. */
		p->tls->passage = NULL;
		tls_link_abort(p->tls->tls);
		(void)fd_close(p->fd);
	}
	buf_deinit(&p->out);
	free(p);
	return r;
}

void passage_cancel(struct passage *p)
{
	if (p->tls)
		tls_link_abort(p->tls->tls);
	passage_end(p);
}

static void front_on_deadlines_closed(uv_handle_t *handle)
{
	front_unref(container_of((uv_timer_t *)handle, struct front, deadlines.timer));
}

int front_new(uv_loop_t *loop, const struct host *host, const char *ca_file,
	struct front **ret_front, char ret_why[TLS_WHY_MAX])
{
	struct front *front = calloc(1, sizeof(*front));
	struct host root = *host;
	char url[HOST_RELAY_MAX];
	int r = 0;

	if (!front)
		return -ENOMEM;
	front->loop = loop;
	front->host = *host;
	if (host->scheme == HOST_HTTPS)
		r = tls_context_new(host->name, ca_file, &front->tls, ret_why);
	if (r < 0) {
		free(front);
		return r;
	}
	/* "host" or "host:port", as the URL has it without its path. */
	root.path[0] = '\0';
	(void)snprintf(front->authority, sizeof(front->authority), "%s",
		strstr(host_format_relay(&root, url), "://") + 3);
	list_init(&front->links);
	list_init(&front->passages);
	timeouts_init(&front->deadlines, loop, FRONT_PASS_MS, passage_on_late, front);
	front->refs = 1;
	*ret_front = front;
	return 0;
}

void front_close(struct front *front, void (*closed)(void *owner), void *owner)
{
	front->closed = closed;
	front->closed_owner = owner;
	while (!list_empty(&front->passages))
		passage_cancel(list_entry(list_first(&front->passages), struct passage, link));
	list_for_each(pos, &front->links)
		tls_link_abort(list_entry(pos, struct front_link, link)->tls);
	timeouts_close(&front->deadlines, front_on_deadlines_closed);
}
