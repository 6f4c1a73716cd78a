/* SPDX-License-Identifier: MIT */
/*
 * The table of commands, and what is said of it.
 */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "cli/exit_code.h"
#include "cli/usage.h"
#include "conf/option.h"
#include "conf/option_help.h"

#define SHOWN_MAX 128 /* of a user's text in a message */

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

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < command_count; i++)
		if (strcmp(commands[i].table->command, name) == 0)
			return &commands[i];
	return NULL;
}

static void write_help(FILE *out)
{
	fputs("A TCP tunnel: exposes local ports through a relay, past NAT and firewalls\n\n"
	      "Usage: bore <COMMAND>\n\nCommands:\n",
		out);
	for (size_t i = 0; i < command_count; i++)
		if (!commands[i].hidden)
			fprintf(out, "  %-10s  %s\n", commands[i].table->command,
				commands[i].table->summary);
	fputs("\nOptions:\n  -h, --help     Print help\n  -V, --version  Print version\n", out);
}

static int fail_unknown(const char *name)
{
	char shown[SHOWN_MAX];

	fprintf(stderr, "error: %s '%s'; see 'bore --help'\n",
		*name == '-' ? "unexpected argument" : "unrecognized subcommand",
		log_escape(shown, sizeof shown, name, strlen(name)));
	return EXIT_CODE_USAGE;
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
		write_help(stdout);
		return EXIT_CODE_OK;
	}
	command = command_find(values.command);
	if (!command)
		return fail_unknown(values.command);
	option_write_help(command->table, stdout);
	return EXIT_CODE_OK;
}

int commands_run(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		write_help(stderr);
		return EXIT_CODE_USAGE;
	}
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0) {
		write_help(stdout);
		return EXIT_CODE_OK;
	}
	if (strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "--version") == 0) {
		puts("bore " WASMRUN_VERSION);
		return EXIT_CODE_OK;
	}
	command = command_find(argv[1]);
	return command ? command->run(argc - 1, argv + 1) : fail_unknown(argv[1]);
}
