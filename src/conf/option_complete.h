/* SPDX-License-Identifier: MIT */
/*
 * Completion scripts for the shells, written from the option tables of a program's commands.
 */
#ifndef CONF_OPTION_COMPLETE_H
#define CONF_OPTION_COMPLETE_H

#include <stddef.h>
#include <stdio.h>

struct option_table;

enum option_shell {
	OPTION_SHELL_BASH,
	OPTION_SHELL_FISH,
	OPTION_SHELL_ZSH,
	OPTION_SHELLS,
};

/* `tables`: at least one command, all of one program. */
void option_write_completion(
	enum option_shell shell, const struct option_table *const *tables, size_t count, FILE *out);

#endif
