/* SPDX-License-Identifier: MIT */
/* What `wasmrun run` does before it becomes the engine. */
#ifndef CLI_RUN_COMPILE_H
#define CLI_RUN_COMPILE_H

#include <stdbool.h>

struct compile;
struct engine_config;

/*
 * Has the module compiled, unless it was, and waits for that: compile->entry is what the engine is
 * to read, if there is one. Returns EXIT_CODE_OK, or the code to end with when the engine has said
 * why it can't. compile_deinit() follows.
 */
int run_compile(const struct engine_config *config, bool no_isolation, struct compile *compile);

#endif
