/* SPDX-License-Identifier: MIT */
/* For tests that hold what they test to closing what it has opened. */
#ifndef BASE_TEST_OPEN_FDS_H
#define BASE_TEST_OPEN_FDS_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static inline unsigned test_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	assert_int_equal(closedir(dir), 0);
	return count;
}

#endif
