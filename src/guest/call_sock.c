/* SPDX-License-Identifier: MIT */
/*
 * Reading, writing, accepting and shutting down: sockets and standard streams. Where the answer
 * goes is checked before anything is done, so that no byte and no connection is lost to a bad
 * pointer.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "guest/call.h"
#include "guest/drain.h"
#include "guest/streams.h"
#include "guest/wasi.h"

/* Buffers that one call moves at most; what is in the others is left for the guest's next call. */
#define IOV_CAP 64

#define NS_PER_MS 1000000

/* recvmsg(), sendmsg(), readv() or writev() on one stream. */
typedef ssize_t (*move_fn)(int fd, struct iovec *iov, size_t len, int flags);

static ssize_t move_recv(int fd, struct iovec *iov, size_t len, int flags)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = len };

	return recvmsg(fd, &msg, flags);
}

static ssize_t move_send(int fd, struct iovec *iov, size_t len, int flags)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = len };

	return sendmsg(fd, &msg, flags | MSG_NOSIGNAL);
}

static ssize_t move_read(int fd, struct iovec *iov, size_t len, int flags)
{
	return readv(fd, iov, (int)len);
}

static ssize_t move_write(int fd, struct iovec *iov, size_t len, int flags)
{
	return writev(fd, iov, (int)len);
}

/* Keeps what draining wants to know: n bytes were moved, or a negative number for none. */
static void visitor_moved(struct streams *streams, struct stream *stream, move_fn move,
	const struct iovec *iov, size_t len, ssize_t n)
{
	if (move == move_recv)
		stream->watched = len == 1 && iov->iov_len == 1;
	if (n > 0) {
		stream->asked = move == move_recv;
		stream->moved_ms = streams->drain_ms ? clock_now_ms() : 0;
	}
}

/* Waits until the stream can move, or, draining, until the guest is told its end. */
static int stream_wait(const struct call *c, const struct stream *stream, short events)
{
	uint64_t at_ms = UINT64_MAX;

	if (c->streams->drain_ms && events == POLLIN)
		at_ms = drain_idle_at(c->streams, stream);
	return call_wait_fd(c, stream->fd, events,
		at_ms > INT64_MAX / NS_PER_MS ? INT64_MAX : (int64_t)at_ms * NS_PER_MS);
}

/* Moves once, waiting first or again where the guest expects to block. */
static ssize_t stream_move(const struct call *c, struct stream *stream, move_fn move,
	struct iovec *iov, size_t len, int flags)
{
	short events = move == move_recv || move == move_read ? POLLIN : POLLOUT;
	ssize_t n;
	int r = 0;

	for (;;) {
		/* A terminal or pipe blocks in the call itself, out of the deadline's reach. */
		while (stream->kind == STREAM_INPUT && r == 0)
			r = call_wait_fd(c, stream->fd, POLLIN, INT64_MAX);
		if (r < 0)
			return r;
		n = move(stream->fd, iov, len, flags);
		if (stream->visitor)
			visitor_moved(c->streams, stream, move, iov, len, flags ? -1 : n);
		if (n >= 0)
			return n;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		if (c->streams->drain_ms && events == POLLIN && drain_is_idle(c->streams, stream)) {
			stream->ended = true;
			return 0;
		}
		if (stream->nonblock)
			return -EAGAIN;
		r = stream_wait(c, stream, events);
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
static ssize_t stream_recv_all(
	const struct call *c, struct stream *stream, struct iovec *iov, size_t len)
{
	ssize_t total = 0, n;

	while (len > 0) {
		n = stream_move(c, stream, move_recv, iov, len, 0);
		if (n <= 0)
			return total > 0 ? total : n;
		total += n;
		iov_advance(&iov, &len, (size_t)n);
	}
	return total;
}

/* The common shape: the vector in arguments 1 and 2, the number of bytes moved goes to ret_arg. */
static int call_move(struct call *c, move_fn move, int flags, bool all, unsigned ret_arg)
{
	struct stream *stream = streams_find(c->streams, c->arg[0]);
	struct iovec iov[IOV_CAP];
	uint8_t *ret_n;
	size_t len;
	ssize_t n;
	int r;

	r = guest_mem_at(&c->mem, c->arg[ret_arg], 1, sizeof(uint32_t), &ret_n);
	if (r < 0)
		return r;
	r = guest_mem_iovec(&c->mem, c->arg[1], c->arg[2], iov, IOV_CAP, &len);
	if (r < 0)
		return r;
	if (all && !stream->nonblock)
		n = stream_recv_all(c, stream, iov, len);
	else
		n = stream_move(c, stream, move, iov, len, flags);
	if (n < 0)
		return call_failed((int)n);
	guest_store_u32(ret_n, (uint32_t)n);
	return 0;
}

/* Moving bytes through the sock_ calls takes a connected socket. */
static int call_find_socket(const struct call *c)
{
	const struct stream *stream = streams_find(c->streams, c->arg[0]);

	if (!stream)
		return streams_is_socket_fd(c->streams, c->arg[0]) ? -EBADF : CALL_FORWARD;
	if (stream->kind == STREAM_LISTENER)
		return -ENOTCONN;
	return stream->kind == STREAM_SOCKET ? 0 : -ENOTSOCK;
}

/* sock_recv(fd, iovs, iovs_len, flags, ret_n, ret_flags) */
int call_sock_recv(struct call *c)
{
	uint32_t flags = c->arg[3];
	uint8_t *ret_flags;
	int r = call_find_socket(c);

	if (r != 0)
		return r;
	if (flags & ~(uint32_t)(WASI_RECV_PEEK | WASI_RECV_WAITALL))
		return -EINVAL;
	r = guest_mem_at(&c->mem, c->arg[5], 1, sizeof(uint16_t), &ret_flags);
	if (r < 0)
		return r;
	r = call_move(
		c, move_recv, flags & WASI_RECV_PEEK ? MSG_PEEK : 0, flags == WASI_RECV_WAITALL, 4);
	if (r == 0)
		guest_store_u16(ret_flags, 0);
	return r;
}

/* sock_send(fd, iovs, iovs_len, flags, ret_n) */
int call_sock_send(struct call *c)
{
	int r = call_find_socket(c);

	if (r != 0)
		return r;
	return c->arg[3] ? -EINVAL : call_move(c, move_send, 0, false, 4);
}

/* fd_read(fd, iovs, iovs_len, ret_n) */
int call_fd_read(struct call *c)
{
	const struct stream *stream = streams_find(c->streams, c->arg[0]);

	if (stream && stream->kind == STREAM_INPUT)
		return call_move(c, move_read, 0, false, 3);
	if (stream && stream->kind == STREAM_OUTPUT)
		return -EBADF;
	return call_find_socket(c) ?: call_move(c, move_recv, 0, false, 3);
}

/* fd_write(fd, iovs, iovs_len, ret_n) */
int call_fd_write(struct call *c)
{
	const struct stream *stream = streams_find(c->streams, c->arg[0]);

	if (stream && stream->kind == STREAM_OUTPUT)
		return call_move(c, move_write, 0, false, 3);
	if (stream && stream->kind == STREAM_INPUT)
		return -EBADF;
	return call_find_socket(c) ?: call_move(c, move_send, 0, false, 3);
}

/* Accepts one connection, waiting where the guest expects to block. */
static int listener_accept(const struct call *c, const struct stream *listener, int *ret_fd)
{
	int fd, r;

	for (;;) {
		/* A guest that blocks here for ever does nothing any more for those it has. */
		if (drain_check(c->streams))
			return listener->nonblock ? -EAGAIN : -ESHUTDOWN;
		fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			break;
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			return -errno;
		if (errno == EAGAIN && listener->nonblock)
			return -EAGAIN;
		r = call_wait_fd(c, listener->fd, POLLIN, INT64_MAX);
		if (r < 0)
			return r;
	}
	*ret_fd = fd;
	return 0;
}

/* sock_accept(fd, flags, ret_fd) */
int call_sock_accept(struct call *c)
{
	const struct stream *listener = streams_find(c->streams, c->arg[0]);
	_cleanup_(fd_closep) int fd = -1;
	uint8_t *ret_number;
	uint32_t number;
	int on = 1, r;

	if (!listener)
		return streams_is_socket_fd(c->streams, c->arg[0]) ? -EBADF : CALL_FORWARD;
	if (listener->kind != STREAM_LISTENER)
		return listener->kind == STREAM_SOCKET ? -EINVAL : -ENOTSOCK;
	if (c->arg[1] & ~(uint32_t)WASI_FDFLAG_NONBLOCK)
		return -EINVAL;
	r = guest_mem_at(&c->mem, c->arg[2], 1, sizeof(uint32_t), &ret_number);
	if (r < 0)
		return r;
	number = drain_return(c->streams, c->arg[1] & WASI_FDFLAG_NONBLOCK);
	if (number == STREAMS_NO_FD) {
		r = listener_accept(c, listener, &fd);
		if (r < 0)
			return call_failed(r);
		/* Preview 1 has no socket options, so no guest can ask for this itself. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		r = streams_add_visitor(c->streams, fd, c->arg[1] & WASI_FDFLAG_NONBLOCK, &number);
		if (r < 0)
			return r;
		take_fd(&fd);
	}
	guest_store_u32(ret_number, number);
	return 0;
}

/* sock_shutdown(fd, how) */
int call_sock_shutdown(struct call *c)
{
	static const int hows[] = {
		[WASI_SHUT_RD] = SHUT_RD,
		[WASI_SHUT_WR] = SHUT_WR,
		[WASI_SHUT_RD | WASI_SHUT_WR] = SHUT_RDWR,
	};
	int r = call_find_socket(c);

	if (r != 0)
		return r;
	if (c->arg[1] == 0 || c->arg[1] >= ARRAY_LEN(hows))
		return -EINVAL;
	r = shutdown(streams_find(c->streams, c->arg[0])->fd, hows[c->arg[1]]);
	return r < 0 ? -errno : 0;
}
