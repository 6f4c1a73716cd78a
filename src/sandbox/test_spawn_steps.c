/* SPDX-License-Identifier: MIT */
/*
 * Each step of a spawn, failing, hanging, and in namespaces. The calls of spawn.c pass through here
 * (ld's --wrap), so that one of them can fail, or do something before: that is a step of the test's
 * own, at its place in the list.
 */
#include "sandbox/spawn.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/test_open_fds.h"

#define DEADLINE_MS 60000
#define TEXT_MAX 512
#define NOBODY 65534
#define ALL_BUT_PID (CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

static struct {
	const char *failing; /* the call that does, with EIO */
	unsigned at;         /* how many of it don't before */
	pid_t in_child_of;   /* only there; 0: only here */
	const char *hooked;  /* the call before which the child runs `hook` */
	void (*hook)(void);
} plan;

/* The name of each function is that of the call behind. */
static bool meddles(const char *call)
{
	bool child = plan.in_child_of && getpid() != plan.in_child_of;

	if (child && plan.hooked && strcmp(call, plan.hooked) == 0)
		plan.hook();
	if (child != (plan.in_child_of != 0) || !plan.failing || strcmp(call, plan.failing) != 0 ||
		plan.at-- != 0)
		return false;
	plan.failing = NULL;
	errno = EIO;
	return true;
}

/* Those of one shape. */
#define WRAP(call, parameters, arguments)                             \
	int __real_##call parameters;                                 \
	int __wrap_##call parameters;                                 \
	int __wrap_##call parameters                                  \
	{                                                             \
		return meddles(#call) ? -1 : __real_##call arguments; \
	}

WRAP(chdir, (const char *path), (path))
WRAP(dup2, (int from, int to), (from, to))
WRAP(execvpe, (const char *file, char *const argv[], char *const env[]), (file, argv, env))
WRAP(fcntl64, (int fd, int command, int argument), (fd, command, argument))
WRAP(fork, (void), ())
WRAP(open64, (const char *path, int flags, mode_t mode), (path, flags, mode))
WRAP(pidfd_open, (pid_t pid, unsigned flags), (pid, flags))
WRAP(pipe2, (int fds[2], int flags), (fds, flags))
WRAP(poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))
WRAP(prctl, (int option, unsigned long argument), (option, argument))
WRAP(setpgid, (pid_t pid, pid_t group), (pid, group))
WRAP(setrlimit64, (int resource, const struct rlimit *limit), (resource, limit))
WRAP(sigprocmask, (int how, const sigset_t *set, sigset_t *old), (how, set, old))

/* What the headers make of open() with _FORTIFY_SOURCE. */
int __real___open64_2(const char *path, int flags);
int __wrap___open64_2(const char *path, int flags);
int __wrap___open64_2(const char *path, int flags)
{
	return meddles("open64") ? -1 : __real___open64_2(path, flags);
}

static const char *const idle[] = { "sh", "-c", "exit 0", NULL };
static const struct spawn_config idle_config = { .argv = idle, .dir = "/", .open_files = 100 };

static int reap(struct spawn_child *child, int *ret_status, struct spawn_failure *ret_failure)
{
	struct pollfd end = { .fd = child->pidfd, .events = POLLIN };
	int r;

	assert_int_equal(__real_poll(&end, 1, DEADLINE_MS), 1);
	r = spawn_reap(child, ret_status, ret_failure);
	spawn_close(child);
	return r;
}

static void assert_nothing_left(unsigned fds)
{
	assert_int_equal(test_open_fds(), fds);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static const struct {
	const char *call, *step;
} failures[] = {
	{ "fcntl64", "give descriptors to" },
	{ "open64", "give descriptors to" },
	{ "dup2", "give descriptors to" },
	{ "setpgid", "make a process group for" },
	{ "prctl", "bind to our own life" },
	{ "poll", "bind to our own life" },
	{ "sigprocmask", "reset the signals of" },
	{ "setrlimit64", "set the limits of" },
	{ "chdir", "run in the folder" },
	{ "execvpe", "start" },
};

/* What has failed is told, whichever step it is, and leaves nothing behind. */
static void test_step_fails(void **state)
{
	unsigned fds = test_open_fds();

	for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
		struct spawn_failure failure = { 0 };
		struct spawn_child child;
		char why[TEXT_MAX], expected[TEXT_MAX];
		int status;

		plan.in_child_of = getpid();
		plan.failing = failures[i].call;
		assert_int_equal(spawn_start(&idle_config, &child), 0);
		assert_int_equal(reap(&child, &status, &failure), SPAWN_FAILED);
		assert_string_equal(failure.step, failures[i].step);
		assert_int_equal(failure.error, EIO);
		spawn_explain(&failure, why, sizeof why);
		snprintf(expected, sizeof expected, "can't %s '%s': Input/output error",
			failures[i].step, strcmp(failures[i].call, "chdir") == 0 ? "/" : "sh");
		assert_string_equal(why, expected);
	}
	memset(&plan, 0, sizeof plan);
	assert_nothing_left(fds);
}

static const struct {
	const char *call;
	unsigned at;
} shortages[] = {
	{ "pidfd_open", 0 },                                /* of our own */
	{ "pipe2", 0 }, { "fork", 0 }, { "pidfd_open", 1 }, /* of the child, which runs by then */
};

static void test_start_fails(void **state)
{
	unsigned fds = test_open_fds();

	for (size_t i = 0; i < ARRAY_LEN(shortages); i++) {
		struct spawn_child child = { .pid = -5 };
		struct spawn_failure failure;
		char why[TEXT_MAX];

		plan.failing = shortages[i].call;
		plan.at = shortages[i].at;
		assert_int_equal(spawn_start(&idle_config, &child), -EIO);
		assert_null(plan.failing);
		assert_int_equal(child.pid, -5);
		assert_nothing_left(fds);
		failure = spawn_failure_of(&idle_config, -EIO);
		spawn_explain(&failure, why, sizeof why);
		assert_string_equal(why, "can't start 'sh': Input/output error");
	}
}

static void hook_hang(void)
{
	for (;;)
		pause();
}

/* A folder on a file server that is away: nobody waits for it here, and SIGKILL ends it. */
static void test_step_hangs(void **state)
{
	struct spawn_child child;
	struct spawn_failure failure;
	int status;

	plan.in_child_of = getpid();
	plan.hooked = "chdir";
	plan.hook = hook_hang;
	assert_int_equal(spawn_start(&idle_config, &child), 0);
	assert_int_equal(spawn_reap(&child, &status, &failure), -EAGAIN);
	spawn_kill(&child, SIGKILL);
	assert_int_equal(reap(&child, &status, &failure), 0);
	assert_true(WIFSIGNALED(status));
	memset(&plan, 0, sizeof plan);
}

/* Who spawns, and where. */
static const struct role {
	bool nobody;
	int around; /* namespaces that the supervisor goes to before, and the child is born in */
	int step;   /* those that the child goes to in a step of its own, as a sandbox would */
} roles[] = {
	{ 0 },
	{ .nobody = true },
	{ .around = CLONE_NEWUSER | CLONE_NEWPID },
	{ .nobody = true, .around = CLONE_NEWUSER | CLONE_NEWPID },
	{ .step = ALL_BUT_PID },
	{ .nobody = true, .step = ALL_BUT_PID },
	{ .around = CLONE_NEWPID, .step = ALL_BUT_PID },
};

static const struct role *played;
static int parent_fd;

static int play(const struct role *role)
{
	static const gid_t no_group = NOBODY;

	played = role;
	if (role->nobody && geteuid() == 0 &&
		(setgroups(1, &no_group) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
		return -errno;
	return role->around && unshare(role->around) < 0 ? -errno : 0;
}

static bool is_possible(const struct role *role)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(play(role) < 0 || (role->step && unshare(role->step) < 0));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status == 0;
}

static void hook_unshare(void)
{
	if (unshare(played->step) < 0)
		_exit(99);
}

static void hook_await_parent(void)
{
	(void)__real_poll(&(struct pollfd){ .fd = parent_fd, .events = POLLIN }, 1, -1);
}

/* A process of its own, whose child writes to `out`. It stays, or is gone at once. */
static pid_t start_supervisor(const struct role *role, int out, bool stays)
{
	static const char script[] = "echo \"$$ $PPID $(readlink /proc/self/ns/net) "
				     "$(ulimit -n) $(pwd)\"; exec sleep 60";
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct spawn_config config = { .argv = argv, .dir = "/", .open_files = 100 };
	struct spawn_child child;
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (play(role) < 0)
		_exit(98);
	plan.in_child_of = getpid();
	plan.hooked = stays ? "setrlimit64" : "setpgid";
	plan.hook = stays ? hook_unshare : hook_await_parent;
	if (stays && !role->step)
		plan.hooked = NULL;
	parent_fd = __real_fcntl64(pidfd_open(getpid(), 0), F_DUPFD_CLOEXEC, 100);
	spawn_fds_set(&config.fds, SPAWN_STDOUT, out);
	if (spawn_start(&config, &child) < 0)
		_exit(97);
	if (!stays)
		_exit(0);
	for (;;)
		pause();
}

/* What the child of the supervisor says; "": it ends without a word. */
static void read_line(int fd, char text[TEXT_MAX])
{
	ssize_t n;

	assert_int_equal(
		__real_poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, DEADLINE_MS), 1);
	n = read(fd, text, TEXT_MAX - 1);
	assert_true(n >= 0);
	text[n] = '\0';
}

static void assert_said(const struct role *role, const char *text)
{
	char own_net[64], net[64], dir[64];
	unsigned pid, parent, files;

	assert_int_equal(sscanf(text, "%u %u %63s %u %63s", &pid, &parent, net, &files, dir), 5);
	if (role->around) {
		assert_int_equal(pid, 1);
		assert_int_equal(parent, 0);
	} else {
		assert_int_not_equal(parent, 0);
	}
	own_net[readlink("/proc/self/ns/net", own_net, sizeof own_net - 1)] = '\0';
	assert_int_equal(strcmp(net, own_net) != 0, role->step != 0);
	assert_int_equal(files, 100);
	assert_string_equal(dir, "/");
}

/* Where getppid(2) is 0 as well, a child ends with its supervisor, and never begins behind it. */
static void test_parent_dies(void **state)
{
	assert_int_equal(__real_prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		char text[TEXT_MAX];
		int out[2], status;
		pid_t supervisor;

		if (!is_possible(&roles[i])) {
			print_message("role %zu: no such namespaces here\n", i);
			continue;
		}
		assert_int_equal(__real_pipe2(out, O_CLOEXEC), 0);
		supervisor = start_supervisor(&roles[i], out[1], true);
		read_line(out[0], text);
		assert_said(&roles[i], text);
		assert_int_equal(kill(supervisor, SIGKILL), 0);
		assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
		assert_true(waitpid(-1, &status, 0) > 0);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

		supervisor = start_supervisor(&roles[i], out[1], false);
		assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
		assert_int_equal(status, 0);
		assert_true(waitpid(-1, &status, 0) > 0);
		assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		fd_close(out[1]);
		read_line(out[0], text);
		assert_string_equal(text, "");
		fd_close(out[0]);
	}
	assert_int_equal(__real_prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

/* The failure of a step is told from other namespaces, too. */
static void test_step_fails_behind_another(void **state)
{
	struct spawn_failure failure = { 0 };
	struct spawn_child child;
	int status;

	if (!is_possible(&roles[4]))
		skip();
	played = &roles[4];
	plan.in_child_of = getpid();
	plan.hooked = "setrlimit64";
	plan.hook = hook_unshare;
	plan.failing = "execvpe";
	assert_int_equal(spawn_start(&idle_config, &child), 0);
	assert_int_equal(reap(&child, &status, &failure), SPAWN_FAILED);
	assert_string_equal(failure.step, "start");
	memset(&plan, 0, sizeof plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_step_fails),
		cmocka_unit_test(test_start_fails),
		cmocka_unit_test(test_step_hangs),
		cmocka_unit_test(test_parent_dies),
		cmocka_unit_test(test_step_fails_behind_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
