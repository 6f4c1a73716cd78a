/* SPDX-License-Identifier: MIT */
/* `wasmrun stop`: ends a run as Ctrl-C does, and waits until it is gone. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "cli/running.h"
#include "cli/terminal.h"
#include "cli/usage.h"
#include "cli/wasmrun_commands.h"
#include "conf/option.h"

#define END_TIMEOUT_MS 30000 /* the application gets 5 s of it, see supervisor.c */

static const struct option_def stop_options[] = {
	RUNNING_HELP,
	RUNNING_HTTP_PORT,
	RUNNING_PATH,
	RUNNING_PID,
};

const struct option_table stop_table = {
	.program = "wasmrun",
	.command = "stop",
	.summary = "Stop a running application, and its 'wasmrun os'",
	.defs = stop_options,
	.count = ARRAY_LEN(stop_options),
};

/* A pidfd becomes readable when its process has ended, and then its lock and its ports are free. */
static int stop_wait(int pidfd)
{
	struct pollfd fd = { .fd = pidfd, .events = POLLIN };
	uint64_t deadline = clock_now_ms() + END_TIMEOUT_MS, now;
	int r;

	do {
		now = clock_now_ms();
		r = poll(&fd, 1, now < deadline ? (int)(deadline - now) : 0);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return r ? 0 : -ETIMEDOUT;
}

static int stop_end(const struct running *running)
{
	_cleanup_(fd_closep) int pidfd = -1;
	int r = run_list_open_process(&running->list, running->index, &pidfd);

	if (r < 0)
		return r == -ESRCH ? 0 : r;
	/* glibc has no wrapper before 2.36. */
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0)
		return errno == ESRCH ? 0 : -errno;
	return stop_wait(pidfd);
}

int cmd_stop(const struct program *program, int argc, char **argv)
{
	struct running_values values = { 0 };
	struct running running = { 0 };
	struct option_set set;
	int code, r;

	if (!usage_parse(&set, &stop_table, &values, argc, argv, &code))
		return code;
	code = running_find(&running, &values);
	if (code == EXIT_CODE_OK) {
		r = stop_end(&running);
		if (r < 0) {
			terminal_error("can't stop wasmrun (pid %d): %s",
				(int)running.list.entries[running.index].pid, strerror(-r));
			code = EXIT_CODE_FAILED;
		}
	}
	running_close(&running);
	return code;
}
