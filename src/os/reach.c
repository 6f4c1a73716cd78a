/* SPDX-License-Identifier: MIT */
/*
 * A question is a probe: a dial, then a connection of libuv's, and one timer over both. It is the
 * reach's until it is decided, or canceled; from then on it only waits for its handles to close.
 *
 * `refs` counts who can still call the reach: the probes that aren't gone, and a timer that never
 * runs, whose close ends in a later turn of the loop.
 */
#include "os/reach.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/uuid.h"
#include "net/dial.h"
#include "net/host.h"
#include "os/conn_log.h"

#define MARK_MIN 32 /* characters of the mark, as many as are random */
#define MARK_MAX 2079
#define REQUEST_MAX (MARK_MAX + HOST_TEXT_MAX + 256)
#define ANSWER_MAX 256 /* bytes in which the first line's status must be */
/* What the log counts back to the beginning of a connection, it rounds to milliseconds. */
#define ROUNDING_MS 10

const char *const reach_outcome_names[] = {
	[REACH_WORKS] = "works",
	[REACH_REFUSED] = "refused",
	[REACH_SILENT] = "silent",
	[REACH_UNANSWERED] = "unanswered",
	[REACH_OTHER] = "other",
	[REACH_UNRESOLVED] = "unresolved",
	[REACH_UNREACHABLE] = "unreachable",
	NULL,
};
static_assert(ARRAY_LEN(reach_outcome_names) == REACH_OUTCOMES + 1, "a word for each");

struct probe {
	struct reach *reach;
	struct dialer dialer;
	struct dial dial;
	uv_timer_t timer;
	uv_tcp_t tcp;
	uv_write_t write;
	bool dialling, connected;
	unsigned pending; /* handles that libuv knows of, and a dial that was canceled */
	uint64_t since_ms, since_wall_ms;
	char from[ADDR_TEXT_MAX]; /* its own end */
	size_t request_len, answer_len;
	char request[REQUEST_MAX], answer[ANSWER_MAX];
};

/* --- the end --- */

static void reach_unref(struct reach *r)
{
	if (--r->refs == 0)
		r->closed(r);
}

static void probe_release(struct probe *p)
{
	struct reach *r = p->reach;

	if (--p->pending)
		return;
	free(p);
	reach_unref(r);
}

static void probe_on_timer_closed(uv_handle_t *handle)
{
	probe_release(container_of((uv_timer_t *)handle, struct probe, timer));
}

static void probe_on_tcp_closed(uv_handle_t *handle)
{
	probe_release(container_of((uv_tcp_t *)handle, struct probe, tcp));
}

static void probe_on_cancelled(struct dial *d)
{
	probe_release(container_of(d, struct probe, dial));
}

/* It is the reach's no more. */
static void probe_drop(struct probe *p)
{
	p->reach->probe = NULL;
	if (p->dialling) {
		p->pending++;
		dial_cancel(&p->dial);
	}
	if (p->connected)
		uv_close((uv_handle_t *)&p->tcp, probe_on_tcp_closed);
	uv_close((uv_handle_t *)&p->timer, probe_on_timer_closed);
}

/* --- what was seen --- */

struct probe_search {
	const struct probe *probe;
	bool found;
};

static void probe_search(void *owner, const struct conn *c)
{
	struct probe_search *search = owner;
	const struct probe *p = search->probe;

	if (c->kind == CONN_TUNNEL && c->since_ms + ROUNDING_MS >= p->since_wall_ms &&
		(strcmp(c->from, p->from) == 0 || c->bytes_in == p->request_len))
		search->found = true;
}

static bool probe_has_arrived(const struct probe *p)
{
	struct probe_search search = { .probe = p };

	if (p->connected)
		conn_log_each(p->reach->config.conns, probe_search, &search);
	return search.found;
}

/* "HTTP/1.1 200 OK": RFC 9112, 4. 0: it is none of these. */
static unsigned probe_status(const struct probe *p)
{
	const char *code = p->answer + strlen("HTTP/1.1 ");
	unsigned status = 0;

	if (p->answer_len < strlen("HTTP/1.1 200") ||
		strncmp(p->answer, "HTTP/1.", strlen("HTTP/1.")) != 0)
		return 0;
	for (int i = 0; i < 3; i++) {
		if (code[i] < '0' || code[i] > '9')
			return 0;
		status = status * 10 + (unsigned)(code[i] - '0');
	}
	return status;
}

static void probe_explain(
	const struct probe *p, int error, bool closed, struct reach_result *result)
{
	char name[HOST_TEXT_MAX], said[64] = "but not by HTTP/1";
	const char *text = host_format(p->dialer.host, p->dialer.port, name);
	unsigned port = p->dialer.port;

	if (result->status)
		(void)snprintf(said, sizeof(said), "with status %u", result->status);
#define SAY(...) ((void)snprintf(result->text, sizeof(result->text), __VA_ARGS__))
	switch (result->outcome) {
	case REACH_WORKS:
		SAY("Asked from this machine through the relay, the application has "
		    "answered %s in %llu ms.",
			said, (unsigned long long)result->duration_ms);
		break;
	case REACH_REFUSED:
		SAY("%s refuses connections, though the relay has given out that port. Does the "
		    "relay run in a container that doesn't publish port %u, or does it listen for "
		    "visitors at another address (bore server --bind-tunnels)?",
			text, port);
		break;
	case REACH_SILENT:
		SAY("No connection to %s in %d s. A firewall at the relay probably drops it: TCP "
		    "port %u has to be open there, as the control port is.",
			text, REACH_TIMEOUT_MS / 1000, port);
		break;
	case REACH_UNANSWERED:
		SAY("%s takes the connection, but %s. %s", text,
			closed ? "closes it without an answer" : "nothing was answered in 5 s",
			result->arrived ? "The request has come to the application: its log may "
					  "say more."
					: "The request has not come here: something before the "
					  "relay holds it, or the relay is overloaded.");
		break;
	case REACH_OTHER:
		SAY("At %s something else has answered %s: the request has not come here. Is the "
		    "relay behind a proxy, or that port another program's?",
			text, said);
		break;
	case REACH_UNRESOLVED:
		SAY("'%s' has no address here (%s). The relay was found before: is the network "
		    "gone?",
			p->dialer.host, uv_strerror(error));
		break;
	default:
		SAY("%s can't be connected from here: %s.", text, uv_strerror(error));
		break;
	}
#undef SAY
}

static void probe_decide(struct probe *p, enum reach_outcome outcome, int error, bool closed)
{
	struct reach *r = p->reach;
	struct reach_result result = {
		.outcome = outcome,
		.arrived = probe_has_arrived(p),
		.status = probe_status(p),
		.duration_ms = clock_now_ms() - p->since_ms,
		.time_ms = clock_wall_ms(),
	};

	if (outcome == REACH_WORKS && !result.arrived)
		result.outcome = REACH_OTHER;
	probe_explain(p, error, closed, &result);
	probe_drop(p);
	r->config.done(r->config.owner, &result);
}

static void probe_fail(struct probe *p, int error, bool resolving)
{
	probe_decide(p,
		resolving                ? REACH_UNRESOLVED
		: error == -ECONNREFUSED ? REACH_REFUSED
		: error == -ETIMEDOUT    ? REACH_SILENT
					 : REACH_UNREACHABLE,
		error, false);
}

static void probe_on_timer(uv_timer_t *timer)
{
	struct probe *p = container_of(timer, struct probe, timer);
	bool resolving = p->dialling && p->dial.resolving;

	if (resolving)
		probe_fail(p, UV_EAI_AGAIN, true);
	else
		probe_decide(p, p->connected ? REACH_UNANSWERED : REACH_SILENT, 0, false);
}

/* --- asking --- */

static void probe_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct probe *p = container_of((uv_tcp_t *)handle, struct probe, tcp);

	*buf = uv_buf_init(p->answer + p->answer_len, (unsigned)(ANSWER_MAX - p->answer_len));
}

static void probe_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct probe *p = container_of((uv_tcp_t *)stream, struct probe, tcp);

	if (n > 0)
		p->answer_len += (size_t)n;
	if (n < 0 && p->answer_len == 0)
		probe_decide(p, REACH_UNANSWERED, 0, true);
	else if (n < 0 || p->answer_len == ANSWER_MAX || memchr(p->answer, '\n', p->answer_len))
		probe_decide(p, REACH_WORKS, 0, false);
}

/* What can't be written is reset, which the read tells. */
static void probe_on_written(uv_write_t *write, int status)
{
}

static int probe_make_request(struct probe *p)
{
	static const char digits[] = "0123456789abcdef";
	char name[HOST_TEXT_MAX], mark[MARK_MAX + 1];
	struct uuid uuid;
	size_t len;
	int r = uuid_random(&uuid);

	if (r < 0)
		return r;
	len = MARK_MIN + (((size_t)uuid.bytes[0] << 8) | uuid.bytes[1]) % (MARK_MAX - MARK_MIN + 1);
	for (size_t i = 0; i < len; i++)
		mark[i] = digits[(uuid.bytes[i / 2 % sizeof(uuid.bytes)] >> (i % 2 * 4)) & 15];
	mark[len] = '\0';
	p->request_len = (size_t)snprintf(p->request, sizeof(p->request),
		"GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: wasmrun-check\r\nX-Wasmrun-Check: "
		"%s\r\nConnection: close\r\n\r\n",
		host_format(p->dialer.host, p->dialer.port, name), mark);
	return 0;
}

static void probe_ask(struct probe *p, int fd)
{
	uv_buf_t buf = uv_buf_init(p->request, (unsigned)p->request_len);
	struct addr own;
	int r;

	if (addr_of_socket(fd, &own) == 0)
		(void)addr_format(&own, p->from);
	(void)uv_tcp_init(p->reach->config.loop, &p->tcp);
	p->pending++;
	p->connected = true;
	r = uv_tcp_open(&p->tcp, fd);
	if (r < 0)
		(void)close(fd);
	if (r == 0)
		r = uv_write(&p->write, (uv_stream_t *)&p->tcp, &buf, 1, probe_on_written);
	if (r == 0)
		r = uv_read_start((uv_stream_t *)&p->tcp, probe_on_alloc, probe_on_read);
	if (r < 0)
		probe_fail(p, r, false);
}

static void probe_on_dialled(
	struct dial *d, int fd, int error, bool resolving, const struct addr *peer)
{
	struct probe *p = container_of(d, struct probe, dial);

	p->dialling = false;
	if (fd >= 0)
		probe_ask(p, fd);
	else
		probe_fail(p, error, resolving);
}

/* On the next turn, so that no outcome comes from within reach_start(). */
static void probe_on_begin(uv_timer_t *timer)
{
	struct probe *p = container_of(timer, struct probe, timer);
	int fd, r = dial_start(&p->dial, &p->dialer, &fd);

	(void)uv_timer_start(timer, probe_on_timer, REACH_TIMEOUT_MS, 0);
	p->dialling = r == 0;
	if (r < 0)
		probe_fail(p, r, false);
	else if (r == 1)
		probe_ask(p, fd);
}

/* --- public --- */

void reach_init(struct reach *r, const struct reach_config *config)
{
	*r = (struct reach){ .config = *config, .refs = 1 };
	(void)uv_timer_init(config->loop, &r->timer);
}

int reach_start(struct reach *r, const char *host, uint16_t port)
{
	struct probe *p = calloc(1, sizeof(*p));
	int error;

	assert(!r->probe);
	if (!p)
		return -ENOMEM;
	p->reach = r;
	error = dialer_init(&p->dialer, r->config.loop, host, port);
	if (error == 0)
		error = probe_make_request(p);
	if (error < 0) {
		free(p);
		return error;
	}
	p->dialer.connect_timeout_ms = REACH_TIMEOUT_MS;
	p->dial.done = probe_on_dialled;
	p->dial.cancelled = probe_on_cancelled;
	p->since_ms = clock_now_ms();
	p->since_wall_ms = clock_wall_ms();
	(void)uv_timer_init(r->config.loop, &p->timer);
	p->pending = 1;
	(void)uv_timer_start(&p->timer, probe_on_begin, 0, 0);
	r->refs++;
	r->probe = p;
	return 0;
}

bool reach_runs(const struct reach *r)
{
	return r->probe;
}

void reach_cancel(struct reach *r)
{
	if (r->probe)
		probe_drop(r->probe);
}

static void reach_on_timer_closed(uv_handle_t *handle)
{
	reach_unref(container_of((uv_timer_t *)handle, struct reach, timer));
}

void reach_close(struct reach *r, void (*closed)(struct reach *r))
{
	r->closed = closed;
	reach_cancel(r);
	uv_close((uv_handle_t *)&r->timer, reach_on_timer_closed);
}
