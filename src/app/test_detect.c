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
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/rule.h"
#include "base/lang.h"

#define FILES_MAX 5
#define CACHE "/cache"
#define GO_BUILD "sh -c ... sh OUT"
#define C_BUILD "sh -c ... sh clang OUT"
#define CXX_BUILD "sh -c ... sh clang++ OUT"
#define JS_BUILD "sh -c ... sh build"
#define BUILDS "{\"scripts\": {\"build\": \"make\"}}"

/* OUT stands for the output, DIR for the folder, CACHE for the project's in the cache. "sh -c ..."
 * is cut off behind its second word. */
static const struct {
	/* One that ends in a slash is a folder; behind a colon, what is in it. */
	const char *files[FILES_MAX];
	const char *run; /* behind the folder's path */
	struct app_overrides overrides;
	const char *kind, *module, *build; /* NULL: no such plan, no build */
	const char *artefact, *why;
} cases[] = {
	{ .files = { "main.c" }, .kind = "C", .build = C_BUILD " ./main.c" },
	{ .files = { "b.c", "a.c", "x.h" }, .kind = "C", .build = C_BUILD " ./a.c ./b.c" },
	{ .files = { "-rf.c" }, .kind = "C", .build = C_BUILD " ./-rf.c" },
	{ .files = { "b.c", "a.c" }, .run = "/a.c", .kind = "C", .build = C_BUILD " ./a.c" },
	{ .files = { "app.wasm" }, .kind = "module", .module = "DIR/app.wasm" },
	{ .files = { "app.wasm", "b.wasm" },
		.run = "/b.wasm",
		.kind = "module",
		.module = "DIR/b.wasm" },
	/* The first row wins. */
	{ .files = { "app.wasm", "a.c" }, .kind = "C", .build = C_BUILD " ./a.c" },
	{ .files = { "go.mod", "main.go", "a.c" }, .kind = "Go", .build = GO_BUILD },
	{ .files = { "go.mod" }, .run = "/go.mod", .kind = "Go", .build = GO_BUILD },
	{ .files = { "Cargo.toml", "index.html" },
		.kind = "Rust",
		.build = "sh -c ... sh CACHE",
		.artefact = "CACHE/*/release/*.wasm" },
	{ .files = { "Cargo.toml" },
		.run = "/Cargo.toml",
		.kind = "Rust",
		.build = "sh -c ... sh CACHE",
		.artefact = "CACHE/*/release/*.wasm" },
	{ .files = { "Cargo.toml:[lib]\ncrate-type = ['cdylib']\n[dependencies]\nwasm-bindgen = "
		     "'0.2'",
		  "index.html", "pkg/", "pkg/game.js" },
		.kind = "files",
		.module = "DIR" },
	{ .files = { "Cargo.toml:[lib]\ncrate-type = ['cdylib']\n[dependencies]\nwasm-bindgen = "
		     "'0.2'" },
		.why = "'Cargo.toml' is a library for a page (wasm-bindgen): build it with" },
	{ .files = { "Cargo.toml:[dependencies]\nwasm-bindgen-futures = '0.2'\n# cdylib" },
		.kind = "Rust",
		.build = "sh -c ... sh CACHE",
		.artefact = "CACHE/*/release/*.wasm" },
	{ .files = { "package.json:" BUILDS, "index.html" },
		.kind = "JavaScript",
		.build = JS_BUILD,
		.artefact = "DIR/dist/index.html" },
	{ .files = { "package.json:" BUILDS },
		.overrides = { .wasm = "out/[x].wasm" },
		.kind = "JavaScript",
		.build = JS_BUILD,
		.artefact = "DIR/out/\\[x].wasm" },
	{ .files = { "package.json:" BUILDS },
		.overrides = { .wasm = "/elsewhere/x.wasm" },
		.kind = "JavaScript",
		.build = JS_BUILD,
		.artefact = "/elsewhere/x.wasm" },
	{ .files = { "package.json:" BUILDS },
		.overrides = { .build = "make", .wasm = "x.wasm" },
		.kind = "module",
		.build = "sh -c ...",
		.module = "DIR/x.wasm" },
	{ .files = { "Cargo.toml" },
		.overrides = { .wasm = "x.wasm" },
		.kind = "module",
		.module = "DIR/x.wasm" },
	{ .files = { "package.json:{}", "index.html" }, .kind = "files", .module = "DIR" },
	{ .files = { "package.json:{}", "index.html", "build/", "build/index.html" },
		.kind = "files",
		.module = "DIR/build" },
	{ .files = { "package.json:{\"scripts\": {\"builds\": \"x\"}}" },
		.why = "'package.json' is JavaScript without a script 'build': a server for Node" },
	{ .files = { "app.py", "wit/" }, .kind = "Python", .build = "sh -c ... sh OUT ./app.py" },
	{ .files = { "main.py", "x/", "x/wit/" },
		.kind = "Python",
		.build = "sh -c ... sh OUT ./main.py" },
	{ .files = { "app.py" }, .why = "'app.py' is Python without a folder 'wit': it runs as" },
	{ .files = { "main.go", "main_test.go", "a.c" },
		.kind = "Go",
		.build = GO_BUILD " ./main.go" },
	{ .files = { "a.cpp", "b.cc", "c.c" },
		.kind = "C++",
		.build = CXX_BUILD " ./a.cpp ./b.cc ./c.c" },
	{ .files = { "main.c", "test_main.c", "main_test.c" },
		.kind = "C",
		.build = C_BUILD " ./main.c" },
	{ .files = { "test_main.c" }, .kind = "C", .build = C_BUILD " ./test_main.c" },
	{ .files = { "src/", "src/main.c", "lib/", "lib/x.c" },
		.kind = "C",
		.build = C_BUILD " ./src/main.c ./lib/x.c" },
	{ .files = { "src/", "src/main.c", "Makefile:app.wasm: src/main.c" },
		.kind = "make",
		.build = "make",
		.artefact = "DIR/*.wasm" },
	{ .files = { "src/", "src/main.c", "Makefile:all:" },
		.kind = "C",
		.build = C_BUILD " ./src/main.c" },
	{ .files = { "dist/", "dist/index.html" }, .kind = "files", .module = "DIR/dist" },
	/* A site that is built needs no more than the word. */
	{ .files = { "package.json:" BUILDS, "index.html", "dist/", "dist/index.html" },
		.overrides = { .files = true },
		.kind = "files",
		.module = "DIR/dist" },
	{ .files = { "main.zig" }, .why = "'main.zig' is Zig: say --build 'zig build" },
	{ .files = { "x/", "x/go.mod" },
		.why = "there is nothing to run in the folder itself; below it, 'x/go.mod' is Go: "
		       "name the folder to run, as in 'wasmrun os x'" },
	{ .files = { "index.html", "app.wasm", "b.wasm" }, .kind = "files", .module = "DIR" },
	{ .files = { "index.html" }, .run = "/index.html", .kind = "files", .module = "DIR" },
	{ .files = { "a.c", "public/" },
		.overrides = { .files = true },
		.kind = "files",
		.module = "DIR" },
	{ .files = { "a.c", "public/" },
		.overrides = { .files = true, .build = "make", .wasm = "public" },
		.kind = "files",
		.build = "sh -c ...",
		.module = "DIR/public" },
	/* A file that is named is run, whatever its name: what it is shows later. */
	{ .files = { "program" }, .run = "/program", .kind = "module", .module = "DIR/program" },
	{ .files = { "a.c", "out/" },
		.overrides = { .build = "make all", .wasm = "out/x.wasm" },
		.kind = "module",
		.module = "DIR/out/x.wasm",
		.build = "sh -c ..." },
	{ .files = { "a.c" },
		.overrides = { .wasm = "/elsewhere/x.wasm" },
		.kind = "module",
		.module = "/elsewhere/x.wasm" },
	{ .files = { NULL },
		.why = "there is nothing to run in 'DIR': looked for Cargo.toml (Rust), go.mod "
		       "(Go), package.json (JavaScript), app.py with wit (Python), *.cpp (C++), "
		       "*.c (C), index.html (files), *.wasm (module); found nothing; name a file, "
		       "or say --build COMMAND and --wasm FILE, or --kind static" },
	{ .files = { "README.md", ".hidden.c", "c" }, .why = "there is nothing to run in 'DIR'" },
	{ .files = { "b.wasm", "a.wasm", "c.wasm" },
		.why = "there are 3 of '*.wasm' ('a.wasm', 'b.wasm', ...): name the one that is "
		       "to run" },
	{ .files = { "a.c" },
		.run = "/b.c",
		.why = "can't run 'DIR/b.c': No such file or directory" },
};

static const char *path_of(const char *dir, const char *file, char path[128])
{
	snprintf(path, 128, "%s/%.*s", dir, (int)strcspn(file, ":"), file);
	return path;
}

static void make_files(const char *dir, const char *const files[FILES_MAX])
{
	char path[128];

	for (size_t i = 0; i < FILES_MAX && files[i]; i++) {
		const char *text = strchr(files[i], ':');

		path_of(dir, files[i], path);
		if (path[strlen(path) - 1] == '/') {
			assert_int_equal(mkdir(path, 0700), 0);
			continue;
		}
		FILE *out = fopen(path, "w");
		assert_non_null(out);
		fputs(text ? text + 1 : "", out);
		fclose(out);
	}
}

static void remove_files(const char *dir, const char *const files[FILES_MAX])
{
	char path[128];

	for (size_t i = FILES_MAX; i-- > 0;) {
		if (!files[i])
			continue;
		assert_int_equal(remove(path_of(dir, files[i], path)), 0);
	}
	assert_int_equal(rmdir(dir), 0);
}

struct place {
	const char *path, *name;
};

/* With the names in place of the places' paths. */
static const char *normal(
	char *buf, size_t size, const char *text, const struct place *places, size_t count)
{
	size_t at = 0;

	while (*text && at + 8 < size) {
		size_t i = 0;

		while (i < count && (!places[i].path || strncmp(text, places[i].path,
								strlen(places[i].path)) != 0))
			i++;
		if (i == count) {
			buf[at++] = *text++;
			continue;
		}
		at += (size_t)snprintf(buf + at, size - at, "%s", places[i].name);
		text += strlen(places[i].path);
	}
	buf[at] = '\0';
	return buf;
}

static void join(char *const *words, char *buf, size_t size)
{
	bool shell = strcmp(words[0], "sh") == 0;
	size_t at = 0;

	for (size_t i = 0; words[i]; i++)
		at += (size_t)snprintf(buf + at, size - at, "%s%s", i ? " " : "",
			shell && i == 2 ? "..." : words[i]);
}

static void check_plan(size_t i, const struct app_plan *plan, const char *dir)
{
	const struct place places[] = { { plan->output, "OUT" }, { plan->cache, "CACHE" },
		{ dir, "DIR" } };
	char words[4096] = "", text[4096];

	assert_string_equal(plan->folder, dir);
	assert_string_equal(plan->root ? plan->root : dir, dir);
	assert_string_equal(plan->kind, cases[i].kind);
	assert_int_equal(!plan->build, !cases[i].build);
	if (plan->build) {
		join(plan->build, words, sizeof words);
		assert_string_equal(normal(text, sizeof text, words, places, 3), cases[i].build);
	}
	if (cases[i].module)
		assert_string_equal(
			normal(text, sizeof text, plan->module, places, 3), cases[i].module);
	assert_int_equal(!plan->artefacts, !cases[i].artefact);
	if (plan->artefacts)
		assert_string_equal(normal(text, sizeof text, plan->artefacts[0], places, 3),
			cases[i].artefact);
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
			normal(text, sizeof text, why, &(struct place){ dir, "DIR" }, 1);
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
	/* Two instances may build the same project at the same time. */
	assert_string_not_equal(all.output, again.output);
	app_plan_clear(&all);
	app_plan_clear(&again);
	app_plan_clear(&one);
	remove_files(dir, files);
}

static int make_file(const char *path, time_t when)
{
	const struct timespec times[] = { { .tv_sec = when }, { .tv_sec = when } };
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(futimens(fd, times), 0);
	return close(fd);
}

/* A plan takes its output with it, and that of instances which were killed long ago. */
static void test_leftovers(void **state)
{
	const char *const files[FILES_MAX] = { "a.c" };
	const struct app_overrides none = { 0 };
	char dir[] = "/tmp/test_detect.XXXXXX", why[APP_WHY_MAX];
	char cache[] = "/tmp/test_[cache].XXXXXX", *old, *young;
	struct app_plan plan;

	assert_non_null(mkdtemp(dir));
	assert_non_null(mkdtemp(cache));
	make_files(dir, files);
	assert_int_equal(app_detect(dir, &none, cache, &plan, why), 0);
	assert_int_equal(make_file(plan.output, time(NULL)), 0);
	old = strdup(plan.output);
	app_plan_clear(&plan);
	assert_int_equal(access(old, F_OK), -1);

	assert_int_equal(make_file(old, time(NULL) - 2 * 86400), 0);
	assert_int_equal(app_detect(dir, &none, cache, &plan, why), 0);
	assert_int_equal(access(old, F_OK), -1);
	young = strdup(plan.output);
	app_plan_clear(&plan);
	assert_int_equal(make_file(young, time(NULL) - 3600), 0);
	assert_int_equal(app_detect(dir, &none, cache, &plan, why), 0);
	assert_int_equal(unlink(young), 0);
	app_plan_clear(&plan);
	assert_int_equal(rmdir(cache), 0);
	remove_files(dir, files);
	free(old);
	free(young);
}

/* Every row can be taken. */
static void test_rules(void **state)
{
	for (size_t i = 0; i < app_rule_count; i++) {
		const struct app_rule *rule = &app_rules[i];

		assert_true(rule->build || !rule->artefacts);
		assert_int_equal(!rule->build, !rule->tools);
		assert_true(!rule->refusal || !rule->build);
		for (const struct app_tool *t = rule->tools; t && t->program; t++)
			assert_non_null(t->install);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_leftovers),
		cmocka_unit_test(test_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
