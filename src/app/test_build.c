/* SPDX-License-Identifier: MIT */
/* Missing toolchains, the cache's folder, and what becomes of an artefact. */
#include "app/artefact.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/build_cache.h"
#include "app/cache_dir.h"
#include "app/plan.h"
#include "app/program_path.h"
#include "app/rule.h"
#include "app/toolchain.h"
#include "base/owner.h"

/* The smallest that exports a function _start. */
#define PROGRAM "\0asm\1\0\0\0\1\4\1\x60\0\0\3\2\1\0\7\12\1\6_start\0\0\12\4\1\2\0\13"

static const struct app_tool tools[] = {
	{ .program = "first-tool", .install = "get first" },
	{ .program = "second-tool", .install = "get second", .folder = ".env/bin" },
	{ .program = NULL },
};

static int setup(void **state)
{
	char *dir = strdup("/tmp/test_build.XXXXXX");

	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(*state), 0);
	free(*state);
	return 0;
}

static void write_file(const char *path, const char *bytes, size_t len, mode_t mode)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(bytes, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void test_tools(void **state)
{
	struct app_plan plan = { .tools = tools, .folder = *state };
	char path[128], why[APP_WHY_MAX];

	snprintf(path, sizeof path, "/no/such::%s:", (char *)*state);
	setenv("PATH", path, 1);
	assert_int_equal(toolchain_check(&plan, why), -ENOENT);
	assert_string_equal(why, "'first-tool' is needed to build it and is not there: install it "
				 "with 'get first'");
	write_file("first-tool", "", 0, 0700);
	write_file("second-tool", "", 0, 0600);
	assert_int_equal(access("second-tool", X_OK), -1);
	assert_int_equal(toolchain_check(&plan, why), -ENOENT);
	assert_non_null(strstr(why, "get second"));
	/* The project's own, and any other. */
	assert_int_equal(mkdir(".env", 0700), 0);
	assert_int_equal(mkdir(".env/bin", 0700), 0);
	write_file(".env/bin/second-tool", "", 0, 0700);
	assert_int_equal(toolchain_check(&plan, why), 0);
	unlink(".env/bin/second-tool");
	rmdir(".env/bin");
	rmdir(".env");
	assert_int_equal(toolchain_check(&plan, why), -ENOENT);
	assert_int_equal(chmod("second-tool", 0700), 0);
	assert_int_equal(toolchain_check(&plan, why), 0);
	unsetenv("PATH");
	assert_int_equal(toolchain_check(&plan, why), -ENOENT);
	plan.tools = NULL;
	assert_int_equal(toolchain_check(&plan, why), 0);
	unlink("first-tool");
	unlink("second-tool");
}

static void test_folder_named_as_a_tool(void **state)
{
	char path[128], found[PATH_MAX];

	snprintf(path, sizeof path, "%s:%s/bin", (char *)*state, (char *)*state);
	setenv("PATH", path, 1);
	assert_int_equal(mkdir("tool", 0700), 0);
	assert_int_equal(mkdir("bin", 0700), 0);
	assert_false(program_path_find("tool", found));
	write_file("bin/tool", "", 0, 0700);
	assert_true(program_path_find("tool", found));
	assert_int_equal(strcmp(found + strlen(*state), "/bin/tool"), 0);
	unsetenv("PATH");
	unlink("bin/tool");
	rmdir("bin");
	rmdir("tool");
}

/* Found through a link, as Debian has it; what can't be judged is left to the toolchain itself. */
static void test_old_tool(void **state)
{
	static const struct {
		const char *version;
		int r;
	} cases[] = {
		{ "go1.19.8\ntime 2023\n", -ENOENT },
		{ "go1.20", -ENOENT },
		{ "go0.99.1\n", -ENOENT },
		{ "go1.21\n", 0 },
		{ "go1.22rc1\n", 0 },
		{ "go1.100\n", 0 },
		{ "go2.0\n", 0 },
		{ "devel +0123\n", 0 },
		{ "go1\n", 0 },
		{ "go1.\n", 0 },
		{ "go.1\n", 0 },
		{ "go1.99999999999\n", 0 },
		{ "", 0 },
	};
	const struct app_tool old[] = {
		{ .program = "a-tool",
			.install = "get a",
			.name = "Go",
			.version_file = "../VERSION",
			.prefix = "go",
			.major = 1,
			.minor = 21 },
		{ .program = NULL },
	};
	struct app_plan plan = { .tools = old };
	char path[128], why[APP_WHY_MAX];

	assert_int_equal(mkdir("root", 0700), 0);
	assert_int_equal(mkdir("root/bin", 0700), 0);
	write_file("root/bin/tool", "", 0, 0700);
	assert_int_equal(symlink("root/bin/tool", "a-tool"), 0);
	snprintf(path, sizeof path, "%s", (char *)*state);
	setenv("PATH", path, 1);
	assert_int_equal(toolchain_check(&plan, why), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		write_file("root/VERSION", cases[i].version, strlen(cases[i].version), 0600);
		if (toolchain_check(&plan, why) != cases[i].r)
			fail_msg("'%s'", cases[i].version);
		if (i == 0)
			assert_string_equal(why, "needs Go >= 1.21, found 1.19.8: install it with "
						 "'get a'");
	}
	unsetenv("PATH");
	unlink("root/VERSION");
	unlink("root/bin/tool");
	unlink("a-tool");
	assert_int_equal(rmdir("root/bin"), 0);
	assert_int_equal(rmdir("root"), 0);
}

static void finish(struct app_plan *plan, int r, const char *expected)
{
	_cleanup_(freep) char *made = NULL;
	const atomic_bool canceled = false;
	char why[APP_WHY_MAX] = "";

	assert_int_equal(artefact_take(plan, &canceled, &made, why), r);
	if (strncmp(why, expected, strlen(expected)) != 0)
		fail_msg("'%s' instead of '%s'", why, expected);
}

/* A bad artefact never takes the place of a good one. */
static void test_finish(void **state)
{
	struct app_plan plan = { .output = (char[]){ "new" }, .module = (char[]){ "module" } };
	struct module_info info;
	char why[APP_WHY_MAX];

	finish(&plan, -ENOENT, "can't read 'new': No such file or directory");
	write_file("module", PROGRAM "\0\0", sizeof PROGRAM + 1, 0600);
	write_file("new", "nonsense", 8, 0600);
	finish(&plan, -EINVAL, "'new' is no WebAssembly module");
	assert_int_equal(module_inspect("module", &info, why), 0);
	write_file("new", PROGRAM, sizeof PROGRAM - 1, 0600);
	finish(&plan, 0, "");
	assert_string_equal(app_plan_file(&plan), "new");
	plan.output = strdup("new");
	app_plan_settle(&plan);
	assert_null(plan.output);
	assert_string_equal(app_plan_file(&plan), "module");
	assert_int_equal(access("new", F_OK), -1);
	struct stat st;
	assert_int_equal(stat("module", &st), 0);
	assert_int_equal(st.st_size, sizeof PROGRAM - 1);
	finish(&plan, 0, "");
	unlink("module");
}

/* The one module that is left is copied. */
static void test_artefact(void **state)
{
	char pattern[128];
	struct app_plan plan = { .output = (char[]){ "new" },
		.module = (char[]){ "module" },
		.artefacts = (char *[]){ pattern, NULL },
		.pick = "do something" };
	struct stat st;

	snprintf(pattern, sizeof pattern, "%s/dist/*.wasm", (char *)*state);
	finish(&plan, -ENOENT, "there is no '");
	assert_int_equal(mkdir("dist", 0700), 0);
	finish(&plan, -ENOENT, "there is no '");
	write_file("dist/a.wasm", PROGRAM, sizeof PROGRAM - 1, 0600);
	write_file("dist/a.js", "", 0, 0600);
	finish(&plan, 0, "");
	assert_int_equal(stat("new", &st), 0);
	assert_int_equal(st.st_size, sizeof PROGRAM - 1);
	assert_int_equal(access("dist/a.wasm", F_OK), 0);
	write_file("dist/b.wasm", "", 0, 0600);
	finish(&plan, -ENOENT, "there are 2 modules ('a.wasm', 'b.wasm'): do something");

	unlink("new");
	unlink("dist/a.js");
	unlink("dist/a.wasm");
	unlink("dist/b.wasm");
	assert_int_equal(rmdir("dist"), 0);
}

/* A module that was a link to /dev/zero was copied for ever. */
static void test_strange_artefact(void **state)
{
	char pattern[128];
	struct app_plan plan = { .output = (char[]){ "new" },
		.module = (char[]){ "module" },
		.artefacts = (char *[]){ pattern, NULL } };
	const atomic_bool canceled = true;
	char *made = NULL, why[APP_WHY_MAX];
	const char *const strange[] = { "/dev/zero", "/dev/full", "fifo" };

	snprintf(pattern, sizeof pattern, "%s/*.wasm", (char *)*state);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
		assert_int_equal(symlink(strange[i], "a.wasm"), 0);
		finish(&plan, strcmp(strange[i], "fifo") == 0 ? -ESPIPE : -ENODEV, "'");
		assert_int_equal(access("new", F_OK), -1);
		unlink("a.wasm");
	}
	write_file("a.wasm", PROGRAM, sizeof PROGRAM - 1, 0600);
	finish(&plan, 0, "");
	assert_int_equal(artefact_take(&plan, &canceled, &made, why), -ECANCELED);
	assert_int_equal(truncate("a.wasm", MODULE_SIZE_MAX + 1), 0);
	finish(&plan, -EFBIG, "'");
	unlink("new");
	unlink("a.wasm");
	unlink("fifo");
}

/* What a site's build leaves is served where it is. */
static void test_site(void **state)
{
	char pattern[128], site[128];
	struct app_plan plan = { .output = strdup("new"),
		.module = strdup("module"),
		.artefacts = (char *[]){ pattern, NULL } };

	snprintf(pattern, sizeof pattern, "%s/{dist,dist/*}/index.html", (char *)*state);
	snprintf(site, sizeof site, "%s/dist/browser", (char *)*state);
	assert_int_equal(mkdir("dist", 0700), 0);
	assert_int_equal(mkdir("dist/browser", 0700), 0);
	finish(&plan, -ENOENT, "there is no '");
	write_file("dist/browser/index.html", "", 0, 0600);
	finish(&plan, 0, "");
	assert_string_equal(app_plan_file(&plan), site);
	free(plan.module);
	unlink("dist/browser/index.html");
	rmdir("dist/browser");
	rmdir("dist");
}

static void test_cache_dir(void **state)
{
	char *path = NULL, expected[128], why[APP_WHY_MAX];
	struct stat st;

	setenv("XDG_CACHE_HOME", *state, 1);
	assert_int_equal(cache_dir_make("build", &path, why), 0);
	snprintf(expected, sizeof expected, "%s/wasmrun/build", (char *)*state);
	assert_string_equal(path, expected);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	free(path);
	assert_int_equal(cache_dir_make("build", &path, why), 0);
	rmdir(path);
	free(path);
	rmdir("wasmrun");

	setenv("XDG_CACHE_HOME", "relative", 1);
	setenv("HOME", *state, 1);
	assert_int_equal(cache_dir_make("b", &path, why), 0);
	snprintf(expected, sizeof expected, "%s/.cache/wasmrun/b", (char *)*state);
	assert_string_equal(path, expected);
	free(path);
	rmdir(".cache/wasmrun/b");
	rmdir(".cache/wasmrun");
	rmdir(".cache");

	unsetenv("HOME");
	path = NULL;
	assert_int_equal(cache_dir_make("b", &path, why), -ENOENT);
	assert_null(path);
	assert_non_null(strstr(why, "set HOME or XDG_CACHE_HOME"));

	write_file("file", "", 0, 0600);
	snprintf(expected, sizeof expected, "%s/file", (char *)*state);
	setenv("XDG_CACHE_HOME", expected, 1);
	assert_int_equal(cache_dir_make("b", &path, why), -ENOTDIR);
	unlink("file");
}

static void age(const char *path, long long days)
{
	const struct timespec times[2] = { { .tv_sec = time(NULL) - days * 86400 },
		{ .tv_sec = time(NULL) - days * 86400 } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* The cache of builds grew for ever. */
static void test_old_builds(void **state)
{
	int lock = -1, other = -1;

	assert_int_equal(mkdir("old", 0700), 0);
	assert_int_equal(mkdir("old/deep", 0700), 0);
	assert_int_equal(mkdir("young", 0700), 0);
	assert_int_equal(mkdir(".old", 0700), 0); /* as earlier versions had for an engine */
	write_file("old/deep/a", "", 0, 0400);
	write_file("old.wasm", "", 0, 0600);
	age("old.wasm", 31);
	age("old", 31);
	age(".old", 31);
	age("young", 29);
	/* Another one runs, which may start it again. */
	assert_int_equal(build_cache_open(*state, &other), 0);
	assert_int_equal(access("old", F_OK), -1);
	assert_int_equal(access(".old", F_OK), -1);
	assert_int_equal(access("young", F_OK), 0);
	write_file("old.wasm", "", 0, 0600);
	age("old.wasm", 31);
	assert_int_equal(build_cache_open(*state, &lock), 0);
	assert_int_equal(access("old.wasm", F_OK), 0);
	close(lock);
	close(other);
	assert_int_equal(build_cache_open(*state, &lock), 0);
	assert_int_equal(access("old.wasm", F_OK), -1);
	build_cache_sweep(*state);
	close(lock);
	rmdir("young");
	assert_int_equal(build_cache_open("none", &lock), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tools, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folder_named_as_a_tool, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_tool, setup, teardown),
		cmocka_unit_test_setup_teardown(test_finish, setup, teardown),
		cmocka_unit_test_setup_teardown(test_artefact, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strange_artefact, setup, teardown),
		cmocka_unit_test_setup_teardown(test_site, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_builds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cache_dir, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
