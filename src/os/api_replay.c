/* SPDX-License-Identifier: MIT */
/* POST /api/requests/{id}/replay: the edit in JSON, and the one replay that there may be. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/owner.h"
#include "http/http_request.h"
#include "os/api_internal.h"
#include "os/replay.h"
#include "record/again.h"

/* An edit, with what it points to. */
struct api_edit {
	struct again_edit edit;
	json_t *json;                 /* the texts are its */
	struct again_header *headers; /* owned */
	uint8_t *body;                /* owned; from base64 */
};

static void api_edit_deinit(struct api_edit *e)
{
	json_decref(e->json);
	free(e->headers);
	free(e->body);
}

static bool edit_take_text(const json_t *value, struct again_text *ret_text)
{
	*ret_text = (struct again_text){ json_string_value(value), json_string_length(value) };
	return json_is_string(value);
}

static bool edit_take_header(const json_t *value, struct again_header *ret_header)
{
	return json_object_size(value) == 2 &&
	       edit_take_text(json_object_get(value, "name"), &ret_header->name) &&
	       edit_take_text(json_object_get(value, "value"), &ret_header->value);
}

static bool edit_take_headers(struct api_edit *e, const json_t *value)
{
	size_t i, count = json_array_size(value);
	json_t *header;

	if (!json_is_array(value) || e->headers)
		return false;
	e->headers = calloc(count + 1, sizeof(*e->headers));
	e->edit.headers = e->headers;
	e->edit.header_count = count;
	json_array_foreach((json_t *)value, i, header)
	{
		if (!e->headers || !edit_take_header(header, &e->headers[i]))
			return false;
	}
	return e->headers;
}

/* EVP_DecodeBlock() wants whole groups of four, and counts what only fills the last one up. */
static bool edit_take_base64(struct api_edit *e, const json_t *value)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value), fill = 0;
	int n;

	if (!text || len % 4 || e->edit.body.data)
		return false;
	e->body = malloc(len / 4 * 3 + 1);
	if (!e->body)
		return false;
	while (fill < 2 && fill < len && text[len - 1 - fill] == '=')
		fill++;
	n = len ? EVP_DecodeBlock(e->body, (const unsigned char *)text, (int)len) : 0;
	e->edit.body = (struct again_text){ (const char *)e->body, (size_t)n - fill };
	return n >= 0;
}

static const char *edit_read(struct api_edit *e)
{
	const char *key;
	json_t *value;

	json_object_foreach(e->json, key, value)
	{
		bool body = e->edit.body.data;

		if (strcmp(key, "method") == 0 && edit_take_text(value, &e->edit.method))
			continue;
		if (strcmp(key, "target") == 0 && edit_take_text(value, &e->edit.target))
			continue;
		if (strcmp(key, "headers") == 0 && edit_take_headers(e, value))
			continue;
		if (strcmp(key, "text") == 0 && !body && edit_take_text(value, &e->edit.body))
			continue;
		if (strcmp(key, "base64") == 0 && edit_take_base64(e, value))
			continue;
		return "the body may have the texts \"method\" and \"target\", \"headers\" as an "
		       "array of {\"name\", \"value\"}, and either \"text\" or \"base64\"";
	}
	return NULL;
}

static void api_on_replay_ended(void *owner)
{
	struct api *api = owner;

	api->replay = NULL;
	api_on_handle_closed(api);
}

void api_replay_close(struct api *api)
{
	if (api->replay)
		replay_cancel(api->replay);
}

/* `request` is taken over. */
static void api_replay_send(
	struct api *api, struct http_request *request, uint64_t of, struct buf *again)
{
	struct supervisor_status app;
	struct replay_config config = { .loop = api->config.loop,
		.recorder = api->config.recorder,
		.ended = api_on_replay_ended,
		.owner = api };
	uint64_t id;
	int r;

	supervisor_status(api->config.supervisor, &app);
	config.port = app.port;
	r = replay_start(&config, of, again, &api->replay, &id);
	if (r < 0) {
		http_reply_error(request, 500, "%s", strerror(-r));
		return;
	}
	api->handles++;
	http_reply_json(request, 200, json_pack("{s:b, s:I}", "success", 1, "id", (json_int_t)id));
}

void api_replay_request(void *owner, struct http_request *request)
{
	struct api *api = owner;
	const struct exchange *e = api_find_exchange(api, request);
	_cleanup_(api_edit_deinit) struct api_edit edit = { 0 };
	_cleanup_(buf_deinit) struct buf again = { 0 };
	const char *why;

	if (!e)
		return;
	edit.json = http_request_json(request);
	if (!edit.json)
		return;
	buf_init(&again, AGAIN_MAX);
	why = edit_read(&edit);
	if (!why && again_refusal(e, &edit.edit)) {
		http_reply_error(
			request, 409, "it can't be sent again: %s", again_refusal(e, &edit.edit));
	} else if (!why && api->replay) {
		http_reply_error(
			request, 409, "another replay is under way: wait until it has its answer");
	} else {
		why = why ? why : again_write(e, &edit.edit, &again);
		if (why)
			http_reply_error(request, 400, "%s", why);
		else
			api_replay_send(api, request, e->id, &again);
	}
}
