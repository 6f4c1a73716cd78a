/* SPDX-License-Identifier: MIT */
/* What a build tool leaves in a folder of its own, under a name of its own. */
#ifndef APP_ARTEFACT_H
#define APP_ARTEFACT_H

#include <stdatomic.h>

#include "app/module.h"

struct app_plan;

/*
 * Looks for the one thing that plan->artefacts stand for: a module, which is copied to
 * plan->output, or the index.html of a folder, which becomes plan->module. *ret_path is where that
 * was found; the caller frees it. A negative errno, and ret_why says how many there are, or what
 * went wrong; -ECANCELED: *canceled was set meanwhile.
 *
 * It may take long, and is called in a thread.
 */
int artefact_take(struct app_plan *plan, const atomic_bool *canceled, char **ret_path,
	char ret_why[APP_WHY_MAX]);

#endif
