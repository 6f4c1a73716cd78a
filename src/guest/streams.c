/* SPDX-License-Identifier: MIT */
/*
 * The guest's sockets stand in one array. A place's index is the number that the guest knows, so a
 * place never moves to another index; but the array may move when it grows, so a struct stream is
 * good until the next socket is added. Free places are chained through next_free, and every step
 * takes constant time.
 *
 * A place begins as STREAM_NONE, is a STREAM_SOCKET once accepted or opened, may become a
 * STREAM_LISTENER, and is STREAM_NONE again when the guest closes it. During a drain a visitor's
 * place goes from STREAM_SOCKET to STREAM_RETURNED and back, or to STREAM_LEFT, where it stays.
 *
 * n_visitors is the number of visitors that the guest has: streams_add_visitor() and drain_return()
 * count up, streams_drop() and drain_leave() count down. A drain ends by it, so none may be missed.
 */
#include "guest/streams.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "guest/drain.h"
#include "net/sockopt.h"

/* Places that the table starts with. */
#define SOCKETS_MIN 64

static const struct stream stream_none = { .kind = STREAM_NONE, .fd = -1 };

void streams_init(struct streams *s)
{
	*s = (struct streams){
		.standard = {
			{ .kind = STREAM_INPUT, .fd = STDIN_FILENO, .number = 0 },
			{ .kind = STREAM_OUTPUT, .fd = STDOUT_FILENO, .number = 1 },
			{ .kind = STREAM_OUTPUT, .fd = STDERR_FILENO, .number = 2 },
		},
		.listener = stream_none,
		.listener_fd = STREAMS_NO_FD,
		.free = STREAMS_NO_FD,
		.broker_fd = -1,
		.status_fd = -1,
	};
}

void streams_deinit(struct streams *s)
{
	fd_close(s->listener.fd);
	for (uint32_t i = 0; i < s->n_sockets; i++)
		fd_close(s->sockets[i].fd);
	free(s->sockets);
	streams_init(s);
}

void streams_set_listener(struct streams *s, int take_fd, uint32_t fd)
{
	assert(s->listener_fd == STREAMS_NO_FD && fd < STREAMS_SOCKET_BASE);
	s->listener = (struct stream){ .kind = STREAM_LISTENER, .fd = take_fd, .shared = true };
	s->listener_fd = fd;
}

void streams_tell_status(struct streams *s, enum streams_step step)
{
	for (; s->step < step; s->step++)
		if (s->status_fd >= 0)
			(void)!write(s->status_fd, "\n", 1);
}

bool streams_move_listener(struct streams *s, struct stream *to)
{
	if (s->listener.kind != STREAM_LISTENER)
		return false;
	fd_close(to->fd);
	to->kind = STREAM_LISTENER;
	to->fd = s->listener.fd;
	to->shared = true;
	to->unmade = false;
	to->told.sa.sa_family = AF_UNSPEC;
	s->listener = stream_none;
	return true;
}

static struct stream *streams_find_standard(struct streams *s, uint32_t fd)
{
	for (size_t i = 0; i < ARRAY_LEN(s->standard); i++)
		if (s->standard[i].kind != STREAM_NONE && s->standard[i].number == fd)
			return &s->standard[i];
	return NULL;
}

struct stream *streams_find(struct streams *s, uint32_t fd)
{
	struct stream *stream = streams_find_standard(s, fd);

	if (stream)
		return stream;
	if (fd == s->listener_fd && fd != STREAMS_NO_FD)
		stream = &s->listener;
	else if (fd >= STREAMS_SOCKET_BASE && fd - STREAMS_SOCKET_BASE < s->n_sockets)
		stream = &s->sockets[fd - STREAMS_SOCKET_BASE];
	else
		return NULL;
	switch (stream->kind) {
	case STREAM_NONE:
	case STREAM_RETURNED:
	case STREAM_LEFT:
		return NULL;
	default:
		break;
	}
	/* The first call that names the preopened listener shows that the program means to serve.
	 */
	if (fd == s->listener_fd)
		streams_tell_status(s, STREAMS_LISTENING);
	return stream;
}

bool streams_is_socket_fd(const struct streams *s, uint32_t fd)
{
	return fd == s->listener_fd || fd >= STREAMS_SOCKET_BASE;
}

static int streams_grow(struct streams *s)
{
	uint32_t n = s->n_sockets ? 2 * s->n_sockets : SOCKETS_MIN;
	struct stream *grown;

	if (n > STREAMS_SOCKETS_MAX)
		return -EMFILE;
	grown = reallocarray(s->sockets, n, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	for (uint32_t i = n; i-- > s->n_sockets;) {
		grown[i] = stream_none;
		grown[i].next_free = s->free;
		s->free = i;
	}
	s->sockets = grown;
	s->n_sockets = n;
	return 0;
}

int streams_add_socket(struct streams *s, int take_fd, bool datagram, uint32_t *ret_fd)
{
	uint32_t i;
	int r;

	if (s->free == STREAMS_NO_FD) {
		r = streams_grow(s);
		if (r < 0)
			return r;
	}
	i = s->free;
	s->free = s->sockets[i].next_free;
	s->sockets[i] =
		(struct stream){ .kind = STREAM_SOCKET, .fd = take_fd, .datagram = datagram };
	*ret_fd = STREAMS_SOCKET_BASE + i;
	return 0;
}

int streams_add_visitor(struct streams *s, int take_fd, bool nonblock, uint32_t *ret_fd)
{
	struct stream *stream;
	uint32_t fd;
	int r = streams_add_socket(s, take_fd, false, &fd);

	if (r < 0)
		return r;
	stream = &s->sockets[fd - STREAMS_SOCKET_BASE];
	sockopt_set_reset(take_fd);
	stream->nonblock = nonblock;
	stream->visitor = true;
	s->n_visitors++;
	streams_tell_status(s, STREAMS_VISITED);
	*ret_fd = fd;
	return 0;
}

void streams_end_well(struct streams *s)
{
	for (uint32_t i = 0; i < s->n_sockets; i++)
		if (s->sockets[i].visitor)
			sockopt_lift_reset(s->sockets[i].fd);
}

void streams_drop(struct streams *s, uint32_t fd)
{
	struct stream *stream = streams_find(s, fd);

	if (!stream)
		return;
	if (stream->ended) {
		drain_leave(s, stream);
		return;
	}
	if (stream->visitor) {
		sockopt_lift_reset(stream->fd);
		s->n_visitors--;
	}
	if (stream->kind == STREAM_SOCKET || stream->kind == STREAM_LISTENER)
		fd_close(stream->fd);
	*stream = stream_none;
	if (fd >= STREAMS_SOCKET_BASE) {
		stream->next_free = s->free;
		s->free = fd - STREAMS_SOCKET_BASE;
	}
}

void streams_renumber(struct streams *s, uint32_t from, uint32_t to)
{
	struct stream *stream = streams_find_standard(s, from);

	if (from == to)
		return;
	streams_drop(s, to);
	if (stream)
		stream->number = to;
}

void streams_never_hold_up(struct streams *s, uint32_t fd)
{
	if (fd < ARRAY_LEN(s->standard))
		s->unblocked |= 1u << fd;
	if (s->unblocked == (1u << ARRAY_LEN(s->standard)) - 1)
		s->listener.nonblock = true;
}
