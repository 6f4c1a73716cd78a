/* SPDX-License-Identifier: MIT */
/* What a build tool leaves in a folder of its own, under a name of its own. */
#ifndef APP_ARTEFACT_H
#define APP_ARTEFACT_H

#include <stdatomic.h>

#include "app/module.h"

struct app_plan;

/*
 * Behind a build that has succeeded: what runs is at app_plan_file(), and plan->info says what it
 * is. Where plan->artefacts say what the build may have made, the one thing that they stand for is
 * looked for: a module is copied to plan->output, the folder of an index.html becomes plan->module.
 * *ret_made is where that was found, NULL where the build writes plan->output itself; the caller
 * frees it.
 *
 * A negative errno, and ret_why says how many artefacts there are, or what is wrong; -ECANCELED:
 * *canceled was set meanwhile. It may take long, and is called in a thread.
 */
int artefact_take(struct app_plan *plan, const atomic_bool *canceled, char **ret_made,
	char ret_why[APP_WHY_MAX]);

#endif
