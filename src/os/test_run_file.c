/* SPDX-License-Identifier: MIT */
/* Run files: found while their instance lives, removed when it is gone, and nobody else's. */
#include "os/run_file.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/lang.h"

struct fixture {
	char home[32], folder[48];
	struct run_list list; /* too large for the stack's guard */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->home, sizeof f->home, "/tmp/test-run-file-XXXXXX");
	assert_non_null(mkdtemp(f->home));
	(void)snprintf(f->folder, sizeof f->folder, "%s/wasmrun", f->home);
	assert_int_equal(setenv("XDG_RUNTIME_DIR", f->home, 1), 0);
	*state = f;
	return 0;
}

static size_t count_files(const struct fixture *f)
{
	DIR *dir = opendir(f->folder);
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	(void)closedir(dir);
	return count - 2; /* "." and ".." */
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	run_list_deinit(&f->list);
	(void)unlink(f->folder); /* a link of a test's */
	(void)rmdir(f->folder);
	assert_int_equal(rmdir(f->home), 0);
	free(f);
	return 0;
}

static struct run_file *must_make(pid_t pid)
{
	const struct run_entry entry = { "/a/project", "http://127.0.0.1:1", "secret", pid };
	struct run_file *file = NULL;

	assert_int_equal(run_file_new(&entry, &file), 0);
	return file;
}

static void test_found(void **state)
{
	struct fixture *f = *state;
	struct run_file *file;

	assert_int_equal(run_list_read(&f->list), 0);
	assert_int_equal(f->list.count, 0);
	file = must_make(getpid());
	assert_int_equal(run_list_read(&f->list), 0);
	assert_int_equal(f->list.count, 1);
	assert_string_equal(f->list.entries[0].project, "/a/project");
	assert_string_equal(f->list.entries[0].url, "http://127.0.0.1:1");
	assert_string_equal(f->list.entries[0].token, "secret");
	assert_int_equal(f->list.entries[0].pid, getpid());
	run_list_deinit(&f->list);
	assert_null(run_file_free(file));
	assert_int_equal(count_files(f), 0);
}

static void test_several(void **state)
{
	struct fixture *f = *state;
	struct run_file *files[3];

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		files[i] = must_make(getpid());
	assert_int_equal(run_list_read(&f->list), 0);
	assert_int_equal(f->list.count, 3);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		run_file_free(files[i]);
}

/* A child that holds a run file until it is killed. */
static pid_t start_holder(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)must_make(getpid());
		(void)!write(ready[1], "", 1);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	return pid;
}

static void test_killed(void **state)
{
	struct fixture *f = *state;
	pid_t pid = start_holder();
	int pidfd = -1;

	assert_int_equal(run_list_read(&f->list), 0);
	assert_int_equal(f->list.count, 1);
	assert_int_equal(run_list_open_process(&f->list, 0, &pidfd), 0);
	(void)close(pidfd);
	assert_int_equal(kill(pid, SIGKILL), 0);
	/* The pid is taken until we have waited for it, but the instance is gone. */
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	assert_int_equal(run_list_open_process(&f->list, 0, &pidfd), -ESRCH);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	run_list_deinit(&f->list);
	assert_int_equal(count_files(f), 1);
	assert_int_equal(run_list_read(&f->list), 0);
	assert_int_equal(f->list.count, 0);
	assert_int_equal(count_files(f), 0);
}

static void test_bad_text(void **state)
{
	const struct fixture *f = *state;
	const struct run_entry entry = { "/not\xff utf-8", "http://127.0.0.1:1", "", 1 };
	struct run_file *file = NULL;

	assert_int_equal(run_file_new(&entry, &file), -EILSEQ);
	assert_null(file);
	assert_int_equal(count_files(f), 0);
}

static void refuse(struct fixture *f)
{
	const struct run_entry entry = { "/a", "http://127.0.0.1:1", "", 1 };
	struct run_file *file = NULL;

	assert_int_equal(run_file_new(&entry, &file), -EPERM);
	assert_int_equal(run_list_read(&f->list), -EPERM);
}

static void test_open_folder(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(f->folder, 0700), 0);
	assert_int_equal(chmod(f->folder, 0750), 0);
	refuse(f);
}

static void test_link(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(symlink(f->home, f->folder), 0);
	refuse(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_several, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_text, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
