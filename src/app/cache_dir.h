/* SPDX-License-Identifier: MIT */
/* The user's folders of what can be made again: built modules, compiled ones, engines. */
#ifndef APP_CACHE_DIR_H
#define APP_CACHE_DIR_H

#include "app/module.h"

/* "$XDG_CACHE_HOME/wasmrun/NAME", or under ~/.cache. The caller frees *ret_path. */
int cache_dir_path(const char *name, char **ret_path, char ret_why[APP_WHY_MAX]);

/* The same; made if it isn't there, for the user alone. */
int cache_dir_make(const char *name, char **ret_path, char ret_why[APP_WHY_MAX]);

/* One below it, of `source` alone: the path of a project, or of a module. */
int cache_dir_make_for(
	const char *name, const char *source, char **ret_path, char ret_why[APP_WHY_MAX]);

#endif
