/* SPDX-License-Identifier: MIT */
/* Closing and handing over descriptors; the helpers of base/owner.h. */
#include "base/fd.h"

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
#include <unistd.h>
#include "base/lang.h"
#include "base/owner.h"

static void test_close_keeps_errno_and_takes_minus_one(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), copy = fd;

	assert_true(fd >= 0);
	errno = ENOTTY;
	fd = fd_close(fd);
	assert_int_equal(fd, -1);
	assert_int_equal(fd_close(-1), -1);
	assert_int_equal(fd_close(copy), -1);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(fcntl(copy, F_GETFD), -1);
}

static void test_take_leaves_nothing_behind(void **state)
{
	char *text = strdup("x"), *taken;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), kept;

	{
		_cleanup_(fd_closep) int scoped = fd;

		kept = take_fd(&scoped);
		assert_int_equal(scoped, -1);
	}
	assert_int_equal(kept, fd);
	assert_true(fcntl(kept, F_GETFD) >= 0);
	{
		_cleanup_(fd_closep) int scoped = kept;
		(void)scoped;
	}
	assert_int_equal(fcntl(kept, F_GETFD), -1);
	taken = take_ptr(text);
	assert_null(text);
	assert_string_equal(taken, "x");
	free(taken);
}

static void test_min_max(void **state)
{
	assert_int_equal(min_u64(1, UINT64_MAX), 1);
	assert_int_equal(max_u64(1, UINT64_MAX), UINT64_MAX);
}

static void test_full(void **state)
{
	char data[8];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fd_write_full(ends[1], "ab", 2), 0);
	assert_int_equal(write(ends[1], "cde", 3), 3);
	assert_int_equal(fd_close(ends[1]), -1);
	assert_int_equal(fd_read_full(ends[0], data, 4), 4);
	assert_memory_equal(data, "abcd", 4);
	assert_int_equal(fd_read_full(ends[0], data, sizeof data), 1);
	assert_int_equal(fd_read_full(ends[0], data, sizeof data), 0);
	assert_int_equal(fd_close(ends[0]), -1);
	assert_int_equal(fd_read_full(-1, data, sizeof data), -EBADF);
	assert_int_equal(fd_write_full(-1, data, sizeof data), -EBADF);
}

/* Fills what `fd` leads to; `shared` is the opening that others have, too. */
static void assert_never_waits(int shared)
{
	static const char line[] = "a line that nobody reads\n";
	int fd = dup(shared), n = 0;

	fd_unblock_output(fd);
	assert_false(fcntl(shared, F_GETFL) & O_NONBLOCK);
	while (write(fd, line, sizeof line - 1) > 0)
		assert_true(n++ < 1000000);
	assert_int_equal(errno, EAGAIN);
	assert_false(fd_has_room(fd));
	assert_int_equal(fd_close(fd), -1);
}

static void test_output_never_waits(void **state)
{
	int ends[2], terminal = posix_openpt(O_RDWR | O_NOCTTY), fd;
	FILE *file = tmpfile();

	assert_int_equal(pipe(ends), 0);
	assert_never_waits(ends[1]);
	assert_int_equal(grantpt(terminal), 0);
	assert_int_equal(unlockpt(terminal), 0);
	fd = open(ptsname(terminal), O_RDWR | O_NOCTTY);
	assert_true(fd >= 0);
	assert_never_waits(fd);

	/* A file has a place to write at, which another opening would not share. */
	assert_int_equal(write(fileno(file), "ab", 2), 2);
	fd_unblock_output(fileno(file));
	assert_int_equal(lseek(fileno(file), 0, SEEK_CUR), 2);
	fclose(file);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(fd_close(ends[i]), -1);
	assert_int_equal(fd_close(fd), -1);
	assert_int_equal(fd_close(terminal), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close_keeps_errno_and_takes_minus_one),
		cmocka_unit_test(test_take_leaves_nothing_behind),
		cmocka_unit_test(test_min_max),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_output_never_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
