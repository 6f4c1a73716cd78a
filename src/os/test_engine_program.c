/* SPDX-License-Identifier: MIT */
/* Which wasmtime is taken: scripts in place of programs, in a folder of their own. */
#include "os/engine_program.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/owner.h"

#define BUILT "wasmrun/wasmtime-cli-48.0.8/bin"

static char dir[64];

/* `script` notes that it was asked. */
static void write_script(const char *folder, const char *script)
{
	char path[PATH_MAX], next[PATH_MAX + 8];
	FILE *out;

	snprintf(path, sizeof path, "%s/%s/wasmtime", dir, folder);
	snprintf(next, sizeof next, "%s.next", path);
	out = fopen(next, "w");
	assert_non_null(out);
	fprintf(out, "#!/bin/sh\ncd %s\necho >>asked\n%s\n", dir, script);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(next, 0700), 0);
	assert_int_equal(rename(next, path), 0);
}

static void write_wasmtime(const char *folder, const char *says)
{
	char script[128];

	snprintf(script, sizeof script, "[ \"$1\" = --version ] && echo '%s'", says);
	write_script(folder, script);
}

static int setup(void **state)
{
	static const char *const folders[] = { "wasmrun", "wasmrun/wasmtime-cli-48.0.8", BUILT,
		"own" };
	char path[PATH_MAX];

	snprintf(dir, sizeof dir, "/tmp/test_engine.XXXXXX");
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(path, sizeof path, "%s/%s", dir, folders[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	setenv("PATH", path, 1);
	setenv("XDG_CACHE_HOME", dir, 1);
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

static int teardown(void **state)
{
	return nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static long times_asked(void)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof path, "%s/asked", dir);
	return stat(path, &st) == 0 ? (long)st.st_size : 0;
}

static void assert_finds(const char *folder)
{
	char why[APP_WHY_MAX], wanted[PATH_MAX];
	_cleanup_(freep) char *path = NULL;

	snprintf(wanted, sizeof wanted, "%s/%s/wasmtime", dir, folder);
	assert_int_equal(wasmtime_find(&path, why), 0);
	assert_string_equal(path, wanted);
}

static void assert_refuses(const char *line)
{
	char why[APP_WHY_MAX], *path = NULL;

	assert_int_equal(wasmtime_find(&path, why), -ENOENT);
	assert_null(path);
	if (!strstr(why, line))
		assert_string_equal(why, line);
}

static void test_version(void **state)
{
	static const struct {
		const char *says;
		bool good;
	} cases[] = {
		{ "wasmtime 48.0.8", true },
		{ "wasmtime 50.1.0 (0123456 2027-01-01)", true },
		{ "wasmtime 100.0.0", true },
		{ "wasmtime 48.0.1 (0123456 2026-09-01)", true },
		{ "wasmtime 47.9.9", false },
		{ "wasmtime 48.0.0 (0123456 2026-08-20)", false },
		{ "wasmtime 48.0.0", false },
		{ "wasmtime dev", false },
		{ "wasmtime", false },
		{ "50.1.0", false },
		{ "", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		write_wasmtime("own", cases[i].says);
		if (cases[i].good)
			assert_finds("own");
		else
			assert_refuses("own/wasmtime' is older: the installer of wasmtime.dev "
				       "brings it in a minute, or script/setup --components builds "
				       "it in half an hour, as '");
	}
	write_wasmtime(BUILT, "anything");
	assert_finds(BUILT);
}

/* The answer holds as long as the file is the same one. */
static void test_asked_once(void **state)
{
	long before;

	write_wasmtime("own", "wasmtime 48.0.8");
	assert_finds("own");
	before = times_asked();
	assert_true(before > 0);
	assert_finds("own");
	assert_int_equal(times_asked(), before);
	write_wasmtime("own", "wasmtime 47.0.0");
	assert_refuses("is older");
	assert_true(times_asked() > before);
}

/* It was taken for too old until its file changed. */
static void test_silent_once(void **state)
{
	char path[PATH_MAX];

	write_script("own", "[ -e wakes ] && echo 'wasmtime 48.0.8'");
	assert_refuses("is older");
	snprintf(path, sizeof path, "%s/wakes", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_finds("own");
}

static void test_interpreter(void **state)
{
	_cleanup_(freep) char *found = NULL, *none = NULL;
	char path[PATH_MAX];

	assert_int_equal(engine_interpreter("/proc/self/exe", &found), 0);
	assert_non_null(found);
	assert_int_equal(access(found, X_OK), 0);
	write_wasmtime("own", "");
	snprintf(path, sizeof path, "%s/own/wasmtime", dir);
	assert_int_equal(engine_interpreter(path, &none), -ENOEXEC);
	assert_int_equal(engine_interpreter(dir, &none), -EISDIR);
	assert_int_equal(engine_interpreter("/nowhere", &none), -ENOENT);
	/* ld.so(8) itself needs none. */
	assert_int_equal(engine_interpreter(found, &none), 0);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_version, setup, teardown),
		cmocka_unit_test_setup_teardown(test_asked_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interpreter, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
