/* SPDX-License-Identifier: MIT */
/*
 * The options of a command: one alphabetical table that feeds the command line, the environment,
 * the configuration file, --help, the shells' completion and the manual page.
 *
 * A value is taken from the command line, else from the environment, else from the file, else from
 * the default, and is stored in the caller's struct at the table's offset. Texts point into argv,
 * the environment, the file's entries or the table. The command line's rules are those of clap,
 * which stock bore uses: `--opt value`, `--opt=value`, `-o value`, `-ovalue`, `-o=value`, `--`,
 * long names in full, each option once.
 */
#ifndef CONF_OPTION_H
#define CONF_OPTION_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lang.h"
#include "conf/option_table.h"

#define OPTION_ERROR_MAX (PATH_MAX + 1024) /* a message and its NUL; what is longer is cut */
#define OPTION_WHY_MAX 544                 /* an explanation and its NUL */

/* By rank: of two the later one counts. */
enum option_source {
	OPTION_UNSET,
	OPTION_FROM_DEFAULT,
	OPTION_FROM_FILE,
	OPTION_FROM_ENV,
	OPTION_FROM_ARG,
};

struct option_origin {
	enum option_source source;
	uint32_t line; /* OPTION_FROM_FILE: where the value stands; of a list, the last one */
};

/* What a parse found out beside the values. */
struct option_set {
	const struct option_table *table; /* not owned */
	void *values;                     /* not owned */
	const char *file; /* not owned: the one of option_set_read_file(), or NULL */
	struct option_origin origins[OPTIONS_MAX];
	char **rest;                  /* in argv, NULL at the end: the words of table->rest */
	char error[OPTION_ERROR_MAX]; /* OPTION_INVALID: one line with cause and remedy */
};

enum option_condition {
	OPTION_WANTS_HELP = 1,
	OPTION_INVALID,
};

/*
 * argv[0] is skipped. `values` is zeroed by the caller, and option_values_clear() follows in any
 * case. 0, or an enum option_condition. Uses getopt_long(3), and so is not for threads.
 */
int option_set_parse(struct option_set *set, const struct option_table *table, void *values,
	int argc, char **argv);

/*
 * The same in three steps, for a command with a configuration file: the words and the variables;
 * then, with option_set_read_file(), what stands in the file; then the defaults.
 */
int option_set_begin(struct option_set *set, const struct option_table *table, void *values,
	int argc, char **argv);
int option_set_finish(struct option_set *set);

/* Clears the secrets, and frees the arrays of the lists. */
void option_values_clear(const struct option_table *table, void *values);

/*
 * One value, from wherever: stored unless a source of higher rank has given one, or added to that
 * where the option says so, and judged in any case, so that a mistake is told at once. Several
 * calls make a list. 0 or OPTION_INVALID.
 */
int option_set_take(struct option_set *set, const struct option_def *def, const char *text,
	struct option_origin origin);

/* Where the value of the option `name`, which must be in the table, came from. */
enum option_source option_set_source(const struct option_set *set, const char *name);

/* The table's entry for `name`, which must be there. */
const struct option_def *option_find(const struct option_table *table, const char *name);

/* The option with that key in the file, or NULL. */
const struct option_def *option_find_key(const struct option_table *table, const char *key);

/* The next three fill set->error and return OPTION_INVALID. This one is for what no single value
 * is to blame for. */
int option_set_fail(struct option_set *set, const char *fmt, ...) _printf_(2, 3);

/* Names the value (NULL: it is no text), where it stands, the option by the word that its source
 * has for it, and why. A secret's value isn't shown. */
int option_set_refuse(struct option_set *set, const struct option_def *def, const char *value,
	struct option_origin origin, const char *why);

/* The same for what can be judged only when all options are known: `value` is the last one that
 * the option `name` was given. */
int option_set_refuse_given(
	struct option_set *set, const char *name, const char *value, const char *why);

#endif
