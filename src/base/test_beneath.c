/* SPDX-License-Identifier: MIT */
/* Ways out of a folder, and what looks like one. */
#include "base/beneath.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/lang.h"

#define RACES 20000 /* some hundred of which meet a rename in their middle */

/* The folder is "in" beside "secret"; a file that may be opened says "open". */
static void write_text(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static int setup(void **state)
{
	char *dir = strdup("/tmp/test_beneath.XXXXXX"), link[64];

	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(mkdir("in", 0700), 0);
	assert_int_equal(mkdir("in/deep", 0700), 0);
	assert_int_equal(mkdir("in/deep/more", 0700), 0);
	write_text("secret", "secret");
	write_text("in/file", "open");
	write_text("in/deep/file", "open");
	assert_int_equal(mkfifo("in/pipe", 0600), 0);
	assert_int_equal(symlink("../secret", "in/out"), 0);
	assert_int_equal(symlink("..", "in/up"), 0);
	assert_int_equal(symlink("deep/../file", "in/within"), 0);
	snprintf(link, sizeof link, "%s/secret", dir);
	assert_int_equal(symlink(link, "in/absolute"), 0);
	snprintf(link, sizeof link, "%s/in/file", dir);
	assert_int_equal(symlink(link, "in/absolute-within"), 0);
	assert_int_equal(symlink("loop", "in/loop"), 0);
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "in/out", "in/up", "in/within", "in/absolute",
		"in/absolute-within", "in/loop", "in/pipe", "in/file", "in/deep/file" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(unlink(names[i]), 0);
	assert_int_equal(rmdir("in/deep/more"), 0);
	assert_int_equal(rmdir("in/deep"), 0);
	assert_int_equal(rmdir("in"), 0);
	assert_int_equal(unlink("secret"), 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(*state), 0);
	free(*state);
	return 0;
}

static void assert_says(int fd, const char *text)
{
	char buf[16] = "";

	assert_true(read(fd, buf, sizeof buf - 1) >= 0);
	assert_string_equal(buf, text);
	fd_close(fd);
}

static void test_within(void **state)
{
	static const char *const paths[] = { "file", "./file", "deep/../file", "deep/more/../file",
		"within", "deep//file" };
	int fd = -1;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		assert_int_equal(beneath_open("in", paths[i], O_RDONLY, &fd), 0);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_says(fd, "open");
	}
	assert_int_equal(beneath_open("in", ".", O_RDONLY | O_DIRECTORY, &fd), 0);
	fd_close(fd);
	assert_int_equal(beneath_open("in", "deep", O_PATH, &fd), 0);
	fd_close(fd);
	/* open(2) alone would wait for a writer. */
	assert_int_equal(beneath_open("in", "pipe", O_RDONLY, &fd), 0);
	fd_close(fd);
}

static void test_ways_out(void **state)
{
	static const struct {
		const char *folder, *path;
		int result;
	} cases[] = {
		{ "in", "..", -EXDEV },
		{ "in", "../secret", -EXDEV },
		{ "in", "deep/../../secret", -EXDEV },
		{ "in", "../in/file", -EXDEV },
		{ "in", "/etc/passwd", -EXDEV },
		{ "in", "out", -EXDEV },
		{ "in", "up/secret", -EXDEV },
		{ "in", "deep/../up/secret", -EXDEV },
		{ "in", "absolute", -EXDEV },
		{ "in", "absolute-within", -EXDEV },
		{ "in", "loop", -ELOOP },
		{ "/proc/self", "root/etc/passwd", -ELOOP },
		{ "/proc/self", "cwd/in/file", -ELOOP },
		{ "/proc/self", "exe", -ELOOP },
		{ "/proc/self", "fd/0", -ELOOP },
		{ "in", "missing", -ENOENT },
		{ "in", "file/more", -ENOTDIR },
		{ "missing", "file", -ENOENT },
		{ "secret", "file", -ENOTDIR },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int fd = -1, r = beneath_open(cases[i].folder, cases[i].path, O_RDONLY, &fd);

		if (r != cases[i].result)
			fail_msg("'%s' in '%s' is %d", cases[i].path, cases[i].folder, r);
		assert_int_equal(fd, -1);
	}
}

static atomic_bool over;

/* Moves a folder that is being walked through out of the other, and back. */
static void *rename_on(void *arg)
{
	while (!over) {
		(void)rename("in/deep/more", "more");
		(void)rename("more", "in/deep/more");
	}
	return NULL;
}

/* "deep/more/../../secret" is "secret" while "more" is outside, for who looks step by step. */
static void test_renames(void **state)
{
	size_t opened = 0;
	pthread_t thread;

	over = false;
	assert_int_equal(pthread_create(&thread, NULL, rename_on, NULL), 0);
	for (unsigned i = 0; i < RACES; i++) {
		int fd = -1, r = beneath_open("in", "deep/more/../../secret", O_RDONLY, &fd);

		assert_true(r == -ENOENT || r == -EXDEV);
		r = beneath_open("in", "deep/more/../../file", O_RDONLY, &fd);
		assert_true(r == 0 || r == -ENOENT || r == -EXDEV);
		if (r == 0) {
			assert_says(fd, "open");
			opened++;
		}
	}
	over = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(opened > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_within, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ways_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_renames, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
