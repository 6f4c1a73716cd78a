/* SPDX-License-Identifier: MIT */
/*
 * `bore completion SHELL`, and `bore man-options COMMAND` by which the build makes the manual
 * pages: what the option tables look like to others.
 */
#include <assert.h>
#include <stdio.h>

#include "base/err.h"
#include "cli/commands.h"
#include "cli/usage.h"
#include "conf/option.h"
#include "conf/option_complete.h"
#include "conf/option_help.h"

#define COMMANDS_MAX 16

struct completion_values {
	uint64_t shell; /* enum option_shell */
};

static const struct option_def completion_options[] = {
	{ .name = "SHELL",
		.type = OPTION_CHOICE,
		.positional = true,
		.required = true,
		.choices = (const char *const[]){ "bash", "fish", "zsh", NULL },
		.help = "The shell that the script is for",
		.offset = offsetof(struct completion_values, shell) },
	{ .name = "help", .letter = 'h', .type = OPTION_HELP, .help = "Print help" },
};

const struct option_table completion_table = {
	.program = "bore",
	.command = "completion",
	.summary = "Print the completion script for a shell",
	.defs = completion_options,
	.count = ARRAY_LEN(completion_options),
};

struct man_options_values {
	const char *command;
};

static const struct option_def man_options_options[] = {
	{ .name = "COMMAND",
		.type = OPTION_TEXT,
		.positional = true,
		.required = true,
		.help = "The command whose options are printed",
		.offset = offsetof(struct man_options_values, command) },
	{ .name = "help", .letter = 'h', .type = OPTION_HELP, .help = "Print help" },
};

const struct option_table man_options_table = {
	.program = "bore",
	.command = "man-options",
	.summary = "Print a command's options for its manual page",
	.defs = man_options_options,
	.count = ARRAY_LEN(man_options_options),
};

int cmd_completion(int argc, char **argv)
{
	const struct option_table *tables[COMMANDS_MAX];
	struct completion_values values = { 0 };
	struct option_set set;
	size_t count = 0;
	int code;

	if (!usage_parse(&set, &completion_table, &values, argc, argv, &code))
		return code;
	assert(command_count <= COMMANDS_MAX);
	for (size_t i = 0; i < command_count; i++)
		if (!commands[i].hidden)
			tables[count++] = commands[i].table;
	option_write_completion((enum option_shell)values.shell, tables, count, stdout);
	return EXIT_CODE_OK;
}

int cmd_man_options(int argc, char **argv)
{
	struct man_options_values values = { 0 };
	const struct command *command;
	struct option_set set;
	int code;

	if (!usage_parse(&set, &man_options_table, &values, argc, argv, &code))
		return code;
	command = command_find(values.command);
	if (!command) {
		option_set_bad_value(&set, option_find(&man_options_table, "COMMAND"),
			values.command, "there is no such command");
		return usage_error(&set);
	}
	option_write_man(command->table, stdout);
	return EXIT_CODE_OK;
}
