/* SPDX-License-Identifier: MIT */
/* What the files of the API share. Handlers have the struct api as their owner. */
#ifndef OS_API_INTERNAL_H
#define OS_API_INTERNAL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/uuid.h"
#include "http/asset.h"
#include "http/route.h"
#include "http/sse.h"
#include "net/timeouts.h"
#include "os/api.h"
#include "os/api_events.h"
#include "os/api_handlers.h"
#include "os/job.h"
#include "tunnel/reach.h"

#define API_START_WAIT_MS 8000      /* POST /api/tunnel/start answers 202 after that */
#define API_TRAFFIC_MS 1000         /* between two events `traffic` */
#define API_BEAT_TICKS 15           /* of API_TRAFFIC_MS: so often a reader is found to be gone */
#define API_JSON_MAX 65536          /* bytes of a JSON body */
#define API_POLICY_MAX (256U << 10) /* bytes of a policy in JSON: room for all its rules */
#define API_FILE_MAX (4U << 20)     /* bytes of a file that is read or written */
#define API_REPLAY_MAX (1U << 20)   /* of an edited request in JSON: room for its head and body */
#define API_LIST_MAX 10000          /* entries of a folder in one answer */
#define API_CONNECTIONS_MAX 2000 /* in one answer: those that have ended, and as many open ones */
#define API_LOG_LINES 1000       /* in one answer, unless fewer are asked for */

struct exchange;
struct http_server;
struct log_line;
struct replay;

struct api {
	struct api_config config;
	char url[ADDR_TEXT_MAX + 64];
	char token[UUID_TEXT_LEN + 1]; /* "": none is asked for */
	struct http_route *routes;     /* owned */
	size_t route_count;
	struct http_server *server;
	struct timeouts waiters; /* of struct start_waiter: api_tunnel.c */
	struct reach reach;
	struct list check_waiters; /* api_check.c; likewise `check` */
	struct reach_result check; /* of the tunnel as it is; without a time: none yet */

	struct sse_hub hub;
	uv_timer_t tick_timer; /* runs while the hub has readers: api_events.c */
	unsigned ticks;
	uint64_t traffic_seen;     /* changes with what `traffic` tells */
	struct job_line file_jobs; /* api_files.c */
	struct replay *replay;     /* api_replay.c; NULL: none is under way */
	unsigned handles;          /* timers and a replay, while the loop knows them */
	void (*closed)(void *owner);
	void *closed_owner;
};

/* api_routes.c: the calls, and a table of these and the files of the page (NULL: out of memory). */
extern const struct http_route api_calls[];
extern const size_t api_call_count;
struct http_route *api_routes_new(size_t *ret_count);

/* Made at build time by tools/embed: of the folder page/, and of api_schemas.json. */
extern const struct http_asset page_assets[];
extern const size_t page_assets_count;
extern const char api_schemas[];
extern const size_t api_schemas_len;

/* api_openapi.c: the whole document. NULL: out of memory. */
json_t *api_openapi_json(const struct http_route *routes, size_t count);

/* api_tunnel.c */
json_t *api_tunnel_json(struct api *api);
void api_waiters_init(struct api *api);
void api_waiters_answer(struct api *api);

/* api_check.c: what was seen last, or null; and to forget that, and to answer those who wait, with
 * null, or that nothing follows any more. */
void api_check_init(struct api *api);
json_t *api_check_json(const struct api *api);
void api_check_forget(struct api *api, const char *end);

/* api_forwards.c */
json_t *api_forwards_json(struct api *api);

/* api_requests.c */
/* By the request's `id`; NULL: there is none, and 404 has been sent. */
const struct exchange *api_find_exchange(struct api *api, struct http_request *request);
json_t *api_recording_json(struct api *api);
void api_recording_changed(struct api *api);

/* api_replay.c: cuts short what is under way. */
void api_replay_close(struct api *api);

/* api_app.c */
json_t *api_app_json(struct api *api);

/* api_files.c: answers what still waits. */
void api_files_close(struct api *api);

/* api_logs.c */
json_t *api_log_line_json(const struct log_line *line);

#endif
