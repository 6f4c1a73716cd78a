/* SPDX-License-Identifier: MIT */
/* From a program's arguments to its command. */
#include "cli/program.h"

#include <string.h>

#include "base/guide.h"
#include "base/log.h"
#include "cli/exit_code.h"
#include "cli/terminal.h"
#include "conf/option.h"

#define SHOWN_MAX 128 /* of a user's text in a message */

const struct command *program_find(const struct program *program, const char *name)
{
	for (size_t i = 0; i < program->count; i++)
		if (strcmp(program->commands[i].table->command, name) == 0)
			return &program->commands[i];
	return NULL;
}

void program_write_help(const struct program *program, FILE *out)
{
	char guide[PATH_MAX];

	fprintf(out, "%s\n\nUsage: %s <COMMAND>\n\nCommands:\n", program->summary, program->name);
	for (size_t i = 0; i < program->count; i++)
		if (!program->commands[i].hidden)
			fprintf(out, "  %-10s  %s\n", program->commands[i].table->command,
				program->commands[i].table->summary);
	fputs("\nOptions:\n  -h, --help     Print help\n  -V, --version  Print version\n", out);
	if (guide_find(program->name, guide) == 0)
		fprintf(out, "\nGuide: %s\n", guide);
	else
		fprintf(out, "\nGuide: man %s\n", program->name);
}

int program_fail_unknown(const struct program *program, const char *name)
{
	char shown[SHOWN_MAX];

	terminal_error("%s '%s'; see '%s --help'",
		*name == '-' ? "unexpected argument" : "unrecognized subcommand",
		log_escape(shown, sizeof shown, name, strlen(name)), program->name);
	return EXIT_CODE_USAGE;
}

int program_run(const struct program *program, int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		program_write_help(program, stderr);
		return EXIT_CODE_USAGE;
	}
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0) {
		program_write_help(program, stdout);
		return EXIT_CODE_OK;
	}
	if (strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "--version") == 0) {
		printf("%s %s\n", program->name, WASMRUN_VERSION);
		return EXIT_CODE_OK;
	}
	command = program_find(program, argv[1]);
	return command ? command->run(program, argc - 1, argv + 1)
		       : program_fail_unknown(program, argv[1]);
}
