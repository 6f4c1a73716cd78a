/* SPDX-License-Identifier: MIT */
/* Line by line; the first line that is no field ends it all. */
#include "serve/cgi_response.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/lang.h"
#include "base/log.h"
#include "base/parse.h"
#include "serve/field.h"

/* What a program that prints its page alone is to print before it. */
#define MUST_BEGIN \
	"its output must begin with a head, such as 'Content-Type: text/html', and an empty line"

#define SHOWN_MAX 64 /* of a line, escaped */

/* The program's word to the server. One of them must be there, and none twice. */
enum special { CONTENT_TYPE, LOCATION, STATUS, SPECIALS };

static const char *const specials[] = { "Content-Type", "Location", "Status" };

static _printf_(2, 3) int cgi_response_fail(char *ret_why, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(ret_why, CGI_WHY_MAX, fmt, args);
	va_end(args);
	return -EINVAL;
}

static int cgi_response_fail_line(
	char *ret_why, const char *what, const char *line, size_t len, const char *remedy)
{
	char text[SHOWN_MAX];

	return cgi_response_fail(
		ret_why, "%s: '%s'%s", what, log_escape(text, sizeof(text), line, len), remedy);
}

static bool cgi_response_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Splits a line in place; what is behind the value is the line's end, which becomes a NUL. */
static int cgi_response_parse_field(char *line, size_t len, struct field *ret_field, char *ret_why)
{
	size_t name_len = field_token_len(line, len), start = name_len + 1;

	if (name_len == 0 || name_len == len || line[name_len] != ':')
		return cgi_response_fail_line(
			ret_why, "no field of a head", line, len, "; " MUST_BEGIN);
	while (start < len && cgi_response_is_blank(line[start]))
		start++;
	while (len > start && cgi_response_is_blank(line[len - 1]))
		len--;
	for (size_t i = start; i < len; i++) {
		if (line[i] == '\t')
			line[i] = ' ';
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			return cgi_response_fail_line(
				ret_why, "a control character in", line, len, "");
	}
	line[name_len] = '\0';
	line[len] = '\0';
	*ret_field = (struct field){ .name = line, .value = line + start };
	return 0;
}

/* "404 Not Found". */
static int cgi_response_parse_status(
	const char *value, struct cgi_response *response, char *ret_why)
{
	size_t len = strcspn(value, " \t");
	uint64_t status;

	/* 1xx is no end of a request. */
	if (len != 3 || parse_u64(value, len, 200, 599, &status) < 0)
		return cgi_response_fail_line(ret_why, "no status", value, strlen(value),
			"; it is a number from 200 to 599");
	response->status = (unsigned)status;
	response->reason = value + len + strspn(value + len, " \t");
	return 0;
}

static int cgi_response_find_special(const char *name)
{
	for (int i = 0; i < SPECIALS; i++)
		if (strcasecmp(specials[i], name) == 0)
			return i;
	return -1;
}

/* Sorts a field: to the server, to the visitor, to nobody. */
static int cgi_response_take_field(struct cgi_response *response, const struct field *field,
	bool seen[SPECIALS], char *ret_why)
{
	int special = cgi_response_find_special(field->name);

	if (special >= 0 && seen[special])
		return cgi_response_fail(ret_why, "'%s' is there twice", specials[special]);
	if (special >= 0)
		seen[special] = true;
	if (special == STATUS)
		return cgi_response_parse_status(field->value, response, ret_why);
	/* Not passed on, but what it promises must have come. */
	if (strcasecmp(field->name, "Content-Length") == 0)
		(void)parse_u64(
			field->value, strlen(field->value), 0, UINT64_MAX, &response->length);
	if (field_is_servers(field->name, strlen(field->name)))
		return 0;
	if (response->count == CGI_FIELDS_MAX)
		return cgi_response_fail(ret_why, "more than %d fields", CGI_FIELDS_MAX);
	response->fields[response->count++] = *field;
	return 0;
}

int cgi_response_parse(
	char *head, size_t len, struct cgi_response *ret_response, char ret_why[CGI_WHY_MAX])
{
	size_t max = len < CGI_HEAD_MAX ? len : CGI_HEAD_MAX;
	bool seen[SPECIALS] = { false };
	struct field field = { "", "" };
	size_t at = 0;
	int r;

	ret_response->status = 0;
	ret_response->reason = "";
	ret_response->count = 0;
	ret_response->length = 0;
	for (;;) {
		char *end = memchr(head + at, '\n', max - at);
		size_t line_len;

		if (!end)
			return len == 0 ? cgi_response_fail(
						  ret_why, "it has written nothing; " MUST_BEGIN)
			       : len > max
				       ? cgi_response_fail(ret_why,
						 "its head is longer than %d bytes; " MUST_BEGIN,
						 CGI_HEAD_MAX)
				       : cgi_response_fail(
						 ret_why, "its head has no end; " MUST_BEGIN);
		line_len = (size_t)(end - head) - at;
		if (line_len > 0 && end[-1] == '\r')
			line_len--;
		if (line_len == 0) {
			at = (size_t)(end - head) + 1;
			break;
		}
		r = cgi_response_parse_field(head + at, line_len, &field, ret_why);
		if (r == 0)
			r = cgi_response_take_field(ret_response, &field, seen, ret_why);
		if (r < 0)
			return r;
		at = (size_t)(end - head) + 1;
	}
	if (!seen[CONTENT_TYPE] && !seen[LOCATION] && !seen[STATUS])
		return cgi_response_fail(ret_why,
			"its head has no Content-Type, Location or Status; it ends at the first "
			"empty line");
	if (ret_response->status == 0)
		ret_response->status = seen[LOCATION] ? 302 : 200;
	ret_response->body = at;
	return 0;
}
