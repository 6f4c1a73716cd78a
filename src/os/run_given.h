/* SPDX-License-Identifier: MIT */
/*
 * What the application may write to is its own: it may put a symbolic link in the place of anything
 * there. So nothing that wasmrun opens with the user's rights may lead through it, neither the
 * connection log, nor another folder of --dir, whose own place would then be given away.
 */
#ifndef OS_RUN_GIVEN_H
#define OS_RUN_GIVEN_H

struct option_set;
struct os_run_config;

/* Looks at the paths as they are now; not on a loop. 0 or OPTION_INVALID. */
int run_check_given(const struct os_run_config *config, struct option_set *set);

#endif
