/* SPDX-License-Identifier: MIT */
/*
 * What an option table says: one entry for each option, in alphabetical order behind the positional
 * arguments. Everything in it is constant.
 */
#ifndef CONF_OPTION_TABLE_H
#define CONF_OPTION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_MAX 48       /* entries of a table */
#define OPTION_LIST_MAX 4096 /* values of one list: a long list of network rules has hundreds */

/* What a value is, and what stands at its offset. */
enum option_type {
	OPTION_FLAG,    /* bool; takes no value and may be repeated. Elsewhere: true, false, 1, 0 */
	OPTION_HELP,    /* nothing is stored: ends the parsing */
	OPTION_TEXT,    /* const char *, not empty; NULL: not given */
	OPTION_FILE,    /* as OPTION_TEXT; completed with names of files and folders */
	OPTION_COMMAND, /* as OPTION_TEXT; completed with the names of the program's commands */
	OPTION_SECRET,  /* struct secret; wiped from argv and the environment, in no message */
	OPTION_NUMBER,  /* uint64_t in min..max */
	OPTION_DURATION, /* uint64_t in ms, in min..max; "none" is 0 where min is 0 */
	OPTION_CHOICE,   /* uint64_t: the index of the word in `choices` */
	OPTION_LIST,     /* struct option_list; may be repeated, each time with one more text */
	OPTION_FOLDERS,  /* as OPTION_LIST, texts that begin with a folder; completed with those */
	OPTION_TYPES,
};

/* The texts belong to argv, the environment or the file, the array to the list:
 * option_values_clear(). */
struct option_list {
	const char **items;
	size_t count;
};

struct option_def {
	const char *name;           /* the long option, or the name of a positional argument */
	const char *value_name;     /* of an option's value in --help */
	const char *env;            /* variable, or NULL */
	const char *key;            /* in the configuration file, "table.key", or NULL */
	const char *fallback;       /* the default as one would type it, or NULL */
	const char *const *choices; /* OPTION_CHOICE: words, NULL at the end */
	const char *help;           /* sentences without the last full stop */
	uint64_t min, max;          /* OPTION_NUMBER, OPTION_DURATION; inclusive */
	/* What a value must be beyond its type, and each value of a list; NULL: nothing. Negative
	 * errno: ret_why, of OPTION_WHY_MAX bytes, says in a clause why it is not. */
	int (*check)(int form, const char *text, char *ret_why);
	int form; /* which of several forms that `check` knows */
	/* Of a command with sub-words, which are an OPTION_CHOICE and its first argument: a bit
	 * for the index of each word that this option goes with; 0: all of them. --help says it,
	 * and on the command line it is refused with the other words. */
	uint32_t goes_with;
	size_t offset;
	enum option_type type;
	char letter;     /* the short option, or 0 */
	bool positional; /* these come first in the table, in the order of the command line */
	bool required;
	/* Of a list: what a source of lower rank gives is added, not dropped. */
	bool adds;
};

struct option_table {
	const char *program, *command; /* "bore", "local" */
	const char *summary;           /* one sentence without full stop */
	const struct option_def *defs;
	size_t count; /* at most OPTIONS_MAX */
	/* What the words behind the last positional argument are called, which are another
	 * program's and not looked at; NULL: there must be none. */
	const char *rest;
};

/* Of option_def.goes_with. */
#define OPTION_WITH(word) (UINT32_C(1) << (word))

/* "'start'", "'add' or 'remove'": the words that the option goes with. Returns buf. */
const char *option_words(
	const struct option_table *table, const struct option_def *def, char *buf, size_t size);

/* "--name <VALUE>", "--name" or "<NAME>", as messages and usage lines show it. Returns buf. */
const char *option_display(const struct option_def *def, char *buf, size_t size);

/* Whether a value follows the option on the command line, and whether there may be several. */
bool option_takes_value(const struct option_def *def);
bool option_is_list(const struct option_def *def);

#endif
