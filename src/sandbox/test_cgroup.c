/* SPDX-License-Identifier: MIT */
/*
 * Dividing a cgroup, and what its limits do. The test makes one of its own below that in which it
 * runs, where it may; who can't, for want of version 2 or of rights, skips all but the refusals.
 */
#include "sandbox/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/lang.h"
#include "sandbox/spawn.h"

#define ROOT "/sys/fs/cgroup"
#define DEADLINE_MS 60000
#define MEMORY_MIB 64
#define THREADS 3

static char self[256], own[256];
static bool made; /* `own` is there */

static bool write_to(const char *folder, const char *name, const char *text)
{
	char path[512];
	int fd;
	bool done;

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, text, strlen(text)) >= 0;
	fd_close(fd);
	return done;
}

static void read_from(const char *folder, const char *name, char *text, size_t size)
{
	char path[512];
	int fd;
	ssize_t n;

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	text[n < 0 ? 0 : n] = '\0';
	fd_close(fd);
}

/* --- in the child --- */

static _Noreturn void tell(const char *what)
{
	int n = 0;

	if (strcmp(what, "memory") == 0)
		for (; n < 2 * MEMORY_MIB; n++)
			if (mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
				    0) == MAP_FAILED)
				break;
	if (strcmp(what, "processes") == 0)
		for (; n < 2 * THREADS; n++) {
			pid_t pid = fork();

			if (pid < 0)
				break;
			if (pid == 0)
				(void)pause();
		}
	_exit(n);
}

/* --- in the test --- */

static int run(const char *what, const struct cgroup_child *cgroup)
{
	const char *const argv[] = { self, "--tell", what, NULL };
	const struct spawn_config config = { .argv = argv, .cgroup = cgroup };
	struct spawn_failure failure = { .step = "" };
	struct spawn_child child;
	struct pollfd end = { .events = POLLIN };
	int status, r;

	assert_int_equal(spawn_start(&config, &child), 0);
	end.fd = child.pidfd;
	assert_int_equal(poll(&end, 1, DEADLINE_MS), 1);
	r = spawn_reap(&child, &status, &failure);
	spawn_close(&child);
	if (r != 0)
		fail_msg("can't %s it: %s", failure.step, strerror(failure.error));
	return status;
}

static bool is_there(const char *name)
{
	char path[512];

	(void)snprintf(path, sizeof path, "%s/%s", own, name);
	return access(path, F_OK) == 0;
}

static void need_cgroup(void)
{
	if (!made) {
		print_message("no cgroup of version 2 can be made here\n");
		skip();
	}
}

static void assert_as_before(void)
{
	char text[256], pid[32];

	(void)snprintf(pid, sizeof pid, "%d\n", (int)getpid());
	read_from(own, "cgroup.procs", text, sizeof text);
	assert_string_equal(text, pid);
	read_from(own, "cgroup.subtree_control", text, sizeof text);
	assert_string_equal(text, "");
	assert_false(is_there("supervisor") || is_there("app-0"));
}

static void test_divided_and_put_back(void **state)
{
	struct cgroup cgroup;
	char text[256];

	need_cgroup();
	assert_int_equal(cgroup_probe(), 0);
	assert_as_before();
	assert_int_equal(cgroup_open(&cgroup), 0);
	assert_true(cgroup.has[CGROUP_MEMORY] && cgroup.has[CGROUP_THREADS]);
	read_from(own, "cgroup.procs", text, sizeof text);
	assert_string_equal(text, "");
	cgroup_close(&cgroup);
	assert_as_before();
}

static void test_memory(void **state)
{
	const struct cgroup_limits limits = { .memory_bytes = MEMORY_MIB << 20 }, none = { 0 };
	struct cgroup_child child = { 0 };
	struct cgroup cgroup;
	int status;

	need_cgroup();
	assert_int_equal(cgroup_open(&cgroup), 0);
	assert_int_equal(cgroup_add(&cgroup, &none, &child), 0);
	status = run("memory", &child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 2 * MEMORY_MIB);
	assert_false(cgroup_is_out_of_memory(&child));
	cgroup_remove(&child);
	assert_int_equal(cgroup_add(&cgroup, &limits, &child), 0);
	status = run("memory", &child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_true(cgroup_is_out_of_memory(&child));
	cgroup_remove(&child);
	assert_false(is_there("app-0") || is_there("app-1"));
	cgroup_close(&cgroup);
	assert_as_before();
}

static void test_threads_and_time(void **state)
{
	const struct cgroup_limits limits = { .threads = THREADS, .cpu_percent = 150 };
	struct cgroup_child child = { 0 };
	struct cgroup cgroup;
	char text[64], folder[512];
	int status;

	need_cgroup();
	assert_int_equal(cgroup_open(&cgroup), 0);
	assert_int_equal(cgroup_add(&cgroup, &limits, &child), 0);
	status = run("processes", &child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), THREADS - 1);
	(void)snprintf(folder, sizeof folder, "%s/app-0", own);
	read_from(folder, "cpu.max", text, sizeof text);
	assert_string_equal(text, cgroup.has[CGROUP_CPU] ? "150000 100000\n" : "");
	cgroup_remove(&child);
	cgroup_close(&cgroup);
	assert_as_before();
}

/* One that was killed can't put anything back. */
static void test_left_by_a_killed_one(void **state)
{
	const struct cgroup_limits limits = { 0 };
	struct cgroup cgroup;
	int status;
	pid_t pid;

	need_cgroup();
	pid = fork();
	if (pid == 0) {
		struct cgroup_child child;

		/* Alone in it: its parent is elsewhere meanwhile. */
		while (cgroup_open(&cgroup) != 0)
			usleep(1000);
		_exit(cgroup_add(&cgroup, &limits, &child));
	}
	assert_true(write_to(ROOT, "cgroup.procs", "0"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(is_there("supervisor") && is_there("app-0"));
	/* Who is started there again finds it empty, as a service manager leaves it. */
	assert_true(write_to(own, "cgroup.subtree_control", "-memory -pids -cpu"));
	assert_true(write_to(own, "cgroup.procs", "0"));
	assert_int_equal(cgroup_open(&cgroup), 0);
	assert_false(is_there("app-0"));
	cgroup_close(&cgroup);
	assert_as_before();
}

static void test_others_in_it(void **state)
{
	int fds[2], status;
	struct cgroup cgroup;
	pid_t pid;
	char byte;

	need_cgroup();
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		fd_close(fds[1]);
		_exit(read(fds[0], &byte, 1) != 0);
	}
	assert_int_equal(cgroup_probe(), -EBUSY);
	assert_int_equal(cgroup_open(&cgroup), -EBUSY);
	fd_close(fds[0]);
	fd_close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_as_before();
	assert_int_equal(cgroup_probe(), 0);
}

/* Each has words that say what to do. */
static void test_words(void **state)
{
	static const int errors[] = { -EOPNOTSUPP, -EACCES, -EBUSY, -ENODEV };
	struct statfs fs;

	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		assert_string_not_equal(cgroup_explain(errors[i]), strerror(-errors[i]));
	assert_int_equal(statfs(ROOT, &fs), 0);
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		assert_int_equal(cgroup_probe(), -EOPNOTSUPP);
}

/* A cgroup for this test, with this process in it. */
static int setup(void **state)
{
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char text[256];

	(void)write_to(ROOT, "cgroup.subtree_control", "+memory +pids +cpu");
	(void)snprintf(own, sizeof own, ROOT "/test-cgroup-%d", (int)getpid());
	made = n > 0 && mkdir(own, 0755) == 0;
	if (!made)
		return 0;
	read_from(own, "cgroup.controllers", text, sizeof text);
	/* As systemd marks it, where there is one. */
	made = strstr(text, "memory") && strstr(text, "pids") &&
	       setxattr(own, "trusted.delegate", "1", 1, 0) == 0 &&
	       write_to(own, "cgroup.procs", "0");
	if (!made)
		(void)rmdir(own);
	return 0;
}

static int teardown(void **state)
{
	return made && (!write_to(ROOT, "cgroup.procs", "0") || rmdir(own) < 0) ? -1 : 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_divided_and_put_back),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_threads_and_time),
		cmocka_unit_test(test_left_by_a_killed_one),
		cmocka_unit_test(test_others_in_it),
	};

	if (argc == 3 && strcmp(argv[1], "--tell") == 0)
		tell(argv[2]);
	return cmocka_run_group_tests(tests, setup, teardown);
}
