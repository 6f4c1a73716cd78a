/* SPDX-License-Identifier: MIT */
/* Folders against the plans that are made for them. */
#include "app/detect.h"

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

#define FILES_MAX 4
#define CACHE "/cache"
#define GO_BUILD "env GOOS=wasip1 GOARCH=wasm go build -v -o OUT ."
#define C_BUILD "clang --target=wasm32-wasi -O2 -o OUT"

/* OUT stands for the output, DIR for the folder. */
static const struct {
	const char *files[FILES_MAX]; /* one that ends in a slash is a folder */
	const char *run;              /* behind the folder's path */
	struct app_overrides overrides;
	const char *kind, *module, *build; /* NULL: no such plan, no build */
	const char *why;
} cases[] = {
	{ .files = { "main.c" }, .kind = "C", .build = C_BUILD " ./main.c" },
	{ .files = { "b.c", "a.c", "x.h" }, .kind = "C", .build = C_BUILD " ./a.c ./b.c" },
	{ .files = { "-rf.c" }, .kind = "C", .build = C_BUILD " ./-rf.c" },
	{ .files = { "b.c", "a.c" }, .run = "/a.c", .kind = "C", .build = C_BUILD " ./a.c" },
	{ .files = { "app.wasm" }, .kind = "preview 1 module", .module = "DIR/app.wasm" },
	{ .files = { "app.wasm", "b.wasm" },
		.run = "/b.wasm",
		.kind = "preview 1 module",
		.module = "DIR/b.wasm" },
	/* The first row wins. */
	{ .files = { "app.wasm", "a.c" }, .kind = "C", .build = C_BUILD " ./a.c" },
	{ .files = { "go.mod", "main.go", "a.c" }, .kind = "Go", .build = GO_BUILD },
	{ .files = { "go.mod" }, .run = "/go.mod", .kind = "Go", .build = GO_BUILD },
	/* A file that is named is run, whatever its name: what it is shows later. */
	{ .files = { "program" },
		.run = "/program",
		.kind = "preview 1 module",
		.module = "DIR/program" },
	{ .files = { "a.c", "out/" },
		.overrides = { .build = "make all", .wasm = "out/x.wasm" },
		.kind = "preview 1 module",
		.module = "DIR/out/x.wasm",
		.build = "sh -c make all" },
	{ .files = { "a.c" },
		.overrides = { .wasm = "/elsewhere/x.wasm" },
		.kind = "preview 1 module",
		.module = "/elsewhere/x.wasm" },
	{ .files = { NULL },
		.why = "there is nothing to run in 'DIR': looked for go.mod (Go), *.c (C), *.wasm "
		       "(preview 1 module); name a file, or set 'wasm' in [app] of wasmrun.toml" },
	{ .files = { "README.md", ".hidden.c", "c" }, .why = "there is nothing to run in 'DIR'" },
	{ .files = { "b.wasm", "a.wasm", "c.wasm" },
		.why = "there are 3 of '*.wasm' ('a.wasm', 'b.wasm', ...): name the one that is "
		       "to run" },
	{ .files = { "a.c" },
		.run = "/b.c",
		.why = "can't run 'DIR/b.c': No such file or directory" },
};

static void make_files(const char *dir, const char *const files[FILES_MAX])
{
	char path[128];

	for (size_t i = 0; i < FILES_MAX && files[i]; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, files[i]);
		if (path[strlen(path) - 1] == '/') {
			assert_int_equal(mkdir(path, 0700), 0);
			continue;
		}
		FILE *out = fopen(path, "w");
		assert_non_null(out);
		fclose(out);
	}
}

static void remove_files(const char *dir, const char *const files[FILES_MAX])
{
	char path[128];

	for (size_t i = 0; i < FILES_MAX && files[i]; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, files[i]);
		assert_int_equal(remove(path), 0);
	}
	assert_int_equal(rmdir(dir), 0);
}

/* With DIR in place of the folder's path and OUT in place of the output's. */
static const char *normal(
	char *buf, size_t size, const char *text, const char *dir, const char *out)
{
	size_t at = 0;

	while (*text && at + 4 < size) {
		size_t dir_len = strlen(dir), out_len = out ? strlen(out) : 0;

		if (out && strncmp(text, out, out_len) == 0) {
			at += (size_t)snprintf(buf + at, size - at, "OUT");
			text += out_len;
		} else if (strncmp(text, dir, dir_len) == 0) {
			at += (size_t)snprintf(buf + at, size - at, "DIR");
			text += dir_len;
		} else {
			buf[at++] = *text++;
		}
	}
	buf[at] = '\0';
	return buf;
}

static void join(char *const *words, char *buf, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; words[i]; i++)
		at += (size_t)snprintf(buf + at, size - at, "%s%s", i ? " " : "", words[i]);
}

static void check_plan(size_t i, const struct app_plan *plan, const char *dir)
{
	char words[1024] = "", text[1024];

	assert_string_equal(plan->folder, dir);
	assert_string_equal(plan->kind, cases[i].kind);
	assert_int_equal(!plan->build, !cases[i].build);
	if (plan->build) {
		join(plan->build, words, sizeof words);
		assert_string_equal(
			normal(text, sizeof text, words, dir, plan->output), cases[i].build);
	}
	if (cases[i].module)
		assert_string_equal(
			normal(text, sizeof text, plan->module, dir, NULL), cases[i].module);
	/* What the table builds never lands in the project. */
	if (plan->output) {
		assert_int_equal(strncmp(plan->output, CACHE "/", strlen(CACHE) + 1), 0);
		assert_int_equal(strncmp(plan->module, CACHE "/", strlen(CACHE) + 1), 0);
		assert_string_not_equal(plan->output, plan->module);
	}
}

static void test_folders(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char dir[] = "/tmp/test_detect.XXXXXX", path[64], why[APP_WHY_MAX] = "";
		char text[APP_WHY_MAX];
		struct app_plan plan = { 0 };
		int r;

		assert_non_null(mkdtemp(dir));
		make_files(dir, cases[i].files);
		snprintf(path, sizeof path, "%s%s", dir, cases[i].run ? cases[i].run : "");
		r = app_detect(path, &cases[i].overrides, CACHE, &plan, why);
		if (cases[i].why) {
			assert_true(r < 0);
			normal(text, sizeof text, why, dir, NULL);
			if (strncmp(text, cases[i].why, strlen(cases[i].why)) != 0)
				fail_msg("'%s' instead of '%s'", text, cases[i].why);
			assert_null(plan.folder);
		} else {
			assert_int_equal(r, 0);
			check_plan(i, &plan, dir);
		}
		app_plan_clear(&plan);
		remove_files(dir, cases[i].files);
	}
}

/* Each project has its own place in the cache, the same one every time. */
static void test_places(void **state)
{
	const char *const files[FILES_MAX] = { "a.c", "b.c" };
	const struct app_overrides none = { 0 };
	char dir[] = "/tmp/test_detect.XXXXXX", path[64], why[APP_WHY_MAX];
	struct app_plan all, again, one;

	assert_non_null(mkdtemp(dir));
	make_files(dir, files);
	assert_int_equal(app_detect(dir, &none, CACHE, &all, why), 0);
	snprintf(path, sizeof path, "%s/../%s/", dir, strrchr(dir, '/'));
	assert_int_equal(app_detect(path, &none, CACHE, &again, why), 0);
	snprintf(path, sizeof path, "%s/a.c", dir);
	assert_int_equal(app_detect(path, &none, CACHE, &one, why), 0);
	assert_string_equal(all.module, again.module);
	assert_string_not_equal(all.module, one.module);
	app_plan_clear(&all);
	app_plan_clear(&again);
	app_plan_clear(&one);
	remove_files(dir, files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
