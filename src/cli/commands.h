/* SPDX-License-Identifier: MIT */
/*
 * The commands of `bore`. Each has a file of its own, which defines its option table and its run
 * function: argv[0] is the command's name, the result is an enum exit_code.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

struct option_table;

struct command {
	int (*run)(int argc, char **argv);
	const struct option_table *table; /* its name, summary and usage too */
	bool hidden;                      /* for the build, not for people */
};

extern const struct command commands[];
extern const size_t command_count;

/* The program's arguments, from its own name on: runs the command. An enum exit_code. */
int commands_run(int argc, char **argv);

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
