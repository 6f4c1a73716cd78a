/* SPDX-License-Identifier: MIT */
/*
 * What is in the user's folder, and how it becomes a running application. One table (rule.h) says
 * what is looked for; the first row that matches wins.
 */
#ifndef APP_DETECT_H
#define APP_DETECT_H

#include "app/module.h"
#include "app/plan.h"

/*
 * `path` is a folder or a file. Built modules go to `cache_dir`, a folder of the user's own which
 * exists. 0, or a negative errno, and ret_why says in one line what is wrong or what was looked
 * for.
 */
int app_detect(const char *path, const struct app_overrides *overrides, const char *cache_dir,
	struct app_plan *ret_plan, char ret_why[APP_WHY_MAX]);

#endif
