/* SPDX-License-Identifier: MIT */
/* The table of calls, and waiting. */
#include "guest/call.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#include "base/clock.h"
#include "base/lang.h"
#include "guest/drain.h"
#include "guest/streams.h"

#define NS_PER_MS 1000000

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

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The next time out for ppoll(2). */
static struct timespec time_left(int64_t until, int64_t now)
{
	int64_t left = until > now ? until - now : 0;

	return (struct timespec){ .tv_sec = left / 1000000000, .tv_nsec = left % 1000000000 };
}

int call_wait(const struct call *c, struct pollfd *fds, size_t len, int64_t at_ns)
{
	int64_t deadline_ns = c->deadline_ms ? (int64_t)c->deadline_ms * NS_PER_MS : INT64_MAX;
	int64_t until = at_ns < deadline_ns ? at_ns : deadline_ns;
	bool knew = c->streams->drain_ms != 0;
	int r;

	for (;;) {
		int64_t now = now_ns();
		struct timespec timeout = time_left(until, now);

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
		if (r == 0 && now_ns() >= at_ns)
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
