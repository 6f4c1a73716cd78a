/* SPDX-License-Identifier: MIT */
/*
 * A program is a table of commands. Each command has a file of its own, which defines its option
 * table and its run function: argv[0] is the command's name, the result is an enum exit_code.
 */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct option_table;
struct program;

struct command {
	int (*run)(const struct program *program, int argc, char **argv);
	const struct option_table *table; /* its name, summary and usage too */
	bool hidden;                      /* for the build, not for people */
};

struct program {
	const char *name, *summary;
	const struct command *commands;
	size_t count;
};

/* The program's arguments, from its own name on: runs the command. An enum exit_code. */
int program_run(const struct program *program, int argc, char **argv);

/* NULL: there is none of that name. */
const struct command *program_find(const struct program *program, const char *name);

/* What --help prints. */
void program_write_help(const struct program *program, FILE *out);

/* Says that there is no such command; EXIT_CODE_USAGE. */
int program_fail_unknown(const struct program *program, const char *name);

#endif
