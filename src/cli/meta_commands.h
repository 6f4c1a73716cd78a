/* SPDX-License-Identifier: MIT */
/*
 * The commands about a program itself, which each program has in its table: help, completion, and
 * man-options, by which the build makes the manual pages. argv[0] is the command's name in it.
 */
#ifndef CLI_META_COMMANDS_H
#define CLI_META_COMMANDS_H

#include "conf/option_table.h"

struct program;

extern const struct option_def meta_completion_options[], meta_help_options[],
	meta_man_options_options[];

#define META_OPTIONS_COUNT 2 /* in each of them */

/* A program's table of such a command. */
#define META_TABLE(program_, command_, summary_, options_)                                       \
	{                                                                                        \
		.program = program_, .command = command_, .summary = summary_, .defs = options_, \
		.count = META_OPTIONS_COUNT                                                      \
	}
#define META_COMPLETION_TABLE(program_)                                               \
	META_TABLE(program_, "completion", "Print the completion script for a shell", \
		meta_completion_options)
#define META_HELP_TABLE(program_)                                                           \
	META_TABLE(program_, "help", "Print this message or the help of the given command", \
		meta_help_options)
#define META_MAN_OPTIONS_TABLE(program_)                                                     \
	META_TABLE(program_, "man-options", "Print a command's options for its manual page", \
		meta_man_options_options)

/* An enum exit_code. */
int meta_completion(const struct program *program, int argc, char **argv);
int meta_help(const struct program *program, int argc, char **argv);
int meta_man_options(const struct program *program, int argc, char **argv);

#endif
