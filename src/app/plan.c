/* SPDX-License-Identifier: MIT */
/* Plans from the rows of the table and from [app], and the names in the cache. */
#include "app/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/find.h"
#include "app/rule.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/hash.h"

#define LEFTOVER_AGE_S 86400 /* no build takes so long: nobody will ask for its output */

/* The files that a row takes. */
struct sources {
	char *const *items;
	size_t count;
};

/* What a word of the table stands for; the caller frees it. */
static char *plan_word(const struct app_plan *plan, const char *word)
{
	if (strcmp(word, APP_WORD_OUT) == 0)
		word = plan->output;
	else if (strcmp(word, APP_WORD_CACHE) == 0)
		word = plan->cache;
	return strdup(word);
}

/* Words are counted first: sources take several places. */
static int plan_add_build(
	struct app_plan *plan, const struct app_rule *rule, const struct sources *sources)
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
			if (!many)
				plan->build[at] = plan_word(plan, *word);
			else if (asprintf(&plan->build[at], "./%s", sources->items[i]) < 0)
				plan->build[at] = NULL;
			if (!plan->build[at++])
				return -ENOMEM;
		}
	}
	return 0;
}

static _printf_(1, 2) char *plan_format(const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : text;
}

/* What other instances have left that were killed during a build. */
static void plan_remove_leftovers(const char *cache_dir, uint64_t hash)
{
	_cleanup_(freep) char *dir = find_escape(cache_dir), *pattern = NULL;
	time_t now = time(NULL);
	glob_t found = { 0 };
	struct stat st;

	if (dir)
		pattern = plan_format("%s/%016" PRIx64 ".*.wasm", dir, hash);
	if (!pattern || glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		if (stat(found.gl_pathv[i], &st) == 0 && now - st.st_mtime > LEFTOVER_AGE_S)
			(void)unlink(found.gl_pathv[i]);
	globfree(&found);
}

/*
 * Names of its own in the cache for each path, so that projects don't meet, and an output of its
 * own for each plan: another instance may be building the same project.
 */
static int plan_set_output(struct app_plan *plan, const char *source, const char *cache_dir)
{
	char path[PATH_MAX];
	uint64_t hash, unique;
	int n = snprintf(path, sizeof path, "%s/%s", plan->folder, source);
	int r;

	if (n < 0 || (size_t)n >= sizeof path)
		return -ENAMETOOLONG;
	hash = hash_bytes(0, path, strlen(path));
	r = hash_seed(&unique);
	if (r < 0)
		return r;
	plan_remove_leftovers(cache_dir, hash);
	plan->module = plan_format("%s/%016" PRIx64 ".wasm", cache_dir, hash);
	plan->output =
		plan_format("%s/%016" PRIx64 ".%016" PRIx64 ".wasm", cache_dir, hash, unique);
	plan->cache = plan_format("%s/%016" PRIx64, cache_dir, hash);
	if (!plan->module || !plan->output || !plan->cache)
		return -ENOMEM;
	/* Its time says when it was last used, for app/build_cache.h; a tool writes below it. */
	(void)utimensat(AT_FDCWD, plan->cache, NULL, 0);
	return 0;
}

/* `wasm` of [app] takes the place of all artefacts in the project. */
static char *plan_artefact(const struct app_plan *plan, const char *artefact, const char *wasm)
{
	size_t cache_len = strlen(APP_WORD_CACHE);
	bool cached = strncmp(artefact, APP_WORD_CACHE, cache_len) == 0;
	_cleanup_(freep) char *dir = find_escape(cached ? plan->cache : plan->folder);
	_cleanup_(freep) char *named = wasm && !cached ? find_escape(wasm) : NULL;

	if (!dir)
		return NULL;
	if (cached)
		return plan_format("%s%s", dir, artefact + cache_len);
	if (named && *named == '/')
		return strdup(named);
	return plan_format("%s/%s", dir, named ? named : artefact);
}

static int plan_set_artefacts(struct app_plan *plan, const struct app_rule *rule, const char *wasm)
{
	size_t count = 0;

	while (rule->artefacts[count])
		count++;
	plan->lead = rule->lead;
	plan->pick = rule->pick;
	plan->artefacts = calloc(count + 1, sizeof *plan->artefacts);
	for (size_t i = 0; plan->artefacts && rule->artefacts[i] && (i == 0 || !wasm); i++)
		if (!(plan->artefacts[i] = plan_artefact(plan, rule->artefacts[i], wasm)))
			return -ENOMEM;
	return plan->artefacts ? 0 : -ENOMEM;
}

int app_plan_take_rule(struct app_plan *plan, const struct app_rule *rule, char *const *names,
	size_t name_count, const struct app_overrides *overrides, const char *cache_dir)
{
	const struct sources sources = { .items = names, .count = name_count };
	const char *slash = strrchr(names[0], '/');
	int r;

	plan->kind = rule->kind;
	plan->tools = rule->tools;
	if (!rule->build) {
		if (!rule->folder)
			plan->module = plan_format("%s/%s", plan->folder, names[0]);
		else if (slash)
			plan->module = plan_format(
				"%s/%.*s", plan->folder, (int)(slash - names[0]), names[0]);
		else
			plan->module = strdup(plan->folder);
		return plan->module ? 0 : -ENOMEM;
	}
	plan->root = find_root(plan->folder, rule->roots);
	r = plan_set_output(plan, name_count == 1 ? names[0] : "", cache_dir);
	if (r == 0 && rule->artefacts)
		r = plan_set_artefacts(plan, rule, overrides->wasm);
	return r == 0 ? plan_add_build(plan, rule, &sources) : r;
}

int app_plan_take_overrides(struct app_plan *plan, const struct app_overrides *overrides)
{
	const char *const words[] = { "sh", "-c", overrides->build };
	const char *wasm = overrides->wasm;

	plan->kind = overrides->files ? "files" : "module";
	if (!wasm || *wasm == '/')
		plan->module = strdup(wasm ? wasm : plan->folder);
	else
		plan->module = plan_format("%s/%s", plan->folder, wasm);
	if (!plan->module)
		return -ENOMEM;
	if (!overrides->build)
		return 0;
	plan->build = calloc(ARRAY_LEN(words) + 1, sizeof *plan->build);
	if (!plan->build)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!(plan->build[i] = strdup(words[i])))
			return -ENOMEM;
	return 0;
}

const char *app_plan_builder(const struct app_plan *plan)
{
	return plan->tools ? plan->tools->program : plan->build[0];
}

const char *app_plan_file(const struct app_plan *plan)
{
	return plan->output ? plan->output : plan->module;
}

void app_plan_settle(struct app_plan *plan)
{
	if (plan->output && rename(plan->output, plan->module) == 0)
		free(take_ptr(plan->output));
}

static void plan_free_words(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}

void app_plan_clear(struct app_plan *plan)
{
	if (plan->output)
		(void)unlink(plan->output);
	plan_free_words(plan->build);
	plan_free_words(plan->artefacts);
	free(plan->folder);
	free(plan->root);
	free(plan->module);
	free(plan->output);
	free(plan->cache);
	free(plan->compiled);
	*plan = (struct app_plan){ 0 };
}
