/* SPDX-License-Identifier: MIT */
/*
 * Sockets that the guest makes itself: opening, binding, connecting, datagrams, and the addresses
 * of their ends. Each becomes a place of struct streams, so that reading, writing, waiting and
 * closing are those of every other stream.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "guest/call_move.h"
#include "guest/streams.h"
#include "guest/wasi.h"
#include "guest/wasmedge.h"
#include "net/addr.h"

int wasmedge_find_socket(const struct call *c, struct stream **ret_stream)
{
	struct stream *stream = streams_find(c->streams, c->arg[0]);

	if (!stream)
		return -EBADF;
	if (stream->kind != STREAM_SOCKET && stream->kind != STREAM_LISTENER)
		return -ENOTSOCK;
	*ret_stream = stream;
	return 0;
}

/* sock_open(family, type, ret_fd) */
int wasmedge_sock_open(struct call *c)
{
	static const int families[] = { [WASMEDGE_INET4] = AF_INET, [WASMEDGE_INET6] = AF_INET6 };
	static const int types[] = {
		[WASMEDGE_DGRAM] = SOCK_DGRAM, [WASMEDGE_STREAM] = SOCK_STREAM
	};
	_cleanup_(fd_closep) int fd = -1;
	uint8_t *ret_number;
	uint32_t number;
	int on = 1, r;

	r = guest_mem_at(&c->mem, c->arg[2], 1, sizeof(uint32_t), &ret_number);
	if (r < 0)
		return r;
	if (c->arg[0] >= ARRAY_LEN(families) || c->arg[0] == WASMEDGE_UNSPEC)
		return -EAFNOSUPPORT;
	if (c->arg[1] >= ARRAY_LEN(types) || c->arg[1] == WASMEDGE_ANY)
		return -EPROTOTYPE;
	if (wasmedge_asks(c)) {
		r = wasmedge_broker_open(
			c, families[c->arg[0]], c->arg[1] == WASMEDGE_DGRAM, &number);
		if (r == 0)
			guest_store_u32(ret_number, number);
		return r;
	}
	fd = socket(families[c->arg[0]], types[c->arg[1]] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (c->arg[1] == WASMEDGE_STREAM)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	r = streams_add_socket(c->streams, fd, c->arg[1] == WASMEDGE_DGRAM, &number);
	if (r < 0)
		return r;
	take_fd(&fd);
	guest_store_u32(ret_number, number);
	return 0;
}

/* The socket and the address of a call (fd, address, port). */
static int wasmedge_sock_load(const struct call *c, struct stream **ret_stream,
	struct sockaddr_storage *ret_addr, socklen_t *ret_len)
{
	int r = wasmedge_find_socket(c, ret_stream);

	return r < 0 ? r : wasmedge_addr_load(&c->mem, c->arg[1], c->arg[2], ret_addr, ret_len);
}

/* sock_bind(fd, address, port) */
int wasmedge_sock_bind(struct call *c)
{
	struct sockaddr_storage addr;
	struct stream *stream;
	struct addr own;
	socklen_t len;
	int r = wasmedge_sock_load(c, &stream, &addr, &len);

	if (r < 0)
		return r;
	if (stream->kind != STREAM_SOCKET)
		return -EINVAL;
	if (wasmedge_asks(c))
		return wasmedge_broker_bind(c, stream, (struct sockaddr *)&addr, len);
	/* One that has a port was bound before, or connected: to bind it is the guest's mistake. */
	if (!stream->datagram && addr_of_socket(stream->fd, &own) == 0 && addr_port(&own) == 0 &&
		streams_move_listener(c->streams, stream))
		return 0;
	return bind(stream->fd, (struct sockaddr *)&addr, len) < 0 ? -errno : 0;
}

/* sock_listen(fd, backlog) */
int wasmedge_sock_listen(struct call *c)
{
	struct stream *stream;
	int r = wasmedge_find_socket(c, &stream);

	if (r < 0)
		return r;
	if (stream->shared) {
		streams_tell_status(c->streams, STREAMS_LISTENING);
		return 0;
	}
	/* The broker's listens since before it was there; one that was never bound has no port. */
	if (wasmedge_asks(c))
		return stream->kind == STREAM_LISTENER ? 0 : -EDESTADDRREQ;
	if (listen(stream->fd, (int)c->arg[1]) < 0)
		return -errno;
	stream->kind = STREAM_LISTENER;
	return 0;
}

/* sock_accept(fd, ret_fd) */
int wasmedge_sock_accept(struct call *c)
{
	struct stream *stream;
	uint8_t *ret_number;
	int r = wasmedge_find_socket(c, &stream);

	if (r < 0)
		return r;
	r = guest_mem_at(&c->mem, c->arg[1], 1, sizeof(uint32_t), &ret_number);
	return r < 0 ? r : call_accept(c, 0, ret_number);
}

/* Waits for a connection that is under way. */
static int wasmedge_sock_wait(const struct call *c, const struct stream *stream)
{
	socklen_t len = sizeof(int);
	int error, r;

	do
		r = call_wait_fd(c, stream->fd, POLLOUT, INT64_MAX);
	while (r == 0);
	if (r < 0)
		return call_failed(r);
	if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

/* sock_connect(fd, address, port) */
int wasmedge_sock_connect(struct call *c)
{
	struct sockaddr_storage addr;
	struct stream *stream;
	socklen_t len;
	int r = wasmedge_sock_load(c, &stream, &addr, &len);

	if (r < 0)
		return r;
	if (stream->kind != STREAM_SOCKET)
		return -EOPNOTSUPP;
	if (wasmedge_asks(c))
		return wasmedge_broker_connect(c, stream, (struct sockaddr *)&addr, len);
	if (connect(stream->fd, (struct sockaddr *)&addr, len) == 0)
		return 0;
	if (errno == EINPROGRESS && !stream->nonblock)
		return wasmedge_sock_wait(c, stream);
	return -errno;
}

/*
 * The two generations: the second tells the port, and the family if there is room for it. A stream
 * has no address to tell.
 */
static int wasmedge_sock_recv(struct call *c, bool second)
{
	struct sockaddr_storage addr = { .ss_family = AF_UNSPEC };
	struct call_move move = {
		.fn = call_move_recv,
		.in = true,
		.ret_arg = second ? 6 : 5,
		.name = &addr,
	};
	uint8_t *ret_port = NULL, *ret_flags;
	enum wasmedge_family family;
	struct wasmedge_place place;
	struct stream *stream;
	uint16_t port = 0;
	int r = call_find_socket(c, &stream);

	if (r != 0)
		return r == CALL_FORWARD ? -ENOTSOCK : r;
	r = call_move_set_flags(&move, c->arg[4]);
	if (r == 0)
		r = guest_mem_at(&c->mem, c->arg[second ? 7 : 6], 1, sizeof(uint16_t), &ret_flags);
	if (r == 0 && second)
		r = guest_mem_at(&c->mem, c->arg[5], 1, sizeof(uint16_t), &ret_port);
	if (r == 0)
		r = wasmedge_place_find(&c->mem, c->arg[3], &place);
	if (r == 0)
		r = call_move(c, stream, &move);
	if (r != 0)
		return r;
	guest_store_u16(ret_flags, move.truncated ? WASI_RECV_TRUNCATED : 0);
	/* The datagram has been taken: without room for its address there is none. */
	if (wasmedge_addr_store(&place, second, &addr, &family, &port) == 0 && second)
		guest_store_u16(ret_port, port);
	return 0;
}

/* sock_recv_from(fd, iovs, iovs_len, address, flags, ret_n, ret_flags) */
int wasmedge_sock_recv_from(struct call *c)
{
	return wasmedge_sock_recv(c, false);
}

/* sock_recv_from(fd, iovs, iovs_len, address, flags, ret_port, ret_n, ret_flags) */
int wasmedge_sock_recv_from_v2(struct call *c)
{
	return wasmedge_sock_recv(c, true);
}

/* sock_send_to(fd, iovs, iovs_len, address, port, flags, ret_n) */
int wasmedge_sock_send_to(struct call *c)
{
	struct sockaddr_storage addr;
	struct call_move move = { .fn = call_move_send, .ret_arg = 6, .name = &addr };
	struct stream *stream;
	int r = call_find_socket(c, &stream);

	if (r != 0)
		return r == CALL_FORWARD ? -ENOTSOCK : r;
	r = wasmedge_addr_load(&c->mem, c->arg[3], c->arg[4], &addr, &move.name_len);
	if (r < 0)
		return r;
	return c->arg[5] ? -EINVAL : call_move(c, stream, &move);
}

/* The address of one end of a socket. */
typedef int (*name_fn)(const struct stream *stream, struct sockaddr_storage *ret_addr);

static int wasmedge_sock_local(const struct stream *stream, struct sockaddr_storage *ret_addr)
{
	socklen_t len = sizeof(*ret_addr);

	if (stream->told.sa.sa_family && (stream->unmade || stream->kind == STREAM_LISTENER)) {
		memcpy(ret_addr, &stream->told, sizeof(stream->told));
		return 0;
	}
	return getsockname(stream->fd, (struct sockaddr *)ret_addr, &len) < 0 ? -errno : 0;
}

static int wasmedge_sock_peer(const struct stream *stream, struct sockaddr_storage *ret_addr)
{
	socklen_t len = sizeof(*ret_addr);

	if (stream->unmade)
		return -ENOTCONN;
	if (stream->told.sa.sa_family && stream->kind == STREAM_SOCKET) {
		memcpy(ret_addr, &stream->told, sizeof(stream->told));
		return 0;
	}
	return getpeername(stream->fd, (struct sockaddr *)ret_addr, &len) < 0 ? -errno : 0;
}

/* The end of a socket that name gives; the first generation wants the family told apart. */
static int wasmedge_sock_name(struct call *c, name_fn name, uint32_t port_arg, uint8_t *ret_family)
{
	struct sockaddr_storage addr;
	enum wasmedge_family family;
	struct wasmedge_place place;
	struct stream *stream;
	uint8_t *ret_port;
	uint16_t port;
	int r = wasmedge_find_socket(c, &stream);

	if (r == 0)
		r = guest_mem_at(&c->mem, port_arg, 1, sizeof(uint32_t), &ret_port);
	if (r == 0)
		r = wasmedge_place_find(&c->mem, c->arg[1], &place);
	if (r != 0)
		return r;
	if ((place.len == WASMEDGE_STORAGE_SIZE) != !ret_family)
		return -EINVAL;
	r = name(stream, &addr);
	if (r < 0)
		return r;
	r = wasmedge_addr_store(&place, !ret_family, &addr, &family, &port);
	if (r < 0)
		return r;
	if (ret_family)
		guest_store_u32(ret_family, family == WASMEDGE_INET4 ? 4 : 6);
	guest_store_u32(ret_port, port);
	return 0;
}

/* sock_get…addr(fd, address, ret_family, ret_port) */
static int wasmedge_sock_name_v1(struct call *c, name_fn name)
{
	uint8_t *ret_family;
	int r = guest_mem_at(&c->mem, c->arg[2], 1, sizeof(uint32_t), &ret_family);

	return r < 0 ? r : wasmedge_sock_name(c, name, c->arg[3], ret_family);
}

int wasmedge_sock_getlocaladdr(struct call *c)
{
	return wasmedge_sock_name_v1(c, wasmedge_sock_local);
}

int wasmedge_sock_getpeeraddr(struct call *c)
{
	return wasmedge_sock_name_v1(c, wasmedge_sock_peer);
}

/* sock_get…addr(fd, address, ret_port) */
int wasmedge_sock_getlocaladdr_v2(struct call *c)
{
	return wasmedge_sock_name(c, wasmedge_sock_local, c->arg[2], NULL);
}

int wasmedge_sock_getpeeraddr_v2(struct call *c)
{
	return wasmedge_sock_name(c, wasmedge_sock_peer, c->arg[2], NULL);
}
