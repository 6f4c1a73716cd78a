/* SPDX-License-Identifier: MIT */
#include "os/replay.h"

#include <errno.h>
#include <stdlib.h>

#include "base/lang.h"
#include "os/run_config.h"
#include "record/recorder.h"

#define REPLAY_READ 65536 /* bytes at once */

struct replay {
	struct replay_config config;
	struct record_conn *conn; /* NULL: it has ended */
	uint64_t id;
	uint64_t bytes[PUMP_SIDES];
	struct buf request;
	uv_tcp_t tcp;
	uv_timer_t timer;
	unsigned handles; /* of the two, that libuv knows */
	uv_connect_t connect;
	uv_write_t write;
	char buffer[REPLAY_READ];
};

static void replay_on_closed(uv_handle_t *handle)
{
	struct replay *r = handle->data;
	struct replay_config config = r->config;

	if (--r->handles)
		return;
	buf_deinit(&r->request);
	free(r);
	config.ended(config.owner);
}

static void replay_end(struct replay *r, const char *why)
{
	if (!r->conn)
		return;
	r->conn = record_conn_end(r->conn, r->bytes, why);
	uv_close((uv_handle_t *)&r->tcp, replay_on_closed);
	uv_close((uv_handle_t *)&r->timer, replay_on_closed);
}

/* Whether nothing more is to come: it has its response, or nobody has room for that any more. */
static bool replay_is_over(const struct replay *r)
{
	const struct exchange *e = recorder_find(r->config.recorder, r->id);

	return !e || e->state >= EXCHANGE_DONE;
}

static void replay_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
	struct replay *r = handle->data;

	*buf = uv_buf_init(r->buffer, sizeof(r->buffer));
}

static void replay_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct replay *r = stream->data;

	if (n < 0 && n != UV_EOF) {
		replay_end(r, "the application has reset the connection");
		return;
	}
	if (n == 0)
		return;
	r->bytes[PUMP_INNER] += n > 0 ? (uint64_t)n : 0;
	record_conn_said(r->conn, PUMP_INNER, buf->base, n > 0 ? (size_t)n : 0);
	if (n == UV_EOF || replay_is_over(r))
		replay_end(r, NULL);
	else if (r->bytes[PUMP_INNER] > REPLAY_ANSWER_MAX)
		replay_end(r, "a replay's answer may have 64 MiB");
}

/* A write that fails is told by the read, behind what the application has still said. */
static void replay_on_written(uv_write_t *write, int status)
{
}

static void replay_on_connected(uv_connect_t *connect, int status)
{
	struct replay *r = connect->handle->data;
	uv_buf_t request =
		uv_buf_init((char *)buf_head(&r->request), (unsigned)buf_len(&r->request));

	/* Cancelled: it has ended already. */
	if (status == UV_ECANCELED)
		return;
	if (status == 0)
		status = uv_read_start((uv_stream_t *)&r->tcp, replay_alloc, replay_on_read);
	if (status == 0)
		status =
			uv_write(&r->write, (uv_stream_t *)&r->tcp, &request, 1, replay_on_written);
	if (status < 0)
		replay_end(r, "the application can't be reached");
}

static void replay_on_late(uv_timer_t *timer)
{
	replay_end(timer->data, "a replay may last 30 s");
}

void replay_cancel(struct replay *r)
{
	replay_end(r, "wasmrun was ended");
}

static void replay_connect(struct replay *r)
{
	struct sockaddr_in addr;
	int result = uv_ip4_addr(OS_APP_HOST, r->config.port, &addr);

	if (result == 0)
		result = uv_tcp_connect(
			&r->connect, &r->tcp, (const struct sockaddr *)&addr, replay_on_connected);
	if (result < 0)
		replay_end(r, "the application can't be reached");
}

int replay_start(const struct replay_config *config, uint64_t of, struct buf *request,
	struct replay **ret_replay, uint64_t *ret_id)
{
	const struct record_origin origin = { .kind = "replay", .replay_of = of };
	struct replay *r = calloc(1, sizeof(*r));

	if (r)
		r->conn = recorder_begin(config->recorder, &origin);
	if (!r || !r->conn) {
		buf_deinit(request);
		free(r);
		return -ENOMEM;
	}
	r->config = *config;
	r->request = *request;
	*request = (struct buf){ 0 };
	(void)uv_tcp_init(config->loop, &r->tcp);
	(void)uv_timer_init(config->loop, &r->timer);
	r->tcp.data = r->timer.data = r;
	r->handles = 2;
	r->bytes[PUMP_OUTER] = buf_len(&r->request);
	record_conn_said(r->conn, PUMP_OUTER, buf_head(&r->request), buf_len(&r->request));
	*ret_id = r->id = record_conn_exchange(r->conn);
	(void)uv_timer_start(&r->timer, replay_on_late, REPLAY_TIMEOUT_MS, 0);
	*ret_replay = r;
	replay_connect(r);
	return 0;
}
