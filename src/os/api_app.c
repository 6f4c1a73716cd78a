/* SPDX-License-Identifier: MIT */
/* The application's process. */
#include "http/http_request.h"
#include "http/json_text.h"
#include "os/api_internal.h"
#include "os/run_config.h"
#include "os/supervisor.h"

static json_t *app_number_or_null(uint64_t number)
{
	return number ? json_integer((json_int_t)number) : json_null();
}

json_t *api_app_json(struct api *api)
{
	struct supervisor_status status;

	supervisor_status(api->config.supervisor, &status);
	return json_pack("{s:b, s:s, s:s?, s:s?, s:o, s:o, s:s?, s:I, s:I, s:I, s:o, s:o, s:o}",
		"success", 1, "state", supervisor_state_name(status.state), "next",
		supervisor_next_name(status.next), "kind", status.kind, "pid",
		app_number_or_null((uint64_t)status.pid), "port", app_number_or_null(status.port),
		"url", status.url, "memory_bytes", (json_int_t)status.memory_bytes, "cpu_ms",
		(json_int_t)status.cpu_ms, "restarts", (json_int_t)status.restarts, "exit_reason",
		json_text_or_null(status.exit_reason), "since", app_number_or_null(status.since_ms),
		"project", json_text_or_null(api->config.run->project_path));
}

void api_get_app(void *owner, struct http_request *request)
{
	http_reply_json(request, 200, api_app_json(owner));
}

void api_app_start(void *owner, struct http_request *request)
{
	struct api *api = owner;

	supervisor_start(api->config.supervisor);
	http_reply_json(request, 200, api_app_json(api));
}

void api_app_stop(void *owner, struct http_request *request)
{
	struct api *api = owner;

	supervisor_stop(api->config.supervisor);
	http_reply_json(request, 200, api_app_json(api));
}

void api_app_restart(void *owner, struct http_request *request)
{
	struct api *api = owner;

	supervisor_restart(api->config.supervisor);
	http_reply_json(request, 200, api_app_json(api));
}
