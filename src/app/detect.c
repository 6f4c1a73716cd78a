/* SPDX-License-Identifier: MIT */
/*
 * The search in a folder by the table of rule.c. A plan is put together piece by piece; a failure
 * anywhere clears it.
 */
#include "app/detect.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/rule.h"
#include "base/err.h"
#include "base/log.h"

#define SHOWN_MAX 256 /* of a path in a message */

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

static int fail_plan(int r, char *ret_why)
{
	return r < 0 ? fail(ret_why, r, "can't look at the project: %s", strerror(-r)) : 0;
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

static int plan_take_rule(struct app_plan *plan, const struct app_rule *rule,
	const struct names *found, const struct app_overrides *overrides, const char *cache_dir,
	char *ret_why)
{
	char first[SHOWN_MAX], second[SHOWN_MAX];
	const char *const *name = (const char *const *)found->items;

	if (!rule->build && !rule->folder && found->count > 1)
		return fail(ret_why, -EINVAL,
			"there are %zu of '%s' ('%s', '%s', ...): name the one that is to run",
			found->count, rule->marker,
			log_escape(first, sizeof first, name[0], strlen(name[0])),
			log_escape(second, sizeof second, name[1], strlen(name[1])));
	return fail_plan(
		app_plan_take_rule(plan, rule, found->items, found->count, overrides, cache_dir),
		ret_why);
}

/* What [app] says, in place of the table. */
static int plan_take_overrides(
	struct app_plan *plan, const struct app_overrides *overrides, char *ret_why)
{
	return fail_plan(app_plan_take_overrides(plan, overrides), ret_why);
}

static int fail_nothing(const char *folder, char *ret_why)
{
	char shown[SHOWN_MAX], looked[SHOWN_MAX] = "";
	size_t len = 0;

	for (size_t i = 0; i < app_rule_count && len < sizeof looked; i++) {
		const struct app_rule *rule = &app_rules[i];

		/* The next row is the same without it. */
		if (rule->beside && i + 1 < app_rule_count &&
			strcmp(rule->marker, app_rules[i + 1].marker) == 0)
			continue;
		len += (size_t)snprintf(looked + len, sizeof looked - len, "%s%s%s%s (%s)",
			len ? ", " : "", rule->marker, rule->beside ? " with " : "",
			rule->beside ? rule->beside : "", rule->kind);
	}
	return fail(ret_why, -ENOENT,
		"there is nothing to run in '%s': looked for %s; name a file, or set 'wasm' in "
		"[app] of wasmrun.toml",
		log_escape(shown, sizeof shown, folder, strlen(folder)), looked);
}

static bool rule_has_beside(const struct app_rule *rule, const char *folder)
{
	char path[PATH_MAX];
	int n;

	if (!rule->beside)
		return true;
	n = snprintf(path, sizeof path, "%s/%s", folder, rule->beside);
	return n > 0 && (size_t)n < sizeof path && access(path, F_OK) == 0;
}

/* Whether the row's build makes what `wasm` of [app] names: else that is the whole plan. */
static bool rule_makes_named(const struct app_rule *rule)
{
	return rule->artefact &&
	       strncmp(rule->artefact, APP_WORD_CACHE, strlen(APP_WORD_CACHE)) != 0;
}

static int detect_in_folder(struct app_plan *plan, const struct app_overrides *overrides,
	const char *cache_dir, char *ret_why)
{
	int r;

	for (size_t i = 0; i < app_rule_count; i++) {
		_cleanup_(names_clear) struct names found = { 0 };
		const struct app_rule *rule = &app_rules[i];

		r = names_find(plan->folder, rule->marker, &found);
		if (r == -E2BIG)
			return fail(ret_why, r, "there are more than %d of '%s'", APP_SOURCES_MAX,
				rule->marker);
		if (r < 0)
			return fail(ret_why, r, "can't look into the project: %s", strerror(-r));
		if (!found.count || !rule_has_beside(rule, plan->folder))
			continue;
		if (overrides->wasm && !rule_makes_named(rule))
			return plan_take_overrides(plan, overrides, ret_why);
		return plan_take_rule(plan, rule, &found, overrides, cache_dir, ret_why);
	}
	return overrides->wasm ? plan_take_overrides(plan, overrides, ret_why)
			       : fail_nothing(plan->folder, ret_why);
}

/* The file is what its name says, and a module where the name says nothing. */
static int detect_file(struct app_plan *plan, const char *name,
	const struct app_overrides *overrides, const char *cache_dir, char *ret_why)
{
	static const struct app_rule module = { .marker = "*", .kind = "module" };
	const struct names found = { .items = (char *[]){ (char *)name }, .count = 1 };
	const struct app_rule *rule = &module;

	for (size_t i = 0; i < app_rule_count; i++)
		if (fnmatch(app_rules[i].marker, name, 0) == 0 &&
			rule_has_beside(&app_rules[i], plan->folder)) {
			rule = &app_rules[i];
			break;
		}
	return plan_take_rule(plan, rule, &found, overrides, cache_dir, ret_why);
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
		if (overrides->build || overrides->files)
			return plan_take_overrides(plan, overrides, ret_why);
		return detect_in_folder(plan, overrides, cache_dir, ret_why);
	}
	/* realpath(3) has made it absolute. */
	slash = strrchr(plan->folder, '/');
	snprintf(name, sizeof name, "%s", slash + 1);
	slash[slash == plan->folder ? 1 : 0] = '\0';
	return detect_file(plan, name, overrides, cache_dir, ret_why);
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
