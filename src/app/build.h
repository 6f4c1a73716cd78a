/* SPDX-License-Identifier: MIT */
/* What is before and behind a build; the build itself is a child of the supervisor. */
#ifndef APP_BUILD_H
#define APP_BUILD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "app/module.h"

struct app_plan;

/* The toolchain is there and new enough. Otherwise -ENOENT, and ret_why names what is missing and
 * the command that installs it. */
int app_build_check(const struct app_plan *plan, char ret_why[APP_WHY_MAX]);

/*
 * Behind a build that has succeeded: what runs is there, where app_plan_file() says, and looks like
 * it. *ret_made is where the build has left it, NULL where that is the same; the caller frees it.
 * It may take long and is called in a thread, to which the plan belongs meanwhile; -ECANCELED:
 * *canceled was set.
 */
int app_build_finish(struct app_plan *plan, const atomic_bool *canceled, char **ret_made,
	char ret_why[APP_WHY_MAX]);

/* Along PATH. ret_path has room for PATH_MAX, and may be relative. */
bool app_program_find(const char *program, char *ret_path);

/* "$XDG_CACHE_HOME/wasmrun/NAME", or under ~/.cache. The caller frees *ret_path. */
int app_cache_path(const char *name, char **ret_path, char ret_why[APP_WHY_MAX]);

/* The same; made if it isn't there, for the user alone. */
int app_cache_dir(const char *name, char **ret_path, char ret_why[APP_WHY_MAX]);

#endif
