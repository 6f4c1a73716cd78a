/* SPDX-License-Identifier: MIT */
/*
 * The table of wasmrun's commands.
 */
#include "cli/wasmrun_commands.h"

#include "base/lang.h"
#include "cli/meta_commands.h"
#include "os/run_config.h"

static const struct option_table completion_table = META_COMPLETION_TABLE("wasmrun");
static const struct option_table help_table = META_HELP_TABLE("wasmrun");
static const struct option_table man_options_table = META_MAN_OPTIONS_TABLE("wasmrun");

static int cmd_completion(int argc, char **argv)
{
	return meta_completion(&wasmrun_program, argc, argv);
}

static int cmd_help(int argc, char **argv)
{
	return meta_help(&wasmrun_program, argc, argv);
}

static int cmd_man_options(int argc, char **argv)
{
	return meta_man_options(&wasmrun_program, argc, argv);
}

static const struct command commands[] = {
	{ cmd_completion, &completion_table, false },
	{ cmd_help, &help_table, false },
	{ cmd_logs, &logs_table, false },
	{ cmd_man_options, &man_options_table, true },
	{ cmd_os, &os_run_table, false },
	{ cmd_ps, &ps_table, false },
	{ cmd_run, &run_table, false },
	{ cmd_stop, &stop_table, false },
	{ cmd_tunnel, &tunnel_table, false },
};

const struct program wasmrun_program = {
	.name = "wasmrun",
	.summary = "Runs WebAssembly applications on this machine, and gives them a public address",
	.commands = commands,
	.count = ARRAY_LEN(commands),
};
