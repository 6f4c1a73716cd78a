/* SPDX-License-Identifier: MIT */
/*
 * libmicrohttpd under the control loop. Its epoll descriptor is edge-triggered inside, so one
 * MHD_run() may leave work behind: MHD_get_timeout() says so with 0, and the idle handle runs it
 * again in the next turn of the loop, behind everybody else's events. (A timer of 0 ms that starts
 * itself anew would not: libuv 1.44 runs that again in the same turn, without an end.)
 */
#include "http/http_server.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/secret.h"
#include "http/access.h"
#include "http/conns.h"
#include "http/http_internal.h"
#include "http/http_request.h"
#include "http/route.h"
#include "mhd/mhd.h"
#include "net/lingering.h"
#include "net/listener.h"

#define LOG "http"
#define GUARDED "/api/" /* from requests that other sites' pages make */
/* The reason, and twice the server's own address. */
#define REFUSAL_HTML                                                                              \
	"<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>wasmrun</title>\n" \
	"<h1>Not here</h1>\n<p>%s.</p>\n<p>On the machine where it runs, the page is at "         \
	"<a href=\"http://%s/\">http://%s/</a>.</p>\n"
/* libmicrohttpd's, per connection: head of the request and buffers. Beyond 32 KiB it is a mapping
 * of its own, which is gone with the connection, and with it any secret that was posted. */
#define CONN_MEMORY 49152
/* Enough for a reply that waits to be taken up, written and closed. */
#define LAST_RUNS 3

static const struct {
	unsigned status;
	const char *text;
} target_faults[] = {
	/* Texts end at a zero byte, so what stands behind it would not be seen. */
	[TARGET_ZERO_BYTE] = { MHD_HTTP_BAD_REQUEST, "a zero byte (%00) in the address" },
	/* Decoded it would look like a separator (RFC 3986, 2.2), and no name here holds one. */
	[TARGET_CODED_SLASH] = { MHD_HTTP_NOT_FOUND, "there is nothing at a path with %2F in it" },
	[TARGET_LONG_QUERY] = { MHD_HTTP_URI_TOO_LONG, "too many parameters in the query" },
};

struct http_server {
	struct addr addr;
	char *token; /* owned; NULL: none is asked for */
	const struct http_route *routes;
	size_t route_count;
	void *owner;

	struct MHD_Daemon *daemon;
	uv_poll_t poll;        /* of the daemon's epoll descriptor */
	uv_poll_t linger_poll; /* of conns.linger */
	uv_timer_t timer;      /* libmicrohttpd's next time-out */
	uv_idle_t idle;        /* runs while libmicrohttpd is to be run at once */
	struct http_conns conns;
	unsigned handles;    /* these and the connections' timer, while the loop knows them */
	unsigned kept;       /* requests without an answer */
	unsigned conn_count; /* after the last MHD_run() */
	bool again;          /* MHD_run() has something to do that it doesn't tell of */
	bool closing;
	void (*closed)(void *owner);
	void *closed_owner;
};

/* --- requests --- */

static const char *header_of(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* In words of HTML for a browser that shows it, and JSON for programs. The verdict's text and the
 * address have nothing to be escaped. */
static void request_refuse_access(struct http_request *request, enum access_verdict verdict)
{
	const char *accept = header_of(request, MHD_HTTP_HEADER_ACCEPT);
	unsigned status = verdict == ACCESS_BAD_TOKEN ? MHD_HTTP_UNAUTHORIZED : MHD_HTTP_FORBIDDEN;
	char own[ADDR_TEXT_MAX], text[HTTP_ERROR_TEXT_MAX];
	int n;

	(void)addr_format(&request->server->addr, own);
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
static bool request_is_allowed(
	struct http_request *request, const struct http_route *route, const char *path)
{
	bool guarded = strncmp(path, GUARDED, strlen(GUARDED)) == 0;
	const struct access_headers headers = {
		.host = header_of(request, MHD_HTTP_HEADER_HOST),
		.origin = header_of(request, MHD_HTTP_HEADER_ORIGIN),
		.authorization = header_of(request, MHD_HTTP_HEADER_AUTHORIZATION),
		.fetch_site = guarded ? header_of(request, "Sec-Fetch-Site") : NULL,
	};
	enum access_verdict verdict =
		access_check(&headers, request->server->token, route && route->open);

	if (verdict != ACCESS_OK)
		request_refuse_access(request, verdict);
	return verdict == ACCESS_OK;
}

static void request_refuse_length(struct http_request *request)
{
	http_reply_error(request, MHD_HTTP_CONTENT_TOO_LARGE, "the body is longer than %zu bytes",
		request->body.max);
}

static void request_refuse_ending(struct http_request *request)
{
	http_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the server is ending");
}

static void request_refuse_path(struct http_request *request, const char *allow)
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
static void request_begin(struct http_request *request, const char *method, const char *path)
{
	struct http_server *server = request->server;
	const struct http_conn *conn = mhd_conn_of(request->connection);
	const struct http_route *route;
	enum mhd_body framing = mhd_body_of(request->connection, &request->body_len);

	http_route_find(server->routes, server->route_count, method, path, &request->match);
	route = request->match.route;
	buf_init(&request->body, route && route->body_max ? route->body_max : HTTP_BODY_IGNORED);
	request->is_short = framing == MHD_BODY_NONE ||
			    (framing == MHD_BODY_LENGTH && request->body_len <= HTTP_BODY_IGNORED);
	if (!request_is_allowed(request, route, path))
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
	else if (server->closing)
		request_refuse_ending(request);
	else if (!route)
		request_refuse_path(request, request->match.allow);
	else if (framing == MHD_BODY_CHUNKED && !route->body_max)
		http_reply_error(request, MHD_HTTP_LENGTH_REQUIRED,
			"no body is wanted here: send none, or one with a Content-Length");
	else if (request->body_len > request->body.max)
		request_refuse_length(request);
	else
		(void)http_request_check_params(request);
}

/* False: it is too much to be worth reading on. Shut down, it isn't lingered on either. */
static bool request_take_body(struct http_request *request, const void *data, size_t len)
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
		request_refuse_length(request);
	return r == 0 || r == -ENOBUFS;
}

static enum MHD_Result request_queue_reply(struct http_request *request)
{
	enum MHD_Result result;

	if (!request->response)
		return MHD_NO;
	result = MHD_queue_response(request->connection, request->status, request->response);
	MHD_destroy_response(take_ptr(request->response));
	return result;
}

static enum MHD_Result request_finish(struct http_request *request)
{
	struct http_server *server = request->server;

	http_conn_await_nothing(mhd_conn_of(request->connection));
	if (!request->replied && !request->handled) {
		request->handled = true;
		/* The owner is not to be bothered any more. */
		if (server->closing)
			request_refuse_ending(request);
		else
			request->match.route->handler(server->owner, request);
	}
	if (request->replied)
		return request_queue_reply(request);
	request->kept = true;
	server->kept++;
	MHD_suspend_connection(request->connection);
	return MHD_YES;
}

/* Called at the head of a request, for each piece of its body, at its end, and again when a request
 * that was kept goes on. */
static enum MHD_Result on_access(void *owner, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *data, size_t *len, void **ret_request)
{
	struct http_request *request = *ret_request;

	if (!request) {
		request = calloc(1, sizeof(*request));
		if (!request)
			return MHD_NO;
		request->server = owner;
		request->connection = connection;
		*ret_request = request;
		http_conn_await_body(mhd_conn_of(connection));
		request_begin(request, method, url);
		/* Queued before its end, a reply ends the connection, and the body isn't even
		 * parsed. */
		return request->replied && !request->is_short ? request_queue_reply(request)
							      : MHD_YES;
	}
	http_conn_heard(mhd_conn_of(connection));
	if (*len) {
		bool more = request_take_body(request, data, *len);

		/* It may hold a secret, and its memory is used again. */
		explicit_bzero((void *)(uintptr_t)data, *len);
		*len = 0;
		return more ? MHD_YES : MHD_NO;
	}
	return request_finish(request);
}

static void on_completed(void *owner, struct MHD_Connection *connection, void **ret_request,
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

static enum MHD_Result on_accept(void *owner, const struct sockaddr *sa, socklen_t len)
{
	struct http_server *server = owner;
	struct addr addr;

	return addr_from_sockaddr(sa, &addr) == 0 && http_conns_admit(&server->conns, &addr)
		       ? MHD_YES
		       : MHD_NO;
}

/* A request's first line. What is returned is *ret_request of on_access(). */
static void *on_target(void *owner, const char *target, struct MHD_Connection *connection)
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

/* Called for the path, and for each name and value in the query, before on_access(). */
static size_t on_unescape(void *owner, struct MHD_Connection *connection, char *text)
{
	struct http_conn *conn = mhd_conn_of(connection);
	size_t len = MHD_http_unescape(text);

	if (conn && memchr(text, '\0', len))
		conn->fault = TARGET_ZERO_BYTE;
	return len;
}

/* --- the end --- */

static void on_handle_closed(uv_handle_t *handle)
{
	struct http_server *server = handle->data;
	void (*closed)(void *owner) = server->closed;
	void *owner = server->closed_owner;

	if (--server->handles)
		return;
	http_conns_deinit(&server->conns);
	free(server->token);
	free(server);
	closed(owner);
}

/* Replies that were given just now are still taken along. */
static void server_end(struct http_server *server)
{
	for (int i = 0; i < LAST_RUNS; i++)
		(void)MHD_run(server->daemon);
	uv_close((uv_handle_t *)&server->poll, on_handle_closed);
	uv_close((uv_handle_t *)&server->linger_poll, on_handle_closed);
	uv_close((uv_handle_t *)&server->timer, on_handle_closed);
	uv_close((uv_handle_t *)&server->idle, on_handle_closed);
	uv_close((uv_handle_t *)&server->conns.timer, on_handle_closed);
	MHD_stop_daemon(take_ptr(server->daemon));
}

/* --- the loop --- */

static void on_timer(uv_timer_t *timer);
static void on_idle(uv_idle_t *idle);

/* When libmicrohttpd wants to run again without an event. */
static void server_arm(struct http_server *server)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;
	bool waits = MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES;

	(void)uv_timer_stop(&server->timer);
	if (server->again || (server->closing && !server->kept) || (waits && timeout_ms == 0))
		(void)uv_idle_start(&server->idle, on_idle);
	else if (waits)
		(void)uv_timer_start(&server->timer, on_timer, timeout_ms, 0);
}

/* At its limit of connections, or out of descriptors, libmicrohttpd stops listening, and goes on at
 * the run behind the one that has let a connection go. */
static void server_count(struct http_server *server)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	if (info->num_connections < server->conn_count)
		server->again = true;
	server->conn_count = info->num_connections;
}

static void server_run(struct http_server *server)
{
	server->again = false;
	(void)MHD_run(server->daemon);
	server_count(server);
	server_arm(server);
}

static void on_timer(uv_timer_t *timer)
{
	server_run(timer->data);
}

static void on_idle(uv_idle_t *idle)
{
	struct http_server *server = idle->data;

	(void)uv_idle_stop(idle);
	if (server->closing && !server->kept) {
		server_end(server);
		return;
	}
	http_conns_turn(&server->conns);
	server_run(server);
}

static void on_linger(uv_poll_t *poll, int status, int events)
{
	struct http_server *server = poll->data;

	lingering_run(&server->conns.mhd.lingering);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	server_run(poll->data);
}

void http_server_run_soon(struct http_server *server)
{
	server->again = true;
	(void)uv_idle_start(&server->idle, on_idle);
}

void http_server_let_go(struct http_server *server)
{
	server->kept--;
	http_server_run_soon(server);
}

/* --- public --- */

static int server_start_daemon(struct http_server *server, int *fd)
{
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

	if (server->addr.sa.sa_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	server->daemon = MHD_start_daemon(flags, 0, on_accept, server, on_access, server,
		/* First, so that it is used from the start. */
		MHD_OPTION_EXTERNAL_LOGGER, mhd_log, (void *)(uintptr_t)LOG,
		MHD_OPTION_LISTEN_SOCKET, *fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
		MHD_OPTION_NOTIFY_CONNECTION, http_conns_notify, &server->conns,
		MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL, MHD_OPTION_URI_LOG_CALLBACK,
		on_target, NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)MHD_IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONN_MEMORY,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (!server->daemon)
		return -ENOMEM;
	*fd = -1;
	return 0;
}

static int server_watch(
	struct http_server *server, uv_loop_t *loop, const struct http_server_config *config)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int r = http_conns_init(
		&server->conns, loop, config->head_timeout_ms, config->idle_timeout_ms);

	if (r < 0)
		return r;
	/* Neither fails with a descriptor of epoll(7). */
	(void)uv_poll_init(loop, &server->poll, info->epoll_fd);
	(void)uv_poll_init(loop, &server->linger_poll, server->conns.mhd.lingering.epoll_fd);
	(void)uv_timer_init(loop, &server->timer);
	(void)uv_idle_init(loop, &server->idle);
	server->poll.data = server->linger_poll.data = server->timer.data = server->idle.data =
		server->conns.timer.data = server;
	server->handles = 5;
	(void)uv_poll_start(&server->poll, UV_READABLE, on_poll);
	(void)uv_poll_start(&server->linger_poll, UV_READABLE, on_linger);
	return 0;
}

static void server_freep(struct http_server **server)
{
	if (!*server)
		return;
	if ((*server)->daemon)
		MHD_stop_daemon((*server)->daemon);
	free((*server)->token);
	free(*server);
}

static int server_configure(struct http_server *server, const struct http_server_config *config)
{
	for (size_t i = 0; i < config->route_count; i++)
		assert(http_route_is_sound(&config->routes[i]));
	server->addr = config->addr;
	server->routes = config->routes;
	server->route_count = config->route_count;
	server->owner = config->owner;
	if (!config->token)
		return 0;
	server->token = strdup(config->token);
	return server->token ? 0 : -ENOMEM;
}

int http_server_new(
	uv_loop_t *loop, const struct http_server_config *config, struct http_server **ret_server)
{
	_cleanup_(server_freep) struct http_server *server = calloc(1, sizeof(*server));
	_cleanup_(fd_closep) int fd = -1;
	int r;

	if (!server)
		return -ENOMEM;
	r = server_configure(server, config);
	if (r < 0)
		return r;
	/* Not by libmicrohttpd, for the sake of its errors. */
	r = listener_socket(&server->addr, HTTP_CONNS_MAX, &fd);
	if (r < 0)
		return r;
	r = server_start_daemon(server, &fd);
	if (r == 0)
		r = server_watch(server, loop, config);
	if (r == 0)
		*ret_server = take_ptr(server);
	return r;
}

const struct addr *http_server_addr(const struct http_server *server)
{
	return &server->addr;
}

void http_server_close(struct http_server *server, void (*closed)(void *owner), void *owner)
{
	server->closing = true;
	server->closed = closed;
	server->closed_owner = owner;
	(void)fd_close(MHD_quiesce_daemon(server->daemon));
	server_arm(server);
}
