/* SPDX-License-Identifier: MIT */
/* Whatever stands at a path: it is opened or refused, and nobody waits. */
#include "base/file.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/fd.h"

#define WRITING (O_WRONLY | O_APPEND)

static int setup(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "socket" };
	char *dir = strdup("/tmp/test_file.XXXXXX");
	int fd;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	fd = open("file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	fd_close(fd);
	assert_int_equal(mkfifo("pipe", 0600), 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	fd_close(fd);
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "file", "pipe", "socket", "new" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)unlink(names[i]);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(*state), 0);
	free(*state);
	return 0;
}

static const struct {
	const char *path;
	int flags;
	unsigned kinds;
	int result;
	const char *why;
} cases[] = {
	{ "file", O_RDONLY, FILE_ALONE, 0, NULL },
	{ "file", WRITING, FILE_ALONE, 0, NULL },
	{ "new", WRITING | O_CREAT, FILE_OR_PIPE | FILE_OR_DEVICE, 0, NULL },
	{ "missing", O_RDONLY, FILE_ALONE, -ENOENT, "No such file or directory" },
	{ ".", O_RDONLY, FILE_OR_PIPE | FILE_OR_DEVICE, -EISDIR, "it is a folder" },
	{ ".", WRITING, FILE_ALONE, -EISDIR, "it is a folder" },
	{ "socket", O_RDONLY, FILE_OR_PIPE, -ENXIO, "it is a socket" },
	/* open(2) alone would wait for the other end in each of these. */
	{ "pipe", O_RDONLY, FILE_ALONE, -ESPIPE, "it is a pipe" },
	{ "pipe", O_RDONLY, FILE_OR_PIPE, 0, NULL },
	{ "pipe", WRITING, FILE_OR_PIPE, -ENXIO, "a pipe that nobody reads" },
	{ "/dev/null", O_RDONLY, FILE_ALONE, -ENODEV, "it is a device" },
	{ "/dev/zero", O_RDONLY, FILE_OR_PIPE, -ENODEV, "it is a device" },
	{ "/dev/null", WRITING, FILE_OR_DEVICE, 0, NULL },
};

static void test_kinds(void **state)
{
	int fd, flags;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fd = -1;
		assert_int_equal(
			file_open(cases[i].path, cases[i].flags, 0600, cases[i].kinds, &fd),
			cases[i].result);
		if (cases[i].result < 0) {
			assert_int_equal(fd, -1);
			assert_non_null(strstr(file_why(cases[i].result), cases[i].why));
			continue;
		}
		flags = fcntl(fd, F_GETFD);
		assert_true(flags & FD_CLOEXEC);
		fd_close(fd);
	}
}

static void test_pipe_with_a_reader(void **state)
{
	int reader = open("pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC), fd = -1;

	assert_int_equal(file_open("pipe", WRITING, 0, FILE_OR_PIPE, &fd), 0);
	fd_close(fd);
	fd_close(reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipe_with_a_reader, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
