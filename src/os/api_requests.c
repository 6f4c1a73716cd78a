/* SPDX-License-Identifier: MIT */
/*
 * What visitors have asked and the application has answered, as recorded. A list has no heads and
 * no bodies; one exchange has all that is kept of it. What is no text comes in base64, so that
 * nothing of it is lost on the way.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/owner.h"
#include "base/utf8.h"
#include "http/http_request.h"
#include "http/json_text.h"
#include "os/api_internal.h"
#include "record/recorder.h"

/* --- parts of a head --- */

/* The next blank-separated word of a line; the last one takes the rest. */
static json_t *line_word(const char **line, size_t *len, bool last)
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

/* "Name: value"; a line without a colon is a name alone. */
static json_t *header_json(const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	size_t name_len = colon ? (size_t)(colon - line) : len, at = name_len + (colon != NULL);

	while (at < len && (line[at] == ' ' || line[at] == '\t'))
		at++;
	return json_pack("{s:o, s:o}", "name", json_text(line, name_len), "value",
		json_text(line + at, len - at));
}

/* All but the start line and the empty one, in order. */
static json_t *headers_json(const struct buf *head)
{
	const char *text = (const char *)buf_head(head);
	const char *end = text + buf_len(head), *newline;
	json_t *headers = json_array();

	for (const char *line = text; line < end; line = newline + 1) {
		size_t len;

		newline = memchr(line, '\n', (size_t)(end - line));
		if (!newline)
			break;
		len = (size_t)(newline - line);
		if (len > 0 && line[len - 1] == '\r')
			len--;
		if (line != text && len > 0)
			(void)json_array_append_new(headers, header_json(line, len));
	}
	return headers;
}

/* --- bodies --- */

static bool is_text(const uint8_t *data, size_t len)
{
	for (size_t at = 0, n; at < len; at += n) {
		n = data[at] ? utf8_len((const char *)data + at, len - at) : 0;
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

static json_t *message_json(const struct http_message *m)
{
	size_t len = buf_len(&m->body), line_len;
	const uint8_t *body = buf_head(&m->body);
	const char *line = http_head_line(&m->head, &line_len);
	bool text = is_text(body, len);

	if (!line)
		return json_null();
	return json_pack("{s:o, s:o, s:I, s:I, s:I, s:b, s:b, s:o, s:o}", "line",
		json_text(line, line_len), "headers", headers_json(&m->head), "size",
		(json_int_t)m->body_len, "kept", (json_int_t)len, "missing",
		(json_int_t)m->body_missing, "whole", m->whole, "chunked", m->chunked, "text",
		text ? json_text((const char *)body, len) : json_null(), "base64",
		text ? json_null() : base64_json(body, len));
}

/* --- an exchange --- */

static json_t *number_or_null(uint64_t n)
{
	return n ? json_integer((json_int_t)n) : json_null();
}

/* Of what that side has said: a body, or what has become of the connection. */
static uint64_t exchange_bytes(const struct exchange *e, enum pump_side side)
{
	if (e->state == EXCHANGE_UPGRADED || e->state == EXCHANGE_FOREIGN)
		return e->bytes[side];
	return side == PUMP_OUTER ? e->request.body_len : e->response.body_len;
}

static json_t *exchange_json(const struct exchange *e)
{
	size_t len;
	const char *line = http_head_line(&e->request.head, &len);
	json_t *method = line ? line_word(&line, &len, false) : json_null();
	json_t *target = line ? line_word(&line, &len, false) : json_null();

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
		(json_int_t)exchange_bytes(e, PUMP_INNER),
		"first_byte_ms",
		e->status ? json_real((double)e->first_byte_us / 1000) : json_null(), "duration_ms",
		e->conn ? json_null() : json_real((double)e->duration_us / 1000),
		"replay_of", number_or_null(e->origin.replay_of), "why", json_text_or_null(e->why));
}

void api_exchange_changed(struct api *api, const struct exchange *e)
{
	if (api->hub.count)
		api_events_publish(api, API_EVENT_REQUEST, exchange_json(e));
}

/* --- the calls --- */

/* Whether a head or a kept body has those bytes. */
static bool exchange_has(const struct exchange *e, const char *text)
{
	const struct buf *parts[] = { &e->request.head, &e->request.body, &e->response.head,
		&e->response.body };

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (buf_len(parts[i]) > 0 &&
			memmem(buf_head(parts[i]), buf_len(parts[i]), text, strlen(text)))
			return true;
	return false;
}

struct requests_list {
	json_t *list;
	const char *search; /* NULL: all */
};

static void requests_append(void *owner, const struct exchange *e)
{
	struct requests_list *list = owner;

	if (!list->search || exchange_has(e, list->search))
		(void)json_array_append_new(list->list, exchange_json(e));
}

void api_get_requests(void *owner, struct http_request *request)
{
	struct api *api = owner;
	const struct recorder *recorder = api->config.recorder;
	struct requests_list list = { .list = json_array(),
		.search = http_request_text(request, "search") };

	recorder_each(recorder, requests_append, &list);
	http_reply_json(request, 200,
		json_pack("{s:b, s:b, s:I, s:o}", "success", 1, "recording",
			recorder_is_on(recorder), "lost", (json_int_t)recorder_lost(recorder),
			"requests", list.list));
}

void api_get_request(void *owner, struct http_request *request)
{
	struct api *api = owner;
	uint64_t id = http_request_number(request, "id");
	const struct exchange *e = recorder_find(api->config.recorder, id);

	if (!e) {
		http_reply_error(request, 404,
			"there is no request %llu, or it was recorded before the last ones",
			(unsigned long long)id);
		return;
	}
	http_reply_json(request, 200,
		json_pack("{s:b, s:o, s:o, s:o}", "success", 1, "summary", exchange_json(e),
			"request", message_json(&e->request), "response",
			message_json(&e->response)));
}

void api_record_requests(void *owner, struct http_request *request)
{
	struct api *api = owner;
	json_auto_t *body = http_request_json(request);
	json_t *on;

	if (!body)
		return;
	on = json_object_get(body, "recording");
	if (!json_is_boolean(on) || json_object_size(body) != 1) {
		http_reply_error(request, 400, "the body must be {\"recording\": true} or false");
		return;
	}
	recorder_set_on(api->config.recorder, json_is_true(on));
	http_reply_json(
		request, 200, json_pack("{s:b, s:b}", "success", 1, "recording", json_is_true(on)));
	api_recording_changed(api);
}

void api_clear_requests(void *owner, struct http_request *request)
{
	struct api *api = owner;

	recorder_clear(api->config.recorder);
	http_reply_json(request, 200,
		json_pack(
			"{s:b, s:s}", "success", 1, "message", "Recorded requests are forgotten"));
	api_recording_changed(api);
}

json_t *api_recording_json(struct api *api)
{
	return json_pack(
		"{s:b, s:b}", "success", 1, "recording", recorder_is_on(api->config.recorder));
}

void api_recording_changed(struct api *api)
{
	api_events_publish(api, API_EVENT_RECORDING, api_recording_json(api));
}
