/* SPDX-License-Identifier: MIT */
/*
 * A request is made when its head is through (intake_on_access), and lives until libmicrohttpd is
 * done with it (intake_on_completed). In between:
 *
 *   begin   The head decides whether the request is refused. intake_begin() is the list of reasons
 *           in their order: first who may ask at all, last what a parameter may be. A refusal goes
 *           out at once and the connection ends with it, unless the body is short.
 *   body    It goes to one buffer; of a refused request it is dropped.
 *   finish  The handler runs, once. It replies, or keeps the request: then the connection is
 *           suspended until http_request_reply() resumes it, and finish comes again.
 *
 * The promise: a handler sees only requests that are whole, allowed and as their route describes
 * them, and none once the server is closing.
 */
#include "http/intake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"
#include "base/owner.h"
#include "base/secret.h"
#include "http/access.h"
#include "http/conns.h"
#include "http/http_internal.h"
#include "http/http_request.h"
#include "http/http_server.h"
#include "http/route.h"
#include "mhd/mhd.h"
#include "net/lingering.h"

#define GUARDED "/api/" /* from requests that other sites' pages make */
/* The reason, and twice the server's own address. No icon, or a browser asks for one, in vain. */
#define REFUSAL_HTML                                                                              \
	"<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>wasmrun</title>\n" \
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"              \
	"<meta name=\"color-scheme\" content=\"light dark\">\n"                                   \
	"<link rel=\"icon\" href=\"data:,\">\n"                                                   \
	"<main>\n<h1>Not here</h1>\n<p>%s.</p>\n"                                                 \
	"<p>On the machine where it runs, the page is at "                                        \
	"<a href=\"http://%s/\">http://%s/</a>.</p>\n</main>\n"

static const struct {
	unsigned status;
	const char *text;
} target_faults[] = {
	/* Texts end at a zero byte, so what stands behind it would not be seen. */
	[TARGET_ZERO_BYTE] = { MHD_HTTP_BAD_REQUEST, "a zero byte (%00) in the address" },
	/* Decoded it would look like a separator (RFC 3986, 2.2), and no name here holds one. */
	[TARGET_CODED_SLASH] = { MHD_HTTP_NOT_FOUND, "there is nothing at a path with %2F in it" },
	[TARGET_LONG_QUERY] = { MHD_HTTP_URI_TOO_LONG,
		"there are more than " TEXT_OF(HTTP_QUERY_MAX) " parameters in the query" },
};

/* What is returned is *ret_request of intake_on_access(). */
void *intake_on_target(void *owner, const char *target, struct MHD_Connection *connection)
{
	struct http_conn *conn = mhd_conn_of(connection);
	const char *coded = strcasestr(target, "%2f"), *query = strchr(target, '?');
	enum http_target_fault fault =
		coded && (!query || coded < query) ? TARGET_CODED_SLASH : TARGET_FINE;

	if (mhd_query_cut(target, HTTP_QUERY_MAX))
		fault = TARGET_LONG_QUERY;
	if (conn)
		conn->fault = fault;
	return NULL;
}

size_t intake_on_unescape(void *owner, struct MHD_Connection *connection, char *text)
{
	struct http_conn *conn = mhd_conn_of(connection);
	size_t len = MHD_http_unescape(text);

	if (conn && memchr(text, '\0', len))
		conn->fault = TARGET_ZERO_BYTE;
	return len;
}

static const char *intake_header(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* In words of HTML for a browser that shows it, and JSON for programs. The verdict's text and the
 * address have nothing to be escaped. */
static void intake_refuse_access(struct http_request *request, enum access_verdict verdict)
{
	const char *accept = intake_header(request, MHD_HTTP_HEADER_ACCEPT);
	unsigned status = verdict == ACCESS_BAD_TOKEN ? MHD_HTTP_UNAUTHORIZED : MHD_HTTP_FORBIDDEN;
	char own[ADDR_TEXT_MAX], text[HTTP_ERROR_TEXT_MAX];
	int n;

	(void)addr_format(&request->intake->addr, own);
	if (accept && strstr(accept, "text/html")) {
		n = snprintf(
			text, sizeof(text), REFUSAL_HTML, access_verdict_text(verdict), own, own);
		http_reply_bytes(request, status, "text/html; charset=utf-8", text, (size_t)n);
	} else {
		http_reply_error(request, status, "%s", access_verdict_text(verdict));
	}
	if (verdict == ACCESS_BAD_TOKEN && request->response)
		http_response_add(request->response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
}

/* Other sites may lead to the page, but to nothing of the API. */
static bool intake_is_allowed(
	struct http_request *request, const struct http_route *route, const char *path)
{
	bool guarded = strncmp(path, GUARDED, strlen(GUARDED)) == 0;
	const struct access_headers headers = {
		.host = intake_header(request, MHD_HTTP_HEADER_HOST),
		.origin = intake_header(request, MHD_HTTP_HEADER_ORIGIN),
		.authorization = intake_header(request, MHD_HTTP_HEADER_AUTHORIZATION),
		.fetch_site = guarded ? intake_header(request, "Sec-Fetch-Site") : NULL,
	};
	enum access_verdict verdict =
		access_check(&headers, request->intake->token, route && route->open);

	if (verdict != ACCESS_OK)
		intake_refuse_access(request, verdict);
	return verdict == ACCESS_OK;
}

static void intake_refuse_length(struct http_request *request)
{
	http_reply_error(request, MHD_HTTP_CONTENT_TOO_LARGE, "the body is longer than %zu bytes",
		request->body.max);
}

static void intake_refuse_ending(struct http_request *request)
{
	http_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the server is ending");
}

static void intake_refuse_path(struct http_request *request, const char *allow)
{
	if (!allow[0]) {
		http_reply_error(request, MHD_HTTP_NOT_FOUND,
			"there is nothing at this path; /api/openapi.json lists what there is");
		return;
	}
	http_reply_error(
		request, MHD_HTTP_METHOD_NOT_ALLOWED, "this path has another method: %s", allow);
	if (request->response)
		http_response_add(request->response, MHD_HTTP_HEADER_ALLOW, allow);
}

/* Finds its route, or gives it the reply that says why there is none, or why it can't be read. */
static void intake_begin(struct http_request *request, const char *method, const char *path)
{
	struct http_intake *intake = request->intake;
	const struct http_conn *conn = mhd_conn_of(request->connection);
	const struct http_route *route;
	enum mhd_body framing = mhd_body_of(request->connection, &request->body_len);

	http_route_find(intake->routes, intake->route_count, method, path, &request->match);
	route = request->match.route;
	buf_init(&request->body, route && route->body_max ? route->body_max : HTTP_BODY_IGNORED);
	request->is_short = framing == MHD_BODY_NONE ||
			    (framing == MHD_BODY_LENGTH && request->body_len <= HTTP_BODY_IGNORED);
	/* Which of them is meant nobody knows (RFC 9112, 3.2): it isn't asked who may. */
	if (mhd_header_count(request->connection, MHD_HTTP_HEADER_HOST) > 1) {
		http_reply_error(request, MHD_HTTP_BAD_REQUEST, "more than one header Host");
		return;
	}
	if (!intake_is_allowed(request, route, path))
		return;
	if (conn && conn->fault != TARGET_FINE)
		http_reply_error(request, target_faults[conn->fault].status, "%s",
			target_faults[conn->fault].text);
	else if (framing == MHD_BODY_TWICE)
		http_reply_error(request, MHD_HTTP_BAD_REQUEST,
			"more than one header Content-Length or Transfer-Encoding");
	else if (framing == MHD_BODY_UNKNOWN)
		http_reply_error(request, MHD_HTTP_NOT_IMPLEMENTED,
			"the only Transfer-Encoding that is understood is 'chunked'");
	else if (intake->closing)
		intake_refuse_ending(request);
	else if (!route)
		intake_refuse_path(request, request->match.allow);
	else if (framing == MHD_BODY_CHUNKED && !route->body_max)
		http_reply_error(request, MHD_HTTP_LENGTH_REQUIRED,
			"no body is wanted here: send none, or one with a Content-Length");
	else if (request->body_len > request->body.max)
		intake_refuse_length(request);
	else
		(void)http_request_check_params(request);
}

/* False: it is too much to be worth reading on. Shut down, it isn't lingered on either. */
static bool intake_take_body(struct http_request *request, const void *data, size_t len)
{
	uint8_t *tail;
	int r;

	request->body_seen += len;
	if (request->body_seen > MHD_DROP_MAX) {
		const struct http_conn *conn = mhd_conn_of(request->connection);

		if (conn)
			lingering_cut(conn->mhd.fd);
		return false;
	}
	if (request->replied)
		return true;
	/* All of its memory at once: a buffer that grows leaves copies behind. */
	r = request->body.data
		    ? 0
		    : buf_reserve(&request->body,
			      request->body_len ? request->body_len : request->body.max, &tail);
	if (r == 0)
		r = buf_append(&request->body, data, len);
	if (r == -ENOBUFS)
		intake_refuse_length(request);
	return r == 0 || r == -ENOBUFS;
}

static enum MHD_Result intake_queue_reply(struct http_request *request)
{
	enum MHD_Result result;

	if (!request->response)
		return MHD_NO;
	result = MHD_queue_response(request->connection, request->status, request->response);
	MHD_destroy_response(take_ptr(request->response));
	return result;
}

static enum MHD_Result intake_finish(struct http_request *request)
{
	struct http_intake *intake = request->intake;

	http_conn_await_nothing(mhd_conn_of(request->connection));
	if (!request->replied && !request->handled) {
		request->handled = true;
		/* The owner is not to be bothered any more. */
		if (intake->closing)
			intake_refuse_ending(request);
		else
			request->match.route->handler(intake->owner, request);
	}
	if (request->replied)
		return intake_queue_reply(request);
	request->kept = true;
	intake->kept++;
	MHD_suspend_connection(request->connection);
	return MHD_YES;
}

enum MHD_Result intake_on_access(void *intake, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *data, size_t *len, void **ret_request)
{
	struct http_request *request = *ret_request;

	if (!request) {
		request = calloc(1, sizeof(*request));
		if (!request)
			return MHD_NO;
		request->intake = intake;
		request->connection = connection;
		*ret_request = request;
		http_conn_await_body(mhd_conn_of(connection));
		intake_begin(request, method, url);
		/* Queued before its end, a reply ends the connection, and the body isn't even
		 * parsed. */
		return request->replied && !request->is_short ? intake_queue_reply(request)
							      : MHD_YES;
	}
	http_conn_heard(mhd_conn_of(connection));
	if (*len) {
		bool more = intake_take_body(request, data, *len);

		/* It may hold a secret, and its memory is used again. */
		explicit_bzero((void *)(uintptr_t)data, *len);
		*len = 0;
		return more ? MHD_YES : MHD_NO;
	}
	return intake_finish(request);
}

void intake_on_completed(void *owner, struct MHD_Connection *connection, void **ret_request,
	enum MHD_RequestTerminationCode code)
{
	struct http_request *request = *ret_request;
	struct http_conn *conn;

	if (!request)
		return;
	*ret_request = NULL;
	if (request->response)
		MHD_destroy_response(request->response);
	secret_free(request->body.data);
	free(request);
	conn = mhd_conn_of(connection);
	if (conn)
		conn->fault = TARGET_FINE;
	http_conn_await_next(conn);
}
