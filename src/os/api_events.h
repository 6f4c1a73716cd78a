/* SPDX-License-Identifier: MIT */
/* What /api/events tells. */
#ifndef OS_API_EVENTS_H
#define OS_API_EVENTS_H

#include <jansson.h>

struct api;

enum api_event {
	API_EVENT_APP,
	API_EVENT_TUNNEL,
	API_EVENT_LOG,
	API_EVENT_CONNECTION,
	API_EVENT_FORWARDS,
	API_EVENT_DECISION,
	API_EVENT_RECORDING,
	API_EVENT_REQUEST,
	API_EVENT_TRAFFIC,
	API_EVENT_LOST, /* by http/sse.h itself */
	API_EVENTS,
};
struct api_event_kind {
	const char *name;
	const char *schema; /* of its data: a name in api_schemas.json */
	const char *help;
};
extern const struct api_event_kind api_event_kinds[API_EVENTS];

void api_events_init(struct api *api);
/* Takes `data` over. */
void api_events_publish(struct api *api, enum api_event event, json_t *data);

/* When one of its handles is gone: api.c. */
void api_on_handle_closed(struct api *api);

#endif
