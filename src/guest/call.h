/* SPDX-License-Identifier: MIT */
/*
 * One call of the guest that is answered here rather than by the engine's WASI, without a view of
 * the engine. What an answer needs of the engine comes through the call.
 */
#ifndef GUEST_CALL_H
#define GUEST_CALL_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "guest/guest_mem.h"

struct stream;
struct streams;

/* The most arguments that one of these calls has. */
#define CALL_ARGS_MAX 8

/* A call's answer beside 0, done, and a negative errno, which the guest is told as WASI's code. */
enum call_result {
	CALL_FORWARD = 1, /* the engine answers this one */
	CALL_EXPIRED,     /* the guest's time is over: it ends here */
	CALL_DRAINED,     /* the guest's last visitor has left (drain.h): it ends here */
	CALL_EXITED,      /* the guest ends itself; streams has its code */
	CALL_CODE = 1000, /* with one of WASI's codes added, which no errno stands for */
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

#define CALL_NS_PER_S 1000000000
#define CALL_NS_PER_MS 1000000

/* The clocks that the guest is told of, and that its waits are counted by. */
int64_t call_clock_ns(clockid_t id);

typedef int (*call_fn)(struct call *c);

struct call_entry {
	const char *name;
	const char *params; /* 'i' for 32 bits, 'I' for 64 */
	call_fn fn;
	/* After the engine has done what was forwarded, and not before: what it refuses changes
	 * nothing here. NULL: nothing is to be kept. */
	void (*after)(const struct call *c);
	bool no_result; /* the guest is told no code */
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

/* The socket, connected or to be, that argument 0 names: 0, -EBADF, -ENOTCONN for a listener
 * or one that is unmade, -ENOTSOCK, or CALL_FORWARD. */
int call_find_socket(const struct call *c, struct stream **ret_stream);

/* Accepts with the given flags, once ret_number was checked; CALL_FORWARD as above. */
int call_accept(struct call *c, uint32_t flags, uint8_t *ret_number);

int call_sock_accept(struct call *c);
int call_sock_recv(struct call *c);
int call_sock_send(struct call *c);
int call_sock_shutdown(struct call *c);
int call_fd_read(struct call *c);
int call_fd_write(struct call *c);
int call_fd_close(struct call *c);
void call_fd_closed(const struct call *c);
int call_fd_renumber(struct call *c);
void call_fd_renumbered(const struct call *c);
int call_fd_prestat(struct call *c);
int call_fd_fdstat_get(struct call *c);
int call_fd_fdstat_set_flags(struct call *c);
int call_fd_filestat_get(struct call *c);
int call_clock_time_get(struct call *c);
int call_poll_oneoff(struct call *c);
int call_proc_exit(struct call *c);

#endif
