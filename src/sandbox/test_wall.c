/* SPDX-License-Identifier: MIT */
/*
 * A native program in the engine's place, with the wall round it and without: this one, which
 * spawns itself. The filter and the file rules have tests of their own, where each way out is
 * tried; here it is that all of them hold together, across the exec.
 */
#include "sandbox/spawn.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/lang.h"
#include "sandbox/file_rules.h"
#include "sandbox/test_attempt.h"

#define DEADLINE_MS 60000
#define TEXT_MAX 4096
#define OPEN_FILES 64
#define THREADS 77

static char self[256], folder[64];

/* --- in the child --- */

static int result(long r)
{
	return r < 0 ? errno : 0;
}

/* The sum of the capability sets that count, and the seccomp mode, as the kernel tells. */
static void tell_status(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, "CapPrm", 6) == 0 || strncmp(line, "CapEff", 6) == 0 ||
			strncmp(line, "Seccomp:", 8) == 0 || strncmp(line, "NoNewPrivs", 10) == 0)
			printf("%s", line);
	if (f)
		fclose(f);
}

/* What of them it has after it has raised all that it may. */
static void tell_limits(void)
{
	static const int kinds[] = { RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_NPROC };
	char adj[16] = "";
	int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct rlimit limit = { 0 }, more;

		(void)getrlimit(kinds[i], &limit);
		more = (struct rlimit){ limit.rlim_max, limit.rlim_max };
		if (setrlimit(kinds[i], &more) == 0)
			limit = more;
		if (more.rlim_max != RLIM_INFINITY)
			more.rlim_cur = ++more.rlim_max;
		if (setrlimit(kinds[i], &more) == 0)
			limit = more;
		printf("%llu ", (unsigned long long)limit.rlim_cur);
	}
	if (fd >= 0 && read(fd, adj, sizeof adj - 1) > 0)
		printf("%d", atoi(adj));
}

static _Noreturn void tell(const char *what)
{
	if (strcmp(what, "status") == 0)
		tell_status();
	else if (strcmp(what, "limits") == 0)
		tell_limits();
	else if (strcmp(what, "read") == 0)
		printf("%d", result(open("/etc/hostname", O_RDONLY | O_CLOEXEC)));
	else if (strcmp(what, "own") == 0)
		printf("%d", result(open("own", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)));
	else if (strcmp(what, "tcp") == 0)
		printf("%d", result(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
	else if (strcmp(what, "fork") == 0)
		printf("%d", result(fork()));
	else if (strcmp(what, "network") == 0) {
		char name[128];
		ssize_t n = readlink("/proc/self/ns/net", name, sizeof name);

		printf("%.*s", n < 0 ? 0 : (int)n, name);
	} else if (strcmp(what, "wait") == 0) {
		printf("%d", (int)getpid());
		fflush(stdout);
		pause();
	}
	/* Without exit(3): a sanitizer would look for leaks there, by a process of its own. */
	_exit(fflush(stdout));
}

/* --- in the test --- */

static struct spawn_wall wall_make(enum filter_kind kind)
{
	const struct file_rule rules[] = {
		{ .path = "/usr/lib", .access = FILE_ACCESS_RUN },
		{ .path = "/lib", .access = FILE_ACCESS_RUN },
		{ .path = "/lib64", .access = FILE_ACCESS_RUN, .optional = true },
		{ .path = "/etc/ld.so.cache", .access = FILE_ACCESS_READ, .optional = true },
		{ .path = self, .access = FILE_ACCESS_RUN },
		{ .path = "/proc", .access = FILE_ACCESS_READ }, /* for tell_status() */
		{ .path = folder, .access = FILE_ACCESS_WRITE },
	};
	struct spawn_wall wall = { .file_rules = -1, .filter.kind = kind };
	const char *path = NULL;

	assert_int_equal(file_rules_open(rules, ARRAY_LEN(rules), 0, &wall.file_rules, &path), 0);
	return wall;
}

static void child_start(
	const char *what, const struct spawn_wall *wall, struct spawn_child *child, int *ret_out)
{
	const char *const argv[] = { self, "--tell", what, NULL };
	struct spawn_config config = {
		.argv = argv, .dir = folder, .open_files = OPEN_FILES, .wall = wall
	};
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	spawn_fds_set(&config.fds, SPAWN_STDOUT, fds[1]);
	spawn_fds_set(&config.fds, SPAWN_STDERR, STDERR_FILENO);
	assert_int_equal(spawn_start(&config, child), 0);
	fd_close(fds[1]);
	*ret_out = fds[0];
}

static void ask(const char *what, const struct spawn_wall *wall, char text[TEXT_MAX])
{
	struct spawn_failure failure = { .step = "" };
	struct spawn_child child;
	int out, status, r;

	child_start(what, wall, &child, &out);
	attempt_read_all(out, text, TEXT_MAX);
	fd_close(out);
	struct pollfd p = { .fd = child.pidfd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	r = spawn_reap(&child, &status, &failure);
	spawn_close(&child);
	if (r != 0 || status != 0)
		fail_msg("%s: can't %s it (%s), status %d", what, failure.step,
			strerror(failure.error), status);
}

static int ask_error(const char *what, const struct spawn_wall *wall)
{
	char text[TEXT_MAX];

	ask(what, wall, text);
	return atoi(text);
}

static void test_holds_across_the_exec(void **state)
{
	const struct {
		const char *what;
		int engine, sockets;
	} asked[] = { { "own", 0, 0 }, { "read", EACCES, EACCES }, { "fork", EACCES, EACCES },
		{ "tcp", EACCES, 0 } };

	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		struct spawn_wall engine = wall_make(FILTER_ENGINE),
				  sockets = wall_make(FILTER_ENGINE_SOCKETS);

		assert_int_equal(ask_error(asked[i].what, NULL), 0);
		assert_int_equal(ask_error(asked[i].what, &engine), asked[i].engine);
		assert_int_equal(ask_error(asked[i].what, &sockets), asked[i].sockets);
		fd_close(engine.file_rules);
		fd_close(sockets.file_rules);
	}
}

/* Root's child has none of root's privileges left, and no exec gives them back. */
static void test_privileges(void **state)
{
	struct spawn_wall wall = wall_make(FILTER_ENGINE);
	char text[TEXT_MAX];

	ask("status", &wall, text);
	assert_string_equal(text, "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
				  "NoNewPrivs:\t1\nSeccomp:\t2\n");
	wall.no_namespaces = true;
	ask("status", &wall, text);
	assert_string_equal(text, "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
				  "NoNewPrivs:\t1\nSeccomp:\t2\n");
	fd_close(wall.file_rules);
}

static bool can_unshare(void)
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status == 0;
}

static void test_namespaces(void **state)
{
	struct spawn_wall wall = wall_make(FILTER_ENGINE);
	char ours[TEXT_MAX], theirs[TEXT_MAX];

	if (!can_unshare())
		skip();
	ask("network", NULL, ours);
	ask("network", &wall, theirs);
	assert_string_not_equal(ours, theirs);
	wall.no_namespaces = true;
	ask("network", &wall, theirs);
	assert_string_equal(ours, theirs);
	fd_close(wall.file_rules);
}

/* The hard ones: behind the wall none of them can be raised. */
static void test_limits(void **state)
{
	struct spawn_wall wall = wall_make(FILTER_ENGINE);
	struct rlimit core, files, threads;
	unsigned long long theirs[3];
	char text[TEXT_MAX];
	int adj;

	assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	assert_int_equal(getrlimit(RLIMIT_NPROC, &threads), 0);
	ask("limits", NULL, text);
	assert_int_equal(
		sscanf(text, "%llu %llu %llu %d", &theirs[0], &theirs[1], &theirs[2], &adj), 4);
	assert_true(theirs[0] >= core.rlim_max && theirs[1] >= files.rlim_max);
	assert_true(theirs[1] > OPEN_FILES && theirs[2] >= threads.rlim_max && adj < 500);

	wall.threads = THREADS;
	ask("limits", &wall, text);
	assert_int_equal(
		sscanf(text, "%llu %llu %llu %d", &theirs[0], &theirs[1], &theirs[2], &adj), 4);
	assert_true(theirs[0] == 0 && theirs[1] == OPEN_FILES && adj == 500);
	assert_true(theirs[2] == (can_unshare() ? THREADS : threads.rlim_max));
	wall.no_namespaces = true;
	ask("limits", &wall, text);
	assert_int_equal(
		sscanf(text, "%llu %llu %llu %d", &theirs[0], &theirs[1], &theirs[2], &adj), 4);
	assert_true(theirs[0] == 0 && theirs[1] == OPEN_FILES && theirs[2] == threads.rlim_max);
	fd_close(wall.file_rules);
}

/* A supervisor that is killed takes a child behind the wall along, too. */
static void test_orphan(void **state)
{
	struct spawn_wall wall = wall_make(FILTER_ENGINE);
	int fds[2], status;
	pid_t supervisor, guest;

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	supervisor = fork();
	if (supervisor == 0) {
		struct spawn_child child;
		char byte;
		int out;

		child_start("wait", &wall, &child, &out);
		/* It has its death signal by now, and runs. */
		if (read(out, &byte, 1) != 1 ||
			write(fds[1], &child.pid, sizeof child.pid) != sizeof child.pid)
			_exit(1);
		pause();
	}
	assert_int_equal(read(fds[0], &guest, sizeof guest), sizeof guest);
	assert_int_equal(kill(supervisor, SIGKILL), 0);
	assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
	assert_int_equal(waitpid(guest, &status, 0), guest);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
	fd_close(fds[0]);
	fd_close(fds[1]);
	fd_close(wall.file_rules);
}

static int setup(void **state)
{
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	strcpy(folder, "/tmp/test-wall-XXXXXX");
	return n > 0 && mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	char own[128];

	(void)snprintf(own, sizeof own, "%s/own", folder);
	(void)unlink(own);
	return rmdir(folder);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holds_across_the_exec),
		cmocka_unit_test(test_privileges),
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_orphan),
	};

	if (argc == 3 && strcmp(argv[1], "--tell") == 0)
		tell(argv[2]);
	if (file_rules_abi(0) == 0)
		return 77;
	return cmocka_run_group_tests(tests, setup, teardown);
}
