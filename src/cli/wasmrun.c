/* SPDX-License-Identifier: MIT */
/*
 * `wasmrun`. main() is the only caller of exit().
 */
#include <stdlib.h>

#include "cli/process.h"
#include "cli/program.h"
#include "cli/wasmrun_commands.h"

int main(int argc, char **argv)
{
	process_prepare();
	exit(program_run(&wasmrun_program, argc, argv));
}
