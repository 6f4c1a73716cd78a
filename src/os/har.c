/* SPDX-License-Identifier: MIT */
#include "os/har.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/owner.h"
#include "http/json_text.h"
#include "os/exchange_json.h"
#include "record/recorder.h"

#define HAR_HIDDEN "(hidden)"

/* "2026-01-31T23:59:59.123Z" */
static json_t *har_time(uint64_t wall_ms)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	char text[64];
	struct tm tm;
	size_t n;

	if (!gmtime_r(&seconds, &tm))
		return json_string("1970-01-01T00:00:00.000Z");
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(text + n, sizeof(text) - n, ".%03uZ", (unsigned)(wall_ms % 1000));
	return json_string(text);
}

static json_t *har_headers(const struct buf *head, bool secrets)
{
	json_t *headers = exchange_headers_json(head), *header;
	size_t i;

	json_array_foreach(headers, i, header)
	{
		const char *name = json_string_value(json_object_get(header, "name"));

		if (name && !secrets && exchange_is_secret(name))
			(void)json_object_set_new(header, "value", json_string(HAR_HIDDEN));
	}
	return headers;
}

static json_t *har_field(const struct buf *head, const char *name)
{
	size_t len;
	const char *value = http_head_field(head, name, &len);

	return value ? json_text(value, len) : json_string("");
}

/* The parts of a target's query, as they stand there: which bytes they mean is the reader's to say.
 */
static json_t *har_query(const char *target)
{
	const char *part = target ? strchr(target, '?') : NULL;
	json_t *query = json_array();

	while (part && *++part) {
		size_t len = strcspn(part, "&"), name_len = strcspn(part, "=&");
		const char *value = part + name_len + (name_len < len);

		if (len > 0)
			(void)json_array_append_new(query,
				json_pack("{s:o, s:o}", "name", json_text(part, name_len), "value",
					json_text(value, len - (size_t)(value - part))));
		part = part[len] ? part + len : NULL;
	}
	return query;
}

/* A body of text, or one in base64 with its encoding named. */
static void har_put_body(json_t *into, const struct http_message *m)
{
	bool text;

	(void)json_object_set_new(into, "text", exchange_body_json(m, &text));
	if (!text)
		(void)json_object_set_new(into, "encoding", json_string("base64"));
	if (buf_len(&m->body) < m->body_len)
		(void)json_object_set_new(
			into, "comment", json_string("only the beginning was recorded"));
}

/* "http://HOST/path", or what was asked for where that is a whole address. */
static json_t *har_url(const struct exchange *e, const char *target)
{
	static const char no_host[] = "localhost";
	_cleanup_(freep) char *url = NULL;
	size_t len = strlen(no_host);
	const char *host = http_head_field(&e->request.head, "Host", &len);

	if (!target)
		return json_string("");
	if (*target != '/')
		return json_string(target);
	if (asprintf(&url, "http://%.*s%s", (int)len, host ? host : no_host, target) < 0) {
		url = NULL;
		return NULL;
	}
	return json_text(url, strlen(url));
}

static json_t *har_request(const struct exchange *e, bool secrets)
{
	size_t len;
	const struct buf *head = &e->request.head;
	const char *line = http_head_line(head, &len);
	json_t *method = exchange_line_word(&line, &len, false);
	json_auto_t *target = exchange_line_word(&line, &len, false);
	json_t *version = exchange_line_word(&line, &len, true);
	json_t *request, *body;

	request = json_pack("{s:o, s:o, s:o, s:[], s:o, s:o, s:I, s:I}", "method", method, "url",
		har_url(e, json_string_value(target)), "httpVersion", version, "cookies", "headers",
		har_headers(head, secrets), "queryString", har_query(json_string_value(target)),
		"headersSize", (json_int_t)buf_len(head), "bodySize",
		(json_int_t)e->request.body_len);
	if (!e->request.body_len)
		return request;
	body = json_pack("{s:o}", "mimeType", har_field(head, "Content-Type"));
	har_put_body(body, &e->request);
	(void)json_object_set_new(request, "postData", body);
	return request;
}

static json_t *har_response(const struct exchange *e, bool secrets)
{
	size_t len;
	const struct buf *head = &e->response.head;
	const char *line = http_head_line(head, &len);
	json_t *version, *content;

	if (!line) {
		line = "";
		len = 0;
	}
	version = exchange_line_word(&line, &len, false);
	json_decref(exchange_line_word(&line, &len, false)); /* the status, which is known */
	content = json_pack("{s:I, s:o}", "size", (json_int_t)e->response.body_len, "mimeType",
		har_field(head, "Content-Type"));
	if (e->response.body_len)
		har_put_body(content, &e->response);
	return json_pack("{s:I, s:o, s:o, s:[], s:o, s:o, s:o, s:I, s:I}", "status",
		(json_int_t)e->status, "statusText", exchange_line_word(&line, &len, true),
		"httpVersion", version, "cookies", "headers", har_headers(head, secrets), "content",
		content, "redirectURL", har_field(head, "Location"), "headersSize",
		(json_int_t)buf_len(head), "bodySize", (json_int_t)e->response.body_len);
}

static uint64_t us_between(uint64_t from, uint64_t to)
{
	return to > from ? to - from : 0;
}

char *har_begin(void)
{
	char *text;

	return asprintf(&text,
		       "{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"wasmrun\","
		       "\"version\":\"%s\"},\"entries\":[",
		       WASMRUN_VERSION) < 0
		       ? NULL
		       : text;
}

bool har_has(const struct exchange *e)
{
	return buf_len(&e->request.head) > 0;
}

char *har_entry(const struct exchange *e, bool secrets)
{
	uint64_t answered_us = e->status ? e->first_byte_us : e->duration_us;
	json_auto_t *entry = json_pack("{s:o, s:o, s:o, s:o, s:{}, s:{s:o, s:o, s:o}}",
		"startedDateTime", har_time(e->since_ms), "time", exchange_ms_json(e->duration_us),
		"request", har_request(e, secrets), "response", har_response(e, secrets), "cache",
		"timings", "send", exchange_ms_json(e->sent_us), "wait",
		exchange_ms_json(us_between(e->sent_us, answered_us)), "receive",
		exchange_ms_json(us_between(answered_us, e->duration_us)));

	if (entry && e->why)
		(void)json_object_set_new(entry, "comment", json_string(e->why));
	return entry ? json_dumps(entry, JSON_COMPACT) : NULL;
}
