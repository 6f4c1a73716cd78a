/* SPDX-License-Identifier: MIT */
/* /api/openapi.json (OpenAPI 3.1), made from the table of routes. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"

#include "http/http_request.h"
#include "os/api_internal.h"
#include "os/log_ring.h"
#include "os/supervisor.h"

#define TYPE_JSON "application/json"
#define SCHEMAS "#/components/schemas/"

/* What every path may answer before a handler sees the request. */
static const struct http_answer common_answers[] = {
	{ .status = 400, .schema = "Failure", .help = "A zero byte in the address" },
	{ .status = 401, .schema = "Failure", .help = "The token is missing (not on loopback)" },
	{ .status = 403, .schema = "Failure", .help = "A foreign Host or Origin" },
	{ .status = 413, .schema = "Failure", .help = "The body is too long" },
	{ .status = 414, .schema = "Failure", .help = "Too many parameters in the query" },
	{ .status = 501, .schema = "Failure", .help = "An unknown Transfer-Encoding" },
	{ .status = 503, .schema = "Failure", .help = "wasmrun is ending" },
};

/* {TYPE: {"schema": ...}} */
static json_t *openapi_content(const char *type, const char *schema)
{
	if (!type)
		type = TYPE_JSON;
	if (!schema)
		return json_pack("{s:{}}", type);
	return json_pack("{s:{s:{s:s+}}}", type, "schema", "$ref", SCHEMAS, schema);
}

static void openapi_add_answer(
	json_t *answers, const struct http_answer *answer, const struct http_route *route)
{
	char status[12];
	json_t *json;

	(void)snprintf(status, sizeof(status), "%u", answer->status);
	if (json_object_get(answers, status))
		return;
	json = json_pack("{s:s}", "description", answer->help);
	if (json && (!answer->type || answer->type[0]))
		(void)json_object_set_new(
			json, "content", openapi_content(answer->type, answer->schema));
	if (json && route->versioned && answer->status == 200)
		(void)json_object_set_new(json, "headers",
			json_pack("{s:{s:s, s:{s:s}}}", "ETag", "description",
				"Names it as it is now", "schema", "type", "string"));
	(void)json_object_set_new(answers, status, json);
}

static json_t *openapi_answers(const struct http_route *route)
{
	json_t *answers = json_object();

	for (size_t i = 0; i < HTTP_ANSWERS_MAX && route->answers[i].status; i++)
		openapi_add_answer(answers, &route->answers[i], route);
	for (size_t i = 0; i < ARRAY_LEN(common_answers); i++)
		openapi_add_answer(answers, &common_answers[i], route);
	return answers;
}

static json_t *openapi_words(const char *const *words)
{
	json_t *list = json_array();

	for (size_t i = 0; words[i]; i++)
		(void)json_array_append_new(list, json_string(words[i]));
	return list;
}

static json_t *openapi_param_schema(const struct http_param *param, bool required)
{
	json_t *schema = NULL;

	switch (param->type) {
	case HTTP_TEXT:
		return json_pack("{s:s, s:i}", "type", "string", "minLength", 1);
	case HTTP_ID:
		return json_pack("{s:s, s:s, s:i}", "type", "string", "pattern", HTTP_ID_PATTERN,
			"maxLength", HTTP_VALUE_MAX);
	case HTTP_WORD:
		return json_pack("{s:o}", "enum", openapi_words(param->words));
	case HTTP_NUMBER:
		schema = json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum",
			(json_int_t)param->min, "maximum", (json_int_t)param->max);
		break;
	}
	if (schema && !required)
		(void)json_object_set_new(
			schema, "default", json_integer((json_int_t)param->fallback));
	return schema;
}

static json_t *openapi_params(const struct http_route *route)
{
	json_t *params = json_array();

	for (size_t i = 0; i < HTTP_PARAMS_MAX && route->params[i].name; i++) {
		const struct http_param *param = &route->params[i];
		bool in_path = http_route_has_in_path(route, param);
		bool required = in_path || param->required;

		(void)json_array_append_new(params,
			json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", param->name, "in",
				in_path ? "path" : "query", "required", required, "description",
				param->help, "schema", openapi_param_schema(param, required)));
	}
	if (route->versioned && route->body_max)
		(void)json_array_append_new(params,
			json_pack("{s:s, s:s, s:b, s:s, s:{s:s}}", "name", "If-Match", "in",
				"header", "required", 0, "description",
				"The ETag of what is to be replaced: 412 if it is another one by "
				"now. Without it, whatever is there is",
				"schema", "type", "string"));
	return params;
}

/* "getApiTunnelStatus" */
static void openapi_operation_id(const struct http_route *route, char *id, size_t size)
{
	const char *method = http_method_name(route->method);
	bool upper = false;
	size_t n = 0;

	for (const char *p = method; *p && n + 1 < size; p++)
		id[n++] = (char)tolower((unsigned char)*p);
	for (const char *p = route->path; *p && n + 1 < size; p++) {
		if (isalnum((unsigned char)*p)) {
			id[n++] = upper ? (char)toupper((unsigned char)*p) : *p;
			upper = false;
		} else {
			upper = true;
		}
	}
	id[n] = '\0';
}

static json_t *openapi_operation(const struct http_route *route)
{
	char id[64];
	json_t *operation;

	openapi_operation_id(route, id, sizeof(id));
	operation = json_pack("{s:s, s:s, s:o, s:o}", "operationId", id, "summary", route->summary,
		"parameters", openapi_params(route), "responses", openapi_answers(route));
	if (operation && route->body_max)
		(void)json_object_set_new(operation, "requestBody",
			json_pack("{s:b, s:o}", "required", route->body_required, "content",
				openapi_content(route->body_type, route->body_schema)));
	return operation;
}

static json_t *openapi_paths(const struct http_route *routes, size_t count)
{
	json_t *paths = json_object();

	for (size_t i = 0; i < count; i++) {
		const char *name = http_method_name(routes[i].method);
		char method[8] = "";
		json_t *path = json_object_get(paths, routes[i].path);

		for (size_t j = 0; name[j]; j++)
			method[j] = (char)tolower((unsigned char)name[j]);
		if (!path) {
			path = json_object();
			(void)json_object_set_new(paths, routes[i].path, path);
		}
		(void)json_object_set_new(path, method, openapi_operation(&routes[i]));
	}
	return paths;
}

/* {NAME: {"$ref": ..., "description": ...}}. OpenAPI 3.1 has no place for events of its own. */
static json_t *openapi_events(void)
{
	json_t *events = json_object();

	for (size_t i = 0; i < API_EVENTS; i++) {
		const struct api_event_kind *kind = &api_event_kinds[i];

		(void)json_object_set_new(events, kind->name,
			json_pack("{s:s+, s:s}", "$ref", SCHEMAS, kind->schema, "description",
				kind->help));
	}
	return events;
}

/* Those of api_schemas.json, and the words of the code's own tables. */
static json_t *openapi_schemas(void)
{
	json_t *schemas = json_loadb(api_schemas, api_schemas_len, 0, NULL);
	json_t *states = json_array(), *nexts = json_array(), *tunnel = json_array();

	for (int i = 0; i < SUPERVISOR_STATES; i++)
		(void)json_array_append_new(
			states, json_string(supervisor_state_name((enum supervisor_state)i)));
	for (int i = SUPERVISOR_NEXT_NONE + 1; i < SUPERVISOR_NEXTS; i++)
		(void)json_array_append_new(
			nexts, json_string(supervisor_next_name((enum supervisor_next)i)));
	for (int i = 0; i < TUNNEL_STATES; i++)
		(void)json_array_append_new(
			tunnel, json_string(tunnel_state_name((enum tunnel_state)i)));
	(void)json_object_update_new(schemas,
		json_pack("{s:{s:o}, s:{s:o}, s:{s:o}, s:{s:o}, s:{s:o}}", "AppState", "enum",
			states, "AppNext", "enum", nexts, "TunnelWord", "enum", tunnel,
			"TunnelProtocol", "enum", openapi_words(tunnel_protocol_names), "LogStream",
			"enum", openapi_words(log_stream_names)));
	return schemas;
}

json_t *api_openapi_json(const struct http_route *routes, size_t count)
{
	return json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:o, s:{s:{s:s, s:s}}}, s:[{}, {s:[]}], s:o}",
		"openapi", "3.1.0", "info", "title", "wasmrun os", "version", WASMRUN_VERSION,
		"paths", openapi_paths(routes, count), "components", "schemas", openapi_schemas(),
		"securitySchemes", "token", "type", "http", "scheme", "bearer", "security", "token",
		"x-events", openapi_events());
}

void api_get_openapi(void *owner, struct http_request *request)
{
	const struct api *api = owner;

	http_reply_json(request, 200, api_openapi_json(api->routes, api->route_count));
}
