/* SPDX-License-Identifier: MIT */
#include "preload/request.h"

#include <string.h>
#include <strings.h>

#define LENGTH_MAX (1ULL << 60) /* longer ones end as little */

/* What stands behind "NAME:" in the line, in any case (RFC 9110, section 5.1); NULL: it is another
 * field. */
static const char *request_field_value(const struct request *r, const char *name)
{
	const size_t len = strlen(name);

	if (r->len <= len || r->line[len] != ':' || strncasecmp(r->line, name, len) != 0)
		return NULL;
	return r->line + len + 1;
}

static void request_take_length(struct request *r, const char *digit)
{
	const char *end = r->line + (r->len < REQUEST_LINE_MAX ? r->len : REQUEST_LINE_MAX);

	r->left = 0;
	while (digit < end && (*digit == ' ' || *digit == '\t'))
		digit++;
	for (; digit < end && *digit >= '0' && *digit <= '9'; digit++)
		if (r->left < LENGTH_MAX)
			r->left = 10 * r->left + (unsigned)(*digit - '0');
}

/* Without its line break. */
static void request_take_line(struct request *r)
{
	static const char head[] = "HEAD ";
	const char *length;

	if (r->len > 0 && r->len <= REQUEST_LINE_MAX && r->line[r->len - 1] == '\r')
		r->len--;
	if (r->stage == REQUEST_BEGINS) {
		/* A server ignores empty lines here (RFC 9112, section 2.2). */
		if (r->len > 0)
			r->stage = REQUEST_HEAD;
		r->head_only = r->len >= sizeof head && memcmp(r->line, head, sizeof head - 1) == 0;
	} else if (r->len == 0) {
		r->stage = r->chunked ? REQUEST_CHUNKS : r->left > 0 ? REQUEST_BODY : REQUEST_WHOLE;
	} else if (request_field_value(r, "transfer-encoding")) {
		r->chunked = true;
	} else if ((length = request_field_value(r, "content-length"))) {
		request_take_length(r, length);
	}
	r->len = 0;
}

/* Returns how many of the bytes belong to the head. */
static size_t request_read_head(struct request *r, const char *bytes, size_t len)
{
	size_t i = 0;

	while (i < len && (r->stage == REQUEST_BEGINS || r->stage == REQUEST_HEAD)) {
		const char byte = bytes[i++];

		if (byte == '\n') {
			request_take_line(r);
			continue;
		}
		if (r->len < REQUEST_LINE_MAX)
			r->line[r->len] = byte;
		r->len++;
	}
	return i;
}

/* Whether these bytes end as the last chunk does; `r->len` is how much of that they end with. */
static bool request_read_chunks(struct request *r, const char *bytes, size_t len)
{
	static const char end[] = "0\r\n\r\n"; /* RFC 9112, section 7.1 */
	const size_t end_len = sizeof end - 1;

	for (size_t i = len > end_len ? len - end_len : 0; i < len; i++)
		if (r->len < end_len && bytes[i] == end[r->len])
			r->len++;
		else
			r->len = bytes[i] == end[0];
	return r->len == end_len;
}

bool request_read(struct request *r, const char *bytes, size_t len)
{
	const size_t head_len = request_read_head(r, bytes, len);

	bytes += head_len;
	len -= head_len;
	if (r->stage == REQUEST_CHUNKS)
		return request_read_chunks(r, bytes, len);
	if (r->stage == REQUEST_BODY) {
		r->left -= len < r->left ? len : r->left;
		if (r->left == 0)
			r->stage = REQUEST_WHOLE;
	}
	return r->stage == REQUEST_WHOLE;
}
