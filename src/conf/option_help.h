/* SPDX-License-Identifier: MIT */
/*
 * What an option table looks like to people: --help, and the lists of a manual page (mdoc(7)).
 */
#ifndef CONF_OPTION_HELP_H
#define CONF_OPTION_HELP_H

#include <stdio.h>

struct option_def;
struct option_table;

/* "bore local [OPTIONS] --to <TO> <LOCAL_PORT>", without a newline. */
void option_write_usage(const struct option_table *table, FILE *out);

#define OPTION_HELP_MAX 640 /* a help text and its NUL */

/* The help of one option, with the sub-words that it goes with. Returns buf. */
const char *option_help(
	const struct option_table *table, const struct option_def *def, char buf[OPTION_HELP_MAX]);

void option_write_help(const struct option_table *table, FILE *out);

/* The .It entries of the options, without the list around them. */
void option_write_man(const struct option_table *table, FILE *out);

#endif
