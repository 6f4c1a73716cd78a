/* SPDX-License-Identifier: MIT */
/*
 * What handlers see and say. Every reply carries the headers that keep a browser from guessing
 * types, keeping copies (but of an asset's) and running anything that did not come from this
 * server.
 */
#include "http/http_request.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"
#include "base/parse.h"
#include "base/secret.h"
#include "http/http_internal.h"
#include "http/json_text.h"

#define TYPE_JSON "application/json"

static const struct {
	const char *name, *value;
} headers[] = {
	{ "Cache-Control", "no-store" },
	{ "Content-Security-Policy",
		"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
	/* Other pages may not even show what is here, the application's own among them: for a
	 * browser its port is of the same site. */
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "Referrer-Policy", "no-referrer" },
	{ "X-Content-Type-Options", "nosniff" },
};

void http_response_add(struct MHD_Response *response, const char *name, const char *value)
{
	(void)MHD_add_response_header(response, name, value);
}

void http_request_reply(
	struct http_request *request, unsigned status, struct MHD_Response *response)
{
	assert(!request->replied);
	request->replied = true;
	request->status = status;
	request->response = response;
	if (response && request->etag[0])
		http_response_add(response, MHD_HTTP_HEADER_ETAG, request->etag);
	if (response)
		for (size_t i = 0; i < ARRAY_LEN(headers); i++)
			if (!MHD_get_response_header(response, headers[i].name))
				http_response_add(response, headers[i].name, headers[i].value);
	if (!request->kept)
		return;
	request->kept = false;
	MHD_resume_connection(request->connection);
	request->intake->kept--;
	http_server_wake(request->intake);
}

/* NULL: out of memory. */
static void request_reply_type(struct http_request *request, unsigned status, const char *type,
	struct MHD_Response *response)
{
	if (response)
		http_response_add(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	http_request_reply(request, status, response);
}

/* Takes `data` over, which is from malloc(3), and wipes it once it is sent: a reply may quote a
 * secret, or be a file that holds one. */
static void request_reply_data(
	struct http_request *request, unsigned status, const char *type, void *data, size_t len)
{
	struct MHD_Response *response = NULL;

	if (data)
		response =
			MHD_create_response_from_buffer_with_free_callback(len, data, secret_free);
	if (!response)
		secret_free(data);
	request_reply_type(request, status, type, response);
}

/* Zero bytes have been refused before. */
static const char *request_value(const struct http_request *request, const struct http_param *param)
{
	const char *in_path = request->match.values[param - request->match.route->params];

	return in_path[0] ? in_path
			  : MHD_lookup_connection_value(
				    request->connection, MHD_GET_ARGUMENT_KIND, param->name);
}

static const struct http_param *request_param(const struct http_request *request, const char *name)
{
	const struct http_param *params = request->match.route->params;
	size_t i = 0;

	while (i < HTTP_PARAMS_MAX && params[i].name && strcmp(params[i].name, name) != 0)
		i++;
	assert(i < HTTP_PARAMS_MAX && params[i].name);
	return &params[i];
}

bool http_request_check_params(struct http_request *request)
{
	const struct http_route *route = request->match.route;
	char must[HTTP_PARAM_MUST_MAX];

	for (size_t i = 0; i < HTTP_PARAMS_MAX && route->params[i].name; i++) {
		const struct http_param *param = &route->params[i];

		if (http_param_check(param, request_value(request, param), must) == 0)
			continue;
		http_reply_error(request, MHD_HTTP_BAD_REQUEST, "'%s' in the %s %s", param->name,
			request->match.values[i][0] ? "path" : "query", must);
		return false;
	}
	return true;
}

const char *http_request_text(const struct http_request *request, const char *name)
{
	return request_value(request, request_param(request, name));
}

uint64_t http_request_number(const struct http_request *request, const char *name)
{
	const struct http_param *param = request_param(request, name);
	const char *text = request_value(request, param);
	uint64_t number = param->fallback;

	if (text)
		(void)parse_u64(text, strlen(text), param->min, param->max, &number);
	return number;
}

int http_request_word(const struct http_request *request, const char *name)
{
	const struct http_param *param = request_param(request, name);
	const char *text = request_value(request, param);

	return text ? http_param_word(param, text) : -1;
}

void http_request_body(const struct http_request *request, const void **ret_data, size_t *ret_len)
{
	*ret_data = buf_head(&request->body);
	*ret_len = buf_len(&request->body);
}

const char *http_request_if_match(const struct http_request *request)
{
	assert(request->match.route->versioned);
	return MHD_lookup_connection_value(
		request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_IF_MATCH);
}

void http_request_set_etag(struct http_request *request, const char *etag)
{
	assert(strlen(etag) < sizeof(request->etag));
	memcpy(request->etag, etag, strlen(etag) + 1);
}

json_t *http_request_json(struct http_request *request)
{
	size_t len = buf_len(&request->body);
	json_error_t error;
	json_t *body;

	if (len == 0)
		body = json_object();
	else
		body = json_loadb((const char *)buf_head(&request->body), len,
			JSON_REJECT_DUPLICATES, &error);
	if (json_is_object(body))
		return body;
	if (body)
		http_reply_error(request, MHD_HTTP_BAD_REQUEST, "the body is no JSON object");
	else if (len == 0)
		http_request_reply(request, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL);
	else
		http_reply_error(request, MHD_HTTP_BAD_REQUEST,
			"the body is not JSON: %s (line %d, column %d)", error.text, error.line,
			error.column);
	json_decref(body);
	/* The error quotes the body. */
	explicit_bzero(&error, sizeof(error));
	secret_wipe_stack();
	return NULL;
}

void http_reply_json(struct http_request *request, unsigned status, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	json_decref(body);
	request_reply_data(request, status, TYPE_JSON, text, text ? strlen(text) : 0);
}

void http_reply_error(struct http_request *request, unsigned status, const char *fmt, ...)
{
	char text[HTTP_ERROR_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	http_reply_json(request, status,
		json_pack("{s:b, s:o}", "success", 0, "error", json_text(text, strlen(text))));
}

void http_reply_bytes(struct http_request *request, unsigned status, const char *type,
	const void *data, size_t len)
{
	void *copy = malloc(max_u64(len, 1));

	if (copy)
		memcpy(copy, data, len);
	request_reply_data(request, status, type, copy, len);
}
