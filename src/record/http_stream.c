/* SPDX-License-Identifier: MIT */
/*
 * Each state takes what it can of the bytes that there are, and leaves the rest to the next one. A
 * gap (bytes that were left out) is survived in a body or a chunk whose length is known; anywhere
 * else nobody knows what it has hidden.
 */
#include "record/http_stream.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/lang.h"
#include "base/parse.h"

void http_message_init(struct http_message *m)
{
	*m = (struct http_message){ 0 };
	buf_init(&m->head, HTTP_HEAD_MAX);
	buf_init(&m->body, HTTP_BODY_KEPT);
}

void http_message_deinit(struct http_message *m)
{
	buf_deinit(&m->head);
	buf_deinit(&m->body);
}

/* --- heads --- */

const char *http_head_line(const struct buf *head, size_t *ret_len)
{
	const char *text = (const char *)buf_head(head);
	const char *end = text ? memchr(text, '\n', buf_len(head)) : NULL;
	size_t len = end ? (size_t)(end - text) : buf_len(head);

	*ret_len = text && len > 0 && text[len - 1] == '\r' ? len - 1 : len;
	return text;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The value of a line that is a field of that name. */
static const char *line_value(const char *line, size_t len, const char *name, size_t *ret_len)
{
	size_t name_len = strlen(name);

	if (len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0)
		return NULL;
	line += name_len + 1;
	len -= name_len + 1;
	for (; len > 0 && is_blank(*line); line++)
		len--;
	while (len > 0 && is_blank(line[len - 1]))
		len--;
	*ret_len = len;
	return line;
}

const char *http_head_next_field(
	const struct buf *head, size_t *pos, const char *name, size_t *ret_len)
{
	const char *text = (const char *)buf_head(head), *value, *end;
	size_t size = buf_len(head), len;

	while (*pos < size) {
		end = memchr(text + *pos, '\n', size - *pos);
		len = end ? (size_t)(end - (text + *pos)) : size - *pos;
		value = line_value(text + *pos, len, name, ret_len);
		*pos += len + 1;
		if (value)
			return value;
	}
	return NULL;
}

const char *http_head_field(const struct buf *head, const char *name, size_t *ret_len)
{
	size_t pos = 0;

	return http_head_next_field(head, &pos, name, ret_len);
}

/* 0: none. 1: chunked. Negative: others alone, so that nobody knows where the body ends. The last
 * coding is what frames it (RFC 9112, 6.1). */
static int head_coding(const struct buf *head)
{
	static const char chunked[] = "chunked";
	size_t pos = 0, len, last_len = 0;
	const char *value, *last = NULL;

	while ((value = http_head_next_field(head, &pos, "Transfer-Encoding", &len))) {
		last = value;
		last_len = len;
	}
	if (!last)
		return 0;
	if (last_len < strlen(chunked))
		return -1;
	last += last_len - strlen(chunked);
	return strncasecmp(last, chunked, strlen(chunked)) == 0 &&
			       (last_len == strlen(chunked) || last[-1] == ',' ||
				       is_blank(last[-1]))
		       ? 1
		       : -1;
}

/* 0: none. 1: *ret_length. Negative: several that differ, or none that is a number. */
static int head_length(const struct buf *head, uint64_t *ret_length)
{
	size_t pos = 0, len;
	const char *value;
	uint64_t length;
	int found = 0;

	while ((value = http_head_next_field(head, &pos, "Content-Length", &len))) {
		if (parse_u64(value, len, 0, INT64_MAX, &length) < 0 ||
			(found && length != *ret_length))
			return -1;
		*ret_length = length;
		found = 1;
	}
	return found;
}

static bool is_token_char(unsigned char c)
{
	return c > ' ' && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

/* "GET /path HTTP/1.1" or "HTTP/1.1 200 OK" */
static bool head_is_http(const struct buf *head, bool response)
{
	static const char version[] = "HTTP/1.";
	size_t len, at = 0;
	const char *line = http_head_line(head, &len);

	if (response)
		return len >= strlen("HTTP/1.1 200") &&
		       memcmp(line, version, strlen(version)) == 0 && line[8] == ' ' &&
		       isdigit((unsigned char)line[9]) && isdigit((unsigned char)line[10]) &&
		       isdigit((unsigned char)line[11]);
	while (at < len && is_token_char((unsigned char)line[at]))
		at++;
	return at > 0 && at < len && line[at] == ' ' && len >= at + strlen(" / HTTP/1.1") &&
	       line[len - strlen(" HTTP/1.1")] == ' ' &&
	       memcmp(line + len - strlen("HTTP/1.1"), version, strlen(version)) == 0;
}

/* --- the stream --- */

void http_stream_init(
	struct http_stream *s, const struct http_stream_events *events, bool responses)
{
	*s = (struct http_stream){ .events = events, .responses = responses };
	buf_init(&s->head, HTTP_HEAD_MAX);
}

void http_stream_deinit(struct http_stream *s)
{
	buf_deinit(&s->head);
}

static void stream_set_lost(struct http_stream *s, const char *why)
{
	s->state = HTTP_STREAM_LOST;
	s->why = why;
	buf_deinit(&s->head);
}

static void stream_message_end(struct http_stream *s)
{
	if (s->message)
		s->message->whole = true;
	s->message = NULL;
	s->ends = true;
	s->state = HTTP_STREAM_LINE;
	s->line_len = 0;
	s->events->ended(s->events->owner);
}

/* What the body is framed by (RFC 9112, 6.3); of a response without any of that, the connection's
 * end. Who reads a request's length in spite of another coding sees other requests than we would.
 */
static void stream_frame(struct http_stream *s)
{
	int coding = head_coding(&s->head), length = head_length(&s->head, &s->left);

	if (coding > 0) {
		s->state = HTTP_STREAM_CHUNK_SIZE;
		s->line_len = 0;
		if (s->message)
			s->message->chunked = true;
	} else if (coding < 0 && !s->responses) {
		stream_set_lost(s, "its Transfer-Encoding doesn't tell where it ends");
	} else if (coding < 0) {
		s->state = HTTP_STREAM_UNTIL_END;
	} else if (length < 0) {
		stream_set_lost(s, "its Content-Length is none");
	} else if (length > 0 && s->left > 0) {
		s->state = HTTP_STREAM_LENGTH;
	} else if (!length && s->responses) {
		s->state = HTTP_STREAM_UNTIL_END;
	} else {
		stream_message_end(s);
	}
}

static void stream_head_end(struct http_stream *s)
{
	enum http_body body;

	if (!head_is_http(&s->head, s->responses)) {
		s->state = HTTP_STREAM_FOREIGN;
		buf_deinit(&s->head);
		return;
	}
	s->message = s->events->begun(s->events->owner);
	body = s->events->headed(s->events->owner, &s->head);
	s->ends = body == HTTP_BODY_FOREIGN;
	if (body == HTTP_BODY_FOREIGN)
		s->state = HTTP_STREAM_FOREIGN;
	else if (body == HTTP_BODY_NONE)
		stream_message_end(s);
	else
		stream_frame(s);
	buf_consume(&s->head, buf_len(&s->head));
}

/* Up to the line's end, and with it. */
static size_t line_part(const uint8_t *data, size_t len)
{
	const uint8_t *end = memchr(data, '\n', len);

	return end ? (size_t)(end - data) + 1 : len;
}

/* The line that is under way has so many more bytes; it is empty where there is nothing but one CR.
 * Returns whether it was empty and is over. */
static bool stream_count_line(struct http_stream *s, const uint8_t *data, size_t n, bool *ret_over)
{
	bool empty;

	*ret_over = data[n - 1] == '\n';
	n -= *ret_over;
	s->line_text |= n > 1 || (n == 1 && (s->line_len > 0 || *data != '\r'));
	s->line_len += n;
	empty = *ret_over && !s->line_text;
	if (*ret_over) {
		s->line_len = 0;
		s->line_text = false;
	}
	return empty;
}

static size_t stream_read_head(struct http_stream *s, const uint8_t *data, size_t len)
{
	size_t n = line_part(data, len);
	bool over, empty;

	/* Empty lines before a message are nobody's (RFC 9112, 2.2). */
	if (s->state == HTTP_STREAM_LINE && (*data == '\r' || *data == '\n'))
		return 1;
	empty = stream_count_line(s, data, n, &over);
	if (s->state == HTTP_STREAM_LINE && !(s->responses ? *data == 'H' : is_token_char(*data))) {
		s->state = HTTP_STREAM_FOREIGN;
		return n;
	}
	s->state = HTTP_STREAM_HEAD;
	if (buf_append(&s->head, data, n) < 0)
		stream_set_lost(s, "a head has more than 64 KiB");
	else if (empty)
		stream_head_end(s);
	return n;
}

/* So many bytes of the body that is under way are shown nowhere, and would be. */
static void stream_lack(struct http_stream *s, uint64_t n)
{
	s->message->body_missing += n;
	s->lacking += n;
}

static void stream_keep(struct http_stream *s, const uint8_t *data, size_t n)
{
	struct http_message *m = s->message;
	size_t room, kept;

	if (!m)
		return;
	room = HTTP_BODY_KEPT - (size_t)min_u64(HTTP_BODY_KEPT, m->body_len);
	kept = (size_t)min_u64(n, room);
	m->body_len += n;
	if (kept > 0 && (m->body_missing || buf_append(&m->body, data, kept) < 0))
		stream_lack(s, kept);
}

/* So many bytes of a body, or of one of its chunks, have come. */
static void stream_count(struct http_stream *s, uint64_t n)
{
	s->left -= n;
	if (s->left > 0)
		return;
	if (s->state == HTTP_STREAM_LENGTH) {
		stream_message_end(s);
	} else {
		s->state = HTTP_STREAM_CHUNK_END;
		s->line_len = 0;
	}
}

static size_t stream_read_counted(struct http_stream *s, const uint8_t *data, size_t len)
{
	size_t n = (size_t)min_u64(len, s->left);

	stream_keep(s, data, n);
	stream_count(s, n);
	return n;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const char bad_chunk[] = "its chunks are none";

/* "1f4;extension" */
static void stream_chunk_begins(struct http_stream *s)
{
	size_t digits = 0;

	s->left = 0;
	for (; digits < sizeof(s->size) && hex_value(s->size[digits]) >= 0; digits++)
		s->left = s->left << 4 | (uint64_t)hex_value(s->size[digits]);
	if (digits == 0 || digits > 15)
		stream_set_lost(s, bad_chunk);
	else
		s->state = s->left ? HTTP_STREAM_CHUNK : HTTP_STREAM_TRAILER;
	memset(s->size, 0, sizeof(s->size));
}

static size_t stream_read_chunk_size(struct http_stream *s, const uint8_t *data, size_t len)
{
	size_t n = line_part(data, len), before = s->line_len;
	bool over;

	if (before < sizeof(s->size))
		memcpy(s->size + before, data, (size_t)min_u64(n, sizeof(s->size) - before));
	(void)stream_count_line(s, data, n, &over);
	if (over)
		stream_chunk_begins(s);
	else if (s->line_len > HTTP_HEAD_MAX)
		stream_set_lost(s, bad_chunk);
	return n;
}

/* The line's end behind a chunk, or the trailer's lines up to the empty one. */
static size_t stream_read_lines(struct http_stream *s, const uint8_t *data, size_t len)
{
	size_t n = line_part(data, len);
	bool over, empty = stream_count_line(s, data, n, &over);

	if (s->state == HTTP_STREAM_TRAILER && empty)
		stream_message_end(s);
	else if (s->state == HTTP_STREAM_CHUNK_END && empty)
		s->state = HTTP_STREAM_CHUNK_SIZE;
	else if (s->state == HTTP_STREAM_CHUNK_END && (s->line_text || over))
		stream_set_lost(s, bad_chunk);
	return n;
}

static size_t stream_read_rest(struct http_stream *s, const uint8_t *data, size_t len)
{
	stream_keep(s, data, len);
	return len;
}

static size_t stream_read_nothing(struct http_stream *s, const uint8_t *data, size_t len)
{
	return len;
}

static size_t (*const readers[])(struct http_stream *s, const uint8_t *data, size_t len) = {
	[HTTP_STREAM_LINE] = stream_read_head,
	[HTTP_STREAM_HEAD] = stream_read_head,
	[HTTP_STREAM_LENGTH] = stream_read_counted,
	[HTTP_STREAM_CHUNK_SIZE] = stream_read_chunk_size,
	[HTTP_STREAM_CHUNK] = stream_read_counted,
	[HTTP_STREAM_CHUNK_END] = stream_read_lines,
	[HTTP_STREAM_TRAILER] = stream_read_lines,
	[HTTP_STREAM_UNTIL_END] = stream_read_rest,
	[HTTP_STREAM_FOREIGN] = stream_read_nothing,
	[HTTP_STREAM_ENDED] = stream_read_nothing,
	[HTTP_STREAM_LOST] = stream_read_nothing,
};

static bool stream_reads_no_more(const struct http_stream *s)
{
	return s->state >= HTTP_STREAM_FOREIGN;
}

/* So many bytes were left out. */
static void stream_miss(struct http_stream *s, uint64_t n)
{
	struct http_message *m = s->message;
	bool framed =
		(s->state == HTTP_STREAM_LENGTH || s->state == HTTP_STREAM_CHUNK) && n <= s->left;

	if (stream_reads_no_more(s) || n == 0)
		return;
	if (!framed && s->state != HTTP_STREAM_UNTIL_END) {
		s->lacking += n;
		stream_set_lost(s, "it came faster than it could be looked at");
		return;
	}
	if (m) {
		if (m->body_len < HTTP_BODY_KEPT)
			stream_lack(s, min_u64(n, HTTP_BODY_KEPT - m->body_len));
		m->body_len += n;
	}
	if (framed)
		stream_count(s, n);
}

static void stream_advance(struct http_stream *s, uint64_t offset)
{
	s->offset = offset;
	if (s->ends)
		s->ended = offset;
	s->ends = false;
}

void http_stream_read(struct http_stream *s, uint64_t offset, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	stream_miss(s, offset - s->offset);
	stream_advance(s, offset);
	while (len > 0) {
		size_t n = readers[s->state](s, bytes, len);

		bytes += n;
		len -= n;
		stream_advance(s, s->offset + n);
	}
}

void http_stream_end(struct http_stream *s, uint64_t offset)
{
	stream_miss(s, offset - s->offset);
	if (s->state == HTTP_STREAM_UNTIL_END)
		stream_message_end(s);
	stream_advance(s, offset);
	if (!stream_reads_no_more(s))
		s->state = HTTP_STREAM_ENDED;
}

void http_stream_leave(struct http_stream *s)
{
	s->message = NULL;
}

uint64_t http_stream_unwanted(const struct http_stream *s)
{
	if (stream_reads_no_more(s))
		return UINT64_MAX;
	/* The last byte of a body has its end come in order. */
	if (s->state == HTTP_STREAM_LENGTH &&
		(!s->message || s->message->body_len >= HTTP_BODY_KEPT))
		return s->offset + s->left - 1;
	return 0;
}
