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

static const struct command commands[] = {
	{ meta_completion, &completion_table },
	{ cmd_doctor, &doctor_table },
	{ cmd_forward, &forward_table },
	{ meta_help, &help_table },
	{ cmd_logs, &logs_table },
	{ meta_man_options, &man_options_table, .hidden = true },
	{ cmd_new, &new_table },
	{ cmd_os, &os_run_table },
	{ cmd_policy, &policy_table },
	{ cmd_ps, &ps_table },
	{ cmd_replay, &replay_table },
	{ cmd_requests, &requests_table },
	{ cmd_run, &run_table },
	{ cmd_stop, &stop_table },
	{ cmd_tunnel, &tunnel_table },
};

const struct program wasmrun_program = {
	.name = "wasmrun",
	.summary = "Runs WebAssembly applications on this machine, and gives them a public address",
	.commands = commands,
	.count = ARRAY_LEN(commands),
};
