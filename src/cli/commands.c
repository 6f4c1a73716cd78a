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

static const struct command commands[] = {
	{ meta_completion, &completion_table },
	{ cmd_bore_doctor, &bore_doctor_table },
	{ meta_help, &help_table },
	{ cmd_local, &local_table },
	{ meta_man_options, &man_options_table, .hidden = true },
	{ cmd_server, &server_table },
};

const struct program bore_program = {
	.name = "bore",
	.summary = "A TCP tunnel: exposes local ports through a relay, past NAT and firewalls",
	.commands = commands,
	.count = ARRAY_LEN(commands),
};
