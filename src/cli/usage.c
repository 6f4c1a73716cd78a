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

bool usage_parse(struct option_set *set, const struct option_table *table, void *values, int argc,
	char **argv, int *ret_code)
{
	int r = option_set_parse(set, table, values, argc, argv);

	if (r == 0)
		return true;
	if (r == OPTION_WANTS_HELP) {
		option_write_help(table, stdout);
		*ret_code = EXIT_CODE_OK;
	} else {
		*ret_code = usage_error(set);
	}
	return false;
}
