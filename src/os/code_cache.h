/* SPDX-License-Identifier: MIT */
/*
 * The user's folder of compiled code, "$XDG_CACHE_HOME/wasmrun/modules": a folder for each project,
 * by the hash of its real path, and in that one for each module, by the hash of all that its code
 * depends on: the module's bytes, how it is compiled, by which file of an engine, for which
 * processor.
 *
 * What lies there is machine code that the engine runs unseen. So a run of the engine that serves
 * nobody makes it, in a folder of its own, which gets its name when it is whole; a folder counts
 * only if it is the user's and closed to everyone else; and who serves can't write to it.
 *
 * It only saves time: where it can't be used, the engine compiles at each start.
 *
 * These functions touch files, and may take long: not on a loop.
 */
#ifndef OS_CODE_CACHE_H
#define OS_CODE_CACHE_H

#include "app/module.h"

/* Modules that are kept of a project; the ones that were not used for longest go first. Projects
 * go when they were not used for as long as build_cache.h has it. */
#define CODE_CACHE_MODULES_MAX 32

enum code_cache_condition {
	CODE_CACHE_MISS = 1,
};

/*
 * Looks for the code that the run `argv`, whose last word is the module, would make. 0: it is in
 * *ret_entry, and is used now. CODE_CACHE_MISS: that run is to leave it in *ret_partial, a new
 * folder, and code_cache_keep() or cache_dir_remove() follows. The texts are the caller's. Negative
 * errno: there is no use in either, ret_why says why; -EPERM: somebody else owns a folder, or can
 * look into it.
 */
int code_cache_find(const char *project, const char *const *argv, char **ret_entry,
	char **ret_partial, char ret_why[APP_WHY_MAX]);

/*
 * What the run has left in `partial` is whole: it becomes `entry`, unless that is there by now. In
 * any case `partial` is gone then. -ESTALE: the module is another one by now. Negative errno.
 */
int code_cache_keep(char *partial, const char *entry, const char *const *argv);

#endif
