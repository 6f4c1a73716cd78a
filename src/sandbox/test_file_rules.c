/* SPDX-License-Identifier: MIT */
/*
 * What is named can be done, what isn't can't, each tried by a process of its own; the same without
 * rules, or a refusal would prove nothing. With the ABIs of older kernels, too.
 */
#include "sandbox/file_rules.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/lang.h"
#include "sandbox/test_attempt.h"

#define NO_RULES 1000 /* in place of an ABI */

/* Folders below the test's own, each with a file "f", a folder "d" and a program "x". */
static char root[64];

static const struct {
	const char *name;
	enum file_access access;
} folders[] = { { "read", FILE_ACCESS_READ }, { "run", FILE_ACCESS_RUN },
	{ "write", FILE_ACCESS_WRITE }, { "also", FILE_ACCESS_WRITE } };

static int open_in(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644), r = attempt_result(fd);

	if (fd >= 0)
		close(fd);
	return r;
}

/* The attempts run in the test's folder. */
static int read_read(void)
{
	return open_in("read/f", O_RDONLY);
}
static int list_read(void)
{
	return open_in("read/d", O_RDONLY | O_DIRECTORY);
}
static int write_read(void)
{
	return open_in("read/f", O_WRONLY);
}
static int make_read(void)
{
	return open_in("read/new", O_WRONLY | O_CREAT);
}
static int remove_read(void)
{
	return attempt_result(unlink("read/f"));
}
static int empty_read(void)
{
	return open_in("read/f", O_RDONLY | O_TRUNC);
}
/* Landlock takes access mode 3 for neither reading nor writing. */
static int empty_other(void)
{
	return open_in("other/f", O_ACCMODE | O_TRUNC);
}
static int truncate_read(void)
{
	return attempt_result(truncate("read/f", 0));
}
static int read_other(void)
{
	return open_in("other/f", O_RDONLY);
}
static int list_other(void)
{
	return open_in("other", O_RDONLY | O_DIRECTORY);
}
static int read_link(void)
{
	return open_in("read/out", O_RDONLY);
}
static int read_parent(void)
{
	return open_in("read/../other/f", O_RDONLY);
}
static int read_proc(void)
{
	return open_in("/proc/self/status", O_RDONLY);
}
static int write_write(void)
{
	return open_in("write/f", O_RDWR | O_TRUNC);
}
static int make_write(void)
{
	return open_in("write/new", O_WRONLY | O_CREAT | O_EXCL);
}
static int mkdir_write(void)
{
	return attempt_result(mkdir("write/folder", 0755));
}
static int remove_write(void)
{
	return attempt_result(unlink("write/f"));
}
static int rename_write(void)
{
	return attempt_result(rename("write/f", "write/g"));
}
static int rename_across(void)
{
	return attempt_result(rename("write/f", "also/g"));
}
static int rename_out(void)
{
	return attempt_result(rename("write/f", "other/g"));
}
static int link_in(void)
{
	return attempt_result(link("other/f", "write/g"));
}
static int fifo_write(void)
{
	return attempt_result(mkfifo("write/fifo", 0600));
}

/* Its exit code, negated; an errno if it can't be run. */
static int run_program(const char *path, const char *option, const char *argument)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execl(path, path, option, argument, NULL);
		_exit(errno);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? -WEXITSTATUS(status)
								    : -ECHILD;
}

static int run_run(void)
{
	return run_program("run/x", NULL, NULL);
}
static int run_read(void)
{
	return run_program("read/x", NULL, NULL);
}
static int run_write(void)
{
	return run_program("write/x", NULL, NULL);
}
static int signal_parent(void)
{
	return attempt_result(kill(getppid(), 0));
}

static int bind_tcp(void)
{
	const struct sockaddr any = { .sa_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0),
	    r = attempt_result(bind(fd, &any, sizeof(struct sockaddr)));

	close(fd);
	return r;
}

/* Without rules and with all that this kernel has; `since`: the ABI that it is refused from. */
static const struct attempt {
	const char *name;
	attempt_fn *attempt;
	int bare, ruled;
	unsigned since;
} attempts[] = {
	{ "read", read_read, 0, 0, 1 },
	{ "list", list_read, 0, 0, 1 },
	{ "write what may be read", write_read, 0, -EACCES, 1 },
	{ "make where may be read", make_read, 0, -EACCES, 1 },
	{ "remove what may be read", remove_read, 0, -EACCES, 1 },
	{ "O_RDONLY|O_TRUNC", empty_read, 0, -EACCES, 3 },
	{ "3|O_TRUNC of another", empty_other, 0, -EACCES, 3 },
	{ "truncate", truncate_read, 0, -EACCES, 3 },
	{ "read another", read_other, 0, -EACCES, 1 },
	{ "list another", list_other, 0, -EACCES, 1 },
	{ "through a link", read_link, 0, -EACCES, 1 },
	{ "through ..", read_parent, 0, -EACCES, 1 },
	{ "/proc", read_proc, 0, -EACCES, 1 },
	{ "write", write_write, 0, 0, 1 },
	{ "make", make_write, 0, 0, 1 },
	{ "make a folder", mkdir_write, 0, 0, 1 },
	{ "remove", remove_write, 0, 0, 1 },
	{ "rename", rename_write, 0, 0, 1 },
	{ "rename into another folder", rename_across, 0, 0, 2 },
	{ "rename out", rename_out, 0, -EACCES, 1 },
	{ "link in", link_in, 0, -EXDEV, 1 },
	{ "a fifo", fifo_write, 0, -EACCES, 1 },
	{ "run", run_run, 0, 0, 1 },
	{ "run what may be read", run_read, 0, -EACCES, 1 },
	{ "run what may be written", run_write, 0, -EACCES, 1 },
	{ "bind", bind_tcp, 0, -EACCES, 4 },
	{ "a signal to the supervisor", signal_parent, 0, -EPERM, 6 },
};

/* Anew for each attempt: some of them change it. */
static void make_tree(void)
{
	char script[512];

	(void)snprintf(script, sizeof script,
		"cd %s && rm -rf * && mkdir read run write also other read/d && "
		"for d in read run write other; do echo x >$d/f; cp /bin/true $d/x; done && "
		"ln -s ../other/f read/out",
		root);
	assert_int_equal(run_program("/bin/sh", "-c", script), 0);
}

static int rules_open(unsigned abi_max)
{
	struct file_rule rules[ARRAY_LEN(folders) + 3] = {
		{ .path = "/usr/lib", .access = FILE_ACCESS_RUN },
		{ .path = "/lib", .access = FILE_ACCESS_RUN },
		{ .path = "/lib64", .access = FILE_ACCESS_RUN, .optional = true },
	};
	char paths[ARRAY_LEN(folders)][128];
	const char *path = NULL;
	int fd = -1;

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		(void)snprintf(paths[i], sizeof paths[i], "%s/%s", root, folders[i].name);
		rules[3 + i] = (struct file_rule){ .path = paths[i], .access = folders[i].access };
	}
	assert_int_equal(file_rules_open(rules, ARRAY_LEN(rules), abi_max, &fd, &path), 0);
	return fd;
}

static int enter_rules(const void *arg)
{
	const int *rules = arg;

	if (chdir(root) < 0)
		return -errno;
	return *rules < 0 ? 0 : file_rules_enter(*rules);
}

static int run_attempt(attempt_fn *attempt, unsigned abi_max)
{
	int rules = -1, r;

	make_tree();
	if (abi_max != NO_RULES)
		rules = rules_open(abi_max);
	r = attempt_run(attempt, enter_rules, &rules);
	if (rules >= 0)
		close(rules);
	return r;
}

static void expect(const struct attempt *a, unsigned abi, int r, int wanted)
{
	char where[16];

	(void)snprintf(where, sizeof where, "ABI %u", abi);
	attempt_expect(a->name, where, r, wanted);
}

static void test_without_rules(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++)
		expect(&attempts[i], 0, run_attempt(attempts[i].attempt, NO_RULES),
			attempts[i].bare);
}

static void test_every_abi(void **state)
{
	unsigned newest = file_rules_abi(0);

	if (newest == 0)
		skip();
	for (unsigned abi = 1; abi <= newest && abi <= 6; abi++)
		for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
			const struct attempt *a = &attempts[i];
			int wanted = abi >= a->since ? a->ruled : a->bare;

			/* ABI 1 refuses each other change of folder as one of device.
			 */
			if (abi < 2 && a->since == 2)
				wanted = -EXDEV;
			expect(a, abi, run_attempt(a->attempt, abi), wanted);
		}
}

/* Which rule can't be kept is said; one that may be missing is left out. */
static void test_missing(void **state)
{
	struct file_rule rule = { .path = "/no/such/folder", .access = FILE_ACCESS_READ };
	const char *path = NULL;
	int fd = -1;

	if (file_rules_abi(0) == 0)
		skip();
	assert_int_equal(file_rules_open(&rule, 1, 0, &fd, &path), -ENOENT);
	assert_ptr_equal(path, rule.path);
	assert_int_equal(fd, -1);
	rule.optional = true;
	assert_int_equal(file_rules_open(&rule, 1, 0, &fd, &path), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

static int setup(void **state)
{
	strcpy(root, "/tmp/test-file-rules-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)snprintf(command, sizeof command, "rm -rf %s", root);
	return run_program("/bin/sh", "-c", command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_rules),
		cmocka_unit_test(test_every_abi),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
