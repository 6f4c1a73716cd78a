/* SPDX-License-Identifier: MIT */
/* A head is read anew with each piece that comes of it: it is small, and nothing has to be kept. */
#include "front/head.h"

#include <string.h>
#include <strings.h>

static bool head_is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool head_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct span span_trim(struct span s)
{
	while (s.len && head_is_blank(s.at[0])) {
		s.at++;
		s.len--;
	}
	while (s.len && head_is_blank(s.at[s.len - 1]))
		s.len--;
	return s;
}

bool span_is(const struct span *span, const char *text)
{
	return span->len == strlen(text) && strncasecmp(span->at, text, span->len) == 0;
}

/* The line at `at`, without its end. */
static enum head_result head_line(const char *at, size_t len, struct span *ret_line)
{
	size_t n = 0;

	while (n < len && ((unsigned char)at[n] >= ' ' || at[n] == '\t') && at[n] != 0x7f)
		n++;
	if (n == len || (at[n] == '\r' && n + 1 == len))
		return HEAD_PARTIAL;
	if (at[n] != '\r' || at[n + 1] != '\n')
		return HEAD_BAD;
	*ret_line = (struct span){ at, n };
	return HEAD_WHOLE;
}

/* The colon of a field's line; 0: it is no field. */
static size_t head_colon(const struct span *line)
{
	size_t n = 0;

	while (n < line->len && head_is_token_char(line->at[n]))
		n++;
	return n < line->len && line->at[n] == ':' ? n : 0;
}

enum head_result head_read(const uint8_t *data, size_t len, struct head *ret_head, size_t *ret_used)
{
	const char *text = (const char *)data;
	struct head head = { 0 };
	enum head_result r;
	struct span line;
	size_t at = 0;

	ret_head->line.at = NULL;
	while ((r = head_line(text + at, len - at, &line)) == HEAD_WHOLE) {
		at += line.len + 2;
		if (!head.line.at) {
			if (!line.len)
				return HEAD_BAD;
			ret_head->line = head.line = line;
			head.fields.at = text + at;
		} else if (!line.len) {
			head.fields.len = (size_t)(line.at - head.fields.at);
			*ret_head = head;
			*ret_used = at;
			return HEAD_WHOLE;
		} else if (!head_colon(&line)) {
			return HEAD_BAD;
		}
	}
	return r;
}

bool head_next(struct span *fields, struct span *ret_name, struct span *ret_value)
{
	struct span line;
	size_t colon;

	if (!fields->len || head_line(fields->at, fields->len, &line) != HEAD_WHOLE)
		return false;
	colon = head_colon(&line);
	*ret_name = (struct span){ line.at, colon };
	*ret_value = span_trim((struct span){ line.at + colon + 1, line.len - colon - 1 });
	fields->at += line.len + 2;
	fields->len -= line.len + 2;
	return true;
}

size_t head_field(const struct head *head, const char *name, struct span *ret_value)
{
	struct span fields = head->fields, field, value;
	size_t count = 0;

	while (head_next(&fields, &field, &value)) {
		if (span_is(&field, name) && !count++)
			*ret_value = value;
	}
	return count;
}

bool head_next_element(struct span *list, struct span *ret_element)
{
	while (list->len) {
		const char *comma = memchr(list->at, ',', list->len);
		size_t len = comma ? (size_t)(comma - list->at) : list->len;

		*ret_element = span_trim((struct span){ list->at, len });
		len += comma ? 1 : 0;
		list->at += len;
		list->len -= len;
		if (ret_element->len)
			return true;
	}
	return false;
}

bool head_lists(
	const struct head *head, const char *name, const char *element, struct span *ret_element)
{
	struct span fields = head->fields, field, value, found;

	while (head_next(&fields, &field, &value)) {
		if (!span_is(&field, name))
			continue;
		while (head_next_element(&value, &found)) {
			if (!span_is(&found, element))
				continue;
			if (ret_element)
				*ret_element = found;
			return true;
		}
	}
	return false;
}
