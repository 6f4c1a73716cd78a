/* SPDX-License-Identifier: MIT */
/*
 * Options of sockets. The guest's structures are laid out as the host's. Limits on the time of a
 * call are kept in struct stream (call_move.c heeds them), since the host's sockets never block.
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/lang.h"
#include "guest/streams.h"
#include "guest/wasi.h"
#include "guest/wasmedge.h"

#define LEVEL_SOCKET 0

/* The longest time limit that is kept, in seconds; beyond it there is none. */
#define TIMEOUT_MAX_S (UINT64_C(1) << 40)

/* The guest's struct timeval, 64 bits each, and its struct linger, 32 bits each. */
#define TIMEVAL_SIZE 16
#define TIMEVAL_US 8
#define LINGER_SIZE sizeof(struct linger)

enum wasmedge_opt_kind {
	OPTION_INT,
	OPTION_TOLD, /* an int that can't be set */
	OPTION_LINGER,
	OPTION_RECV_TIMEOUT,
	OPTION_SEND_TIMEOUT,
};

/* By WasmEdge's number. Number 14, the device, is missing: binding to one is for who may. */
static const struct wasmedge_opt {
	int name;
	enum wasmedge_opt_kind kind;
	uint32_t size;
} options[] = {
	{ SO_REUSEADDR, OPTION_INT, sizeof(int) },
	{ SO_TYPE, OPTION_TOLD, sizeof(int) },
	{ SO_ERROR, OPTION_TOLD, sizeof(int) },
	{ SO_DONTROUTE, OPTION_INT, sizeof(int) },
	{ SO_BROADCAST, OPTION_INT, sizeof(int) },
	{ SO_SNDBUF, OPTION_INT, sizeof(int) },
	{ SO_RCVBUF, OPTION_INT, sizeof(int) },
	{ SO_KEEPALIVE, OPTION_INT, sizeof(int) },
	{ SO_OOBINLINE, OPTION_INT, sizeof(int) },
	{ SO_LINGER, OPTION_LINGER, LINGER_SIZE },
	{ SO_RCVLOWAT, OPTION_INT, sizeof(int) },
	{ SO_RCVTIMEO, OPTION_RECV_TIMEOUT, TIMEVAL_SIZE },
	{ SO_SNDTIMEO, OPTION_SEND_TIMEOUT, TIMEVAL_SIZE },
	{ SO_ACCEPTCONN, OPTION_TOLD, sizeof(int) },
};

/* Arguments 0 to 3 of both calls: socket, level, name, and size bytes at the value's place. */
static int wasmedge_opt_find(struct call *c, uint32_t size, struct stream **ret_stream,
	const struct wasmedge_opt **ret_option, uint8_t **ret_at)
{
	int r = wasmedge_find_socket(c, ret_stream);

	if (r < 0)
		return r;
	if (c->arg[1] != LEVEL_SOCKET || c->arg[2] >= ARRAY_LEN(options))
		return -ENOPROTOOPT;
	*ret_option = &options[c->arg[2]];
	if (size < (*ret_option)->size)
		return -EINVAL;
	return guest_mem_at(&c->mem, c->arg[3], size, 1, ret_at);
}

static uint64_t *wasmedge_opt_timeout(struct stream *stream, enum wasmedge_opt_kind kind)
{
	return kind == OPTION_RECV_TIMEOUT ? &stream->recv_timeout_ms : &stream->send_timeout_ms;
}

/* An error becomes WASI's, a type WasmEdge's. */
static int wasmedge_opt_value(int name, int value)
{
	if (name == SO_ERROR)
		return value ? wasi_errno(value) : WASI_ESUCCESS;
	if (name == SO_TYPE)
		return value == SOCK_DGRAM ? WASMEDGE_DGRAM : WASMEDGE_STREAM;
	return value;
}

/* sock_getsockopt(fd, level, name, value, size): the size goes in and out. */
int wasmedge_sock_getsockopt(struct call *c)
{
	const struct wasmedge_opt *option =
		NULL; /* set whenever find_option() succeeds, which -O3 does not see */
	struct linger value = { 0 }; /* or one int, at its first place */
	socklen_t len = sizeof(value);
	struct stream *stream;
	uint8_t *size, *at;
	int r;

	r = guest_mem_at(&c->mem, c->arg[4], 1, sizeof(uint32_t), &size);
	if (r == 0)
		r = wasmedge_opt_find(c, guest_load_u32(size), &stream, &option, &at);
	if (r != 0)
		return r;
	if (option->size == TIMEVAL_SIZE) {
		uint64_t ms = *wasmedge_opt_timeout(stream, option->kind);

		guest_store_u64(at, ms / 1000);
		guest_store_u64(at + TIMEVAL_US, ms % 1000 * 1000);
	} else {
		if (getsockopt(stream->fd, SOL_SOCKET, option->name, &value, &len) < 0)
			return -errno;
		guest_store_u32(at, (uint32_t)wasmedge_opt_value(option->name, value.l_onoff));
		if (option->kind == OPTION_LINGER)
			guest_store_u32(at + sizeof(int), (uint32_t)value.l_linger);
	}
	guest_store_u32(size, option->size);
	return 0;
}

/* Rounds up: a limit of less than a millisecond is one. */
static int wasmedge_opt_set_timeout(uint64_t *timeout_ms, const uint8_t *at)
{
	uint64_t s = guest_load_u64(at), us = guest_load_u64(at + TIMEVAL_US);

	if (us >= 1000000 || s > INT64_MAX)
		return -EDOM;
	*timeout_ms = s > TIMEOUT_MAX_S ? 0 : s * 1000 + (us + 999) / 1000;
	return 0;
}

/* sock_setsockopt(fd, level, name, value, size) */
int wasmedge_sock_setsockopt(struct call *c)
{
	const struct wasmedge_opt *option;
	struct linger value = { 0 };
	struct stream *stream;
	uint8_t *at;
	int r;

	r = wasmedge_opt_find(c, c->arg[4], &stream, &option, &at);
	if (r < 0)
		return r;
	if (option->kind == OPTION_TOLD)
		return -ENOPROTOOPT;
	if (option->size == TIMEVAL_SIZE)
		return wasmedge_opt_set_timeout(wasmedge_opt_timeout(stream, option->kind), at);
	/* Other processes have this socket, too, and an option would be theirs as well. Say yes,
	 * and leave it as it is. */
	if (stream->shared)
		return 0;
	value.l_onoff = (int)guest_load_u32(at);
	if (option->kind == OPTION_LINGER)
		value.l_linger = (int)guest_load_u32(at + sizeof(int));
	r = setsockopt(stream->fd, SOL_SOCKET, option->name, &value, option->size);
	if (r == 0 && stream->unmade)
		stream->options |= (uint16_t)(1u << c->arg[2]);
	return r < 0 ? -errno : 0;
}

void wasmedge_opt_carry(const struct stream *from, int to_fd)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct linger value = { 0 };
		socklen_t len = options[i].size;

		if (!(from->options & 1u << i) ||
			getsockopt(from->fd, SOL_SOCKET, options[i].name, &value, &len) < 0)
			continue;
		/* The kernel doubles what it is told, and tells that (socket(7)). */
		if (options[i].name == SO_SNDBUF || options[i].name == SO_RCVBUF)
			value.l_onoff /= 2;
		(void)setsockopt(to_fd, SOL_SOCKET, options[i].name, &value, options[i].size);
	}
}
