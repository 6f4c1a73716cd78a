/* SPDX-License-Identifier: MIT */
/*
 * Sockets of a guest that may make none by itself: the broker makes each one when it is known what
 * it is for. Until then the guest has one end of a pair whose other end is closed. It takes options
 * and is polled as a TCP socket that is neither bound nor connected; what it would say for another
 * reason, its name and that there is nothing to read, is asked of struct stream.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/owner.h"
#include "guest/streams.h"
#include "guest/wasmedge.h"
#include "net/sockopt.h"

bool wasmedge_asks(const struct call *c)
{
	return c->streams->walled || c->streams->broker_fd >= 0;
}

/* Drain and deadline are listened to, and the broker's own. */
static int wasmedge_broker_wait(void *owner, int fd, short events)
{
	int64_t until = call_clock_ns(CLOCK_MONOTONIC) +
			(int64_t)BROKER_CLIENT_PATIENCE_MS * CALL_NS_PER_MS;
	int r;

	do
		r = call_wait_fd(owner, fd, events, until);
	while (r == 0 && call_clock_ns(CLOCK_MONOTONIC) < until);
	if (r < 0)
		return r;
	return r == 0 ? -ETIMEDOUT : 0;
}

struct broker_client wasmedge_broker_client(struct call *c)
{
	return (struct broker_client){
		.fd = c->streams->broker_fd, .wait = wasmedge_broker_wait, .owner = c
	};
}

int wasmedge_broker_open(struct call *c, int family, bool datagram, uint32_t *ret_number)
{
	const struct broker_client client = wasmedge_broker_client(c);
	struct stream *stream;
	int ends[2], r;

	if (datagram)
		return call_failed(broker_client_datagrams(
			&client, family == AF_INET ? BROKER_IPV4 : BROKER_IPV6));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	fd_close(ends[1]);
	r = streams_add_socket(c->streams, ends[0], false, ret_number);
	if (r < 0) {
		fd_close(ends[0]);
		return r;
	}
	stream = streams_find(c->streams, *ret_number);
	stream->unmade = true;
	stream->told.sa.sa_family = (sa_family_t)family;
	return 0;
}

/* The broker's socket takes the place of the guest's. */
static void wasmedge_broker_put(struct stream *stream, enum stream_kind kind, int take_fd)
{
	wasmedge_opt_carry(stream, take_fd);
	fd_close(stream->fd);
	stream->fd = take_fd;
	stream->kind = kind;
	stream->unmade = false;
}

int wasmedge_broker_bind(
	struct call *c, struct stream *stream, const struct sockaddr *addr, socklen_t len)
{
	const struct broker_client client = wasmedge_broker_client(c);
	uint16_t port;
	bool moved;
	int fd;

	/* A connected one has a port: to bind it is the guest's mistake. */
	if (!stream->unmade)
		return -EINVAL;
	fd = broker_client_listen(&client, addr, len, &port);
	if (fd == -ETIME || fd == -ESHUTDOWN)
		return call_failed(fd);
	/* The first one is here already: the broker is asked so that it knows what it is called. */
	moved = streams_move_listener(c->streams, stream);
	if (fd < 0)
		return moved ? 0 : fd;
	if (moved)
		fd_close(fd);
	else
		wasmedge_broker_put(stream, STREAM_LISTENER, fd);
	/* Port 0 says nothing: the kernel's number is told then. */
	stream->told.sa.sa_family = AF_UNSPEC;
	if (port > 0) {
		memcpy(&stream->told, addr, len);
		addr_set_port(&stream->told, port);
	}
	return 0;
}

int wasmedge_broker_connect(
	struct call *c, struct stream *stream, const struct sockaddr *addr, socklen_t len)
{
	const struct broker_client client = wasmedge_broker_client(c);
	int fd;

	if (!stream->unmade)
		return -EISCONN;
	if (addr->sa_family != stream->told.sa.sa_family)
		return -EAFNOSUPPORT;
	fd = broker_client_connect(&client, addr, len);
	if (fd < 0)
		return call_failed(fd);
	(void)sockopt_set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	wasmedge_broker_put(stream, STREAM_SOCKET, fd);
	memcpy(&stream->told, addr, len);
	return 0;
}
