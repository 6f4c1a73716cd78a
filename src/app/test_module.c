/* SPDX-License-Identifier: MIT */
/* Files against what is said of them. */
#include "app/module.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define CORE "\0asm\1\0\0\0"
#define BYTES(text) text, sizeof(text) - 1

static const struct {
	const char *bytes;
	size_t len;
	const char *why; /* NULL: it is good */
} cases[] = {
	{ BYTES(CORE), NULL },
	{ BYTES(CORE "\1\0"), NULL },
	{ BYTES(CORE "\1\2xx\0\3abc"), NULL },
	/* A length may be written in more bytes than it needs. */
	{ BYTES(CORE "\1\x82\x80\x80\x80\0xx"), NULL },
	{ BYTES(""), "is no WebAssembly module" },
	{ BYTES("#!/bin/sh\n"), "is no WebAssembly module" },
	{ BYTES("\0as"), "is truncated" },
	{ BYTES("\0asm\1\0\0"), "is truncated" },
	{ BYTES("\0asm\x0d\0\1\0"), "is a component: only preview 1 modules can be run as yet" },
	{ BYTES("\0asm\2\0\0\0"), "is of a WebAssembly version that isn't known here" },
	{ BYTES(CORE "\1"), "is truncated" },
	{ BYTES(CORE "\1\x80"), "is truncated" },
	{ BYTES(CORE "\1\3xx"), "is truncated" },
	{ BYTES(CORE "\1\2xx\1\xff\xff\xff\xff\x0f"), "is truncated" },
	/* 2^32 and more. */
	{ BYTES(CORE "\1\xff\xff\xff\xff\x1f"), "is no sound WebAssembly module" },
	{ BYTES(CORE "\1\x80\x80\x80\x80\x80\0"), "is no sound WebAssembly module" },
};

static int setup(void **state)
{
	char *path = strdup("/tmp/test_module.XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	*state = path;
	return 0;
}

static int teardown(void **state)
{
	unlink(*state);
	free(*state);
	return 0;
}

static void write_file(const char *path, const void *bytes, size_t len)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(bytes, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
}

static void test_files(void **state)
{
	char why[APP_WHY_MAX], expected[APP_WHY_MAX];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		write_file(*state, cases[i].bytes, cases[i].len);
		if (!cases[i].why) {
			assert_int_equal(module_check(*state, why), 0);
			continue;
		}
		assert_int_equal(module_check(*state, why), -EINVAL);
		snprintf(expected, sizeof expected, "'%s' %s", (char *)*state, cases[i].why);
		assert_string_equal(why, expected);
	}
}

/* A file of sections without contents must not keep us for long. */
static void test_many_sections(void **state)
{
	static char bytes[8 + 2 * 5000] = CORE;
	char why[APP_WHY_MAX];

	write_file(*state, bytes, sizeof bytes);
	assert_int_equal(module_check(*state, why), -EINVAL);
	assert_non_null(strstr(why, "too many sections"));
}

static void test_no_file(void **state)
{
	char why[APP_WHY_MAX];

	assert_int_equal(module_check("/tmp", why), -EINVAL);
	assert_string_equal(why, "'/tmp' is no file");
	unlink(*state);
	assert_int_equal(module_check(*state, why), -ENOENT);
	assert_non_null(strstr(why, "No such file or directory"));
	/* Opening it would wait for a writer. */
	assert_int_equal(mkfifo(*state, 0600), 0);
	assert_int_equal(module_check(*state, why), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_sections, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
