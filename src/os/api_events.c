/* SPDX-License-Identifier: MIT */
/*
 * GET /api/events. A new reader is told how things stand, then what changes. The timer runs while
 * there are readers, and `traffic` is told only when it has changed: idle readers cost one look a
 * second, all together.
 */
#include <stdlib.h>

#include "http/http_request.h"
#include "os/api_internal.h"
#include "os/exposure.h"

/* Takes `data` over. */
static void events_send(
	struct sse_hub *hub, struct sse_reader *reader, const char *event, json_t *data)
{
	char *text = data ? json_dumps(data, JSON_COMPACT) : NULL;

	json_decref(data);
	if (!text)
		return;
	if (reader)
		sse_send(reader, event, text);
	else
		sse_publish(hub, event, text);
	free(text);
}

void api_events_publish(struct api *api, const char *event, json_t *data)
{
	if (api->hub.count)
		events_send(&api->hub, NULL, event, data);
	else
		json_decref(data);
}

static void events_publish_traffic(struct api *api)
{
	struct exposure_status status;
	const struct tunnel_status *tunnel = &status.tunnel;
	uint64_t seen;

	exposure_status(api->config.exposure, &status);
	seen = tunnel->bytes_in + tunnel->bytes_out + tunnel->conns_total + tunnel->conns_open;
	if (seen == api->traffic_seen)
		return;
	api->traffic_seen = seen;
	api_events_publish(api, "traffic",
		json_pack("{s:{s:I, s:I}, s:{s:I, s:I}}", "connections", "open",
			(json_int_t)tunnel->conns_open, "total", (json_int_t)tunnel->conns_total,
			"bytes", "in", (json_int_t)tunnel->bytes_in, "out",
			(json_int_t)tunnel->bytes_out));
}

static void events_on_tick(uv_timer_t *timer)
{
	struct api *api = timer->data;

	if (!api->hub.count) {
		(void)uv_timer_stop(timer);
		return;
	}
	events_publish_traffic(api);
	if (++api->ticks % API_BEAT_TICKS == 0)
		sse_beat(&api->hub);
}

void api_events_init(struct api *api)
{
	sse_hub_init(&api->hub);
	(void)uv_timer_init(api->config.loop, &api->tick_timer);
	api->tick_timer.data = api;
	api->handles++;
}

void api_get_events(void *owner, struct http_request *request)
{
	struct api *api = owner;
	struct sse_reader *reader = sse_accept(&api->hub, request);

	if (!reader)
		return;
	events_send(&api->hub, reader, "app", api_app_json(api));
	events_send(&api->hub, reader, "tunnel", api_tunnel_json(api));
	if (!uv_is_active((uv_handle_t *)&api->tick_timer))
		(void)uv_timer_start(
			&api->tick_timer, events_on_tick, API_TRAFFIC_MS, API_TRAFFIC_MS);
}

void api_log_line(struct api *api, const struct log_line *line)
{
	if (api->hub.count)
		api_events_publish(api, "log", api_log_line_json(line));
}
