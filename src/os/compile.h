/* SPDX-License-Identifier: MIT */
/*
 * A run of the engine that only compiles, into os/code_cache.h, before one that serves: it sees no
 * visitor, and has no network, no folders and none of the application's variables. Behind its wall
 * (os/wall.h) it makes no socket, reads the module, and writes to one folder, which is its own.
 *
 * On its status pipe (os/child.h) it says one step, when the code is kept. Without that, and with
 * exit code 0, the module is sound, but nobody will find its code. All else is a failure.
 */
#ifndef OS_COMPILE_H
#define OS_COMPILE_H

#include <stdbool.h>

#include "app/module.h"
#include "os/engine_command.h"
#include "sandbox/spawn.h"

#define COMPILE_TIMEOUT_MS (10U * 60 * 1000) /* the largest take a minute of a slow machine */

/* Zero is one that has nothing to do. */
struct compile {
	char *entry; /* folder of the code, to be read by who serves; owned; NULL: there is none */
	char *partial; /* that `run` writes to; owned; NULL: there is nothing to be run */
	struct engine_command key, run;
	struct spawn_fds fds;   /* of `run`; the status pipe is a wish */
	struct spawn_wall wall; /* of `run` */
	bool walled;            /* it has one */
};

/* What the code depends on. Borrowed. */
struct compile_config {
	const char *project, *module;
	const char *guest_program; /* as in struct engine_config */
	enum app_interface interface;
	bool quick, no_isolation;
};

/*
 * Finds the code, or prepares the run. Where code can't be kept, that is logged, and there is
 * neither. Negative errno: there is no engine or no wall, ret_why has the line. compile_deinit()
 * follows in any case. Not on a loop.
 */
int compile_prepare(
	struct compile *c, const struct compile_config *config, char ret_why[APP_WHY_MAX]);

/* The run has ended: its code becomes the entry if it was `kept`, else there is no entry. Not on a
 * loop. */
void compile_finish(struct compile *c, bool kept);

void compile_deinit(struct compile *c);

#endif
