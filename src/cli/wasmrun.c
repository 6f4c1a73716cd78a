/* SPDX-License-Identifier: MIT */
/*
 * `wasmrun`. main() is the only caller of exit().
 */
#include <jansson.h>
#include <stdlib.h>

#include "base/secret.h"
#include "cli/process.h"
#include "cli/program.h"
#include "cli/wasmrun_commands.h"

int main(int argc, char **argv)
{
	process_prepare();
	/* A request to start a tunnel has a secret in its JSON. */
	json_set_alloc_funcs(malloc, secret_free);
	exit(program_run(&wasmrun_program, argc, argv));
}
