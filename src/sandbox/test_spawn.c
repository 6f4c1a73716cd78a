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
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/lang.h"
#include "sandbox/test_attempt.h"

#define DEADLINE_MS 60000
#define TEXT_MAX 8192

static const char *const no_env[] = { "PATH=/usr/bin:/bin", NULL };

static void await(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
}

/* A child that is read from: its streams, and one of a name that is known only here. */
struct reading {
	struct spawn_child child;
	int out, err, extra;
};

static const char *const read_names[] = { SPAWN_STDOUT, SPAWN_STDERR, "extra" };

static void start(struct spawn_config config, struct reading *r)
{
	int *readers[] = { &r->out, &r->err, &r->extra }, writers[ARRAY_LEN(read_names)], ends[2];

	for (size_t i = 0; i < ARRAY_LEN(read_names); i++) {
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		*readers[i] = ends[0];
		writers[i] = ends[1];
		spawn_fds_set(&config.fds, read_names[i], ends[1]);
	}
	assert_int_equal(spawn_start(&config, &r->child), 0);
	assert_true(r->child.pid > 0);
	assert_true(fcntl(r->child.pidfd, F_GETFD) & FD_CLOEXEC);
	for (size_t i = 0; i < ARRAY_LEN(read_names); i++)
		fd_close(writers[i]);
}

/* What spawn_reap() returns. */
static int reap(struct reading *r, int *ret_status, struct spawn_failure *ret_failure)
{
	int result;

	await(r->child.pidfd, POLLIN);
	result = spawn_reap(&r->child, ret_status, ret_failure);
	spawn_close(&r->child);
	assert_int_equal(r->child.pid, 0);
	fd_close(r->out);
	fd_close(r->err);
	fd_close(r->extra);
	return result;
}

static int end_of(struct reading *r)
{
	struct spawn_failure failure;
	int status;

	assert_int_equal(reap(r, &status, &failure), 0);
	return status;
}

/* Runs a shell script; returns its standard output and how it ended. */
static int run(const char *script, struct spawn_config config, char text[TEXT_MAX])
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct reading r;

	config.argv = argv;
	start(config, &r);
	attempt_read_all(r.out, text, TEXT_MAX);
	return end_of(&r);
}

static void test_streams(void **state)
{
	const char *const argv[] = { "sh", "-c", "cat; echo out; echo err >&2; exit 7", NULL };
	struct reading r;
	char text[TEXT_MAX];
	int status;

	start((struct spawn_config){ .argv = argv }, &r);
	attempt_read_all(r.out, text, TEXT_MAX);
	assert_string_equal(text, "out\n");
	attempt_read_all(r.err, text, TEXT_MAX);
	assert_string_equal(text, "err\n");
	status = end_of(&r);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
}

/* Only 0, 1, 2 and what was given; a descriptor that someone forgot to make CLOEXEC is not. */
static void test_descriptors(void **state)
{
	struct spawn_config config = { 0 };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int forgotten = open("/dev/null", O_RDONLY);
	char text[TEXT_MAX];

	assert_true(listener >= 0 && forgotten >= 0);
	run("ls /proc/$$/fd; :", config, text);
	assert_string_equal(text, "0\n1\n2\n3\n");
	assert_int_equal(spawn_fds_set(&config.fds, SPAWN_LISTENER, listener), 3);
	run("ls /proc/$$/fd; readlink /proc/$$/fd/3 | cut -c1-7", config, text);
	assert_string_equal(text, "0\n1\n2\n3\n4\nsocket:\n");
	fd_close(listener);
	fd_close(forgotten);
}

static void test_numbers(void **state)
{
	struct spawn_fds fds = { 0 };

	assert_int_equal(spawn_fds_number(&fds, SPAWN_STDIN), -1);
	assert_int_equal(spawn_fds_set(&fds, SPAWN_STDERR, 9), STDERR_FILENO);
	assert_int_equal(spawn_fds_set(&fds, SPAWN_STATUS, -1), 3);
	assert_int_equal(spawn_fds_set(&fds, SPAWN_LISTENER, 8), 4);
	assert_int_equal(spawn_fds_set(&fds, SPAWN_STDIN, 7), STDIN_FILENO);
	/* What is filled in later keeps its number, which somebody may have been told. */
	assert_int_equal(spawn_fds_set(&fds, SPAWN_STATUS, 6), 3);
	assert_int_equal(fds.at[3].fd, 6);
	assert_int_equal(spawn_fds_number(&fds, SPAWN_LISTENER), 4);
	assert_int_equal(spawn_fds_number(&fds, SPAWN_STDOUT), -1);
	assert_int_equal(fds.end, 5);
}

#define MANY 20
static const char *const many_names[MANY] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k",
	"l", "m", "n", "o", "p", "q", "r", "s", "t" };

/*
 * Twenty descriptors, each of which has the number here that another one is to have in the child,
 * while the three lowest are free, so that what the spawn needs itself lies there, too.
 */
static int place_many(void)
{
	static const char script[] = "for i in $(seq 3 22); do readlink /proc/$$/fd/$i; done; "
				     "ls -v /proc/$$/fd; :";
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct spawn_config config = { .argv = argv };
	char expected[TEXT_MAX] = "", text[TEXT_MAX];
	struct spawn_child child;
	int ends[2], out, status;
	struct spawn_failure failure;
	size_t len = 0;
	ssize_t n;

	for (int i = 0; i < 100; i++)
		(void)close(i);
	for (int i = 0; i < MANY; i++) {
		char name[] = "many-a";

		name[5] = (char)('a' + i);
		/* 22, 21, ... 3 */
		if (memfd_create(name, MFD_CLOEXEC) != 0 || dup3(0, 2 + MANY - i, O_CLOEXEC) < 0 ||
			close(0) < 0)
			return 10;
		spawn_fds_set(&config.fds, many_names[i], 2 + MANY - i);
		len += (size_t)snprintf(
			expected + len, sizeof expected - len, "/memfd:%s (deleted)\n", name);
	}
	for (int i = 0; i < 3 + MANY; i++)
		len += (size_t)snprintf(expected + len, sizeof expected - len, "%d\n", i);
	if (pipe2(ends, O_CLOEXEC) < 0 || ends[0] != 0 || ends[1] != 1)
		return 11;
	out = fcntl(ends[0], F_DUPFD_CLOEXEC, 40);
	spawn_fds_set(&config.fds, SPAWN_STDOUT, ends[1]);
	if (spawn_start(&config, &child) < 0)
		return 12;
	(void)close(ends[1]);
	len = 0;
	while ((n = read(out, text + len, sizeof text - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	while (spawn_reap(&child, &status, &failure) == -EAGAIN)
		(void)poll(&(struct pollfd){ .fd = child.pidfd, .events = POLLIN }, 1, -1);
	return strcmp(text, expected) == 0 ? 0 : 13;
}

static void test_many_descriptors(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(place_many());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_kill(void **state)
{
	const char *const argv[] = { "sh", "-c", "echo >&3; exec 3>&-; cat /dev/zero", NULL };
	struct spawn_failure failure;
	struct reading r;
	char text[TEXT_MAX];
	int status;

	start((struct spawn_config){ .argv = argv }, &r);
	attempt_read_all(r.extra, text, TEXT_MAX);
	assert_string_equal(text, "\n");
	assert_int_equal(spawn_reap(&r.child, &status, &failure), -EAGAIN);
	spawn_kill(&r.child, SIGTERM);
	status = end_of(&r);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void test_environment(void **state)
{
	char text[TEXT_MAX];

	setenv("SPAWN_TEST", "ours", 1);
	run("echo \"$SPAWN_TEST\"; pwd", (struct spawn_config){ .dir = "/" }, text);
	assert_string_equal(text, "ours\n/\n");
	run("echo \"$SPAWN_TEST\"", (struct spawn_config){ .env = no_env }, text);
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
	run("grep -E '^Sig(Blk|Ign)' /proc/self/status", (struct spawn_config){ 0 }, text);
	sigprocmask(SIG_SETMASK, &old, NULL);
	assert_string_equal(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void test_limits(void **state)
{
	char text[TEXT_MAX];

	run("ulimit -n; cut -d' ' -f5 /proc/$$/stat; echo $$",
		(struct spawn_config){ .open_files = 100 }, text);
	unsigned limit, group, pid;
	assert_int_equal(sscanf(text, "%u %u %u", &limit, &group, &pid), 3);
	assert_int_equal(limit, 100);
	assert_int_equal(group, pid);
}

static void assert_fails(struct spawn_config config, int error, const char *line)
{
	struct spawn_failure failure = { 0 };
	struct reading r;
	char why[512];
	int status;

	start(config, &r);
	assert_int_equal(reap(&r, &status, &failure), SPAWN_FAILED);
	assert_int_equal(failure.error, error);
	spawn_explain(&failure, why, sizeof why);
	assert_string_equal(why, line);
}

static void test_bad_program(void **state)
{
	const char *const missing[] = { "no-such-program-anywhere", NULL };
	const char *const folder[] = { "/", NULL };
	const char *const fine[] = { "true", NULL };

	assert_fails((struct spawn_config){ .argv = missing }, ENOENT,
		"can't start 'no-such-program-anywhere': No such file or directory");
	assert_fails((struct spawn_config){ .argv = folder }, EACCES,
		"can't start '/': Permission denied");
	assert_fails((struct spawn_config){ .argv = fine, .dir = "/no/such/\033folder" }, ENOENT,
		"can't run in the folder '/no/such/\\x1bfolder': No such file or directory");
	/* Nothing is left behind. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

/* Children of the child end with it: nobody would ever end them. */
static void test_group(void **state)
{
	const char *const argv[] = { "sh", "-c", "cat /dev/zero >/dev/null & echo $!; exit 0",
		NULL };
	struct reading r;
	char text[TEXT_MAX];

	/* The grandchild's end is ours to see. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	start((struct spawn_config){ .argv = argv }, &r);
	await(r.out, POLLIN);
	assert_true(read(r.out, text, sizeof text) > 1);
	end_of(&r);
	int status;
	assert_true(waitpid(-1, &status, 0) > 0);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

/* A supervisor that is killed takes the child along. */
static void test_orphan(void **state)
{
	const char *const argv[] = { "sh", "-c", "echo $$; exec cat /dev/zero >&2", NULL };
	struct spawn_config config = { .argv = argv };
	char text[TEXT_MAX];
	pid_t supervisor, pid;
	int fds[2], status;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	spawn_fds_set(&config.fds, SPAWN_STDOUT, fds[1]);
	supervisor = fork();
	if (supervisor == 0) {
		struct spawn_child child;

		if (spawn_start(&config, &child) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	fd_close(fds[1]);
	await(fds[0], POLLIN);
	assert_true(read(fds[0], text, sizeof text) > 1);
	assert_int_equal(sscanf(text, "%d", &pid), 1);
	assert_int_equal(kill(supervisor, SIGKILL), 0);
	assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	fd_close(fds[0]);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_many_descriptors),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_bad_program),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_orphan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
