/* SPDX-License-Identifier: MIT */
/* The user's folders of what can be made again: built modules, compiled ones, engines. */
#ifndef APP_CACHE_DIR_H
#define APP_CACHE_DIR_H

#include "app/module.h"

/* "$XDG_CACHE_HOME/wasmrun/NAME", or under ~/.cache. The caller frees *ret_path. */
int cache_dir_path(const char *name, char **ret_path, char ret_why[APP_WHY_MAX]);

/* The same; made if it isn't there, for the user alone. */
int cache_dir_make(const char *name, char **ret_path, char ret_why[APP_WHY_MAX]);

/* Removes what is there, with all that is in it. It may take long: not on a loop. */
void cache_dir_remove(char *path);

#endif
