/* SPDX-License-Identifier: MIT */
/*
 * The place is found by what the parser says of the array's last element. Where there is none yet,
 * it is found in the text, which is less sure: so in any case the outcome is parsed and compared.
 */
#include "conf/toml_edit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/owner.h"
#include "base/secret.h"
#include "conf/toml.h"

#define KEY_MAX 128

/* What is put in, and where: at `at`, and a comma at `comma` before it if that isn't SIZE_MAX. */
struct toml_insertion {
	size_t at, comma;
	char *text; /* owned */
};

static void toml_file_freep(struct toml_file **file)
{
	toml_file_free(*file);
}

static void toml_appended_clear(struct toml_appended *appended)
{
	secret_free(appended->text);
}

static void toml_insertion_clear(struct toml_insertion *insertion)
{
	free(insertion->text);
}

/* The offset of a line, from 1 on, and of a column in it, which counts characters of UTF-8. */
static size_t toml_offset(const char *text, size_t len, uint32_t line, uint32_t column)
{
	size_t at = 0;

	while (at < len && line > 1)
		line -= text[at++] == '\n';
	while (at < len && column > 1)
		for (column--, at++; at < len && ((unsigned char)text[at] & 0xc0) == 0x80;)
			at++;
	return at;
}

static size_t toml_line_begin(const char *text, size_t at)
{
	while (at > 0 && text[at - 1] != '\n')
		at--;
	return at;
}

/* Behind the line's newline, if it has one. */
static size_t toml_line_end(const char *text, size_t len, size_t at)
{
	const char *newline = memchr(text + at, '\n', len - at);

	return newline ? (size_t)(newline - text) + 1 : len;
}

/* As the file's first line ends, so do new ones. */
static const char *toml_newline(const char *text, size_t len)
{
	const char *newline = memchr(text, '\n', len);

	return newline && newline > text && newline[-1] == '\r' ? "\r\n" : "\n";
}

static size_t toml_skip_blanks(const char *text, size_t len, size_t at)
{
	while (at < len && (text[at] == ' ' || text[at] == '\t'))
		at++;
	return at;
}

/* Behind the string that begins at `at`; 0: none on one line does. */
static size_t toml_string_end(const char *text, size_t len, size_t at)
{
	char quote = at < len ? text[at] : '\0';

	if ((quote != '"' && quote != '\'') ||
		(len - at > 2 && text[at + 1] == quote && text[at + 2] == quote))
		return 0;
	for (at++; at < len && text[at] != '\n'; at++) {
		if (text[at] == quote)
			return at + 1;
		if (text[at] == '\\' && quote == '"')
			at++;
	}
	return 0;
}

/* Behind the last element; on a line of its own if that has one. */
static int toml_behind(const char *text, size_t len, const struct toml_entry *last,
	const char *value, struct toml_insertion *ret)
{
	size_t at = toml_offset(text, len, last->line, last->column);
	size_t begin = toml_line_begin(text, at), end = toml_string_end(text, len, at);
	size_t indent = toml_skip_blanks(text, len, begin) - begin, next;
	bool comma;

	if (!end)
		return -EINVAL;
	next = toml_skip_blanks(text, len, end);
	comma = next < len && text[next] == ',';
	if (comma)
		next = toml_skip_blanks(text, len, next + 1);
	ret->comma = SIZE_MAX;
	if (begin + indent != at || (next < len && text[next] == ']')) {
		ret->at = end;
		return asprintf(&ret->text, ", \"%s\"", value) < 0 ? -ENOMEM : 0;
	}
	ret->at = toml_line_end(text, len, at);
	if (!comma)
		ret->comma = end;
	return asprintf(&ret->text, "%.*s\"%s\"%s%s", (int)indent, text + begin, value,
		       comma ? "," : "", toml_newline(text, len)) < 0
		       ? -ENOMEM
		       : 0;
}

/* Whether the line is "[table]", with blanks and a comment. */
static bool toml_is_header(const char *text, size_t len, size_t at, const char *table)
{
	size_t table_len = strlen(table);

	at = toml_skip_blanks(text, len, at);
	if (at == len || text[at] != '[')
		return false;
	at = toml_skip_blanks(text, len, at + 1);
	if (len - at < table_len || memcmp(text + at, table, table_len) != 0)
		return false;
	at = toml_skip_blanks(text, len, at + table_len);
	return at < len && text[at] == ']';
}

/* The offset between the brackets of "key = []", or 0. */
static size_t toml_empty_array(const char *text, size_t len, size_t at, const char *key)
{
	size_t key_len = strlen(key);

	at = toml_skip_blanks(text, len, at);
	if (len - at < key_len || memcmp(text + at, key, key_len) != 0)
		return 0;
	at = toml_skip_blanks(text, len, at + key_len);
	if (at == len || text[at] != '=')
		return 0;
	at = toml_skip_blanks(text, len, at + 1);
	if (at == len || text[at] != '[')
		return 0;
	at = toml_skip_blanks(text, len, at + 1);
	return at < len && text[at] == ']' ? at : 0;
}

/* As the first element. */
static int toml_begin(const char *text, size_t len, const char *table, const char *key,
	const char *value, struct toml_insertion *ret)
{
	const char *newline = toml_newline(text, len);
	size_t header = 0, empty = 0, first;

	for (size_t at = 0; at < len && !empty; at = toml_line_end(text, len, at)) {
		first = toml_skip_blanks(text, len, at);
		if (toml_is_header(text, len, at, table))
			header = toml_line_end(text, len, at);
		else if (header && first < len && text[first] == '[')
			break;
		else if (header)
			empty = toml_empty_array(text, len, at, key);
	}
	ret->comma = SIZE_MAX;
	if (empty) {
		ret->at = empty;
		return asprintf(&ret->text, "\"%s\"", value) < 0 ? -ENOMEM : 0;
	}
	ret->at = header ? header : len;
	if (header)
		return asprintf(&ret->text, "%s%s = [\"%s\"]%s",
			       text[header - 1] == '\n' ? "" : newline, key, value, newline) < 0
			       ? -ENOMEM
			       : 0;
	return asprintf(&ret->text, "%s%s[%s]%s%s = [\"%s\"]%s",
		       len && text[len - 1] != '\n' ? newline : "", len ? newline : "", table,
		       newline, key, value, newline) < 0
		       ? -ENOMEM
		       : 0;
}

static int toml_insert(
	const char *text, size_t len, const struct toml_insertion *in, struct toml_appended *ret)
{
	bool comma = in->comma != SIZE_MAX;
	size_t begin = comma ? in->comma : in->at, in_len = strlen(in->text);
	char *made = malloc(len + in_len + 2), *to = made;

	if (!made)
		return -ENOMEM;
	to = mempcpy(to, text, begin);
	if (comma)
		*to++ = ',';
	to = mempcpy(to, text + begin, in->at - begin);
	to = mempcpy(to, in->text, in_len);
	ret->begin = begin;
	ret->end = (size_t)(to - made);
	to = mempcpy(to, text + in->at, len - in->at);
	*to = '\0';
	ret->text = made;
	ret->len = (size_t)(to - made);
	return 0;
}

static const struct toml_entry *toml_last(const struct toml_file *file, const char *key)
{
	const struct toml_entry *last = NULL;

	for (size_t i = 0; i < toml_file_count(file); i++)
		if (strcmp(toml_file_entry(file, i)->key, key) == 0)
			last = toml_file_entry(file, i);
	return last;
}

static bool toml_has(const struct toml_file *file, const char *key, const char *value)
{
	for (size_t i = 0; i < toml_file_count(file); i++) {
		const struct toml_entry *entry = toml_file_entry(file, i);

		if (entry->text && strcmp(entry->key, key) == 0 && strcmp(entry->text, value) == 0)
			return true;
	}
	return false;
}

static bool toml_same(const struct toml_entry *a, const struct toml_entry *b)
{
	return strcmp(a->key, b->key) == 0 && a->element == b->element && !a->text == !b->text &&
	       (!a->text || (a->len == b->len && memcmp(a->text, b->text, a->len) == 0));
}

/* The entries of both are the same, but for the new last one of the array. */
static int toml_compare(const struct toml_file *old, const struct toml_file *made, const char *key,
	const char *value, uint32_t *ret_line)
{
	const struct toml_entry *new_one = toml_last(made, key);
	size_t j = 0;

	if (!new_one || !new_one->element || !new_one->text || strcmp(new_one->text, value) != 0 ||
		toml_file_count(made) != toml_file_count(old) + 1)
		return -EINVAL;
	for (size_t i = 0; i < toml_file_count(made); i++) {
		if (toml_file_entry(made, i) == new_one)
			continue;
		if (!toml_same(toml_file_entry(old, j++), toml_file_entry(made, i)))
			return -EINVAL;
	}
	*ret_line = new_one->line;
	return 0;
}

int toml_append(const char *text, size_t len, const char *table, const char *key, const char *value,
	struct toml_appended *ret)
{
	_cleanup_(toml_insertion_clear) struct toml_insertion insertion = { 0 };
	_cleanup_(toml_file_freep) struct toml_file *old = NULL;
	_cleanup_(toml_file_freep) struct toml_file *made = NULL;
	_cleanup_(toml_appended_clear) struct toml_appended appended = { 0 };
	char path[KEY_MAX], why[TOML_WHY_MAX];
	const struct toml_entry *last;
	uint32_t line;
	int r = toml_file_parse(text, len, &old, &line, why);

	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s.%s", table, key);
	if (toml_has(old, path, value))
		return -EEXIST;
	last = toml_last(old, path);
	r = last ? toml_behind(text, len, last, value, &insertion)
		 : toml_begin(text, len, table, key, value, &insertion);
	if (r == 0)
		r = toml_insert(text, len, &insertion, &appended);
	if (r == 0)
		r = toml_file_parse(appended.text, appended.len, &made, &line, why);
	if (r == 0)
		r = toml_compare(old, made, path, value, &appended.line);
	if (r < 0)
		return r;
	*ret = appended;
	appended.text = NULL;
	return 0;
}
