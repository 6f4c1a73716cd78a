/* SPDX-License-Identifier: MIT */
/* The connections: the open ones as they are now, and those that have ended last. */
#include <string.h>

#include "http/http_request.h"
#include "os/api_internal.h"
#include "os/conn_log.h"

struct connections_answer {
	json_t *list;
	size_t limit;
	bool more;
};

static void connections_append(void *owner, const struct conn *conn)
{
	struct connections_answer *answer = owner;

	if (json_array_size(answer->list) < answer->limit)
		(void)json_array_append_new(answer->list, conn_json(conn));
	else
		answer->more = true;
}

struct connection_search {
	const char *id;
	json_t *found; /* NULL: not yet */
};

static void connections_search(void *owner, const struct conn *conn)
{
	struct connection_search *search = owner;

	if (!search->found && strcmp(conn->id, search->id) == 0)
		search->found = conn_json(conn);
}

static void connection_reply_unknown(struct http_request *request, const char *id)
{
	http_reply_error(request, 404,
		"there is no connection '%s', or it was closed before the last %d", id,
		CONN_LOG_MAX);
}

void api_get_connection(void *owner, struct http_request *request)
{
	struct api *api = owner;
	struct connection_search search = { .id = http_request_text(request, "id") };

	conn_log_each(api->config.conns, connections_search, &search);
	if (search.found)
		http_reply_json(request, 200,
			json_pack("{s:b, s:o}", "success", 1, "connection", search.found));
	else
		connection_reply_unknown(request, search.id);
}

void api_end_connection(void *owner, struct http_request *request)
{
	struct api *api = owner;
	const char *id = http_request_text(request, "id");

	switch (conn_log_end(api->config.conns, id)) {
	case 0:
		http_reply_json(request, 200,
			json_pack("{s:b, s:s}", "success", 1, "message", "Connection ended"));
		break;
	case CONN_ENDED:
		http_reply_error(request, 409, "the connection '%s' has ended already", id);
		break;
	default:
		connection_reply_unknown(request, id);
		break;
	}
}

void api_get_connections(void *owner, struct http_request *request)
{
	struct api *api = owner;
	struct connections_answer answer = { .list = json_array(),
		.limit = http_request_number(request, "limit") };

	conn_log_each(api->config.conns, connections_append, &answer);
	http_reply_json(request, 200,
		json_pack("{s:b, s:o, s:b}", "success", 1, "connections", answer.list, "more",
			answer.more));
}

void api_connection_changed(struct api *api, const struct conn *conn)
{
	if (api->hub.count)
		api_events_publish(api, API_EVENT_CONNECTION, conn_json(conn));
}
