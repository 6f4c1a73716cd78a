/* SPDX-License-Identifier: MIT */
/*
 * Accepting and shutting down. The place of the answer is checked before a connection is accepted,
 * so that none is lost to a bad pointer.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "guest/call.h"
#include "guest/drain.h"
#include "guest/streams.h"
#include "guest/wasi.h"
#include "net/sockopt.h"

int call_find_socket(const struct call *c, struct stream **ret_stream)
{
	struct stream *stream = streams_find(c->streams, c->arg[0]);

	if (!stream)
		return streams_is_socket_fd(c->streams, c->arg[0]) ? -EBADF : CALL_FORWARD;
	if (stream->kind == STREAM_LISTENER || stream->unmade)
		return -ENOTCONN;
	if (stream->kind != STREAM_SOCKET)
		return -ENOTSOCK;
	*ret_stream = stream;
	return 0;
}

/* Accepts one connection, waiting where the guest expects to block. */
static int call_sock_accept_from(const struct call *c, struct stream *listener, int *ret_fd)
{
	/* Another instance may have taken the connection that poll_oneoff() has announced. A guest
	 * that polls waits for several things at once: it must not be held up here by one. */
	bool nonblock = listener->nonblock || listener->announced;
	int fd, r;

	listener->announced = false;
	for (;;) {
		/* A guest that waits here for ever would never serve the visitors that it has. */
		if (drain_check(c->streams))
			return nonblock ? -EAGAIN : -ESHUTDOWN;
		fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			break;
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			return -errno;
		if (errno == EAGAIN && nonblock)
			return -EAGAIN;
		r = call_wait_fd(c, listener->fd, POLLIN, INT64_MAX);
		if (r < 0)
			return r;
	}
	*ret_fd = fd;
	return 0;
}

int call_accept(struct call *c, uint32_t flags, uint8_t *ret_number)
{
	struct stream *listener = streams_find(c->streams, c->arg[0]);
	_cleanup_(fd_closep) int fd = -1;
	uint32_t number;
	int on = 1, r;

	if (!listener)
		return streams_is_socket_fd(c->streams, c->arg[0]) ? -EBADF : CALL_FORWARD;
	if (listener->kind != STREAM_LISTENER)
		return listener->kind == STREAM_SOCKET ? -EINVAL : -ENOTSOCK;
	if (flags & ~(uint32_t)WASI_FDFLAG_NONBLOCK)
		return -EINVAL;
	number = drain_return(c->streams, flags & WASI_FDFLAG_NONBLOCK);
	if (number == STREAMS_NO_FD) {
		r = call_sock_accept_from(c, listener, &fd);
		if (r < 0)
			return call_failed(r);
		/* Neither WASI nor WasmEdge has this option, so no guest can ask for it. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		r = streams_add_visitor(c->streams, fd, flags & WASI_FDFLAG_NONBLOCK, &number);
		if (r < 0)
			return r;
		take_fd(&fd);
	}
	guest_store_u32(ret_number, number);
	return 0;
}

/* sock_accept(fd, flags, ret_fd) */
int call_sock_accept(struct call *c)
{
	uint8_t *ret_number;
	int r;

	if (!streams_find(c->streams, c->arg[0]) && !streams_is_socket_fd(c->streams, c->arg[0]))
		return CALL_FORWARD;
	r = guest_mem_at(&c->mem, c->arg[2], 1, sizeof(uint32_t), &ret_number);
	return r < 0 ? r : call_accept(c, c->arg[1], ret_number);
}

/* sock_shutdown(fd, how) */
int call_sock_shutdown(struct call *c)
{
	static const int hows[] = {
		[WASI_SHUT_RD] = SHUT_RD,
		[WASI_SHUT_WR] = SHUT_WR,
		[WASI_SHUT_RD | WASI_SHUT_WR] = SHUT_RDWR,
	};
	struct stream *stream;
	int r = call_find_socket(c, &stream);

	if (r != 0)
		return r;
	if (c->arg[1] == 0 || c->arg[1] >= ARRAY_LEN(hows))
		return -EINVAL;
	if (shutdown(stream->fd, hows[c->arg[1]]) < 0)
		return -errno;
	/* The guest has said all that it wants to say: its end can be an ordinary one. */
	if (stream->visitor && (c->arg[1] & WASI_SHUT_WR))
		sockopt_lift_reset(stream->fd);
	return 0;
}
