/* SPDX-License-Identifier: MIT */
/*
 * Bytes between a socket and two bounded queues. The poll handle asks for READABLE exactly while
 * the peer has not ended and `in` has room, and for WRITABLE exactly while `out` holds bytes that
 * can still be sent; chan_update_events() restores that behind every change.
 *
 * The owner hears of bytes (`data`), each time that some have come; of the peer's end (`end`), once
 * and behind the last bytes; and that the memory is its own again (`closed`), when libuv has let go
 * of the handle. It may close the chan, or take its descriptor, from within the first two, so what
 * stands behind such a call here looks at `closing` first.
 *
 * The descriptor is the chan's from chan_open() until it is taken or closed.
 */
#include "net/chan.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "net/sockopt.h"

/* Input thrown away at the end, so that close(2) doesn't answer it with an RST that overtakes our
 * last bytes. */
#define CHAN_DISCARD_MAX 65536

static void chan_on_event(uv_poll_t *poll, int status, int events);

static void chan_update_events(struct chan *c)
{
	int events = 0;

	if (c->closing)
		return;
	if (!c->ended && buf_len(&c->in) < CHAN_IN_MAX)
		events |= UV_READABLE;
	if (buf_len(&c->out) && !c->write_failed)
		events |= UV_WRITABLE;
	if (events == c->events)
		return;
	c->events = events;
	if (events)
		(void)uv_poll_start(&c->poll, events, chan_on_event);
	else
		(void)uv_poll_stop(&c->poll);
}

int chan_open(struct chan *c, uv_loop_t *loop, int fd)
{
	int r = uv_poll_init(loop, &c->poll, fd);

	if (r < 0)
		return r;
	c->fd = fd;
	c->events = 0;
	c->ended = c->write_failed = c->closing = false;
	c->bytes_in = c->bytes_out = 0;
	buf_init(&c->in, CHAN_IN_MAX);
	buf_init(&c->out, CHAN_OUT_MAX);
	chan_update_events(c);
	return 0;
}

/* Sends what it can of `out`. A failure is remembered, and what waits is of no use any more. */
static void chan_send(struct chan *c)
{
	ssize_t n;

	while (buf_len(&c->out) && !c->write_failed) {
		n = send(c->fd, buf_head(&c->out), buf_len(&c->out), MSG_NOSIGNAL);
		if (n >= 0) {
			c->bytes_out += (uint64_t)n;
			buf_consume(&c->out, (size_t)n);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno != EINTR) {
			c->write_failed = true;
		}
	}
	if (c->write_failed)
		buf_deinit(&c->out);
}

int chan_queue(struct chan *c, const void *data, size_t len)
{
	if (c->closing || c->write_failed)
		return 0;
	return buf_append(&c->out, data, len);
}

void chan_flush(struct chan *c)
{
	if (c->closing)
		return;
	chan_send(c);
	chan_update_events(c);
}

int chan_write(struct chan *c, const void *data, size_t len)
{
	bool waiting = buf_len(&c->out) > 0;
	int r = chan_queue(c, data, len);

	if (r < 0)
		return r;
	/* What waits has met a full socket, or is flushed by its owner. */
	if (!waiting)
		chan_flush(c);
	return 0;
}

/* Reads once. 1: bytes came; 0: none now; otherwise the end was told to the owner. */
static int chan_read(struct chan *c)
{
	size_t room = CHAN_IN_MAX - buf_len(&c->in);
	uint8_t *tail;
	ssize_t n;
	int r;

	if (!room)
		return 0;
	r = buf_reserve(&c->in, room, &tail);
	if (r == 0) {
		n = recv(c->fd, tail, room, 0);
		r = n < 0 ? -errno : 0;
		if (r == -EAGAIN || r == -EINTR)
			return 0;
		if (n > 0) {
			c->bytes_in += (uint64_t)n;
			buf_commit(&c->in, (size_t)n);
			c->data(c);
			return 1;
		}
	}
	c->ended = true;
	c->end(c, r);
	return -1;
}

static void chan_on_event(uv_poll_t *poll, int status, int events)
{
	struct chan *c = container_of(poll, struct chan, poll);

	if (status < 0) {
		/*
		 * libuv has stopped the handle because of EPOLLERR. What came before the error is
		 * still in the socket, and the error itself behind it.
		 */
		c->events = 0;
		while (!c->closing && !c->ended && chan_read(c) > 0)
			;
		if (!c->closing && !c->ended && buf_len(&c->in) < CHAN_IN_MAX) {
			c->ended = true;
			c->end(c, -EIO);
		}
	} else {
		if (events & UV_WRITABLE)
			chan_send(c);
		if (events & UV_READABLE)
			(void)chan_read(c);
	}
	chan_update_events(c);
}

static void chan_on_closed(uv_handle_t *handle)
{
	struct chan *c = container_of((uv_poll_t *)handle, struct chan, poll);

	buf_deinit(&c->in);
	buf_deinit(&c->out);
	c->closed(c);
}

int chan_take_fd(struct chan *c)
{
	assert(!c->closing);
	if (buf_len(&c->out))
		return -1;
	c->closing = true;
	/* uv_close() takes the descriptor out of the loop's epoll set before it returns. */
	uv_close((uv_handle_t *)&c->poll, chan_on_closed);
	return take_fd(&c->fd);
}

void chan_close(struct chan *c, bool reset)
{
	if (c->closing)
		return;
	c->closing = true;
	uv_close((uv_handle_t *)&c->poll, chan_on_closed);
	if (reset) {
		sockopt_set_reset(c->fd);
	} else {
		chan_send(c);
		/* tcp(7): MSG_TRUNC discards without copying. */
		(void)recv(c->fd, NULL, CHAN_DISCARD_MAX, MSG_TRUNC);
	}
	c->fd = fd_close(c->fd);
}
