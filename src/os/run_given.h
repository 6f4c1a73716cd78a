/* SPDX-License-Identifier: MIT */
/*
 * What the application may write to is its own: it may put a symbolic link in the place of anything
 * there. So nothing that wasmrun opens with the user's rights may lead through it, neither the
 * connection log, nor another folder of --dir, whose own place would then be given away.
 */
#ifndef OS_RUN_GIVEN_H
#define OS_RUN_GIVEN_H

#include <stdbool.h>

struct option_set;
struct os_run_config;

/* Whether one who follows the path comes into the folder, and doesn't just end at it. `folder` is
 * as realpath(3) has it. */
bool run_given_leads_through(const char *path, const char *folder);

/* Looks at the paths as they are now; not on a loop. 0 or OPTION_INVALID. */
int run_check_given(const struct os_run_config *config, struct option_set *set);

#endif
