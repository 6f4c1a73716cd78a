/* SPDX-License-Identifier: MIT */
/*
 * What visitors have asked and the application has answered, as recorded: the calls.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"
#include "base/owner.h"
#include "http/http_request.h"
#include "http/pieces.h"
#include "os/api_internal.h"
#include "os/exchange_json.h"
#include "os/har.h"
#include "record/recorder.h"

void api_exchange_changed(struct api *api, const struct exchange *e)
{
	if (api->hub.count)
		api_events_publish(api, API_EVENT_REQUEST, exchange_json(e));
}

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
	struct recorder *recorder = api->config.recorder;
	struct requests_list list = { .list = json_array(),
		.search = http_request_text(request, "search") };

	recorder_each(recorder, requests_append, &list);
	http_reply_json(request, 200,
		json_pack("{s:b, s:b, s:I, s:o}", "success", 1, "recording",
			recorder_is_on(recorder), "lost", (json_int_t)recorder_lost(recorder),
			"requests", list.list));
}

const struct exchange *api_find_exchange(struct api *api, struct http_request *request)
{
	uint64_t id = http_request_number(request, "id");
	const struct exchange *e = recorder_find(api->config.recorder, id);

	if (!e)
		http_reply_error(request, 404,
			"there is no request %llu, or it was recorded before the last ones",
			(unsigned long long)id);
	return e;
}

void api_get_request(void *owner, struct http_request *request)
{
	struct api *api = owner;
	const struct exchange *e = api_find_exchange(api, request);

	if (!e)
		return;
	http_reply_json(request, 200,
		json_pack("{s:b, s:o, s:o, s:o}", "success", 1, "summary", exchange_json(e),
			"request", exchange_message_json(&e->request), "response",
			exchange_message_json(&e->response)));
}

/* Of "3,7,12": no more than digits and commas. */
static bool ids_have(const char *ids, uint64_t id)
{
	for (char *end; *ids; ids = end + strspn(end, ","))
		if (strtoull(ids + strspn(ids, ","), &end, 10) == id)
			return true;
	return false;
}

/* An archive on its way. Entries are made one by one; of what is forgotten meanwhile there is none.
 */
struct requests_har {
	struct recorder *recorder;
	char *ids; /* owned; NULL: all */
	bool secrets, begun, some, ended;
	uint64_t last_id;            /* of the last entry */
	const struct exchange *next; /* of the search for the one behind it */
};

static void har_search(void *owner, const struct exchange *e)
{
	struct requests_har *har = owner;

	if (!har->next && e->id > har->last_id && har_has(e) &&
		(!har->ids || ids_have(har->ids, e->id)))
		har->next = e;
}

static char *har_next_entry(struct requests_har *har)
{
	_cleanup_(freep) char *entry = har_entry(har->next, har->secrets);
	char *text;

	har->last_id = har->next->id;
	if (!entry || asprintf(&text, "%s%s", har->some ? HAR_COMMA : "", entry) < 0)
		return NULL;
	har->some = true;
	return text;
}

static int har_next(void *owner, char **ret_text, size_t *ret_len)
{
	struct requests_har *har = owner;

	if (har->ended)
		return 0;
	har->next = NULL;
	if (har->begun)
		recorder_each(har->recorder, har_search, har);
	har->ended = har->begun && !har->next;
	*ret_text = !har->begun ? har_begin() : har->next ? har_next_entry(har) : strdup(HAR_END);
	if (!*ret_text)
		return -ENOMEM;
	har->begun = true;
	*ret_len = strlen(*ret_text);
	return 1;
}

static void har_done(void *owner)
{
	struct requests_har *har = owner;

	free(har->ids);
	free(har);
}

void api_get_requests_har(void *owner, struct http_request *request)
{
	struct api *api = owner;
	const char *ids = http_request_text(request, "ids");
	struct requests_har *har;

	if (ids && ids[strspn(ids, "0123456789,")]) {
		http_reply_error(request, 400, "'ids' must be numbers with commas between them");
		return;
	}
	har = calloc(1, sizeof(*har));
	if (har)
		har->ids = ids ? strdup(ids) : NULL;
	if (!har || (ids && !har->ids)) {
		free(har);
		http_reply_error(request, 500, "out of memory");
		return;
	}
	har->recorder = api->config.recorder;
	har->secrets = http_request_number(request, "secrets");
	http_reply_pieces(request, "application/json",
		&(struct http_pieces){ .next = har_next, .done = har_done, .owner = har });
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
