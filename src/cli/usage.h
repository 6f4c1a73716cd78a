/* SPDX-License-Identifier: MIT */
/*
 * What every command does first: it reads its options, and answers --help and mistakes.
 */
#ifndef CLI_USAGE_H
#define CLI_USAGE_H

#include <stdbool.h>

#include "cli/exit_code.h"

struct option_set;
struct option_table;

/* False: the command ends with *ret_code, having said why. `values` is zeroed by the caller. */
bool usage_parse(struct option_set *set, const struct option_table *table, void *values, int argc,
	char **argv, int *ret_code);

/* Says set->error and returns EXIT_CODE_USAGE. */
int usage_error(const struct option_set *set);

/* The same, or prints the help and returns EXIT_CODE_OK, by the enum option_condition of a parse.
 */
int usage_answer(const struct option_set *set, int condition);

#endif
