/* SPDX-License-Identifier: MIT */
/* Who has come: the open connections as they are now, and those that were closed last. */
#include <string.h>

#include "http/http_request.h"
#include "os/api_internal.h"
#include "os/exposure.h"
#include "tunnel/tunnel.h"

/* `end` NULL: it is open. */
static json_t *visit_json(const struct visit_entry *entry, const char *end)
{
	return json_pack("{s:s, s:s?, s:b, s:I, s:I, s:{s:I, s:I}, s:o}", "id", entry->id, "from",
		entry->from[0] ? entry->from : NULL, "open", !end, "since",
		(json_int_t)entry->since_ms, "duration_ms", (json_int_t)entry->duration_ms, "bytes",
		"in", (json_int_t)entry->bytes_in, "out", (json_int_t)entry->bytes_out, "end",
		end ? json_string(end) : json_null());
}

static void visit_append_open(void *owner, const struct tunnel_visit *visit)
{
	json_t *list = owner;
	struct visit_entry entry;

	visit_entry_fill(&entry, visit);
	(void)json_array_append_new(list, visit_json(&entry, NULL));
}

struct visit_search {
	const char *id;
	json_t *found; /* NULL: not yet */
};

static void visit_search_open(void *owner, const struct tunnel_visit *visit)
{
	struct visit_search *search = owner;
	struct visit_entry entry;

	visit_entry_fill(&entry, visit);
	if (strcmp(entry.id, search->id) == 0)
		search->found = visit_json(&entry, NULL);
}

void api_get_connection(void *owner, struct http_request *request)
{
	struct api *api = owner;
	struct visit_search search = { .id = http_request_text(request, "id") };
	const struct visit_entry *entry;

	exposure_visits(api->config.exposure, visit_search_open, &search);
	for (size_t i = 0; !search.found && (entry = visit_log_get(&api->visits, i)); i++)
		if (strcmp(entry->id, search.id) == 0)
			search.found = visit_json(entry, entry->why);
	if (search.found)
		http_reply_json(request, 200,
			json_pack("{s:b, s:o}", "success", 1, "connection", search.found));
	else
		http_reply_error(request, 404,
			"there is no connection '%s', or it was closed before the last %d",
			search.id, VISIT_LOG_MAX);
}

void api_get_connections(void *owner, struct http_request *request)
{
	struct api *api = owner;
	json_t *list = json_array();
	const struct visit_entry *entry;

	exposure_visits(api->config.exposure, visit_append_open, list);
	for (size_t i = 0; (entry = visit_log_get(&api->visits, i)); i++)
		(void)json_array_append_new(list, visit_json(entry, entry->why));
	http_reply_json(request, 200, json_pack("{s:b, s:o}", "success", 1, "connections", list));
}

void api_visit(struct api *api, const struct tunnel_visit *visit)
{
	struct visit_entry entry;

	if (!visit->opened)
		visit_log_add(&api->visits, visit);
	if (!api->hub.count)
		return;
	visit_entry_fill(&entry, visit);
	api_events_publish(
		api, API_EVENT_CONNECTION, visit_json(&entry, visit->opened ? NULL : entry.why));
}
