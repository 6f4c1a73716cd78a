/* SPDX-License-Identifier: MIT */
/* The commands of `bore`, each in a file of its own. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stddef.h>

#include "cli/program.h"

struct option_table;

extern const struct command commands[];
extern const size_t command_count;
extern const struct program bore_program;

/* NULL: there is none of that name. */
const struct command *command_find(const char *name);

extern const struct option_table completion_table, help_table, local_table, man_options_table,
	server_table;

int cmd_completion(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_local(int argc, char **argv);
int cmd_man_options(int argc, char **argv);
int cmd_server(int argc, char **argv);

#endif
