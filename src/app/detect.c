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

#include "app/find.h"
#include "app/rule.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"

#define SHOWN_MAX 256 /* of a path in a message */
#define NAME_SHOWN_MAX 40
#define NAMES_SHOWN 3

static _printf_(3, 4) int detect_fail(char *ret_why, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(ret_why, APP_WHY_MAX, fmt, ap);
	va_end(ap);
	return r;
}

static int detect_fail_plan(int r, char *ret_why)
{
	return r < 0 ? detect_fail(ret_why, r, "can't look at the project: %s", strerror(-r)) : 0;
}

static int detect_take_rule(struct app_plan *plan, const struct app_rule *rule,
	const struct found *found, const struct app_overrides *overrides, const char *cache_dir,
	char *ret_why)
{
	char first[SHOWN_MAX], second[SHOWN_MAX];
	const char *const *name = (const char *const *)found->items;

	log_escape(first, sizeof first, name[0], strlen(name[0]));
	if (rule->refusal)
		return detect_fail(
			ret_why, -ENOENT, "'%s' is %s: %s", first, rule->kind, rule->refusal);
	if (!rule->build && !rule->folder && found->count > 1)
		return detect_fail(ret_why, -EINVAL,
			"there are %zu of '%s' ('%s', '%s', ...): name the one that is to run",
			found->count, rule->marker, first,
			log_escape(second, sizeof second, name[1], strlen(name[1])));
	return detect_fail_plan(
		app_plan_take_rule(plan, rule, found->items, found->count, overrides, cache_dir),
		ret_why);
}

/* What [app] says, in place of the table. */
static int detect_take_overrides(
	struct app_plan *plan, const struct app_overrides *overrides, char *ret_why)
{
	return detect_fail_plan(app_plan_take_overrides(plan, overrides), ret_why);
}

/* The first names that the folder has, for people. */
static void detect_list_names(const char *folder, char *buf, size_t size)
{
	_cleanup_(fd_close_dirp) DIR *dir = opendir(folder);
	const struct dirent *entry;
	char shown[NAME_SHOWN_MAX];
	size_t count = 0, len = 0;

	while (dir && (entry = readdir(dir)))
		if (*entry->d_name != '.' && ++count <= NAMES_SHOWN)
			len += (size_t)snprintf(buf + len, size - len, "%s'%s'", len ? ", " : "",
				log_escape(
					shown, sizeof shown, entry->d_name, strlen(entry->d_name)));
	if (count > NAMES_SHOWN)
		(void)snprintf(buf + len, size - len, " and %zu more", count - NAMES_SHOWN);
	else if (count == 0)
		(void)snprintf(buf, size, "nothing");
}

/* Whether a folder in it has what could be run; ret_why says which. */
static bool detect_fail_below(const char *folder, char *ret_why)
{
	for (size_t i = 0; i < app_rule_count; i++) {
		_cleanup_(found_clear) struct found found = { 0 };
		char pattern[SHOWN_MAX], first[SHOWN_MAX];

		if (!app_rules[i].shown)
			continue;
		(void)snprintf(pattern, sizeof pattern, "*/%s", app_rules[i].marker);
		if (find_files(folder, pattern, &found) < 0 || !found.count)
			continue;
		log_escape(first, sizeof first, found.items[0], strlen(found.items[0]));
		(void)detect_fail(ret_why, 0,
			"there is nothing to run in the folder itself; below it, '%s' is %s: "
			"name the folder to run, as in 'wasmrun os %.*s'",
			first, app_rules[i].kind, (int)strcspn(first, "/"), first);
		return true;
	}
	return false;
}

static int detect_fail_nothing(const char *folder, char *ret_why)
{
	char shown[SHOWN_MAX / 2], looked[SHOWN_MAX] = "", names[SHOWN_MAX];
	size_t len = 0;

	if (detect_fail_below(folder, ret_why))
		return -ENOENT;
	for (size_t i = 0; i < app_rule_count && len < sizeof looked; i++)
		if (app_rules[i].shown)
			len += (size_t)snprintf(looked + len, sizeof looked - len, "%s%s (%s)",
				len ? ", " : "", app_rules[i].shown, app_rules[i].kind);
	detect_list_names(folder, names, sizeof names);
	return detect_fail(ret_why, -ENOENT,
		"there is nothing to run in '%s': looked for %s; found %s; name a file, or say "
		"--build COMMAND and --wasm FILE, or --kind static",
		log_escape(shown, sizeof shown, folder, strlen(folder)), looked, names);
}

static bool detect_rule_has_beside(const struct app_rule *rule, const char *folder)
{
	for (size_t i = 0; i < APP_RULE_BESIDE_MAX && rule->beside[i]; i++)
		if (!find_any(folder, rule->beside[i]))
			return false;
	return true;
}

/* The files that match, if all that the row asks for is there; else none. */
static int detect_rule_find(const struct app_rule *rule, const char *folder, struct found *found)
{
	int r = find_files(folder, rule->marker, found);

	if (r == 0 && found->count > 0 &&
		(!detect_rule_has_beside(rule, folder) ||
			(rule->says && !find_says(folder, found->items[0], rule->says))))
		found_clear(found);
	return r;
}

static bool detect_is_test(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	return fnmatch("test_*", name, 0) == 0 || fnmatch("*_test.*", name, 0) == 0 ||
	       fnmatch("*_tests.*", name, 0) == 0;
}

/* Tests beside the program have a main function of their own, or another use for it. */
static void detect_drop_tests(struct found *found)
{
	size_t kept = 0, tests = 0;

	for (size_t i = 0; i < found->count; i++)
		tests += detect_is_test(found->items[i]);
	for (size_t i = 0; tests < found->count && i < found->count; i++) {
		if (detect_is_test(found->items[i]))
			free(found->items[i]);
		else
			found->items[kept++] = found->items[i];
	}
	found->count = kept ? kept : found->count;
}

/* Whether the row's build makes what `wasm` of [app] names: else that is the whole plan. */
static bool detect_rule_makes_named(const struct app_rule *rule)
{
	return rule->artefacts &&
	       strncmp(rule->artefacts[0], APP_WORD_CACHE, strlen(APP_WORD_CACHE)) != 0;
}

static int detect_fail_find(const char *marker, int r, char *ret_why)
{
	if (r == -E2BIG)
		return detect_fail(
			ret_why, r, "there are more than %d of '%s'", FIND_FILES_MAX, marker);
	return detect_fail(ret_why, r, "can't look into the project: %s", strerror(-r));
}

static int detect_in_folder(struct app_plan *plan, const struct app_overrides *overrides,
	const char *cache_dir, char *ret_why)
{
	int r;

	for (size_t i = 0; i < app_rule_count; i++) {
		_cleanup_(found_clear) struct found found = { 0 };
		const struct app_rule *rule = &app_rules[i];

		if (overrides->files && !rule->folder)
			continue;
		r = detect_rule_find(rule, plan->folder, &found);
		if (r == 0 && found.count && rule->more)
			r = find_files(plan->folder, rule->more, &found);
		if (r < 0)
			return detect_fail_find(rule->marker, r, ret_why);
		if (!found.count)
			continue;
		if (overrides->wasm && !detect_rule_makes_named(rule))
			break;
		detect_drop_tests(&found);
		return detect_take_rule(plan, rule, &found, overrides, cache_dir, ret_why);
	}
	return overrides->wasm || overrides->files ? detect_take_overrides(plan, overrides, ret_why)
						   : detect_fail_nothing(plan->folder, ret_why);
}

static bool detect_found_has(const struct found *found, const char *name)
{
	for (size_t i = 0; i < found->count; i++)
		if (strcmp(found->items[i], name) == 0)
			return true;
	return false;
}

/* The file is what its name says, and a module where the name says nothing. */
static int detect_file(struct app_plan *plan, const char *name,
	const struct app_overrides *overrides, const char *cache_dir, char *ret_why)
{
	static const struct app_rule module = { .marker = "*", .kind = "module" };
	const struct found one = { .items = (char *[]){ (char *)name }, .count = 1 };
	const struct app_rule *rule = &module;

	for (size_t i = 0; i < app_rule_count && rule == &module; i++) {
		_cleanup_(found_clear) struct found found = { 0 };
		int r = detect_rule_find(&app_rules[i], plan->folder, &found);

		if (r < 0 && r != -EACCES)
			return detect_fail_find(app_rules[i].marker, r, ret_why);
		if (detect_found_has(&found, name))
			rule = &app_rules[i];
	}
	return detect_take_rule(plan, rule, &one, overrides, cache_dir, ret_why);
}

static int detect_path(struct app_plan *plan, const struct app_overrides *overrides,
	const char *cache_dir, char *ret_why)
{
	char name[NAME_MAX + 1];
	struct stat st;
	char *slash;

	if (stat(plan->folder, &st) < 0)
		return detect_fail(
			ret_why, -errno, "can't look into the project: %s", strerror(errno));
	if (S_ISDIR(st.st_mode)) {
		if (overrides->build || (overrides->files && overrides->wasm))
			return detect_take_overrides(plan, overrides, ret_why);
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
		return detect_fail(ret_why, -errno, "can't run '%s': %s",
			log_escape(shown, sizeof shown, path, strlen(path)), strerror(errno));
	r = detect_path(&plan, overrides, cache_dir, ret_why);
	if (r < 0)
		app_plan_clear(&plan);
	else
		*ret_plan = plan;
	return r;
}
