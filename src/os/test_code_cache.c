/* SPDX-License-Identifier: MIT */
/* The folder of compiled code, with files of our own in place of the module and the engine. */
#include "os/code_cache.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/cache_dir.h"
#include "base/lang.h"

#define PATH_SIZE 256

struct folder {
	char dir[64], project[96], engine[96], module[96];
	const char *argv[4]; /* engine, option, module */
	char *entry, *partial;
	char why[APP_WHY_MAX];
};

static void write_text(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static int setup(void **state)
{
	struct folder *f = calloc(1, sizeof *f);

	snprintf(f->dir, sizeof f->dir, "/tmp/test_code_cache.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(setenv("XDG_CACHE_HOME", f->dir, 1), 0);
	snprintf(f->project, sizeof f->project, "%s/project", f->dir);
	assert_int_equal(mkdir(f->project, 0700), 0);
	snprintf(f->engine, sizeof f->engine, "%s/engine", f->dir);
	write_text(f->engine, "engine");
	snprintf(f->module, sizeof f->module, "%s/module", f->dir);
	write_text(f->module, "module");
	f->argv[0] = f->engine;
	f->argv[1] = "--well";
	f->argv[2] = f->module;
	*state = f;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

static void forget(struct folder *f)
{
	free(f->entry);
	free(f->partial);
	f->entry = f->partial = NULL;
}

static int teardown(void **state)
{
	struct folder *f = *state;

	forget(f);
	assert_int_equal(nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(f);
	return 0;
}

/* By way of variables: clang's analyzer takes all of a struct for unchanged when a part of it is
 * given as const. */
static int find(struct folder *f)
{
	char *entry = NULL, *partial = NULL;
	int r;

	forget(f);
	r = code_cache_find(f->project, f->argv, &entry, &partial, f->why);
	f->entry = entry;
	f->partial = partial;
	return r;
}

/* As a compiler would leave it. */
static void keep(struct folder *f)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof path, "%s/code", f->partial);
	write_text(path, "code");
	assert_int_equal(code_cache_keep(f->partial, f->entry, f->argv), 0);
	assert_int_equal(access(f->partial, F_OK), -1);
}

static void test_hit(void **state)
{
	struct folder *f = *state;
	char path[PATH_SIZE];
	struct stat st;

	assert_int_equal(find(f), CODE_CACHE_MISS);
	assert_int_equal(access(f->entry, F_OK), -1);
	assert_int_equal(stat(f->partial, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	keep(f);
	assert_int_equal(find(f), 0);
	assert_null(f->partial);
	snprintf(path, sizeof path, "%s/code", f->entry);
	assert_int_equal(access(path, R_OK), 0);
}

static void test_each_of_its_own(void **state)
{
	struct folder *f = *state;
	const struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	char first[PATH_SIZE];

	assert_int_equal(find(f), CODE_CACHE_MISS);
	keep(f);
	snprintf(first, sizeof first, "%s", f->entry);

	write_text(f->module, "Module");
	assert_int_equal(find(f), CODE_CACHE_MISS);
	keep(f);
	write_text(f->module, "module");
	assert_int_equal(find(f), 0);
	assert_string_equal(f->entry, first);

	f->argv[1] = "--quick";
	assert_int_equal(find(f), CODE_CACHE_MISS);
	f->argv[1] = "--well";
	/* Another version of the engine, in the same place. */
	assert_int_equal(utimensat(AT_FDCWD, f->engine, times, 0), 0);
	assert_int_equal(find(f), CODE_CACHE_MISS);
	keep(f);
	assert_int_equal(find(f), 0);
	/* What is compiled for one project is none of another one's business. */
	snprintf(f->project, sizeof f->project, "%s", f->dir);
	assert_int_equal(find(f), CODE_CACHE_MISS);
}

static void test_changed_meanwhile(void **state)
{
	struct folder *f = *state;

	assert_int_equal(find(f), CODE_CACHE_MISS);
	write_text(f->module, "another");
	assert_int_equal(code_cache_keep(f->partial, f->entry, f->argv), -ESTALE);
	assert_int_equal(access(f->partial, F_OK), -1);
	write_text(f->module, "module");
	assert_int_equal(find(f), CODE_CACHE_MISS);
}

static void test_another_was_faster(void **state)
{
	struct folder *f = *state, other = *f;

	other.entry = other.partial = NULL;
	assert_int_equal(find(f), CODE_CACHE_MISS);
	assert_int_equal(find(&other), CODE_CACHE_MISS);
	assert_string_not_equal(f->partial, other.partial);
	keep(&other);
	keep(f);
	assert_int_equal(find(f), 0);
	forget(&other);
}

/* The folder above `path`, of which there are `levels` more. */
static void cut(char *path, unsigned levels)
{
	while (levels-- > 0)
		*strrchr(path, '/') = '\0';
}

/* Each of the three folders, the code's, the project's and that of all. */
static void test_not_private(void **state)
{
	struct folder *f = *state;

	for (unsigned levels = 0; levels < 3; levels++) {
		char path[PATH_SIZE];

		if (find(f) == CODE_CACHE_MISS)
			keep(f);
		snprintf(path, sizeof path, "%s", f->entry);
		cut(path, levels);
		assert_int_equal(chmod(path, 0710), 0);
		assert_int_equal(find(f), -EPERM);
		assert_null(f->entry);
		assert_non_null(strstr(f->why, "not private"));
		assert_int_equal(chmod(path, 0700), 0);
		assert_int_equal(find(f), 0);
		if (geteuid() != 0)
			continue;
		assert_int_equal(chown(path, 65534, 65534), 0);
		assert_int_equal(find(f), -EPERM);
		assert_int_equal(chown(path, 0, 0), 0);
		assert_int_equal(find(f), 0);
	}
}

static void test_link(void **state)
{
	struct folder *f = *state;

	assert_int_equal(find(f), CODE_CACHE_MISS);
	assert_int_equal(symlink(f->partial, f->entry), 0);
	assert_int_equal(find(f), -ENOTDIR);
	assert_null(f->entry);
}

static void make_used(const char *path, time_t when)
{
	const struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_room(void **state)
{
	struct folder *f = *state;
	char project[PATH_SIZE], path[PATH_SIZE + 80];

	assert_int_equal(find(f), CODE_CACHE_MISS);
	snprintf(project, sizeof project, "%s", f->entry);
	cut(project, 1);
	for (int i = 0; i < CODE_CACHE_MODULES_MAX + 2; i++) {
		snprintf(path, sizeof path, "%s/%064d", project, i);
		make_used(path, 1000 + i);
	}
	snprintf(path, sizeof path, "%s/partial.crashed", project);
	make_used(path, 1000);
	/* A project that was not used for long. */
	snprintf(path, sizeof path, "%s/wasmrun/modules/%064d", f->dir, 7);
	make_used(path, 1000);

	assert_int_equal(find(f), CODE_CACHE_MISS);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof path, "%s/partial.crashed", project);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(f->partial, F_OK), 0);
	for (int i = 0; i < CODE_CACHE_MODULES_MAX + 2; i++) {
		snprintf(path, sizeof path, "%s/%064d", project, i);
		assert_int_equal(access(path, F_OK), i < 3 ? -1 : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_each_of_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changed_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_was_faster, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_private, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
