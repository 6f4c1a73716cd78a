/* SPDX-License-Identifier: MIT */
/*
 * The table of bore's commands.
 */
#include "cli/commands.h"

#include "base/lang.h"
#include "cli/meta_commands.h"

static const struct option_table completion_table = META_COMPLETION_TABLE("bore");
static const struct option_table help_table = META_HELP_TABLE("bore");
static const struct option_table man_options_table = META_MAN_OPTIONS_TABLE("bore");

static int cmd_completion(int argc, char **argv)
{
	return meta_completion(&bore_program, argc, argv);
}

static int cmd_help(int argc, char **argv)
{
	return meta_help(&bore_program, argc, argv);
}

static int cmd_man_options(int argc, char **argv)
{
	return meta_man_options(&bore_program, argc, argv);
}

static const struct command commands[] = {
	{ cmd_completion, &completion_table, false },
	{ cmd_help, &help_table, false },
	{ cmd_local, &local_table, false },
	{ cmd_man_options, &man_options_table, true },
	{ cmd_server, &server_table, false },
};

const struct program bore_program = {
	.name = "bore",
	.summary = "A TCP tunnel: exposes local ports through a relay, past NAT and firewalls",
	.commands = commands,
	.count = ARRAY_LEN(commands),
};
