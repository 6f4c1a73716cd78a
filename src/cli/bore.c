/* SPDX-License-Identifier: MIT */
/*
 * `bore`. main() is the only caller of exit().
 */
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/process.h"

int main(int argc, char **argv)
{
	process_prepare();
	exit(program_run(&bore_program, argc, argv));
}
