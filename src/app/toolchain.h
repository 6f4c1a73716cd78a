/* SPDX-License-Identifier: MIT */
/* What a build needs of this machine. */
#ifndef APP_TOOLCHAIN_H
#define APP_TOOLCHAIN_H

#include "app/module.h"

struct app_plan;

/* The plan's tools are there and new enough. Otherwise -ENOENT, and ret_why names what is missing
 * and the command that installs it. */
int toolchain_check(const struct app_plan *plan, char ret_why[APP_WHY_MAX]);

#endif
