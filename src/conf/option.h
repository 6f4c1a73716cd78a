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

#include <stddef.h>

#include "base/lang.h"
#include "conf/option_table.h"

#define OPTION_ERROR_MAX 512 /* a message and its NUL; what is longer is cut */
#define OPTION_WHY_MAX 160   /* an explanation and its NUL */

enum option_source {
	OPTION_UNSET,
	OPTION_FROM_DEFAULT,
	OPTION_FROM_FILE,
	OPTION_FROM_ENV,
	OPTION_FROM_ARG,
};

/* What a parse found out beside the values. */
struct option_set {
	const struct option_table *table; /* not owned */
	void *values;                     /* not owned */
	enum option_source source[OPTIONS_MAX];
	char **rest;                  /* in argv, NULL at the end: the words of table->rest */
	char error[OPTION_ERROR_MAX]; /* OPTION_INVALID: one line with cause and remedy */
};

enum option_condition {
	OPTION_WANTS_HELP = 1,
	OPTION_INVALID,
};

/*
 * argv[0] is skipped. `values` is zeroed by the caller, who also clears the secrets in it. 0, or an
 * enum option_condition. Uses getopt_long(3), and so is not for threads.
 */
int option_set_parse(struct option_set *set, const struct option_table *table, void *values,
	int argc, char **argv);

/*
 * The same in three steps, for a command with a configuration file: the words and the variables;
 * then, with option_set_from_file(), what stands in the file; then the defaults.
 */
int option_set_begin(struct option_set *set, const struct option_table *table, void *values,
	int argc, char **argv);
int option_set_finish(struct option_set *set);

/* The option with that key in the file, or NULL. */
const struct option_def *option_find_key(const struct option_table *table, const char *key);

/*
 * A value from the file; several calls make a list. What was given elsewhere is judged, so that a
 * mistake in the file is told at once, but not stored. Negative errno: ret_why says why.
 */
int option_set_from_file(struct option_set *set, const struct option_def *def, const char *text,
	char ret_why[OPTION_WHY_MAX]);

/* Where the value of the option `name`, which must be in the table, came from. */
enum option_source option_set_source(const struct option_set *set, const char *name);

/* The table's entry for `name`, which must be there. */
const struct option_def *option_find(const struct option_table *table, const char *name);

/* Fills set->error and returns OPTION_INVALID: also for what only the caller can judge. */
int option_set_fail(struct option_set *set, const char *fmt, ...) _printf_(2, 3);

/* The same for a bad value: "invalid value 'VALUE' for '--name <NAME>': why". */
int option_set_bad_value(
	struct option_set *set, const struct option_def *def, const char *value, const char *why);

#endif
