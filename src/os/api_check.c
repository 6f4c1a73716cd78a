/* SPDX-License-Identifier: MIT */
/*
 * POST /api/tunnel/check. One question is under way at a time, and whoever asks meanwhile gets its
 * answer, too. That is kept for as long as the tunnel stays as it is.
 */
#include <stdlib.h>
#include <string.h>

#include "http/http_request.h"
#include "http/json_text.h"
#include "net/host.h"
#include "os/api_internal.h"
#include "os/conn_log.h"
#include "os/exposure.h"

struct check_waiter {
	struct list link; /* in api->check_waiters */
	struct http_request *request;
};

json_t *api_check_json(const struct api *api)
{
	const struct reach_result *check = &api->check;

	if (!check->time_ms)
		return json_null();
	return json_pack("{s:s, s:b, s:o, s:I, s:I, s:s}", "outcome",
		reach_outcome_names[check->outcome], "arrived", check->arrived, "status",
		check->status ? json_integer((json_int_t)check->status) : json_null(),
		"duration_ms", (json_int_t)check->duration_ms, "time", (json_int_t)check->time_ms,
		"text", check->text);
}

/* `error` NULL: with what was seen. */
static void check_answer(struct api *api, unsigned status, const char *error)
{
	struct list *first;

	while ((first = list_first(&api->check_waiters))) {
		struct check_waiter *waiter = list_entry(first, struct check_waiter, link);

		list_remove(&waiter->link);
		if (error)
			http_reply_error(waiter->request, status, "%s", error);
		else
			http_reply_json(waiter->request, status,
				json_pack(
					"{s:b, s:o}", "success", 1, "check", api_check_json(api)));
		free(waiter);
	}
}

static void check_on_done(void *owner, const struct reach_result *result)
{
	struct api *api = owner;

	api->check = *result;
	check_answer(api, 200, NULL);
	api_events_publish(api, API_EVENT_TUNNEL, api_tunnel_json(api));
}

static bool check_has_arrived(void *owner, const struct reach_mark *mark)
{
	struct api *api = owner;

	return conn_log_has_visitor(
		api->config.conns, mark->from, mark->bytes, mark->since_wall_ms);
}

void api_check_init(struct api *api)
{
	list_init(&api->check_waiters);
	reach_init(&api->reach, &(struct reach_config){ .loop = api->config.loop,
					.arrived = check_has_arrived,
					.done = check_on_done,
					.owner = api });
}

void api_check_forget(struct api *api, const char *end)
{
	reach_cancel(&api->reach);
	api->check.time_ms = 0;
	check_answer(api, end ? 503 : 200, end);
}

void api_tunnel_check(void *owner, struct http_request *request)
{
	struct api *api = owner;
	struct exposure_status status;
	struct check_waiter *waiter;
	struct host server;
	int r = 0;

	exposure_status(api->config.exposure, &status);
	if (status.tunnel.state != TUNNEL_CONNECTED) {
		http_reply_error(request, 409,
			"there is no public URL to ask: the tunnel is '%s', not 'Connected'",
			tunnel_state_name(status.tunnel.state));
		return;
	}
	waiter = malloc(sizeof(*waiter));
	if (!waiter) {
		http_reply_error(request, 500, "out of memory");
		return;
	}
	waiter->request = request;
	list_push_back(&api->check_waiters, &waiter->link);
	server = host_of(HOST_RELAY, status.server);
	if (!reach_runs(&api->reach))
		r = reach_start(&api->reach, server.name, status.tunnel.public_port);
	if (r < 0)
		check_answer(api, 500, strerror(-r));
}
