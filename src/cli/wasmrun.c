/* SPDX-License-Identifier: MIT */
/*
 * `wasmrun`. main() is the only caller of exit().
 */
#include <stdlib.h>

#include "base/err.h"
#include "cli/cmd_os.h"
#include "cli/process.h"
#include "cli/program.h"
#include "os/run_config.h"

static const struct command commands[] = {
	{ cmd_os, &os_run_table, false },
};

static const struct program wasmrun = {
	.name = "wasmrun",
	.summary = "Runs WebAssembly applications on this machine, and gives them a public address",
	.commands = commands,
	.count = ARRAY_LEN(commands),
};

int main(int argc, char **argv)
{
	process_prepare();
	exit(program_run(&wasmrun, argc, argv));
}
