/* SPDX-License-Identifier: MIT */
/*
 * The table of what can be run, and the search in a folder. A plan is put together piece by piece;
 * a failure anywhere clears it.
 */
#include "app/detect.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"

#define SHOWN_MAX 256 /* of a path in a message */
#define INSTALL_C "apt-get install clang lld wasi-libc libclang-rt-14-dev-wasm32"

static const struct app_tool c_tools[] = {
	{ "clang", INSTALL_C },
	{ "wasm-ld", INSTALL_C },
	{ NULL, NULL },
};

/* GOOS=wasip1 came with 1.21, which is also the first to open a listening socket there. */
static const struct app_tool go_tools[] = {
	{ "go", "apt-get install -t bookworm-backports golang-go", "Go", "../VERSION", "go", 1,
		21 },
	{ NULL, NULL },
};

static const struct app_rule rules[] = {
	/* -v names the packages while they are compiled, which takes minutes the first time. */
	{ .marker = "go.mod",
		.kind = "Go",
		.build = (const char *const[]){ "env", "GOOS=wasip1", "GOARCH=wasm", "go", "build",
			"-v", "-o", APP_WORD_OUT, ".", NULL },
		.tools = go_tools },
	{ .marker = "*.c",
		.kind = "C",
		.build = (const char *const[]){ "clang", "--target=wasm32-wasi", "-O2", "-o",
			APP_WORD_OUT, APP_WORD_SOURCES, NULL },
		.tools = c_tools },
	{ .marker = "*.wasm", .kind = "preview 1 module" },
};

/* File names, owned and sorted. */
struct names {
	char **items;
	size_t count;
};

static void names_clear(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->items[i]);
	free(names->items);
	*names = (struct names){ 0 };
}

static _printf_(3, 4) int fail(char *ret_why, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(ret_why, APP_WHY_MAX, fmt, ap);
	va_end(ap);
	return r;
}

static int fail_memory(char *ret_why)
{
	return fail(ret_why, -ENOMEM, "there is not enough memory to look at the project");
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_add(struct names *names, const char *name)
{
	if (names->count == APP_SOURCES_MAX)
		return -E2BIG;
	if (!names->items)
		names->items = calloc(APP_SOURCES_MAX, sizeof *names->items);
	if (!names->items || !(names->items[names->count] = strdup(name)))
		return -ENOMEM;
	names->count++;
	return 0;
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* The names in the folder that match; hidden files are none of the project's. */
static int names_find(const char *folder, const char *pattern, struct names *ret_names)
{
	_cleanup_(names_clear) struct names names = { 0 };
	_cleanup_(closedirp) DIR *dir = opendir(folder);
	const struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (entry = readdir(dir)))
		if (fnmatch(pattern, entry->d_name, FNM_PERIOD) == 0)
			r = names_add(&names, entry->d_name);
	if (r < 0)
		return r;
	if (names.count)
		qsort(names.items, names.count, sizeof *names.items, compare_names);
	*ret_names = names;
	names = (struct names){ 0 };
	return 0;
}

/* Words are counted first: sources take several places. */
static int plan_add_build(
	struct app_plan *plan, const struct app_rule *rule, const struct names *sources)
{
	size_t n = 0, at = 0;

	for (const char *const *word = rule->build; *word; word++)
		n += strcmp(*word, APP_WORD_SOURCES) == 0 ? sources->count : 1;
	plan->build = calloc(n + 1, sizeof *plan->build);
	if (!plan->build)
		return -ENOMEM;
	for (const char *const *word = rule->build; *word; word++) {
		bool many = strcmp(*word, APP_WORD_SOURCES) == 0;

		for (size_t i = 0; i < (many ? sources->count : 1); i++) {
			/* "./" before a name that begins with a dash. */
			if (many && asprintf(&plan->build[at], "./%s", sources->items[i]) < 0)
				plan->build[at] = NULL;
			else if (!many)
				plan->build[at] = strdup(
					strcmp(*word, APP_WORD_OUT) == 0 ? plan->output : *word);
			if (!plan->build[at++])
				return -ENOMEM;
		}
	}
	return 0;
}

/* A folder of its own in the cache for each path, so that projects don't meet. */
static int plan_set_output(struct app_plan *plan, const char *source, const char *cache_dir)
{
	char path[PATH_MAX];
	uint64_t hash;
	int n = snprintf(path, sizeof path, "%s/%s", plan->folder, source);

	if (n < 0 || (size_t)n >= sizeof path)
		return -ENAMETOOLONG;
	hash = hash_bytes(0, path, strlen(path));
	if (asprintf(&plan->module, "%s/%016" PRIx64 ".wasm", cache_dir, hash) < 0)
		plan->module = NULL;
	if (asprintf(&plan->output, "%s/%016" PRIx64 ".new", cache_dir, hash) < 0)
		plan->output = NULL;
	return plan->module && plan->output ? 0 : -ENOMEM;
}

static int plan_take_rule(struct app_plan *plan, const struct app_rule *rule,
	const struct names *found, const char *cache_dir, char *ret_why)
{
	char first[SHOWN_MAX], second[SHOWN_MAX];
	const char *name = found->items[0];
	int r;

	plan->kind = rule->kind;
	plan->tools = rule->tools;
	if (rule->build) {
		r = plan_set_output(plan, found->count == 1 ? name : "", cache_dir);
		if (r == 0)
			r = plan_add_build(plan, rule, found);
	} else if (found->count > 1) {
		return fail(ret_why, -EINVAL,
			"there are %zu of '%s' ('%s', '%s', ...): name the one that is to run",
			found->count, rule->marker,
			log_escape(first, sizeof first, name, strlen(name)),
			log_escape(
				second, sizeof second, found->items[1], strlen(found->items[1])));
	} else {
		r = asprintf(&plan->module, "%s/%s", plan->folder, name) < 0 ? -ENOMEM : 0;
		if (r < 0)
			plan->module = NULL;
	}
	return r < 0 ? fail_memory(ret_why) : 0;
}

/* What [app] says, in place of the table. */
static int plan_take_overrides(
	struct app_plan *plan, const struct app_overrides *overrides, char *ret_why)
{
	const char *wasm = overrides->wasm;

	assert(wasm);
	plan->kind = "preview 1 module";
	plan->module = *wasm == '/' ? strdup(wasm) : NULL;
	if (*wasm != '/' && asprintf(&plan->module, "%s/%s", plan->folder, wasm) < 0)
		plan->module = NULL;
	if (overrides->build) {
		const char *const words[] = { "sh", "-c", overrides->build };

		plan->build = calloc(ARRAY_LEN(words) + 1, sizeof *plan->build);
		for (size_t i = 0; plan->build && i < ARRAY_LEN(words); i++)
			if (!(plan->build[i] = strdup(words[i])))
				return fail_memory(ret_why);
		if (!plan->build)
			return fail_memory(ret_why);
	}
	return plan->module ? 0 : fail_memory(ret_why);
}

static int fail_nothing(const char *folder, char *ret_why)
{
	char shown[SHOWN_MAX], looked[SHOWN_MAX] = "";
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(rules) && len < sizeof looked; i++)
		len += (size_t)snprintf(looked + len, sizeof looked - len, "%s%s (%s)",
			i ? ", " : "", rules[i].marker, rules[i].kind);
	return fail(ret_why, -ENOENT,
		"there is nothing to run in '%s': looked for %s; name a file, or set 'wasm' in "
		"[app] of wasmrun.toml",
		log_escape(shown, sizeof shown, folder, strlen(folder)), looked);
}

static int detect_in_folder(struct app_plan *plan, const char *cache_dir, char *ret_why)
{
	int r;

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		_cleanup_(names_clear) struct names found = { 0 };

		r = names_find(plan->folder, rules[i].marker, &found);
		if (r == -E2BIG)
			return fail(ret_why, r, "there are more than %d of '%s'", APP_SOURCES_MAX,
				rules[i].marker);
		if (r < 0)
			return fail(ret_why, r, "can't look into the project: %s", strerror(-r));
		if (found.count)
			return plan_take_rule(plan, &rules[i], &found, cache_dir, ret_why);
	}
	return fail_nothing(plan->folder, ret_why);
}

/* The file is what its name says, and a module where the name says nothing. */
static int detect_file(
	struct app_plan *plan, const char *name, const char *cache_dir, char *ret_why)
{
	const struct app_rule *rule = &rules[ARRAY_LEN(rules) - 1];
	const struct names found = { .items = (char *[]){ (char *)name }, .count = 1 };

	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (fnmatch(rules[i].marker, name, 0) == 0) {
			rule = &rules[i];
			break;
		}
	return plan_take_rule(plan, rule, &found, cache_dir, ret_why);
}

static int detect_path(struct app_plan *plan, const struct app_overrides *overrides,
	const char *cache_dir, char *ret_why)
{
	char name[NAME_MAX + 1];
	struct stat st;
	char *slash;

	if (stat(plan->folder, &st) < 0)
		return fail(ret_why, -errno, "can't look into the project: %s", strerror(errno));
	if (S_ISDIR(st.st_mode)) {
		if (overrides->wasm)
			return plan_take_overrides(plan, overrides, ret_why);
		return detect_in_folder(plan, cache_dir, ret_why);
	}
	/* realpath(3) has made it absolute. */
	slash = strrchr(plan->folder, '/');
	snprintf(name, sizeof name, "%s", slash + 1);
	slash[slash == plan->folder ? 1 : 0] = '\0';
	return detect_file(plan, name, cache_dir, ret_why);
}

int app_detect(const char *path, const struct app_overrides *overrides, const char *cache_dir,
	struct app_plan *ret_plan, char ret_why[APP_WHY_MAX])
{
	struct app_plan plan = { .folder = realpath(path, NULL) };
	char shown[SHOWN_MAX];
	int r;

	if (!plan.folder)
		return fail(ret_why, -errno, "can't run '%s': %s",
			log_escape(shown, sizeof shown, path, strlen(path)), strerror(errno));
	r = detect_path(&plan, overrides, cache_dir, ret_why);
	if (r < 0)
		app_plan_clear(&plan);
	else
		*ret_plan = plan;
	return r;
}

void app_plan_clear(struct app_plan *plan)
{
	for (size_t i = 0; plan->build && plan->build[i]; i++)
		free(plan->build[i]);
	free(plan->build);
	free(plan->folder);
	free(plan->module);
	free(plan->output);
	*plan = (struct app_plan){ 0 };
}
