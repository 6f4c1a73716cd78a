/* SPDX-License-Identifier: MIT */
/*
 * One call of the guest that is answered here rather than by the engine's WASI, without a view of
 * the engine. What an answer needs of the engine comes through the call.
 */
#ifndef GUEST_CALL_H
#define GUEST_CALL_H

#include <poll.h>
#include <stdint.h>

#include "guest/guest_mem.h"

struct streams;

/* The most arguments that one of these calls has. */
#define CALL_ARGS_MAX 6

/* A call's answer beside 0, done, and a negative errno, which the guest is told as WASI's code. */
enum call_result {
	CALL_FORWARD = 1, /* the engine answers this one */
	CALL_EXPIRED,     /* the guest's time is over: it ends here */
	CALL_DRAINED,     /* the guest's last visitor has left (drain.h): it ends here */
};

struct call {
	struct streams *streams;
	struct guest_mem mem;
	uint64_t
		deadline_ms; /* when the guest's time is over, on the monotonic clock; 0 is never */
	uint32_t arg[CALL_ARGS_MAX]; /* the guest's; the one of 64 bits is never looked at here */
	/* 0 when the engine knows the descriptor, else WASI's error code; scratch is a place in mem
	 * with room for an fdstat. */
	int (*check_fd)(struct call *c, uint32_t fd, uint8_t *scratch);
};

typedef int (*call_fn)(struct call *c);

struct call_entry {
	const char *name;
	const char *params; /* 'i' for 32 bits, 'I' for 64 */
	call_fn fn;
};

/* The calls that are answered here, and their number. */
extern const struct call_entry call_table[];
extern const size_t call_table_len;

/*
 * poll(2) until at_ns on the monotonic clock (INT64_MAX: without end), the call's deadline, or the
 * signal to drain, which marks the streams. fds has one place more than len, for that signal.
 * Returns the number of ready descriptors, which is 0 after the signal too; a negative errno;
 * -ETIME at the deadline; -ESHUTDOWN when draining is over.
 */
int call_wait(const struct call *c, struct pollfd *fds, size_t len, int64_t at_ns);

/* Waits for one descriptor in the same way. */
int call_wait_fd(const struct call *c, int fd, short events, int64_t at_ns);

/* What a call that failed while it waited returns: -ETIME and -ESHUTDOWN are no errors of its own.
 */
int call_failed(int error);

int call_sock_accept(struct call *c);
int call_sock_recv(struct call *c);
int call_sock_send(struct call *c);
int call_sock_shutdown(struct call *c);
int call_fd_read(struct call *c);
int call_fd_write(struct call *c);
int call_fd_close(struct call *c);
int call_fd_renumber(struct call *c);
int call_fd_prestat(struct call *c);
int call_fd_fdstat_get(struct call *c);
int call_fd_fdstat_set_flags(struct call *c);
int call_fd_filestat_get(struct call *c);
int call_clock_time_get(struct call *c);
int call_poll_oneoff(struct call *c);

#endif
