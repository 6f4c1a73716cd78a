/* SPDX-License-Identifier: MIT */
/*
 * A dial, then a connection of libuv's, and one timer over both. It is its owner's until it is
 * decided, or cancelled; from then on it only waits for its handles to close, and frees itself.
 */
#include "net/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lang.h"
#include "net/dial.h"

struct ask {
	struct ask_config config;
	struct dialer dialer;
	struct dial dial;
	uv_timer_t timer;
	uv_tcp_t tcp;
	uv_write_t write;
	bool dialling, opened;
	unsigned pending; /* handles that libuv knows of, and a dial that was cancelled */
	uint64_t since_ms;
	struct ask_result result;
	char answer[ASK_ANSWER_MAX + 1];
	char say[];
};

/* --- the end --- */

static void ask_release(struct ask *a)
{
	if (--a->pending == 0)
		free(a);
}

static void ask_on_timer_closed(uv_handle_t *handle)
{
	ask_release(container_of((uv_timer_t *)handle, struct ask, timer));
}

static void ask_on_tcp_closed(uv_handle_t *handle)
{
	ask_release(container_of((uv_tcp_t *)handle, struct ask, tcp));
}

static void ask_on_cancelled(struct dial *d)
{
	ask_release(container_of(d, struct ask, dial));
}

void ask_cancel(struct ask *a)
{
	if (a->dialling) {
		a->pending++;
		dial_cancel(&a->dial);
	}
	if (a->opened)
		uv_close((uv_handle_t *)&a->tcp, ask_on_tcp_closed);
	uv_close((uv_handle_t *)&a->timer, ask_on_timer_closed);
}

static void ask_decide(struct ask *a, enum ask_end end, int error)
{
	struct ask_result *result = &a->result;

	result->end = end;
	result->error = error;
	result->duration_ms = clock_now_ms() - a->since_ms;
	result->answer = a->answer;
	result->addrs = a->dialer.addrs;
	result->addr_count = a->dialer.count;
	/* Its memory stays until the loop has closed its handles. */
	ask_cancel(a);
	a->config.done(a->config.owner, result);
}

static void ask_fail(struct ask *a, int error, bool resolving)
{
	ask_decide(a, resolving ? ASK_UNRESOLVED : ASK_UNCONNECTED, error);
}

static void ask_on_timer(uv_timer_t *timer)
{
	struct ask *a = container_of(timer, struct ask, timer);

	if (a->dialling && a->dial.resolving)
		ask_fail(a, UV_EAI_AGAIN, true);
	else if (a->dialling)
		ask_fail(a, -ETIMEDOUT, false);
	else
		ask_decide(a, ASK_SILENT, 0);
}

/* --- the conversation --- */

static void ask_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct ask *a = container_of((uv_tcp_t *)handle, struct ask, tcp);
	size_t len = a->result.len;

	*buf = uv_buf_init(a->answer + len, (unsigned)(ASK_ANSWER_MAX - len));
}

static void ask_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct ask *a = container_of((uv_tcp_t *)stream, struct ask, tcp);

	if (n > 0)
		a->result.len += (size_t)n;
	if (n < 0 && a->result.len == 0)
		ask_decide(a, ASK_CLOSED, 0);
	else if (n < 0 || a->result.len == ASK_ANSWER_MAX || memchr(a->answer, '\n', a->result.len))
		ask_decide(a, ASK_ANSWERED, 0);
}

/* What can't be written is reset, which the read tells. */
static void ask_on_written(uv_write_t *write, int status)
{
}

static void ask_talk(struct ask *a, int fd, const struct addr *peer)
{
	uv_buf_t buf = uv_buf_init(a->say, (unsigned)strlen(a->say));
	struct addr own;
	int r;

	a->result.connected = true;
	a->result.peer = *peer;
	if (addr_of_socket(fd, &own) == 0)
		(void)addr_format(&own, a->result.from);
	if (!a->config.say) {
		(void)close(fd);
		ask_decide(a, ASK_CLOSED, 0);
		return;
	}
	(void)uv_tcp_init(a->config.loop, &a->tcp);
	a->pending++;
	a->opened = true;
	r = uv_tcp_open(&a->tcp, fd);
	if (r < 0)
		(void)close(fd);
	if (r == 0)
		r = uv_write(&a->write, (uv_stream_t *)&a->tcp, &buf, 1, ask_on_written);
	if (r == 0)
		r = uv_read_start((uv_stream_t *)&a->tcp, ask_on_alloc, ask_on_read);
	if (r < 0)
		ask_fail(a, r, false);
}

static void ask_on_dialled(
	struct dial *d, int fd, int error, bool resolving, const struct addr *peer)
{
	struct ask *a = container_of(d, struct ask, dial);

	a->dialling = false;
	if (fd >= 0)
		ask_talk(a, fd, peer);
	else
		ask_fail(a, error, resolving);
}

/* On the next turn, so that no outcome comes from within ask_start(). */
static void ask_on_begin(uv_timer_t *timer)
{
	struct ask *a = container_of(timer, struct ask, timer);
	int fd, r = dial_start(&a->dial, &a->dialer, &fd);

	(void)uv_timer_start(timer, ask_on_timer, a->config.timeout_ms, 0);
	a->dialling = r == 0;
	if (r < 0)
		ask_fail(a, r, false);
	else if (r == 1)
		ask_talk(a, fd, &a->dialer.addrs[a->dialer.preferred]);
}

int ask_start(const struct ask_config *config, struct ask **ret_ask)
{
	size_t size = config->say ? strlen(config->say) + 1 : 1;
	struct ask *a = calloc(1, sizeof(*a) + size);
	int r;

	if (!a)
		return -ENOMEM;
	a->config = *config;
	if (config->say)
		memcpy(a->say, config->say, size);
	r = dialer_init(&a->dialer, config->loop, config->host, config->port);
	if (r < 0) {
		free(a);
		return r;
	}
	a->dialer.connect_timeout_ms = config->timeout_ms;
	a->dial.done = ask_on_dialled;
	a->dial.cancelled = ask_on_cancelled;
	a->since_ms = clock_now_ms();
	(void)uv_timer_init(config->loop, &a->timer);
	a->pending = 1;
	(void)uv_timer_start(&a->timer, ask_on_begin, 0, 0);
	*ret_ask = a;
	return 0;
}

/* "HTTP/1.1 200 OK": RFC 9112, 4. 0: it is none of these. */
unsigned ask_http_status(const struct ask_result *asked)
{
	const char *code = asked->answer + strlen("HTTP/1.1 ");
	unsigned status = 0;

	if (asked->len < strlen("HTTP/1.1 200") ||
		strncmp(asked->answer, "HTTP/1.", strlen("HTTP/1.")) != 0)
		return 0;
	for (int i = 0; i < 3; i++) {
		if (code[i] < '0' || code[i] > '9')
			return 0;
		status = status * 10 + (unsigned)(code[i] - '0');
	}
	return status;
}
