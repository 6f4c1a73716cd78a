/* SPDX-License-Identifier: MIT */
/*
 * What an option table looks like to people: --help, and the lists of a manual page (mdoc(7)).
 */
#ifndef CONF_OPTION_HELP_H
#define CONF_OPTION_HELP_H

#include <stdio.h>

struct option_table;

/* "bore local [OPTIONS] --to <TO> <LOCAL_PORT>", without a newline. */
void option_write_usage(const struct option_table *table, FILE *out);

void option_write_help(const struct option_table *table, FILE *out);

/* The .It entries of the options, without the list around them. */
void option_write_man(const struct option_table *table, FILE *out);

#endif
