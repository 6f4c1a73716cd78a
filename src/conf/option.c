/* SPDX-License-Identifier: MIT */
/*
 * A set goes through the sources from the highest rank to the lowest: the words of argv, the
 * variables, the file, the defaults. Every value goes through option_set_take(), the one place
 * where it is judged, stored, and told where it is a mistake. The first mistake ends the parse.
 *
 * A value that is outranked is judged and dropped, so that nobody finds a mistake only when the
 * option of higher rank is gone. Variables are the exception: clap doesn't look at one whose option
 * stands on the command line, and so stock bore's users may have anything in it.
 *
 * A secret is wiped from argv, the environment and the file's text as soon as it was copied into
 * its own pages, whether it counts or not.
 */
#include "conf/option.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/secret.h"
#include "conf/option_args.h"
#include "conf/option_value.h"

#define SHOWN_MAX 128 /* of a user's text in a message */

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

const struct option_def *option_find_key(const struct option_table *table, const char *key)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->defs[i].key && strcmp(table->defs[i].key, key) == 0)
			return &table->defs[i];
	return NULL;
}

static struct option_origin *option_set_origin(
	const struct option_set *set, const struct option_def *def)
{
	return (struct option_origin *)&set->origins[def - set->table->defs];
}

enum option_source option_set_source(const struct option_set *set, const char *name)
{
	return option_set_origin(set, option_find(set->table, name))->source;
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

const char *option_words(
	const struct option_table *table, const struct option_def *def, char *buf, size_t size)
{
	size_t len = 0;

	*buf = '\0';
	for (size_t i = 0; table->defs[0].choices[i] && len < size; i++)
		if (def->goes_with & OPTION_WITH(i))
			len += (size_t)snprintf(buf + len, size - len, "%s'%s'", len ? " or " : "",
				table->defs[0].choices[i]);
	return buf;
}

/* --- what is wrong --- */

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

int option_set_refuse(struct option_set *set, const struct option_def *def, const char *value,
	struct option_origin origin, const char *why)
{
	char shown[SHOWN_MAX], quoted[SHOWN_MAX + 4] = "", display[SHOWN_MAX];

	if (value && def->type != OPTION_SECRET)
		snprintf(quoted, sizeof quoted, " '%s'",
			log_escape(shown, sizeof shown, value, strlen(value)));
	if (origin.source == OPTION_FROM_FILE)
		return option_set_fail(set, "%s:%" PRIu32 ": invalid value%s for '%s': %s",
			set->file, origin.line, quoted, def->key, why);
	option_display(def, display, sizeof display);
	if (origin.source == OPTION_FROM_ENV)
		return option_set_fail(set, "invalid value%s for '%s' in the variable %s: %s",
			quoted, display, def->env, why);
	return option_set_fail(set, "invalid value%s for '%s': %s", quoted, display, why);
}

int option_set_refuse_given(
	struct option_set *set, const char *name, const char *value, const char *why)
{
	const struct option_def *def = option_find(set->table, name);

	return option_set_refuse(set, def, value, *option_set_origin(set, def), why);
}

/* --- one value --- */

/* Whether the text is a value, without keeping it. */
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
	option_value_clear(&alone, &unused);
	return r;
}

int option_set_take(struct option_set *set, const struct option_def *def, const char *text,
	struct option_origin origin)
{
	struct option_origin *now = option_set_origin(set, def);
	bool outranked = now->source > origin.source;
	char why[OPTION_WHY_MAX];
	int r = outranked && !def->adds ? option_value_judge(def, text, why)
					: option_value_set(def, text, set->values, why);

	if (r < 0)
		return option_set_refuse(set, def, text, origin, why);
	if (!outranked)
		*now = origin;
	return 0;
}

void option_values_clear(const struct option_table *table, void *values)
{
	for (size_t i = 0; i < table->count; i++)
		option_value_clear(&table->defs[i], values);
}

/* --- all of them --- */

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
	if (option_set_origin(set, def)->source == OPTION_UNSET)
		r = option_set_take(set, def, text, (struct option_origin){ OPTION_FROM_ENV });
	if (def->type == OPTION_SECRET) {
		secret_hide_arg(text);
		unsetenv(def->env);
	}
	return r;
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

/* Whether the option goes with the command's sub-word, if it has one. */
static bool option_set_applies(const struct option_set *set, const struct option_def *def)
{
	const struct option_def *word = &set->table->defs[0];

	return !def->goes_with || set->origins[0].source == OPTION_UNSET ||
	       def->goes_with & OPTION_WITH(*(uint64_t *)((char *)set->values + word->offset));
}

/* A variable may be set for good, and so goes with any word. */
static int option_set_check_words(struct option_set *set)
{
	char words[SHOWN_MAX];

	for (size_t i = 0; i < set->table->count; i++) {
		const struct option_def *def = &set->table->defs[i];

		if (set->origins[i].source == OPTION_FROM_ARG && !option_set_applies(set, def))
			return option_set_fail(set,
				def->positional ? "'<%s>' goes with %s only"
						: "'--%s' goes with %s only",
				def->name, option_words(set->table, def, words, sizeof words));
	}
	return 0;
}

static int option_set_check_required(struct option_set *set)
{
	char missing[OPTION_WHY_MAX] = "", display[SHOWN_MAX];
	size_t len = 0;

	for (size_t i = 0; i < set->table->count; i++) {
		const struct option_def *def = &set->table->defs[i];

		if (!def->required || set->origins[i].source != OPTION_UNSET ||
			!option_set_applies(set, def) || len >= sizeof missing)
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

int option_set_finish(struct option_set *set)
{
	int r;

	for (size_t i = 0; i < set->table->count; i++) {
		const struct option_def *def = &set->table->defs[i];

		/* A default that its own type refuses is a mistake in the table. */
		if (set->origins[i].source == OPTION_UNSET && def->fallback &&
			option_set_take(set, def, def->fallback,
				(struct option_origin){ OPTION_FROM_DEFAULT }) != 0)
			assert(!"bad default in the option table");
	}
	r = option_set_check_required(set);
	return r == 0 ? option_set_check_words(set) : r;
}

int option_set_parse(struct option_set *set, const struct option_table *table, void *values,
	int argc, char **argv)
{
	int r = option_set_begin(set, table, values, argc, argv);

	return r == 0 ? option_set_finish(set) : r;
}
