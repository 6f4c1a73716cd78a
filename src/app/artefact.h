/* SPDX-License-Identifier: MIT */
/* What a build tool leaves in a folder of its own, under a name of its own. */
#ifndef APP_ARTEFACT_H
#define APP_ARTEFACT_H

#include "app/module.h"

struct app_plan;

/*
 * Copies the one file that plan->artefact stands for to plan->output. A negative errno, and ret_why
 * says how many there are, or what went wrong.
 */
int artefact_take(const struct app_plan *plan, char ret_why[APP_WHY_MAX]);

#endif
