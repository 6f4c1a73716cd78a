/* SPDX-License-Identifier: MIT */
/*
 * One option's value: a table with a setter for each type. A setter stores a good value, and leaves
 * what was there where the value is bad.
 */
#include "conf/option_value.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "base/secret.h"
#include "conf/option.h"

typedef int (*value_set_fn)(
	const struct option_def *def, const char *text, void *slot, char *ret_why);

/* Says why a value is refused, and yields `r`. */
#define value_refuse(ret_why, r, ...) (snprintf(ret_why, OPTION_WHY_MAX, __VA_ARGS__), (r))

static int value_set_flag(const struct option_def *def, const char *text, void *slot, char *ret_why)
{
	bool on = !text || strcmp(text, "true") == 0 || strcmp(text, "1") == 0;

	if (!on && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
		return value_refuse(ret_why, -EINVAL, "it is neither true nor false");
	*(bool *)slot = on;
	return 0;
}

static int value_set_text(const struct option_def *def, const char *text, void *slot, char *ret_why)
{
	if (!*text)
		return value_refuse(ret_why, -EINVAL, "it is empty");
	*(const char **)slot = text;
	return 0;
}

static int value_set_secret(
	const struct option_def *def, const char *text, void *slot, char *ret_why)
{
	int r = secret_set(slot, text, strlen(text));

	if (r == -E2BIG)
		return value_refuse(ret_why, r, "it is longer than %d bytes", SECRET_MAX_LEN);
	return r < 0 ? value_refuse(ret_why, r, "%s", strerror(-r)) : 0;
}

static int value_set_number(
	const struct option_def *def, const char *text, void *slot, char *ret_why)
{
	int r = parse_u64(text, strlen(text), def->min, def->max, slot);

	if (r == -ERANGE)
		return value_refuse(
			ret_why, r, "it is not in %" PRIu64 "..=%" PRIu64, def->min, def->max);
	return r < 0 ? value_refuse(ret_why, r, "it is not a number") : 0;
}

static int value_set_duration(
	const struct option_def *def, const char *text, void *slot, char *ret_why)
{
	char min[OPTION_DURATION_TEXT_MAX], max[OPTION_DURATION_TEXT_MAX];
	uint64_t ms = 0;
	int r = 0;

	if (def->min > 0 || strcmp(text, "none") != 0)
		r = parse_duration_ms(text, &ms);
	if (r == -EINVAL)
		return value_refuse(
			ret_why, r, "it is not a duration such as 500ms, 30s, 5m or 1h");
	if (r < 0 || ms < def->min || ms > def->max)
		return value_refuse(ret_why, -ERANGE, "it is not in %s..=%s",
			option_format_duration(def->min, min),
			option_format_duration(def->max, max));
	*(uint64_t *)slot = ms;
	return 0;
}

static int value_set_choice(
	const struct option_def *def, const char *text, void *slot, char *ret_why)
{
	size_t len;

	for (size_t i = 0; def->choices[i]; i++)
		if (strcmp(text, def->choices[i]) == 0) {
			*(uint64_t *)slot = i;
			return 0;
		}
	len = (size_t)snprintf(ret_why, OPTION_WHY_MAX, "it is none of");
	for (size_t i = 0; def->choices[i] && len < OPTION_WHY_MAX; i++)
		len += (size_t)snprintf(ret_why + len, OPTION_WHY_MAX - len, "%s %s", i ? "," : "",
			def->choices[i]);
	return -EINVAL;
}

/* The array grows to the next power of two whenever its count is one. */
static int value_set_list(const struct option_def *def, const char *text, void *slot, char *ret_why)
{
	struct option_list *list = slot;
	const char **items = list->items;

	if (list->count == OPTION_LIST_MAX)
		return value_refuse(
			ret_why, -E2BIG, "there are more than %d of them", OPTION_LIST_MAX);
	if ((list->count & (list->count - 1)) == 0)
		items = reallocarray(
			list->items, list->count ? 2 * list->count : 1, sizeof *list->items);
	if (!items)
		return value_refuse(ret_why, -ENOMEM, "%s", strerror(ENOMEM));
	list->items = items;
	list->items[list->count++] = text;
	return 0;
}

static const value_set_fn setters[OPTION_TYPES] = {
	[OPTION_FLAG] = value_set_flag,
	[OPTION_TEXT] = value_set_text,
	[OPTION_FILE] = value_set_text,
	[OPTION_COMMAND] = value_set_text,
	[OPTION_SECRET] = value_set_secret,
	[OPTION_NUMBER] = value_set_number,
	[OPTION_DURATION] = value_set_duration,
	[OPTION_CHOICE] = value_set_choice,
	[OPTION_LIST] = value_set_list,
	[OPTION_FOLDERS] = value_set_list,
};

int option_value_set(
	const struct option_def *def, const char *text, void *values, char ret_why[OPTION_WHY_MAX])
{
	int r = def->check && text ? def->check(def->form, text, ret_why) : 0;

	assert(setters[def->type]);
	return r < 0 ? r : setters[def->type](def, text, (char *)values + def->offset, ret_why);
}

void option_value_clear(const struct option_def *def, void *values)
{
	void *slot = (char *)values + def->offset;

	if (def->type == OPTION_SECRET)
		secret_clear(slot);
	if (!option_is_list(def))
		return;
	free(((struct option_list *)slot)->items);
	*(struct option_list *)slot = (struct option_list){ 0 };
}

char *option_format_duration(uint64_t ms, char ret_text[OPTION_DURATION_TEXT_MAX])
{
	static const struct {
		uint64_t ms;
		const char *name;
	} units[] = { { 3600 * 1000, "h" }, { 60 * 1000, "m" }, { 1000, "s" }, { 1, "ms" } };
	size_t i = 0;

	while (ms % units[i].ms)
		i++;
	snprintf(ret_text, OPTION_DURATION_TEXT_MAX, "%" PRIu64 "%s", ms / units[i].ms,
		units[i].name);
	return ret_text;
}
