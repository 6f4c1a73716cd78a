/* SPDX-License-Identifier: MIT */
/*
 * A line of a log that a machine reads: one JSON object (RFC 8259) with text members, in ASCII, so
 * that it steers no terminal either. What is no UTF-8 is U+FFFD, a byte each. The object and its
 * newline fit into PIPE_BUF: a pipe takes all of it with one write(2), or nothing.
 */
#ifndef BASE_JSON_LINE_H
#define BASE_JSON_LINE_H

#include <stddef.h>
#include <stdint.h>

#define JSON_LINE_MAX 4096

struct json_line {
	char text[JSON_LINE_MAX];
	size_t len;
};

/* The members "time" (UTC, RFC 3339, from milliseconds since 1970), "level" and "component". */
void json_line_begin(
	struct json_line *line, uint64_t time_ms, const char *level, const char *component);

/* A further member; `name` needs no escape. Returns how many bytes of `text` it has: fewer than
 * `len` where the line is full, and then all whole characters. */
size_t json_line_add(struct json_line *line, const char *name, const char *text, size_t len);
void json_line_add_text(struct json_line *line, const char *name, const char *text);

/* The line is `text`, of `len` bytes, without a NUL. */
void json_line_end(struct json_line *line);

#endif
