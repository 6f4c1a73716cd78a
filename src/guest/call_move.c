/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing: sockets and standard streams. All of the guest's pointers are checked before
 * a byte moves, so that none is lost to a bad one.
 *
 * Host descriptors never block (but for standard streams of the process, which are waited for
 * first); where the guest expects to block, call_wait() does so in their place. Each move of a
 * visitor's bytes leaves a note in its struct stream, by which a drain knows later whether that
 * visitor waits for an answer (drain.c).
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "guest/call_move.h"
#include "guest/drain.h"
#include "guest/streams.h"
#include "guest/wasi.h"

/* Buffers that one call moves at most; what is in the others is left for the guest's next call. */
#define IOV_CAP 64

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

static ssize_t call_move_readv(int fd, struct call_move *move, struct iovec *iov, size_t len)
{
	return readv(fd, iov, (int)len);
}

static ssize_t call_move_writev(int fd, struct call_move *move, struct iovec *iov, size_t len)
{
	return writev(fd, iov, (int)len);
}

/* Notes what a drain and the supervisor will want to know: n bytes have moved, or none if n is
 * negative. */
static void call_move_note(struct streams *streams, struct stream *stream,
	const struct call_move *move, const struct iovec *iov, size_t len, ssize_t n)
{
	if (move->in && len > 0)
		stream->probed = len == 1 && iov->iov_len == 1;
	if (n > 0 && !move->peek) {
		stream->asked = move->in;
		stream->moved_ms = streams->drain_ms ? clock_now_ms() : 0;
		if (!move->in)
			streams_tell_status(streams, STREAMS_ANSWERED);
	}
}

/* Waits until the stream can move, or until at_ms, or, draining, until the guest is told its end.
 */
static int call_move_wait(const struct call *c, const struct stream *stream,
	const struct call_move *move, uint64_t at_ms)
{
	if (c->streams->drain_ms && move->in && drain_idle_at(c->streams, stream) < at_ms)
		at_ms = drain_idle_at(c->streams, stream);
	return call_wait_fd(c, stream->fd, move->in ? POLLIN : POLLOUT,
		at_ms > INT64_MAX / CALL_NS_PER_MS ? INT64_MAX : (int64_t)at_ms * CALL_NS_PER_MS);
}

/*
 * Moves once; waits where the guest expects to block. A guest that asks for no byte has nothing to
 * wait for, unless it is for a datagram, which may be empty. The host is asked once even so: a
 * stream may be broken, or not connected.
 */
static ssize_t call_move_once(const struct call *c, struct stream *stream, struct call_move *move,
	struct iovec *iov, size_t len)
{
	uint64_t timeout_ms = move->in ? stream->recv_timeout_ms : stream->send_timeout_ms;
	uint64_t until_ms = timeout_ms ? clock_now_ms() + timeout_ms : UINT64_MAX;
	ssize_t n;
	int r = 0;

	for (;;) {
		/* readv(2) of a terminal or a pipe blocks, and the deadline could not reach it. */
		while (stream->kind == STREAM_INPUT && len > 0 && r == 0)
			r = call_wait_fd(c, stream->fd, POLLIN, INT64_MAX);
		if (r < 0)
			return r;
		n = move->fn(stream->fd, move, iov, len);
		if (stream->visitor)
			call_move_note(c->streams, stream, move, iov, len, n);
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
		r = call_move_wait(c, stream, move, until_ms);
	}
}

/* Drops the first n bytes of the vector. */
static void call_move_advance(struct iovec **iov, size_t *len, size_t n)
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

/* What MSG_WAITALL means; the host's own flag doesn't wait on a non-blocking socket. */
static ssize_t call_move_all(const struct call *c, struct stream *stream, struct call_move *move,
	struct iovec *iov, size_t len)
{
	ssize_t total = 0, n;

	while (len > 0) {
		n = call_move_once(c, stream, move, iov, len);
		if (n <= 0)
			return total > 0 ? total : n;
		total += n;
		call_move_advance(&iov, &len, (size_t)n);
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
		n = call_move_all(c, stream, move, iov, len);
	else
		n = call_move_once(c, stream, move, iov, len);
	if (n < 0)
		return call_failed((int)n);
	guest_store_u32(ret_n, (uint32_t)n);
	return 0;
}

int call_move_set_flags(struct call_move *move, uint32_t flags)
{
	if (flags & ~(uint32_t)(WASI_RECV_PEEK | WASI_RECV_WAITALL))
		return -EINVAL;
	/* Both together: what is peeked at stays there, and would be counted again. */
	move->all = flags == WASI_RECV_WAITALL;
	move->peek = flags & WASI_RECV_PEEK;
	return 0;
}

/* sock_recv(fd, iovs, iovs_len, flags, ret_n, ret_flags) */
int call_sock_recv(struct call *c)
{
	struct call_move move = {
		.fn = call_move_recv,
		.in = true,
		.ret_arg = 4,
	};
	struct stream *stream;
	uint8_t *ret_flags;
	int r = call_find_socket(c, &stream);

	if (r == 0)
		r = call_move_set_flags(&move, c->arg[3]);
	if (r == 0)
		r = guest_mem_at(&c->mem, c->arg[5], 1, sizeof(uint16_t), &ret_flags);
	if (r == 0)
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

/* A standard stream is no socket of the host: `standard` moves its bytes. */
static int call_move_fd(struct call *c, struct call_move *move, enum stream_kind kind,
	ssize_t (*standard)(int fd, struct call_move *move, struct iovec *iov, size_t len))
{
	struct stream *stream = streams_find(c->streams, c->arg[0]);

	if (!stream || (stream->kind != STREAM_INPUT && stream->kind != STREAM_OUTPUT))
		return call_find_socket(c, &stream) ?: call_move(c, stream, move);
	if (stream->kind != kind)
		return -EBADF;
	move->fn = standard;
	return call_move(c, stream, move);
}

/* fd_read(fd, iovs, iovs_len, ret_n) */
int call_fd_read(struct call *c)
{
	struct call_move move = { .fn = call_move_recv, .in = true, .ret_arg = 3 };

	return call_move_fd(c, &move, STREAM_INPUT, call_move_readv);
}

/* fd_write(fd, iovs, iovs_len, ret_n) */
int call_fd_write(struct call *c)
{
	struct call_move move = { .fn = call_move_send, .ret_arg = 3 };

	return call_move_fd(c, &move, STREAM_OUTPUT, call_move_writev);
}
