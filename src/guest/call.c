/* SPDX-License-Identifier: MIT */
/*
 * The table of calls, and waiting.
 *
 * Whatever a guest waits for, it waits in call_wait(), and nowhere else may a call block: here the
 * guest's deadline and the signal to drain reach it. A wait ends for one of five reasons: a
 * descriptor is ready; the caller's time has come; the guest's deadline has passed; the drain has
 * begun, once, so that the caller thinks again about what it waits for; the drain is over. The
 * engine can't interrupt a call of the host, and the signal only sets a flag (drain.c).
 */
#include "guest/call.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#include "base/clock.h"
#include "base/lang.h"
#include "guest/drain.h"
#include "guest/streams.h"

const struct call_entry call_table[] = {
	{ "clock_time_get", "iIi", call_clock_time_get },
	{ "fd_close", "i", call_fd_close, .after = call_fd_closed },
	{ "fd_fdstat_get", "ii", call_fd_fdstat_get },
	{ "fd_fdstat_set_flags", "ii", call_fd_fdstat_set_flags },
	{ "fd_filestat_get", "ii", call_fd_filestat_get },
	{ "fd_prestat_dir_name", "iii", call_fd_prestat },
	{ "fd_prestat_get", "ii", call_fd_prestat },
	{ "fd_read", "iiii", call_fd_read },
	{ "fd_renumber", "ii", call_fd_renumber, .after = call_fd_renumbered },
	{ "fd_write", "iiii", call_fd_write },
	{ "poll_oneoff", "iiii", call_poll_oneoff },
	{ "proc_exit", "i", call_proc_exit, .no_result = true },
	{ "sock_accept", "iii", call_sock_accept },
	{ "sock_recv", "iiiiii", call_sock_recv },
	{ "sock_send", "iiiii", call_sock_send },
	{ "sock_shutdown", "ii", call_sock_shutdown },
};
const size_t call_table_len = ARRAY_LEN(call_table);

int64_t call_clock_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * CALL_NS_PER_S + now.tv_nsec;
}

int call_wait(const struct call *c, struct pollfd *fds, size_t len, int64_t at_ns)
{
	int64_t deadline_ns = c->deadline_ms ? (int64_t)c->deadline_ms * CALL_NS_PER_MS : INT64_MAX;
	int64_t until = at_ns < deadline_ns ? at_ns : deadline_ns;
	bool knew = c->streams->drain_ms != 0;
	int r;

	for (;;) {
		int64_t now = call_clock_ns(CLOCK_MONOTONIC), left = until > now ? until - now : 0;
		const struct timespec timeout = { left / CALL_NS_PER_S, left % CALL_NS_PER_S };

		if (now >= deadline_ns)
			return -ETIME;
		if (drain_check(c->streams) && drain_is_over(c->streams))
			return -ESHUTDOWN;
		/* The caller doesn't know what to wait for now. */
		if (!knew && c->streams->drain_ms)
			return 0;
		fds[len] = (struct pollfd){ .fd = knew ? -1 : drain_fd(), .events = POLLIN };
		r = ppoll(fds, len + 1, until == INT64_MAX ? NULL : &timeout, NULL);
		if (r > 0 && fds[len].revents == 0)
			return r;
		if (r == 0 && call_clock_ns(CLOCK_MONOTONIC) >= at_ns)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

int call_wait_fd(const struct call *c, int fd, short events, int64_t at_ns)
{
	struct pollfd fds[2] = { { .fd = fd, .events = events } };

	return call_wait(c, fds, 1, at_ns);
}

int call_failed(int error)
{
	if (error == -ETIME)
		return CALL_EXPIRED;
	return error == -ESHUTDOWN ? CALL_DRAINED : error;
}

/*
 * proc_exit(code): here, because the engine takes codes from 126 on for errors. Preview 1 leaves
 * the meaning of all 32 bits to the host.
 */
int call_proc_exit(struct call *c)
{
	c->streams->exited = true;
	c->streams->exit_code = c->arg[0];
	return CALL_EXITED;
}
