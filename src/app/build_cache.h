/* SPDX-License-Identifier: MIT */
/*
 * The folder of built modules and of what builds keep, which would grow with each project. What
 * wasn't built for BUILD_CACHE_AGE_S goes, unless another `wasmrun os` runs: it may start what it
 * has built again, however long ago that was.
 */
#ifndef APP_BUILD_CACHE_H
#define APP_BUILD_CACHE_H

#define BUILD_CACHE_AGE_S (30LL * 86400)

/* Holds it as in use until *ret_lock is closed, and puts aside what is too old; that is quick.
 * Negative errno. */
int build_cache_open(const char *dir, int *ret_lock);

/* Removes what was put aside, by whomever. It may take long: not on a loop. */
void build_cache_sweep(const char *dir);

#endif
