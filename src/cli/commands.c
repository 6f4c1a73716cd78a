/* SPDX-License-Identifier: MIT */
/*
 * The table of commands, and what is said of it.
 */
#include "cli/commands.h"

#include <stdio.h>

#include "base/err.h"
#include "cli/exit_code.h"
#include "cli/usage.h"
#include "conf/option.h"
#include "conf/option_help.h"

const struct command commands[] = {
	{ cmd_completion, &completion_table, false },
	{ cmd_help, &help_table, false },
	{ cmd_local, &local_table, false },
	{ cmd_man_options, &man_options_table, true },
	{ cmd_server, &server_table, false },
};
const size_t command_count = ARRAY_LEN(commands);

struct help_values {
	const char *command;
};

static const struct option_def help_options[] = {
	{ .name = "COMMAND",
		.type = OPTION_TEXT,
		.positional = true,
		.help = "The command to explain",
		.offset = offsetof(struct help_values, command) },
	{ .name = "help", .letter = 'h', .type = OPTION_HELP, .help = "Print help" },
};

const struct option_table help_table = {
	.program = "bore",
	.command = "help",
	.summary = "Print this message or the help of the given command",
	.defs = help_options,
	.count = ARRAY_LEN(help_options),
};

const struct program bore_program = {
	.name = "bore",
	.summary = "A TCP tunnel: exposes local ports through a relay, past NAT and firewalls",
	.commands = commands,
	.count = ARRAY_LEN(commands),
};

const struct command *command_find(const char *name)
{
	return program_find(&bore_program, name);
}

int cmd_help(int argc, char **argv)
{
	struct help_values values = { 0 };
	const struct command *command;
	struct option_set set;
	int code;

	if (!usage_parse(&set, &help_table, &values, argc, argv, &code))
		return code;
	if (!values.command) {
		program_write_help(&bore_program, stdout);
		return EXIT_CODE_OK;
	}
	command = command_find(values.command);
	if (!command)
		return program_fail_unknown(&bore_program, values.command);
	option_write_help(command->table, stdout);
	return EXIT_CODE_OK;
}
