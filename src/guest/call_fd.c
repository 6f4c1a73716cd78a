/* SPDX-License-Identifier: MIT */
/*
 * The calls about a descriptor: status, flags, closing, numbers. The engine answers them for its
 * own descriptors and for the standard streams.
 *
 * The preopened listener blocks, as C and Rust programs expect, until the module makes it
 * non-blocking. Go needs one that doesn't block and never says so: os.NewFile() only asks for the
 * flag. But at its start Go makes all three standard streams non-blocking, so that nothing holds up
 * its goroutines. So a module that does this gets a non-blocking listener, too. A module that asks
 * what the listener is (fd_fdstat_get()) changes nothing by it.
 */
#include <errno.h>

#include "guest/call.h"
#include "guest/drain.h"
#include "guest/streams.h"
#include "guest/wasi.h"

#define RIGHTS_BOTH                                                    \
	(WASI_RIGHT_FD_FDSTAT_SET_FLAGS | WASI_RIGHT_FD_FILESTAT_GET | \
		WASI_RIGHT_POLL_FD_READWRITE | WASI_RIGHT_FD_READ)
#define RIGHTS_SOCKET (RIGHTS_BOTH | WASI_RIGHT_FD_WRITE | WASI_RIGHT_SOCK_SHUTDOWN)
#define RIGHTS_LISTENER (RIGHTS_BOTH | WASI_RIGHT_SOCK_ACCEPT)

/* The socket that argument 0 names; standard streams are the engine's here. */
static int call_fd_find_socket(const struct call *c, struct stream **ret_stream)
{
	if (!streams_is_socket_fd(c->streams, c->arg[0]))
		return CALL_FORWARD;
	*ret_stream = streams_find(c->streams, c->arg[0]);
	return *ret_stream ? 0 : -EBADF;
}

static uint8_t call_fd_filetype(const struct stream *s)
{
	return s->datagram ? WASI_FILETYPE_SOCKET_DGRAM : WASI_FILETYPE_SOCKET_STREAM;
}

/* fd_fdstat_get(fd, ret_fdstat) */
int call_fd_fdstat_get(struct call *c)
{
	struct stream *s;
	uint8_t *stat;
	int r;

	r = call_fd_find_socket(c, &s);
	if (r != 0)
		return r;
	r = guest_mem_at(&c->mem, c->arg[1], 1, WASI_FDSTAT_SIZE, &stat);
	if (r < 0)
		return r;
	memset(stat, 0, WASI_FDSTAT_SIZE);
	stat[WASI_FDSTAT_FILETYPE] = call_fd_filetype(s);
	guest_store_u16(stat + WASI_FDSTAT_FLAGS, s->nonblock ? WASI_FDFLAG_NONBLOCK : 0);
	if (s->kind == STREAM_LISTENER) {
		guest_store_u64(stat + WASI_FDSTAT_RIGHTS, RIGHTS_LISTENER);
		guest_store_u64(stat + WASI_FDSTAT_RIGHTS_INHERITING, RIGHTS_SOCKET);
	} else {
		guest_store_u64(stat + WASI_FDSTAT_RIGHTS, RIGHTS_SOCKET);
	}
	return 0;
}

/* fd_fdstat_set_flags(fd, flags) */
int call_fd_fdstat_set_flags(struct call *c)
{
	struct stream *s;
	int r;

	if (c->arg[1] & WASI_FDFLAG_NONBLOCK)
		streams_never_hold_up(c->streams, c->arg[0]);
	r = call_fd_find_socket(c, &s);
	if (r != 0)
		return r;
	if (c->arg[1] & ~(uint32_t)WASI_FDFLAG_NONBLOCK)
		return -EINVAL;
	s->nonblock = c->arg[1] & WASI_FDFLAG_NONBLOCK;
	return 0;
}

/* fd_filestat_get(fd, ret_filestat) */
int call_fd_filestat_get(struct call *c)
{
	struct stream *s;
	uint8_t *stat;
	int r;

	r = call_fd_find_socket(c, &s);
	if (r != 0)
		return r;
	r = guest_mem_at(&c->mem, c->arg[1], 1, WASI_FILESTAT_SIZE, &stat);
	if (r < 0)
		return r;
	memset(stat, 0, WASI_FILESTAT_SIZE);
	stat[WASI_FILESTAT_FILETYPE] = call_fd_filetype(s);
	return 0;
}

/*
 * fd_prestat_get(fd, …), fd_prestat_dir_name(fd, …): a program asks for the directories from number
 * 3 up to the first EBADF, which the listener's number gives. The engine has its stand-in there.
 */
int call_fd_prestat(struct call *c)
{
	return streams_is_socket_fd(c->streams, c->arg[0]) ? -EBADF : CALL_FORWARD;
}

/* fd_close(fd) */
int call_fd_close(struct call *c)
{
	struct stream *s;
	int r = call_fd_find_socket(c, &s);

	if (r < 0)
		return r;
	if (r == 0)
		streams_drop(c->streams, c->arg[0]);
	return drain_check(c->streams) && drain_is_over(c->streams) ? CALL_DRAINED : r;
}

void call_fd_closed(const struct call *c)
{
	streams_drop(c->streams, c->arg[0]);
}

/* fd_renumber(from, to): a socket keeps the number that it has. */
int call_fd_renumber(struct call *c)
{
	if (streams_is_socket_fd(c->streams, c->arg[0]) ||
		streams_is_socket_fd(c->streams, c->arg[1]))
		return -EOPNOTSUPP;
	return CALL_FORWARD;
}

void call_fd_renumbered(const struct call *c)
{
	streams_renumber(c->streams, c->arg[0], c->arg[1]);
}

/*
 * clock_time_get(clock, precision, ret_time): here, because poll_oneoff() waits for times of these
 * clocks, and the engine's monotonic clock starts at zero with each instance.
 */
int call_clock_time_get(struct call *c)
{
	uint8_t *ret_time;
	int r;

	if (c->arg[0] != WASI_CLOCK_REALTIME && c->arg[0] != WASI_CLOCK_MONOTONIC)
		return CALL_FORWARD;
	r = guest_mem_at(&c->mem, c->arg[2], 1, sizeof(uint64_t), &ret_time);
	if (r < 0)
		return r;
	guest_store_u64(ret_time,
		(uint64_t)call_clock_ns(
			c->arg[0] == WASI_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC));
	return 0;
}
