/* SPDX-License-Identifier: MIT */
/*
 * What the API answers to, and the files of the page. /api/openapi.json is made from the same
 * table; the schemas that it names are in api_schemas.json.
 */
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"
#include "os/api_internal.h"
#include "os/log_ring.h"

#define OK(schema_, help_)                                      \
	{                                                       \
		.status = 200, .schema = schema_, .help = help_ \
	}
#define OK_BYTES(type_, help_)                              \
	{                                                   \
		.status = 200, .type = type_, .help = help_ \
	}
#define NO(status_, help_)                                            \
	{                                                             \
		.status = status_, .schema = "Failure", .help = help_ \
	}

#define APP_CALL(path_, handler_, summary_)                                                   \
	{                                                                                     \
		.method = HTTP_POST, .path = path_, .handler = handler_, .summary = summary_, \
		.answers = {                                                                  \
			OK("App", "The application")                                          \
		}                                                                             \
	}

#define PATH_PARAM(required_)                                                    \
	{                                                                        \
		.name = "path", .type = HTTP_TEXT, .required = required_,        \
		.help = "Relative to the project's folder, which it can't leave" \
	}

#define BAD_PATH NO(400, "No path, or one that can't be")
#define OUTSIDE NO(403, "Not in the project's folder, or not allowed by the system")
#define NO_FILE NO(404, "There is no such thing")
#define WRONG_KIND NO(409, "It is not of the kind that is asked for")
#define CROWDED NO(503, "Too many requests wait for the folder, or wasmrun is ending")

const struct http_route api_calls[] = {
	{ .method = HTTP_GET,
		.path = "/api/app",
		.handler = api_get_app,
		.summary = "The application's process",
		.answers = { OK("App", "The application") } },
	APP_CALL("/api/app/restart", api_app_restart, "Build and start the application again"),
	APP_CALL("/api/app/start", api_app_start, "Start the application"),
	APP_CALL("/api/app/stop", api_app_stop, "Stop the application"),
	{ .method = HTTP_GET,
		.path = "/api/connections",
		.handler = api_get_connections,
		.summary = "The application's connections: the open ones, then the last that have "
			   "ended, the latest first",
		.params = { { .name = "limit",
			.type = HTTP_NUMBER,
			.min = 1,
			.max = API_CONNECTIONS_MAX,
			.fallback = API_CONNECTIONS_MAX,
			.help = "At most so many" } },
		.answers = { OK("Connections", "The connections"), NO(400, "A wrong parameter") } },
	{ .method = HTTP_GET,
		.path = "/api/connections/{id}",
		.handler = api_get_connection,
		.summary = "One of them, as it is now",
		.params = { { .name = "id",
			.type = HTTP_ID,
			.help = "As the list and the events tell it" } },
		.answers = { OK("ConnectionAnswer", "The connection"), NO(400, "No id"),
			NO(404, "None of them has this id") } },
	{ .method = HTTP_DELETE,
		.path = "/api/connections/{id}",
		.handler = api_end_connection,
		.summary = "End an open one: both of its sides are reset",
		.params = { { .name = "id",
			.type = HTTP_ID,
			.help = "As the list and the events tell it" } },
		.answers = { OK("ConnectionEnded", "It is told to end; the events say when it has"),
			NO(400, "No id"), NO(404, "None of them has this id"),
			NO(409, "It has ended already") } },
	{ .method = HTTP_GET,
		.path = "/api/events",
		.handler = api_get_events,
		.summary = "Changes as server-sent events: those of x-events in this document",
		.answers = { OK_BYTES("text/event-stream", "Events without an end"),
			NO(503, "There are too many readers") } },
	{ .method = HTTP_GET,
		.path = "/api/forwards",
		.handler = api_get_forwards,
		.summary = "Ports of this machine that lead to the application, oldest first",
		.answers = { OK("Forwards", "The forwards") } },
	{ .method = HTTP_POST,
		.path = "/api/forwards",
		.handler = api_add_forward,
		.body_max = API_JSON_MAX,
		.body_schema = "ForwardAdd",
		.body_required = true,
		.summary = "Forward one more port",
		.answers = { OK("ForwardAdded", "It takes connections"),
			NO(400, "A wrong body, or no port that can be listened on"),
			NO(409, "The port is taken, or there are too many forwards"),
			NO(413, "The body is too long") } },
	{ .method = HTTP_DELETE,
		.path = "/api/forwards/{port}",
		.handler = api_remove_forward,
		.summary = "Forward a port no longer, and end the connections through it",
		.params = { { .name = "port",
			.type = HTTP_NUMBER,
			.min = 1,
			.max = UINT16_MAX,
			.help = "Of this machine" } },
		.answers = { OK("ForwardRemoved", "It is removed"), NO(400, "No port"),
			NO(404, "It is not forwarded") } },
	{ .method = HTTP_GET,
		.path = "/api/fs/list",
		.handler = api_fs_list,
		.summary = "What a folder of the project holds, in no order",
		.params = { PATH_PARAM(false) },
		.answers = { OK("Entries", "The entries"), BAD_PATH, OUTSIDE, NO_FILE, WRONG_KIND,
			CROWDED } },
	{ .method = HTTP_GET,
		.path = "/api/fs/read",
		.handler = api_fs_read,
		.versioned = true,
		.summary = "A file of the project",
		.params = { PATH_PARAM(true) },
		.answers = { OK_BYTES("application/octet-stream", "Its bytes"), BAD_PATH, OUTSIDE,
			NO_FILE, WRONG_KIND, CROWDED, NO(413, "It is too long") } },
	{ .method = HTTP_PUT,
		.path = "/api/fs/write",
		.handler = api_fs_write,
		.versioned = true,
		.body_max = API_FILE_MAX,
		.body_type = "application/octet-stream",
		.summary = "Make a file of the project, or replace it as a whole; with --writable "
			   "only",
		.params = { PATH_PARAM(true) },
		.answers = { OK("Written", "It is written"), BAD_PATH,
			NO(403, "wasmrun was started without --writable; or not in the project's "
				"folder, or not allowed by the system"),
			NO_FILE, WRONG_KIND, CROWDED,
			NO(412, "The file is another one by now than If-Match says"),
			NO(413, "The body is too long") } },
	{ .method = HTTP_GET,
		.path = "/api/logs",
		.handler = api_get_logs,
		.summary = "Lines of the log, oldest first",
		.params = { { .name = "since",
				    .type = HTTP_NUMBER,
				    .max = INT64_MAX,
				    .help = "Number of the last line that is known" },
			{ .name = "stream",
				.type = HTTP_WORD,
				.words = log_stream_names,
				.help = "Lines of this stream only" },
			{ .name = "limit",
				.type = HTTP_NUMBER,
				.min = 1,
				.max = API_LOG_LINES,
				.fallback = API_LOG_LINES,
				.help = "At most so many lines" } },
		.answers = { OK("Logs", "The lines"), NO(400, "A wrong parameter") } },
	{ .method = HTTP_GET,
		.path = "/api/network/allow",
		.handler = api_look_allow,
		.summary = "What would be written into wasmrun.toml to allow a rule",
		.params = { { .name = "rule",
			.type = HTTP_TEXT,
			.required = true,
			.help = "As in 'allow' of [os.network]" } },
		.answers = { OK("AllowPreview", "The lines that would be new or others"),
			NO(400, "No rule"), NO(403, "The file may not be written"),
			NO(409, "It can't be added to, or has the rule already"),
			NO(413, "The file is too long"), CROWDED } },
	{ .method = HTTP_POST,
		.path = "/api/network/allow",
		.handler = api_allow,
		.body_max = API_JSON_MAX,
		.body_schema = "Allow",
		.body_required = true,
		.summary =
			"Let a rule hold from now on; with a version write it into wasmrun.toml, "
			"too, as it was looked at",
		.answers = { OK("Allowed", "It holds, and is written if that was wanted"),
			NO(400, "A wrong body"), NO(403, "The file may not be written"),
			NO(409, "It has changed since, can't be added to, or has the rule already"),
			NO(413, "The body or the file is too long"), CROWDED } },
	{ .method = HTTP_GET,
		.path = "/api/network/decisions",
		.handler = api_get_decisions,
		.summary = "What was decided about the application's connections, oldest first",
		.params = { { .name = "since",
			.type = HTTP_NUMBER,
			.max = INT64_MAX,
			.help = "Number of the last decision that is known" } },
		.answers = { OK("Decisions", "The last 1,000, a repeat not for itself"),
			NO(400, "A wrong parameter") } },
	{ .method = HTTP_GET,
		.path = "/api/network/explain",
		.handler = api_explain,
		.summary = "Whether the application may connect there, and by which rule; nothing "
			   "is resolved or connected",
		.params = { { .name = "to",
			.type = HTTP_TEXT,
			.required = true,
			.help = "HOST:PORT" } },
		.answers = { OK("Explanation", "The verdict"), NO(400, "No HOST:PORT") } },
	{ .method = HTTP_GET,
		.path = "/api/network/policy",
		.handler = api_get_policy,
		.versioned = true,
		.summary = "What the application may connect to",
		.answers = { OK("PolicyAnswer", "The policy that holds") } },
	{ .method = HTTP_PUT,
		.path = "/api/network/policy",
		.handler = api_put_policy,
		.versioned = true,
		.body_max = API_POLICY_MAX,
		.body_schema = "Policy",
		.summary =
			"Let another policy hold, as a whole: what it leaves out has its default",
		.answers = { OK("PolicyAnswer", "The policy that holds now"),
			NO(400, "A mistake in it, and what to write; the old one holds"),
			NO(412, "Another policy holds by now than If-Match says"),
			NO(413, "The body is too long") } },
	{ .method = HTTP_GET,
		.path = "/api/openapi.json",
		.handler = api_get_openapi,
		.summary = "This description",
		.answers = { OK("OpenApi", "OpenAPI 3.1") } },
	{ .method = HTTP_GET,
		.path = "/api/requests",
		.handler = api_get_requests,
		.summary = "Recorded requests, oldest first, without their heads and bodies",
		.params = { { .name = "search",
			.type = HTTP_TEXT,
			.help = "Only those with this text in a head or a kept body" } },
		.answers = { OK("RecordedRequests", "The requests"),
			NO(400, "A wrong parameter") } },
	{ .method = HTTP_DELETE,
		.path = "/api/requests",
		.handler = api_clear_requests,
		.summary = "Forget the recorded requests",
		.answers = { OK("RequestsCleared", "They are forgotten") } },
	{ .method = HTTP_GET,
		.path = "/api/requests/har",
		.handler = api_get_requests_har,
		.summary = "Recorded requests as an HTTP Archive 1.2, oldest first",
		.params = { { .name = "ids",
				    .type = HTTP_TEXT,
				    .help = "Only those, with commas between them" },
			{ .name = "secrets",
				.type = HTTP_NUMBER,
				.max = 1,
				.help = "1: with the values of Authorization, Cookie and their "
					"like" } },
		.answers = { OK("HttpArchive", "The archive"), NO(400, "A wrong parameter") } },
	{ .method = HTTP_POST,
		.path = "/api/requests/record",
		.handler = api_record_requests,
		.body_max = API_JSON_MAX,
		.body_schema = "Record",
		.body_required = true,
		.summary = "Record the requests of connections that begin from now on, or no more",
		.answers = { OK("Recording", "So it is"), NO(400, "A wrong body"),
			NO(413, "The body is too long") } },
	{ .method = HTTP_GET,
		.path = "/api/requests/{id}",
		.handler = api_get_request,
		.summary = "One of them, with all that is kept of it",
		.params = { { .name = "id",
			.type = HTTP_NUMBER,
			.min = 1,
			.max = INT64_MAX,
			.help = "As the list and the events tell it" } },
		.answers = { OK("RecordedExchange", "The request and its response"),
			NO(400, "No number"), NO(404, "It is not there, or not any more") } },
	{ .method = HTTP_POST,
		.path = "/api/requests/{id}/replay",
		.handler = api_replay_request,
		.body_max = API_REPLAY_MAX,
		.body_schema = "Replay",
		.summary = "Send it to the application again, as it was or edited, on a new "
			   "connection and with X-Wasmrun-Replay: 1; the events tell how it goes",
		.params = { { .name = "id",
			.type = HTTP_NUMBER,
			.min = 1,
			.max = INT64_MAX,
			.help = "As the list and the events tell it" } },
		.answers = { OK("Replayed", "It is being sent"),
			NO(400, "No number, or an edit that makes no request"),
			NO(404, "It is not there, or not any more"),
			NO(409, "It was not recorded whole, was upgraded or is no HTTP, is still "
				"under way, or another replay is"),
			NO(413, "The body is too long") } },
	{ .method = HTTP_POST,
		.path = "/api/tunnel/check",
		.handler = api_tunnel_check,
		.summary = "Ask the public URL from here, as a visitor would, and say what was "
			   "seen; waits for the outcome, 5 s at most",
		.answers = { OK("TunnelChecked", "What was seen"),
			NO(409, "There is no public URL"), NO(503, "wasmrun is ending") } },
	{ .method = HTTP_GET,
		.path = "/api/tunnel/qr.svg",
		.handler = api_tunnel_qr,
		.summary = "The public URL as a QR code",
		.answers = { OK_BYTES("image/svg+xml", "The code"),
			NO(409, "There is no public URL") } },
	{ .method = HTTP_POST,
		.path = "/api/tunnel/start",
		.handler = api_tunnel_start,
		.body_max = API_JSON_MAX,
		.body_schema = "TunnelStart",
		.summary = "Show the application on a public URL; waits for the outcome up to 8 s",
		.answers = { OK("TunnelStarted", "Connected"),
			{ .status = 202, .schema = "TunnelStarted", .help = "Not yet decided" },
			NO(400, "A wrong body"),
			NO(409, "Active with other settings, stopped meanwhile, or no application"),
			NO(413, "The body is too long"), NO(502, "It failed, for this reason") } },
	{ .method = HTTP_GET,
		.path = "/api/tunnel/status",
		.handler = api_tunnel_status,
		.summary = "The tunnel",
		.answers = { OK("Tunnel", "The tunnel") } },
	{ .method = HTTP_POST,
		.path = "/api/tunnel/stop",
		.handler = api_tunnel_stop,
		.summary = "End the public URL, and the connections through it",
		.answers = { OK("TunnelStopped", "Stopped, in any state") } },
	{ .method = HTTP_GET,
		.path = "/healthz",
		.handler = api_get_healthz,
		.summary = "Whether wasmrun lives",
		.answers = { OK_BYTES("text/plain", "It does") } },
	{ .method = HTTP_GET,
		.path = "/metrics",
		.handler = api_get_metrics,
		.summary = "Counters for Prometheus",
		.answers = { OK_BYTES("text/plain", "The counters") } },
};
const size_t api_call_count = ARRAY_LEN(api_calls);

static struct http_route routes_page_file(const struct http_asset *asset)
{
	return (struct http_route){
		.method = HTTP_GET,
		.path = asset->path,
		.handler = http_get_asset,
		.asset = asset,
		.open = true,
		.summary = "A file of the page",
		.answers = { OK_BYTES(asset->type, "The file"),
			{ .status = 304, .type = "", .help = "It is the one with that ETag" } },
	};
}

struct http_route *api_routes_new(size_t *ret_count)
{
	struct http_route *routes = calloc(api_call_count + page_assets_count, sizeof(*routes));

	if (!routes)
		return NULL;
	memcpy(routes, api_calls, sizeof(api_calls));
	for (size_t i = 0; i < page_assets_count; i++)
		routes[api_call_count + i] = routes_page_file(&page_assets[i]);
	*ret_count = api_call_count + page_assets_count;
	return routes;
}
