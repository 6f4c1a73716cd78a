/* SPDX-License-Identifier: MIT */
/* Fields are looked for as hyper writes them, in lower case and with one blank. */
#include "preload/answer.h"

#include <string.h>

#define STATUS_AT 9 /* behind "HTTP/1.1 " */
#define STATUS_LEN 3

static const char *answer_find(const char *text, size_t len, const char *what)
{
	return memmem(text, len, what, strlen(what));
}

/* What stands behind `name`; ANSWER_OPEN without it. */
static unsigned long long answer_find_length(const char *head, size_t len)
{
	static const char name[] = "\r\ncontent-length: ";
	const char *at = answer_find(head, len, name);
	unsigned long long value = 0;

	if (!at)
		return ANSWER_OPEN;
	for (at += sizeof name - 1; at < head + len && *at >= '0' && *at <= '9'; at++)
		if (value < ANSWER_LONG)
			value = 10 * value + (unsigned)(*at - '0');
	return value < ANSWER_LONG ? value : ANSWER_LONG;
}

unsigned answer_len(const char *text, size_t len, bool head_only)
{
	static const char end[] = "\r\n\r\n";
	const char *blank = answer_find(text, len, end), *status = text + STATUS_AT;
	unsigned long long body_len;
	size_t head_len;

	if (!blank || len < STATUS_AT + STATUS_LEN || memcmp(text, "HTTP/1.", STATUS_AT - 2) != 0)
		return len < ANSWER_LONG ? (unsigned)len : ANSWER_LONG;
	head_len = (size_t)(blank - text) + sizeof end - 1;
	/* A switch of protocols (101) is the last that is said of HTTP. */
	if (*status == '1')
		return memcmp(status, "101", STATUS_LEN) == 0 ? ANSWER_OPEN : ANSWER_PROVISIONAL;
	if (head_only || memcmp(status, "204", STATUS_LEN) == 0 ||
		memcmp(status, "304", STATUS_LEN) == 0)
		return (unsigned)head_len;
	if (answer_find(text, head_len, "\r\ntransfer-encoding: chunked\r\n"))
		return ANSWER_CHUNKS;
	body_len = answer_find_length(text, head_len);
	if (body_len == ANSWER_OPEN)
		return ANSWER_OPEN;
	return body_len + head_len < ANSWER_LONG ? (unsigned)(body_len + head_len) : ANSWER_LONG;
}

size_t answer_line_len(const char *text, size_t len)
{
	static const char version[] = "HTTP/1.1 ";
	const char *end;

	if (len <= STATUS_AT || memcmp(text, version, STATUS_AT) != 0 || text[STATUS_AT] < '2')
		return 0;
	end = memchr(text, '\n', len);
	return end ? (size_t)(end - text) + 1 : 0;
}

bool answer_is_last_chunk(const char *text, size_t len)
{
	static const char end[] = "0\r\n\r\n"; /* RFC 9112 section 7.1 */
	const size_t end_len = sizeof end - 1;

	return len >= end_len && memcmp(text + len - end_len, end, end_len) == 0;
}
