/* SPDX-License-Identifier: MIT */
/*
 * Reading the command line and the environment by an option table. getopt_long(3) splits the words;
 * what clap is stricter about is checked here: a value of its own word never starts with a dash,
 * long names are not abbreviated, and an option that takes a value is given once.
 */
#include "conf/option.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "conf/option_value.h"

/* What getopt_long() returns: 1 for a word that is no option, a letter, or this plus the table's
 * index. */
#define LONG_BASE 256

#define SHOWN_MAX 128 /* of a user's text in a message */

struct getopt_spec {
	char letters[2 * OPTIONS_MAX + 3];
	struct option longs[OPTIONS_MAX + 1];
};

bool option_takes_value(const struct option_def *def)
{
	return def->type != OPTION_FLAG && def->type != OPTION_HELP;
}

bool option_is_list(const struct option_def *def)
{
	return def->type == OPTION_LIST || def->type == OPTION_FOLDERS;
}

const struct option_def *option_find(const struct option_table *table, const char *name)
{
	size_t i = 0;

	while (i < table->count && strcmp(table->defs[i].name, name) != 0)
		i++;
	assert(i < table->count);
	return &table->defs[i];
}

enum option_source option_set_source(const struct option_set *set, const char *name)
{
	return set->source[option_find(set->table, name) - set->table->defs];
}

const char *option_display(const struct option_def *def, char *buf, size_t size)
{
	if (def->positional)
		snprintf(buf, size, "<%s>", def->name);
	else if (option_takes_value(def))
		snprintf(buf, size, "--%s <%s>", def->name, def->value_name);
	else
		snprintf(buf, size, "--%s", def->name);
	return buf;
}

int option_set_fail(struct option_set *set, const char *fmt, ...)
{
	const struct option_table *t = set->table;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(set->error, sizeof set->error, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof set->error)
		snprintf(set->error + n, sizeof set->error - (size_t)n, "; see '%s %s --help'",
			t->program, t->command);
	return OPTION_INVALID;
}

int option_set_bad_value(
	struct option_set *set, const struct option_def *def, const char *value, const char *why)
{
	char shown[SHOWN_MAX], display[SHOWN_MAX];

	option_display(def, display, sizeof display);
	if (def->type == OPTION_SECRET)
		return option_set_fail(set, "invalid value for '%s': %s", display, why);
	return option_set_fail(set, "invalid value '%s' for '%s': %s",
		log_escape(shown, sizeof shown, value, strlen(value)), display, why);
}

static int fail_missing_value(struct option_set *set, const struct option_def *def)
{
	char display[SHOWN_MAX];

	assert(def);
	return option_set_fail(set, "a value is required for '%s' but none was supplied",
		option_display(def, display, sizeof display));
}

static int fail_unexpected(struct option_set *set, const char *word, size_t len)
{
	char shown[SHOWN_MAX];

	return option_set_fail(
		set, "unexpected argument '%s' found", log_escape(shown, sizeof shown, word, len));
}

static int option_set_store(
	struct option_set *set, const struct option_def *def, char *text, enum option_source source)
{
	char why[OPTION_WHY_MAX];
	int r = option_value_set(def, text, set->values, why);

	if (r < 0)
		r = option_set_bad_value(set, def, text, why);
	else
		set->source[def - set->table->defs] = source;
	return r;
}

static bool option_may_repeat(const struct option_def *def)
{
	return def->type == OPTION_FLAG || option_is_list(def);
}

/* A word of the command line that `def` is given by; `text` is NULL for what takes no value. */
static int option_set_arg(struct option_set *set, const struct option_def *def, char *text)
{
	size_t at = (size_t)(def - set->table->defs);
	char display[SHOWN_MAX];
	int r;

	if (def->type == OPTION_HELP)
		return OPTION_WANTS_HELP;
	if (set->source[at] == OPTION_FROM_ARG && !option_may_repeat(def))
		return option_set_fail(set, "the argument '%s' cannot be used multiple times",
			option_display(def, display, sizeof display));
	r = option_set_store(set, def, text, OPTION_FROM_ARG);
	if (def->type == OPTION_SECRET)
		secret_hide_arg(text);
	return r;
}

static int option_set_positional(struct option_set *set, char *word)
{
	const struct option_table *t = set->table;
	size_t i = 0;

	while (i < t->count && t->defs[i].positional && set->source[i] == OPTION_FROM_ARG)
		i++;
	if (i == t->count || !t->defs[i].positional)
		return fail_unexpected(set, word, strlen(word));
	return option_set_arg(set, &t->defs[i], word);
}

/*
 * Letters start with "-": every other word is returned in its place, whatever POSIXLY_CORRECT says;
 * and then ":": a missing value is told from an unknown option.
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

static const struct option_def *find_by_code(const struct option_table *t, int code)
{
	if (code >= LONG_BASE)
		return &t->defs[code - LONG_BASE];
	for (size_t i = 0; i < t->count; i++)
		if (t->defs[i].letter && t->defs[i].letter == code)
			return &t->defs[i];
	return NULL;
}

/* An option that getopt_long() has found, with optarg and optind as it left them. */
static int option_set_option(struct option_set *set, int code, char **argv)
{
	const struct option_def *def = find_by_code(set->table, code);
	bool own_word = optarg && optarg == argv[optind - 1];
	const char *word = argv[own_word ? optind - 2 : optind - 1];

	assert(def);
	if (code >= LONG_BASE && strcspn(word + 2, "=") != strlen(def->name))
		return fail_unexpected(set, word, strcspn(word, "="));
	if (own_word && optarg[0] == '-' && optarg[1])
		return fail_missing_value(set, def);
	if (code < LONG_BASE && optarg && !own_word && *optarg == '=')
		optarg++;
	return option_set_arg(set, def, optarg);
}

/* An option that getopt_long() has refused: unknown, or given a value that it doesn't take. */
static int option_set_refused(struct option_set *set, char **argv)
{
	const struct option_def *def = optopt ? find_by_code(set->table, optopt) : NULL;
	char letter[] = { '-', (char)optopt, '\0' }, display[SHOWN_MAX];
	const char *word = argv[optind - 1];

	if (def)
		return option_set_fail(set, "unexpected value for '%s' found",
			option_display(def, display, sizeof display));
	if (optopt)
		return fail_unexpected(set, letter, 2);
	return fail_unexpected(set, word, strcspn(word, "="));
}

/* All that follows is another program's. */
static bool option_set_is_full(const struct option_set *set)
{
	const struct option_table *t = set->table;
	size_t i = 0;

	while (i < t->count && t->defs[i].positional && set->source[i] == OPTION_FROM_ARG)
		i++;
	return t->rest && (i == t->count || !t->defs[i].positional);
}

static int option_set_read_args(struct option_set *set, int argc, char **argv)
{
	struct getopt_spec spec;
	int code, r = 0;

	getopt_spec_init(&spec, set->table);
	opterr = 0;
	optind = 0; /* makes glibc start afresh */
	while (r == 0 && !option_set_is_full(set) &&
		(code = getopt_long(argc, argv, spec.letters, spec.longs, NULL)) != -1) {
		if (code == 1)
			r = option_set_positional(set, optarg);
		else if (code == ':')
			r = fail_missing_value(set, find_by_code(set->table, optopt));
		else if (code == '?')
			r = option_set_refused(set, argv);
		else
			r = option_set_option(set, code, argv);
	}
	while (r == 0 && !option_set_is_full(set) && optind < argc)
		r = option_set_positional(set, argv[optind++]);
	set->rest = argv + optind;
	return r;
}

/*
 * An empty variable is given all the same, as with clap. A secret leaves the environment, whether
 * it was used or not: /proc/PID/environ shows the environment of the start.
 */
static int option_set_read_env(struct option_set *set, const struct option_def *def)
{
	char *text = def->env ? getenv(def->env) : NULL;
	int r = 0;

	if (!text)
		return 0;
	if (set->source[def - set->table->defs] == OPTION_UNSET)
		r = option_set_store(set, def, text, OPTION_FROM_ENV);
	if (def->type == OPTION_SECRET) {
		secret_hide_arg(text);
		unsetenv(def->env);
	}
	return r;
}

static void option_set_default(struct option_set *set, const struct option_def *def)
{
	char why[OPTION_WHY_MAX];
	size_t at = (size_t)(def - set->table->defs);

	if (set->source[at] != OPTION_UNSET || !def->fallback)
		return;
	/* A default that its own type refuses is a mistake in the table. */
	if (option_value_set(def, def->fallback, set->values, why) < 0)
		assert(!"bad default in the option table");
	set->source[at] = OPTION_FROM_DEFAULT;
}

static int option_set_check_required(struct option_set *set)
{
	char missing[OPTION_WHY_MAX] = "", display[SHOWN_MAX];
	size_t len = 0;

	for (size_t i = 0; i < set->table->count; i++) {
		const struct option_def *def = &set->table->defs[i];

		if (!def->required || set->source[i] != OPTION_UNSET || len >= sizeof missing)
			continue;
		len += (size_t)snprintf(missing + len, sizeof missing - len, "%s'%s'%s%s",
			len ? ", " : "", option_display(def, display, sizeof display),
			def->env ? " or variable " : "", def->env ? def->env : "");
	}
	if (len)
		return option_set_fail(
			set, "the following required arguments were not provided: %s", missing);
	return 0;
}

int option_set_begin(struct option_set *set, const struct option_table *table, void *values,
	int argc, char **argv)
{
	int r;

	*set = (struct option_set){ .table = table, .values = values };
	r = option_set_read_args(set, argc, argv);
	for (size_t i = 0; r == 0 && i < table->count; i++)
		r = option_set_read_env(set, &table->defs[i]);
	return r;
}

const struct option_def *option_find_key(const struct option_table *table, const char *key)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->defs[i].key && strcmp(table->defs[i].key, key) == 0)
			return &table->defs[i];
	return NULL;
}

static int option_value_judge(const struct option_def *def, const char *text, char *ret_why)
{
	union {
		bool flag;
		const char *text;
		uint64_t number;
		struct option_list list;
		struct secret secret;
	} unused = { 0 };
	struct option_def alone = *def;
	int r;

	alone.offset = 0;
	r = option_value_set(&alone, text, &unused, ret_why);
	if (def->type == OPTION_SECRET)
		secret_clear(&unused.secret);
	return r;
}

int option_set_from_file(struct option_set *set, const struct option_def *def, const char *text,
	char ret_why[OPTION_WHY_MAX])
{
	enum option_source *source = &set->source[def - set->table->defs];
	int r;

	if (*source != OPTION_UNSET && *source != OPTION_FROM_FILE)
		return option_value_judge(def, text, ret_why);
	r = option_value_set(def, text, set->values, ret_why);
	if (r == 0)
		*source = OPTION_FROM_FILE;
	return r;
}

int option_set_finish(struct option_set *set)
{
	for (size_t i = 0; i < set->table->count; i++)
		option_set_default(set, &set->table->defs[i]);
	return option_set_check_required(set);
}

int option_set_parse(struct option_set *set, const struct option_table *table, void *values,
	int argc, char **argv)
{
	int r = option_set_begin(set, table, values, argc, argv);

	return r == 0 ? option_set_finish(set) : r;
}
