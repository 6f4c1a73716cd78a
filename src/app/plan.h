/* SPDX-License-Identifier: MIT */
/* How one project is built and run. */
#ifndef APP_PLAN_H
#define APP_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "app/module.h"

struct app_rule;
struct app_tool;

struct app_overrides {
	const char *build, *wasm; /* NULL: as detected */
	bool files;               /* it is a folder, `wasm` or the project's, that is served */
};

/* How to run it. All texts are owned but the first one; the paths are absolute. */
struct app_plan {
	const char *kind;
	const struct app_tool *tools; /* of the build; may be NULL */
	char *folder;                 /* the project's: where the build runs */
	char *root;                   /* around it, where more of its sources are; NULL: no such */
	char *module;                 /* what is run: a file, or a folder of files */
	char **build;                 /* argv; NULL: nothing is to be built */
	/* What the build writes, of this plan alone: app_plan_settle() moves it to `module`. NULL:
	 * that was done, or the build writes `module` itself. */
	char *output;
	/* Where the build leaves it instead, as struct app_rule has them; NULL: it writes `output`.
	 */
	char **artefacts;
	const char *lead, *pick; /* as struct app_rule has them */
	/* The folder with the code that app_plan_file() was compiled to, by os/code_cache.h; NULL:
	 * the engine compiles it at each start. */
	char *compiled;
	char *cache;             /* the project's folder in the cache; NULL: it has none */
	struct module_info info; /* of app_plan_file(), once that is there and was looked at */
};

/*
 * Both fill a plan that has its `folder`, and may leave it half filled with -ENOMEM or
 * -ENAMETOOLONG: app_plan_clear() follows. By a row of the table, of which `names` are the files
 * that match, or by what [app] says alone.
 */
int app_plan_take_rule(struct app_plan *plan, const struct app_rule *rule, char *const *names,
	size_t name_count, const struct app_overrides *overrides, const char *cache_dir);
int app_plan_take_overrides(struct app_plan *plan, const struct app_overrides *overrides);

/* The program that builds, for messages. */
const char *app_plan_builder(const struct app_plan *plan);

/* The file or folder to run. */
const char *app_plan_file(const struct app_plan *plan);

/*
 * What was built has been seen to run, and takes the place of what was before: until then that is
 * what is started again after a crash. Where it can't be moved it stays where it is.
 */
void app_plan_settle(struct app_plan *plan);

/* Removes what was built and not settled. Fine on an empty one. */
void app_plan_clear(struct app_plan *plan);

#endif
