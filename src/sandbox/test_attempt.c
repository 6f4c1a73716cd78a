/* SPDX-License-Identifier: MIT */
#include "sandbox/test_attempt.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_S 60

int attempt_result(long r)
{
	return r < 0 ? -errno : 0;
}

int attempt_run(attempt_fn *attempt, int (*enter)(const void *arg), const void *arg)
{
	int pipe_fds[2], r = -EIO;
	pid_t pid;

	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	if (pid == 0) {
		alarm(DEADLINE_S);
		if (enter(arg) != 0)
			_exit(1);
		r = attempt();
		_exit(write(pipe_fds[1], &r, sizeof r) == sizeof r ? 0 : 1);
	}
	assert_true(pid > 0);
	close(pipe_fds[1]);
	assert_int_equal(read(pipe_fds[0], &r, sizeof r), sizeof r);
	close(pipe_fds[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return r;
}

void attempt_expect(const char *name, const char *where, int r, int wanted)
{
	if (wanted == REACHED && r != -EACCES && r != -ENOSYS)
		return;
	if (r != wanted)
		fail_msg("%s, %s: %s instead of %s", name, where, r == 0 ? "done" : strerror(-r),
			wanted == REACHED ? "the kernel's answer"
			: wanted == 0     ? "done"
					  : strerror(-wanted));
}

void attempt_read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		assert_int_equal(poll(&p, 1, DEADLINE_S * 1000), 1);
		n = read(fd, text + len, size - 1 - len);
		assert_true(n >= 0);
		len += (size_t)n;
	}
	text[len] = '\0';
}
