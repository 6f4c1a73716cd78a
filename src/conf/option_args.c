/* SPDX-License-Identifier: MIT */
/*
 * The words of the command line. getopt_long(3) splits them, and this file is as strict as clap: a
 * value that is a word of its own never starts with a dash, long names are not abbreviated, and an
 * option that takes a value is given once.
 */
#include "conf/option_args.h"

#include <assert.h>
#include <getopt.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "conf/option.h"

/* getopt_long() returns 1 for a word that is no option, a letter, or this plus an index of the
 * table. */
#define LONG_BASE 256

#define SHOWN_MAX 128 /* of a user's text in a message */

struct getopt_spec {
	char letters[2 * OPTIONS_MAX + 3];
	struct option longs[OPTIONS_MAX + 1];
};

static int args_fail_missing_value(struct option_set *set, const struct option_def *def)
{
	char display[SHOWN_MAX];

	assert(def);
	return option_set_fail(set, "a value is required for '%s' but none was supplied",
		option_display(def, display, sizeof display));
}

static int args_fail_unexpected(struct option_set *set, const char *word, size_t len)
{
	char shown[SHOWN_MAX];

	return option_set_fail(
		set, "unexpected argument '%s' found", log_escape(shown, sizeof shown, word, len));
}

static bool args_were_given(const struct option_set *set, const struct option_def *def)
{
	return set->origins[def - set->table->defs].source == OPTION_FROM_ARG;
}

/* A word that `def` is given by; `text` is NULL for what takes no value. */
static int args_take(struct option_set *set, const struct option_def *def, char *text)
{
	bool may_repeat = def->type == OPTION_FLAG || option_is_list(def);
	char display[SHOWN_MAX];
	int r;

	if (def->type == OPTION_HELP)
		return OPTION_WANTS_HELP;
	if (args_were_given(set, def) && !may_repeat)
		return option_set_fail(set, "the argument '%s' cannot be used multiple times",
			option_display(def, display, sizeof display));
	r = option_set_take(set, def, text, (struct option_origin){ OPTION_FROM_ARG });
	if (def->type == OPTION_SECRET)
		secret_hide_arg(text);
	return r;
}

/* The first positional argument that has no word yet, or NULL. */
static const struct option_def *args_next_positional(const struct option_set *set)
{
	const struct option_table *t = set->table;
	size_t i = 0;

	while (i < t->count && t->defs[i].positional && args_were_given(set, &t->defs[i]))
		i++;
	return i < t->count && t->defs[i].positional ? &t->defs[i] : NULL;
}

static int args_take_positional(struct option_set *set, char *word)
{
	const struct option_def *def = args_next_positional(set);

	return def ? args_take(set, def, word) : args_fail_unexpected(set, word, strlen(word));
}

/*
 * The letters begin with "-" and ":". By "-" a word that is no option is returned where it stands,
 * whatever POSIXLY_CORRECT says. By ":" a missing value is told from an unknown option.
 */
static void getopt_spec_init(struct getopt_spec *spec, const struct option_table *t)
{
	size_t n = 0;
	char *letter = spec->letters;

	assert(t->count <= OPTIONS_MAX);
	*letter++ = '-';
	*letter++ = ':';
	for (size_t i = 0; i < t->count; i++) {
		const struct option_def *def = &t->defs[i];

		if (def->positional)
			continue;
		spec->longs[n++] = (struct option){
			.name = def->name,
			.has_arg = option_takes_value(def) ? required_argument : no_argument,
			.val = LONG_BASE + (int)i,
		};
		if (def->letter) {
			*letter++ = def->letter;
			if (option_takes_value(def))
				*letter++ = ':';
		}
	}
	spec->longs[n] = (struct option){ 0 };
	*letter = '\0';
}

static const struct option_def *args_find(const struct option_table *t, int code)
{
	if (code >= LONG_BASE)
		return &t->defs[code - LONG_BASE];
	for (size_t i = 0; i < t->count; i++)
		if (t->defs[i].letter && t->defs[i].letter == code)
			return &t->defs[i];
	return NULL;
}

/* An option that getopt_long() has found, with optarg and optind as it left them. */
static int args_take_option(struct option_set *set, int code, char **argv)
{
	const struct option_def *def = args_find(set->table, code);
	bool own_word = optarg && optarg == argv[optind - 1];
	const char *word = argv[own_word ? optind - 2 : optind - 1];

	assert(def);
	if (code >= LONG_BASE && strcspn(word + 2, "=") != strlen(def->name))
		return args_fail_unexpected(set, word, strcspn(word, "="));
	if (own_word && optarg[0] == '-' && optarg[1])
		return args_fail_missing_value(set, def);
	if (code < LONG_BASE && optarg && !own_word && *optarg == '=')
		optarg++;
	return args_take(set, def, optarg);
}

/* An option that getopt_long() has refused: unknown, or given a value that it doesn't take. */
static int args_fail_refused(struct option_set *set, char **argv)
{
	const struct option_def *def = optopt ? args_find(set->table, optopt) : NULL;
	char letter[] = { '-', (char)optopt, '\0' }, display[SHOWN_MAX];
	const char *word = argv[optind - 1];

	if (def)
		return option_set_fail(set, "unexpected value for '%s' found",
			option_display(def, display, sizeof display));
	if (optopt)
		return args_fail_unexpected(set, letter, 2);
	return args_fail_unexpected(set, word, strcspn(word, "="));
}

/* Whether all that follows is another program's. */
static bool args_are_full(const struct option_set *set)
{
	return set->table->rest && !args_next_positional(set);
}

int option_set_read_args(struct option_set *set, int argc, char **argv)
{
	struct getopt_spec spec;
	int code, r = 0;

	getopt_spec_init(&spec, set->table);
	opterr = 0;
	optind = 0; /* makes glibc start afresh */
	while (r == 0 && !args_are_full(set) &&
		(code = getopt_long(argc, argv, spec.letters, spec.longs, NULL)) != -1) {
		if (code == 1)
			r = args_take_positional(set, optarg);
		else if (code == ':')
			r = args_fail_missing_value(set, args_find(set->table, optopt));
		else if (code == '?')
			r = args_fail_refused(set, argv);
		else
			r = args_take_option(set, code, argv);
	}
	while (r == 0 && !args_are_full(set) && optind < argc)
		r = args_take_positional(set, argv[optind++]);
	set->rest = argv + optind;
	return r;
}
