/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing: sockets and standard streams. Where the answer goes is checked before
 * anything is done, so that no byte is lost to a bad pointer.
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "guest/call.h"
#include "guest/drain.h"
#include "guest/streams.h"
#include "guest/wasi.h"

/* Buffers that one call moves at most; what is in the others is left for the guest's next call. */
#define IOV_CAP 64

#define NS_PER_MS 1000000

ssize_t call_move_recv(int fd, struct call_move *move, struct iovec *iov, size_t len)
{
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = len,
		.msg_name = move->name,
		.msg_namelen = move->name ? sizeof(*move->name) : 0,
	};
	ssize_t n = recvmsg(fd, &msg, move->peek ? MSG_PEEK : 0);

	if (n >= 0) {
		move->name_len = msg.msg_namelen;
		move->truncated = msg.msg_flags & MSG_TRUNC;
	}
	return n;
}

ssize_t call_move_send(int fd, struct call_move *move, struct iovec *iov, size_t len)
{
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = len,
		.msg_name = move->name,
		.msg_namelen = move->name_len,
	};

	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static ssize_t move_read(int fd, struct call_move *move, struct iovec *iov, size_t len)
{
	return readv(fd, iov, (int)len);
}

static ssize_t move_write(int fd, struct call_move *move, struct iovec *iov, size_t len)
{
	return writev(fd, iov, (int)len);
}

/* Keeps what draining and the supervisor want to know: n bytes were moved, or a negative number for
 * none. */
static void visitor_moved(struct streams *streams, struct stream *stream,
	const struct call_move *move, const struct iovec *iov, size_t len, ssize_t n)
{
	if (move->in && len > 0)
		stream->watched = len == 1 && iov->iov_len == 1;
	if (n > 0 && !move->peek) {
		stream->asked = move->in;
		stream->moved_ms = streams->drain_ms ? clock_now_ms() : 0;
		if (!move->in)
			streams_tell_status(streams, STREAMS_ANSWERED);
	}
}

/* Waits until the stream can move, or until at_ms, or, draining, until the guest is told its end.
 */
static int stream_wait(const struct call *c, const struct stream *stream,
	const struct call_move *move, uint64_t at_ms)
{
	if (c->streams->drain_ms && move->in && drain_idle_at(c->streams, stream) < at_ms)
		at_ms = drain_idle_at(c->streams, stream);
	return call_wait_fd(c, stream->fd, move->in ? POLLIN : POLLOUT,
		at_ms > INT64_MAX / NS_PER_MS ? INT64_MAX : (int64_t)at_ms * NS_PER_MS);
}

/*
 * Moves once, waiting first or again where the guest expects to block. There is nothing to wait for
 * where no byte is asked for, but for a datagram, which may have none: a stream is asked once all
 * the same, since it may be broken or not connected.
 */
static ssize_t stream_move(const struct call *c, struct stream *stream, struct call_move *move,
	struct iovec *iov, size_t len)
{
	uint64_t timeout_ms = move->in ? stream->recv_timeout_ms : stream->send_timeout_ms;
	uint64_t until_ms = timeout_ms ? clock_now_ms() + timeout_ms : UINT64_MAX;
	ssize_t n;
	int r = 0;

	for (;;) {
		/* A terminal or pipe blocks in the call itself, out of the deadline's reach. */
		while (stream->kind == STREAM_INPUT && len > 0 && r == 0)
			r = call_wait_fd(c, stream->fd, POLLIN, INT64_MAX);
		if (r < 0)
			return r;
		n = move->fn(stream->fd, move, iov, len);
		if (stream->visitor)
			visitor_moved(c->streams, stream, move, iov, len, n);
		if (n >= 0)
			return n;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		if (len == 0 && !stream->datagram)
			return 0;
		if (c->streams->drain_ms && move->in && drain_is_idle(c->streams, stream)) {
			stream->ended = true;
			return 0;
		}
		if (stream->nonblock || (until_ms != UINT64_MAX && clock_now_ms() >= until_ms))
			return -EAGAIN;
		r = stream_wait(c, stream, move, until_ms);
	}
}

/* Drops the first n bytes of the vector. */
static void iov_advance(struct iovec **iov, size_t *len, size_t n)
{
	while (*len > 0 && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		(*iov)++;
		(*len)--;
	}
	if (*len > 0) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
	}
}

/* MSG_WAITALL on a non-blocking socket: the host's own flag would not wait. */
static ssize_t stream_move_all(const struct call *c, struct stream *stream, struct call_move *move,
	struct iovec *iov, size_t len)
{
	ssize_t total = 0, n;

	while (len > 0) {
		n = stream_move(c, stream, move, iov, len);
		if (n <= 0)
			return total > 0 ? total : n;
		total += n;
		iov_advance(&iov, &len, (size_t)n);
	}
	return total;
}

int call_move(struct call *c, struct stream *stream, struct call_move *move)
{
	struct iovec iov[IOV_CAP];
	uint8_t *ret_n;
	size_t len;
	ssize_t n;
	int r;

	r = guest_mem_at(&c->mem, c->arg[move->ret_arg], 1, sizeof(uint32_t), &ret_n);
	if (r < 0)
		return r;
	r = guest_mem_iovec(&c->mem, c->arg[1], c->arg[2], iov, IOV_CAP, &len);
	if (r < 0)
		return r;
	if (move->all && !stream->nonblock && !stream->datagram)
		n = stream_move_all(c, stream, move, iov, len);
	else
		n = stream_move(c, stream, move, iov, len);
	if (n < 0)
		return call_failed((int)n);
	guest_store_u32(ret_n, (uint32_t)n);
	return 0;
}

/* sock_recv(fd, iovs, iovs_len, flags, ret_n, ret_flags) */
int call_sock_recv(struct call *c)
{
	struct call_move move = {
		.fn = call_move_recv,
		.in = true,
		.all = c->arg[3] == WASI_RECV_WAITALL,
		.peek = c->arg[3] & WASI_RECV_PEEK,
		.ret_arg = 4,
	};
	struct stream *stream;
	uint8_t *ret_flags;
	int r = call_find_socket(c, &stream);

	if (r != 0)
		return r;
	if (c->arg[3] & ~(uint32_t)(WASI_RECV_PEEK | WASI_RECV_WAITALL))
		return -EINVAL;
	r = guest_mem_at(&c->mem, c->arg[5], 1, sizeof(uint16_t), &ret_flags);
	if (r < 0)
		return r;
	r = call_move(c, stream, &move);
	if (r == 0)
		guest_store_u16(ret_flags, move.truncated ? WASI_RECV_TRUNCATED : 0);
	return r;
}

/* sock_send(fd, iovs, iovs_len, flags, ret_n) */
int call_sock_send(struct call *c)
{
	struct call_move move = { .fn = call_move_send, .ret_arg = 4 };
	struct stream *stream;
	int r = call_find_socket(c, &stream);

	if (r != 0)
		return r;
	return c->arg[3] ? -EINVAL : call_move(c, stream, &move);
}

/* fd_read(fd, iovs, iovs_len, ret_n) */
int call_fd_read(struct call *c)
{
	struct stream *stream = streams_find(c->streams, c->arg[0]);
	struct call_move move = { .fn = call_move_recv, .in = true, .ret_arg = 3 };

	if (stream && stream->kind == STREAM_INPUT) {
		move.fn = move_read;
		return call_move(c, stream, &move);
	}
	if (stream && stream->kind == STREAM_OUTPUT)
		return -EBADF;
	return call_find_socket(c, &stream) ?: call_move(c, stream, &move);
}

/* fd_write(fd, iovs, iovs_len, ret_n) */
int call_fd_write(struct call *c)
{
	struct stream *stream = streams_find(c->streams, c->arg[0]);
	struct call_move move = { .fn = call_move_send, .ret_arg = 3 };

	if (stream && stream->kind == STREAM_OUTPUT) {
		move.fn = move_write;
		return call_move(c, stream, &move);
	}
	if (stream && stream->kind == STREAM_INPUT)
		return -EBADF;
	return call_find_socket(c, &stream) ?: call_move(c, stream, &move);
}
