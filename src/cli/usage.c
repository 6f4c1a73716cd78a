/* SPDX-License-Identifier: MIT */
/* Usage errors are plain lines, as clap writes them. The log is for what happens later. */
#include "cli/usage.h"

#include <stdio.h>

#include "cli/terminal.h"
#include "conf/option.h"
#include "conf/option_help.h"

int usage_error(const struct option_set *set)
{
	terminal_error("%s", set->error);
	return EXIT_CODE_USAGE;
}

int usage_answer(const struct option_set *set, int condition)
{
	if (condition != OPTION_WANTS_HELP)
		return usage_error(set);
	option_write_help(set->table, stdout);
	return EXIT_CODE_OK;
}

bool usage_parse(struct option_set *set, const struct option_table *table, void *values, int argc,
	char **argv, int *ret_code)
{
	int r = option_set_parse(set, table, values, argc, argv);

	if (r != 0)
		*ret_code = usage_answer(set, r);
	return r == 0;
}
