/* SPDX-License-Identifier: MIT */
#include "preload/request.h"

#include <string.h>
#include <strings.h>

#include "preload/answer.h"

/* What stands behind "NAME:", in any case (RFC 9110, section 5.1). NULL: there is no such field. */
static const char *find_field(const char *head, const char *end, const char *name)
{
	const size_t len = strlen(name);

	while ((head = memmem(head, (size_t)(end - head), "\r\n", 2))) {
		head += 2;
		if ((size_t)(end - head) > len && head[len] == ':' &&
			strncasecmp(head, name, len) == 0)
			return head + len + 1;
	}
	return NULL;
}

unsigned request_len(const char *text, size_t len)
{
	const char *end = memmem(text, len, REQUEST_HEAD_END, strlen(REQUEST_HEAD_END)), *digit;
	unsigned long long total, body = 0;

	if (!end)
		return ANSWER_OPEN;
	if (find_field(text, end, "transfer-encoding"))
		return ANSWER_CHUNKS;
	digit = find_field(text, end, "content-length");
	while (digit && digit < end && (*digit == ' ' || *digit == '\t'))
		digit++;
	for (; digit && digit < end && *digit >= '0' && *digit <= '9'; digit++)
		if (body < ANSWER_LONG)
			body = 10 * body + (unsigned)(*digit - '0');
	total = (size_t)(end - text) + strlen(REQUEST_HEAD_END) + body;
	return total < ANSWER_LONG ? (unsigned)total : ANSWER_LONG;
}
