/* SPDX-License-Identifier: MIT */
#include "base/json_line.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"

#define END_LEN 3 /* of a text, the object and the line */
#define ESCAPE_MAX sizeof("\\ud83d\\ude00")

static_assert(JSON_LINE_MAX <= PIPE_BUF, "a pipe takes a line whole");

static void json_line_put(struct json_line *line, const char *text, size_t len)
{
	assert(len <= sizeof(line->text) - line->len);
	memcpy(line->text + line->len, text, len);
	line->len += len;
}

/* The code point of a whole character of UTF-8. */
static uint32_t json_line_decode(const uint8_t *c, size_t len)
{
	static const uint8_t first_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t point = c[0] & first_bits[len];

	for (size_t i = 1; i < len; i++)
		point = point << 6 | (c[i] & 0x3f);
	return point;
}

/* The first character of `text` as it stands in the line; returns how many bytes it has. */
static size_t json_line_escape(const char *text, size_t len, char out[ESCAPE_MAX], int *ret_len)
{
	size_t used = utf8_len(text, len);
	uint32_t point = used ? json_line_decode((const uint8_t *)text, used) : 0xfffd;

	if (point == '"' || point == '\\')
		*ret_len = snprintf(out, ESCAPE_MAX, "\\%c", (int)point);
	else if (point >= 0x20 && point < 0x7f)
		*ret_len = snprintf(out, ESCAPE_MAX, "%c", (int)point);
	else if (point < 0x10000)
		*ret_len = snprintf(out, ESCAPE_MAX, "\\u%04" PRIx32, point);
	else
		*ret_len = snprintf(out, ESCAPE_MAX, "\\u%04" PRIx32 "\\u%04" PRIx32,
			0xd800 + ((point - 0x10000) >> 10), 0xdc00 + ((point - 0x10000) & 0x3ff));
	return used ? used : 1;
}

size_t json_line_add(struct json_line *line, const char *name, const char *text, size_t len)
{
	size_t at = 0, name_len = strlen(name), used;
	char piece[ESCAPE_MAX];
	int piece_len;

	if (name_len + sizeof(",\"\":\"") - 1 + END_LEN > sizeof(line->text) - line->len)
		return 0;
	json_line_put(line, ",\"", 2);
	json_line_put(line, name, name_len);
	json_line_put(line, "\":\"", 3);
	for (; at < len; at += used) {
		used = json_line_escape(text + at, len - at, piece, &piece_len);
		if ((size_t)piece_len + END_LEN > sizeof(line->text) - line->len)
			break;
		json_line_put(line, piece, (size_t)piece_len);
	}
	json_line_put(line, "\"", 1);
	return at;
}

void json_line_add_text(struct json_line *line, const char *name, const char *text)
{
	(void)json_line_add(line, name, text, strlen(text));
}

void json_line_begin(
	struct json_line *line, uint64_t time_ms, const char *level, const char *component)
{
	const time_t seconds = (time_t)(time_ms / 1000);
	struct tm tm = { 0 };
	char text[sizeof("2026-01-31T12:00:00.123Z") + 32];
	size_t n;

	(void)gmtime_r(&seconds, &tm);
	n = strftime(text, sizeof(text), "{\"time\":\"%Y-%m-%dT%H:%M:%S", &tm);
	line->len = 0;
	json_line_put(line, text, n);
	n = (size_t)snprintf(text, sizeof(text), ".%03uZ\"", (unsigned)(time_ms % 1000));
	json_line_put(line, text, n);
	json_line_add_text(line, "level", level);
	json_line_add_text(line, "component", component);
}

void json_line_end(struct json_line *line)
{
	json_line_put(line, "}\n", 2);
}
