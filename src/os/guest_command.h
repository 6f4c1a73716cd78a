/* SPDX-License-Identifier: MIT */
/* Where wasmrun-guest is, and its command line for one application. */
#ifndef OS_GUEST_COMMAND_H
#define OS_GUEST_COMMAND_H

#include "conf/option.h"

struct os_app_config;

#define GUEST_COMMAND_WORDS (16 + 5 * OPTION_LIST_MAX) /* two for each dir and env, one per arg */

struct guest_command {
	const char *argv[GUEST_COMMAND_WORDS];
};

/* The texts are borrowed. `cache_dir` is for compiled modules. */
void guest_command_init(struct guest_command *command, const char *program, const char *cache_dir,
	const struct os_app_config *app, const char *module);

/* Beside this program, else where both are installed. -ENOENT; the caller frees *ret_path. */
int guest_program_find(char **ret_path);

#endif
