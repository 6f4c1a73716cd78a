/* SPDX-License-Identifier: MIT */
/* What a program's option tables look like to others. */
#include "cli/meta_commands.h"

#include <assert.h>
#include <stdio.h>

#include "cli/program.h"
#include "cli/usage.h"
#include "conf/option.h"
#include "conf/option_complete.h"
#include "conf/option_help.h"

#define COMMANDS_MAX 16

struct completion_values {
	uint64_t shell; /* enum option_shell */
};

struct name_values {
	const char *command;
};

#define HELP                                                                             \
	{                                                                                \
		.name = "help", .letter = 'h', .type = OPTION_HELP, .help = "Print help" \
	}

const struct option_def meta_completion_options[META_OPTIONS_COUNT] = {
	{ .name = "SHELL",
		.type = OPTION_CHOICE,
		.positional = true,
		.required = true,
		.choices = (const char *const[]){ "bash", "fish", "zsh", NULL },
		.help = "The shell that the script is for",
		.offset = offsetof(struct completion_values, shell) },
	HELP,
};

const struct option_def meta_help_options[META_OPTIONS_COUNT] = {
	{ .name = "COMMAND",
		.type = OPTION_COMMAND,
		.positional = true,
		.help = "The command to explain",
		.offset = offsetof(struct name_values, command) },
	HELP,
};

const struct option_def meta_man_options_options[META_OPTIONS_COUNT] = {
	{ .name = "COMMAND",
		.type = OPTION_TEXT,
		.positional = true,
		.required = true,
		.help = "The command whose options are printed",
		.offset = offsetof(struct name_values, command) },
	HELP,
};

static bool meta_parse(const struct program *program, struct option_set *set, void *values,
	int argc, char **argv, int *ret_code)
{
	return usage_parse(
		set, program_find(program, argv[0])->table, values, argc, argv, ret_code);
}

int meta_completion(const struct program *program, int argc, char **argv)
{
	const struct option_table *tables[COMMANDS_MAX];
	struct completion_values values = { 0 };
	struct option_set set;
	size_t count = 0;
	int code;

	if (!meta_parse(program, &set, &values, argc, argv, &code))
		return code;
	assert(program->count <= COMMANDS_MAX);
	for (size_t i = 0; i < program->count; i++)
		if (!program->commands[i].hidden)
			tables[count++] = program->commands[i].table;
	option_write_completion((enum option_shell)values.shell, tables, count, stdout);
	return EXIT_CODE_OK;
}

int meta_help(const struct program *program, int argc, char **argv)
{
	struct name_values values = { 0 };
	const struct command *command;
	struct option_set set;
	int code;

	if (!meta_parse(program, &set, &values, argc, argv, &code))
		return code;
	if (!values.command) {
		program_write_help(program, stdout);
		return EXIT_CODE_OK;
	}
	command = program_find(program, values.command);
	if (!command)
		return program_fail_unknown(program, values.command);
	option_write_help(command->table, stdout);
	return EXIT_CODE_OK;
}

int meta_man_options(const struct program *program, int argc, char **argv)
{
	struct name_values values = { 0 };
	const struct command *command;
	struct option_set set;
	int code;

	if (!meta_parse(program, &set, &values, argc, argv, &code))
		return code;
	command = program_find(program, values.command);
	if (!command)
		return program_fail_unknown(program, values.command);
	option_write_man(command->table, stdout);
	return EXIT_CODE_OK;
}
