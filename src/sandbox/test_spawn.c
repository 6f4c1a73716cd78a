/* SPDX-License-Identifier: MIT */
/* What a child gets, looked at from inside one: a shell that reports on itself. */
#include "sandbox/spawn.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

#define DEADLINE_MS 60000
#define TEXT_MAX 8192

static const char *const no_env[] = { "PATH=/usr/bin:/bin", NULL };

static void await(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
}

/* Reads until the end; `text` is NUL-terminated. */
static void read_all(int fd, char text[TEXT_MAX])
{
	size_t len = 0;
	ssize_t n = 1;

	while (n != 0) {
		await(fd, POLLIN);
		n = read(fd, text + len, TEXT_MAX - 1 - len);
		assert_true(n >= 0);
		len += (size_t)n;
	}
	text[len] = '\0';
}

static int child_end(struct spawn_child *child)
{
	int status;

	await(child->pidfd, POLLIN);
	assert_int_equal(spawn_reap(child, &status), 0);
	child->pidfd = fd_close(child->pidfd);
	child->out = fd_close(child->out);
	child->err = fd_close(child->err);
	child->status = fd_close(child->status);
	return status;
}

static void start(const struct spawn_config *config, struct spawn_child *child)
{
	assert_int_equal(spawn_start(config, child), 0);
	assert_true(child->pid > 0);
	assert_true(fcntl(child->out, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(child->pidfd, F_GETFD) & FD_CLOEXEC);
}

/* Runs a shell script; returns its standard output and how it ended. */
static int run(const char *script, struct spawn_config config, char text[TEXT_MAX])
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct spawn_child child;

	config.argv = argv;
	start(&config, &child);
	read_all(child.out, text);
	return child_end(&child);
}

static void test_streams(void **state)
{
	const char *const argv[] = { "sh", "-c", "cat; echo out; echo err >&2; exit 7", NULL };
	const struct spawn_config config = { .argv = argv, .listen_fd = -1 };
	struct spawn_child child;
	char text[TEXT_MAX];
	int status;

	start(&config, &child);
	assert_int_equal(child.status, -1);
	read_all(child.out, text);
	assert_string_equal(text, "out\n");
	read_all(child.err, text);
	assert_string_equal(text, "err\n");
	status = child_end(&child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
}

/* Only 0, 1, 2 and what was given; a descriptor that someone forgot to make CLOEXEC included. */
static void test_descriptors(void **state)
{
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int forgotten = open("/dev/null", O_RDONLY);
	char text[TEXT_MAX];

	assert_true(listener >= 0 && forgotten >= 0);
	run("ls /proc/$$/fd; :", (struct spawn_config){ .listen_fd = -1 }, text);
	assert_string_equal(text, "0\n1\n2\n");
	run("ls /proc/$$/fd; readlink /proc/$$/fd/3 | cut -c1-7",
		(struct spawn_config){ .listen_fd = listener }, text);
	assert_string_equal(text, "0\n1\n2\n3\nsocket:\n");
	fd_close(listener);
	fd_close(forgotten);
}

static void test_status(void **state)
{
	const char *const argv[] = { "sh", "-c", "echo >&4; exec 4>&-; cat /dev/zero", NULL };
	const struct spawn_config config = { .argv = argv, .listen_fd = -1, .status = true };
	struct spawn_child child;
	char text[TEXT_MAX];
	int status;

	start(&config, &child);
	read_all(child.status, text);
	assert_string_equal(text, "\n");
	assert_int_equal(spawn_reap(&child, &status), -EAGAIN);
	spawn_kill(&child, SIGTERM);
	status = child_end(&child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void test_environment(void **state)
{
	char text[TEXT_MAX];

	setenv("SPAWN_TEST", "ours", 1);
	run("echo \"$SPAWN_TEST\"; pwd", (struct spawn_config){ .listen_fd = -1, .dir = "/" },
		text);
	assert_string_equal(text, "ours\n/\n");
	run("echo \"$SPAWN_TEST\"", (struct spawn_config){ .listen_fd = -1, .env = no_env }, text);
	assert_string_equal(text, "\n");
}

/* A blocked or ignored signal of ours must not stay so in the child: it could not be ended. */
static void test_signals(void **state)
{
	char text[TEXT_MAX];
	sigset_t term, old;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &old);
	signal(SIGPIPE, SIG_IGN);
	run("grep -E '^Sig(Blk|Ign)' /proc/self/status", (struct spawn_config){ .listen_fd = -1 },
		text);
	sigprocmask(SIG_SETMASK, &old, NULL);
	assert_string_equal(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void test_limits(void **state)
{
	char text[TEXT_MAX];

	run("ulimit -n; cut -d' ' -f5 /proc/$$/stat; echo $$",
		(struct spawn_config){ .listen_fd = -1, .open_files = 100 }, text);
	unsigned limit, group, pid;
	assert_int_equal(sscanf(text, "%u %u %u", &limit, &group, &pid), 3);
	assert_int_equal(limit, 100);
	assert_int_equal(group, pid);
}

static void test_bad_program(void **state)
{
	const char *const missing[] = { "no-such-program-anywhere", NULL };
	const char *const folder[] = { "/", NULL };
	struct spawn_config config = { .argv = missing, .listen_fd = -1 };
	struct spawn_child child = { .pid = -5 };

	assert_int_equal(spawn_start(&config, &child), -ENOENT);
	config.argv = folder;
	assert_int_equal(spawn_start(&config, &child), -EACCES);
	config.argv = (const char *const[]){ "true", NULL };
	config.dir = "/no/such/folder";
	assert_int_equal(spawn_start(&config, &child), -ENOENT);
	assert_int_equal(child.pid, -5);
	/* Nothing is left behind. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

/* Children of the child end with it: nobody would ever end them. */
static void test_group(void **state)
{
	const char *const argv[] = { "sh", "-c", "cat /dev/zero >/dev/null & echo $!; exit 0",
		NULL };
	const struct spawn_config config = { .argv = argv, .listen_fd = -1 };
	struct spawn_child child;
	char text[TEXT_MAX];

	/* The grandchild's end is ours to see. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	start(&config, &child);
	await(child.out, POLLIN);
	assert_true(read(child.out, text, sizeof text) > 1);
	child_end(&child);
	int status;
	assert_true(waitpid(-1, &status, 0) > 0);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

/* A supervisor that is killed takes the child along. */
static void test_orphan(void **state)
{
	const char *const argv[] = { "sh", "-c", "echo ready; exec cat /dev/zero >&2", NULL };
	const struct spawn_config config = { .argv = argv, .listen_fd = -1 };
	int fds[2];
	pid_t supervisor;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	supervisor = fork();
	if (supervisor == 0) {
		struct spawn_child child;

		if (spawn_start(&config, &child) < 0)
			_exit(1);
		if (write(fds[1], &child.pid, sizeof child.pid) < 0)
			_exit(1);
		pause();
	}
	pid_t child;
	int status;
	assert_int_equal(read(fds[0], &child, sizeof child), sizeof child);
	assert_int_equal(kill(supervisor, SIGKILL), 0);
	assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	fd_close(fds[0]);
	fd_close(fds[1]);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_bad_program),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_orphan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
