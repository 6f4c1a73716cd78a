/* SPDX-License-Identifier: MIT */
#include "os/exchange_json.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/lang.h"
#include "base/owner.h"
#include "base/utf8.h"
#include "http/json_text.h"
#include "record/recorder.h"

/* --- parts of a head --- */

/* The next blank-separated word of a line; the last one takes the rest. */
json_t *exchange_line_word(const char **line, size_t *len, bool last)
{
	const char *blank = last ? NULL : memchr(*line, ' ', *len);
	size_t n = blank ? (size_t)(blank - *line) : *len;
	json_t *word = json_text(*line, n);

	n += blank != NULL;
	*line += n;
	*len -= n;
	return word;
}

static json_t *field_json(const struct buf *head, const char *name)
{
	size_t len;
	const char *value = http_head_field(head, name, &len);

	return value ? json_text(value, len) : json_null();
}

/* Behind the line, and those that begin with a blank: they belong to it (RFC 9112, 5.2). NULL: none
 * ends here. */
static const char *field_end(const char *line, const char *end)
{
	do {
		line = memchr(line, '\n', (size_t)(end - line));
		line = line ? line + 1 : NULL;
	} while (line && line < end && (*line == ' ' || *line == '\t'));
	return line;
}

/* A value of several lines, as one. */
static json_t *folded_json(const char *value, size_t len)
{
	_cleanup_(freep) char *text = malloc(len + 1);
	size_t n = 0;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i++)
		if (value[i] == '\n')
			text[n++] = ' ';
		else if (value[i] != '\r' || i + 1 == len || value[i + 1] != '\n')
			text[n++] = value[i];
	return json_text(text, n);
}

/* "Name: value"; a line without a colon is a name alone. There may be 20,000 of them, for which
 * json_pack(3) would take three times as long. */
static json_t *header_json(const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	bool folded = memchr(line, '\n', len);
	size_t name_len = colon ? (size_t)(colon - line) : len, at = name_len + (colon != NULL);
	json_t *header = json_object();

	while (at < len && (line[at] == ' ' || line[at] == '\t'))
		at++;
	(void)json_object_set_new_nocheck(header, "name", json_text(line, name_len));
	(void)json_object_set_new_nocheck(header, "value",
		folded ? folded_json(line + at, len - at) : json_text(line + at, len - at));
	return header;
}

/* All but the start line and the empty one, in order. */
json_t *exchange_headers_json(const struct buf *head)
{
	const char *text = (const char *)buf_head(head);
	const char *end = text ? text + buf_len(head) : NULL, *next;
	json_t *headers = json_array();

	for (const char *line = text; line < end; line = next) {
		size_t len;

		next = field_end(line, end);
		if (!next)
			break;
		len = (size_t)(next - line) - 1;
		if (len > 0 && line[len - 1] == '\r')
			len--;
		if (line != text && len > 0)
			(void)json_array_append_new(headers, header_json(line, len));
	}
	return headers;
}

bool exchange_is_secret(const char *name)
{
	static const char *const names[] = { "Authorization", "Cookie", "Proxy-Authorization",
		"Set-Cookie" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}

/* --- bodies --- */

/* UTF-8 without control characters beside those of text. */
static bool is_text(const uint8_t *data, size_t len)
{
	for (size_t at = 0, n; at < len; at += n) {
		bool odd = data[at] < ' ' && !strchr("\t\n\r", data[at]);

		n = odd || !data[at] ? 0 : utf8_len((const char *)data + at, len - at);
		if (!n)
			return false;
	}
	return true;
}

static json_t *base64_json(const uint8_t *data, size_t len)
{
	_cleanup_(freep) char *text = malloc((len + 2) / 3 * 4 + 1);

	if (!text)
		return NULL;
	(void)EVP_EncodeBlock((unsigned char *)text, data, (int)len);
	return json_string(text);
}

json_t *exchange_body_json(const struct http_message *m, bool *ret_is_text)
{
	size_t len = buf_len(&m->body);
	const uint8_t *body = buf_head(&m->body);

	*ret_is_text = is_text(body, len);
	return *ret_is_text ? json_text((const char *)body, len) : base64_json(body, len);
}

json_t *exchange_message_json(const struct http_message *m)
{
	size_t line_len;
	const char *line = http_head_line(&m->head, &line_len);
	json_t *body;
	bool text;

	if (!line)
		return json_null();
	body = exchange_body_json(m, &text);
	return json_pack("{s:o, s:o, s:I, s:I, s:I, s:b, s:b, s:o, s:o}", "line",
		json_text(line, line_len), "headers", exchange_headers_json(&m->head), "size",
		(json_int_t)m->body_len, "kept", (json_int_t)buf_len(&m->body), "missing",
		(json_int_t)m->body_missing, "whole", m->whole, "chunked", m->chunked, "text",
		text ? body : json_null(), "base64", text ? json_null() : body);
}

/* --- an exchange --- */

static json_t *number_or_null(uint64_t n)
{
	return n ? json_integer((json_int_t)n) : json_null();
}

json_t *exchange_ms_json(uint64_t us)
{
	return json_real((double)us / 1000);
}

/* Of what that side has said: a body, or what has become of the connection. */
static uint64_t exchange_bytes(const struct exchange *e, enum pump_side side)
{
	if (e->state == EXCHANGE_UPGRADED || e->state == EXCHANGE_FOREIGN)
		return e->bytes[side];
	return side == PUMP_OUTER ? e->request.body_len : e->response.body_len;
}

json_t *exchange_json(const struct exchange *e)
{
	size_t len;
	const char *line = http_head_line(&e->request.head, &len);
	json_t *method = line ? exchange_line_word(&line, &len, false) : json_null();
	json_t *target = line ? exchange_line_word(&line, &len, false) : json_null();

	return json_pack("{s:I, s:s, s:s, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o, "
			 "s:o, s:o, s:o}",
		"id", (json_int_t)e->id, "state", exchange_state_names[e->state], "kind",
		e->origin.kind, "connection",
		json_text_or_null(*e->origin.conn_id ? e->origin.conn_id : NULL), "from",
		json_text_or_null(*e->origin.from ? e->origin.from : NULL), "time",
		(json_int_t)e->since_ms, "method", method, "target", target, "host",
		field_json(&e->request.head, "Host"), "status", number_or_null(e->status), "type",
		field_json(&e->response.head, "Content-Type"), "bytes_in",
		(json_int_t)exchange_bytes(e, PUMP_OUTER), "bytes_out",
		(json_int_t)exchange_bytes(e, PUMP_INNER), "first_byte_ms",
		e->status ? exchange_ms_json(e->first_byte_us) : json_null(), "duration_ms",
		e->conn ? json_null() : exchange_ms_json(e->duration_us), "replay_of",
		number_or_null(e->origin.replay_of), "why", json_text_or_null(e->why));
}
