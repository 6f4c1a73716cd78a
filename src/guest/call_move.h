/* SPDX-License-Identifier: MIT */
/*
 * Moving bytes between the guest's buffers and a stream, for all calls that read or write. The
 * vector of buffers is in the call's arguments 1 and 2, the number of bytes goes to the place that
 * argument ret_arg names; all of them are checked before anything moves.
 */
#ifndef GUEST_CALL_MOVE_H
#define GUEST_CALL_MOVE_H

#include <sys/socket.h>

#include "guest/call.h"

struct call_move {
	/* recvmsg(2), sendmsg(2) or the like; sets name_len and truncated. */
	ssize_t (*fn)(int fd, struct call_move *move, struct iovec *iov, size_t len);
	bool in;   /* towards the guest */
	bool all;  /* wait until all buffers are full */
	bool peek; /* take nothing away */
	unsigned ret_arg;
	struct sockaddr_storage *name; /* the datagram's other end; NULL for none */
	socklen_t name_len;
	bool truncated; /* the rest of a datagram was lost */
};

/* What a call returns. */
int call_move(struct call *c, struct stream *stream, struct call_move *move);

/* Takes the guest's enum wasi_riflags: `all` and `peek`. -EINVAL for others. */
int call_move_set_flags(struct call_move *move, uint32_t flags);

ssize_t call_move_recv(int fd, struct call_move *move, struct iovec *iov, size_t len);
ssize_t call_move_send(int fd, struct call_move *move, struct iovec *iov, size_t len);

#endif
