/* SPDX-License-Identifier: MIT */
/*
 * GET /api/events. A new reader is told how things stand, then what changes. The timer runs while
 * there are readers, and `traffic` is told only when it has changed: idle readers cost one look a
 * second, all together.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/lang.h"
#include "http/http_request.h"
#include "os/api_internal.h"
#include "os/exposure.h"

const struct api_event_kind api_event_kinds[] = {
	[API_EVENT_APP] = { "app", "AppEvent", "The application, at the start and at each change" },
	[API_EVENT_TUNNEL] = { "tunnel", "TunnelEvent", "The tunnel, likewise" },
	[API_EVENT_LOG] = { "log", "LogLine", "A line of the log" },
	[API_EVENT_CONNECTION] = { "connection", "Connection",
		"A visitor's connection, when it begins and when it has ended" },
	[API_EVENT_FORWARDS] = { "forwards", "Forwards",
		"All of them, at the start and when one was added or removed" },
	[API_EVENT_DECISION] = { "decision", "Decision",
		"What the application may or may not connect to: when it asks for the first "
		"time, and repeats of it at most once a second" },
	[API_EVENT_RECORDING] = { "recording", "Recording",
		"Whether requests are recorded, at the start and when that changes; those before "
		"may be gone" },
	[API_EVENT_REQUEST] = { "request", "RecordedRequest",
		"A recorded request that is new, or has got further" },
	[API_EVENT_TRAFFIC] = { "traffic", "Traffic", "Once a second while there is any" },
	[API_EVENT_LOST] = { SSE_LOST, "Lost",
		"Events that this reader was too slow for; GET /api/logs still has the lines" },
};
static_assert(ARRAY_LEN(api_event_kinds) == API_EVENTS, "every event has a name and a schema");

/* Takes `data` over; `reader` NULL: to all. */
static void events_send(
	struct sse_hub *hub, struct sse_reader *reader, enum api_event event, json_t *data)
{
	const char *name = api_event_kinds[event].name;
	char *text = data ? json_dumps(data, JSON_COMPACT) : NULL;

	json_decref(data);
	if (text && reader)
		sse_send(reader, name, text);
	else if (text)
		sse_publish(hub, name, text);
	free(text);
}

void api_events_publish(struct api *api, enum api_event event, json_t *data)
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
	api_events_publish(api, API_EVENT_TRAFFIC,
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
	events_send(&api->hub, reader, API_EVENT_APP, api_app_json(api));
	events_send(&api->hub, reader, API_EVENT_TUNNEL, api_tunnel_json(api));
	events_send(&api->hub, reader, API_EVENT_FORWARDS, api_forwards_json(api));
	events_send(&api->hub, reader, API_EVENT_RECORDING, api_recording_json(api));
	if (!uv_is_active((uv_handle_t *)&api->tick_timer))
		(void)uv_timer_start(
			&api->tick_timer, events_on_tick, API_TRAFFIC_MS, API_TRAFFIC_MS);
}

void api_log_line(struct api *api, const struct log_line *line)
{
	if (api->hub.count)
		api_events_publish(api, API_EVENT_LOG, api_log_line_json(line));
}
