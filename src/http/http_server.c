/* SPDX-License-Identifier: MIT */
/*
 * libmicrohttpd under the control loop, without a thread of its own: it works when MHD_run() is
 * called, which is here and nowhere else. What calls it:
 *
 *   poll    The daemon's epoll descriptor says that a socket has something.
 *   timer   A time-out of the library's own is due.
 *   idle    There is something to do that no descriptor tells of: MHD_run() has left work behind,
 *           as it may, for its descriptor is edge-triggered inside (MHD_get_timeout() says 0 then);
 *           it listens again, see server_count_conns(); a connection was resumed
 * (http_server_wake()); or the server may end. The idle handle runs in the next turn of the loop,
 * behind everybody else's events. A timer of 0 ms would not: libuv 1.44 runs one that starts itself
 * anew in the same turn, without an end.
 *
 * Apart from it, linger_poll and the timer of conns.c look after connections; what becomes of a
 * request is in intake.c.
 *
 * The end: http_server_close() stops listening. When no request is kept any more, server_end()
 * gives the last replies their way out, closes the handles and stops the daemon, which closes every
 * connection. The last handle's callback frees the server, and tells its owner.
 */
#include "http/http_server.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "http/conns.h"
#include "http/http_internal.h"
#include "http/intake.h"
#include "http/route.h"
#include "mhd/mhd.h"
#include "net/lingering.h"
#include "net/listener.h"

#define LOG "http"
/* libmicrohttpd's, per connection: head of the request and buffers. Beyond 32 KiB it is a mapping
 * of its own, which is gone with the connection, and with it any secret that was posted. */
#define CONN_MEMORY 49152
/* Enough for a reply that waits to be taken up, written and closed. */
#define LAST_RUNS 3

struct http_server {
	struct http_intake intake;
	struct MHD_Daemon *daemon;
	uv_poll_t poll;        /* of the daemon's epoll descriptor */
	uv_poll_t linger_poll; /* of conns.mhd.lingering */
	uv_timer_t timer;      /* libmicrohttpd's next time-out */
	uv_idle_t idle;        /* runs while libmicrohttpd is to be run at once */
	struct http_conns conns;
	unsigned handles;    /* these and the connections' timer, while the loop knows them */
	unsigned conn_count; /* after the last MHD_run() */
	bool again;          /* MHD_run() has something to do that it doesn't tell of */
	void (*closed)(void *owner);
	void *closed_owner;
};

static enum MHD_Result server_on_accept(void *owner, const struct sockaddr *sa, socklen_t len)
{
	struct http_server *server = owner;
	struct addr addr;

	return addr_from_sockaddr(sa, &addr) == 0 && http_conns_admit(&server->conns, &addr)
		       ? MHD_YES
		       : MHD_NO;
}

/* --- the end --- */

static void server_on_handle_closed(uv_handle_t *handle)
{
	struct http_server *server = handle->data;
	void (*closed)(void *owner) = server->closed;
	void *owner = server->closed_owner;

	if (--server->handles)
		return;
	http_conns_deinit(&server->conns);
	free(server->intake.token);
	free(server);
	closed(owner);
}

/* Replies that were given just now are still taken along. */
static void server_end(struct http_server *server)
{
	for (int i = 0; i < LAST_RUNS; i++)
		(void)MHD_run(server->daemon);
	uv_close((uv_handle_t *)&server->poll, server_on_handle_closed);
	uv_close((uv_handle_t *)&server->linger_poll, server_on_handle_closed);
	uv_close((uv_handle_t *)&server->timer, server_on_handle_closed);
	uv_close((uv_handle_t *)&server->idle, server_on_handle_closed);
	uv_close((uv_handle_t *)&server->conns.timer, server_on_handle_closed);
	MHD_stop_daemon(take_ptr(server->daemon));
}

/* --- the loop --- */

static void server_on_timer(uv_timer_t *timer);
static void server_on_idle(uv_idle_t *idle);

/* When libmicrohttpd wants to run again without an event. */
static void server_arm(struct http_server *server)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;
	bool waits = MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES;

	(void)uv_timer_stop(&server->timer);
	if (server->again || (server->intake.closing && !server->intake.kept) ||
		(waits && timeout_ms == 0))
		(void)uv_idle_start(&server->idle, server_on_idle);
	else if (waits)
		(void)uv_timer_start(&server->timer, server_on_timer, timeout_ms, 0);
}

/* At its limit of connections, or out of descriptors, libmicrohttpd stops listening, and goes on at
 * the run behind the one that has let a connection go. */
static void server_count_conns(struct http_server *server)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	if (info->num_connections < server->conn_count)
		server->again = true;
	server->conn_count = info->num_connections;
}

static void server_run_daemon(struct http_server *server)
{
	server->again = false;
	(void)MHD_run(server->daemon);
	server_count_conns(server);
	server_arm(server);
}

static void server_on_timer(uv_timer_t *timer)
{
	server_run_daemon(timer->data);
}

static void server_on_idle(uv_idle_t *idle)
{
	struct http_server *server = idle->data;

	(void)uv_idle_stop(idle);
	if (server->intake.closing && !server->intake.kept) {
		server_end(server);
		return;
	}
	http_conns_turn(&server->conns);
	server_run_daemon(server);
}

static void server_on_linger(uv_poll_t *poll, int status, int events)
{
	struct http_server *server = poll->data;

	lingering_run(&server->conns.mhd.lingering);
}

static void server_on_poll(uv_poll_t *poll, int status, int events)
{
	server_run_daemon(poll->data);
}

void http_server_wake(struct http_intake *intake)
{
	struct http_server *server = container_of(intake, struct http_server, intake);

	server->again = true;
	(void)uv_idle_start(&server->idle, server_on_idle);
}

/* --- public --- */

static int server_start_daemon(struct http_server *server, int *fd)
{
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

	if (server->intake.addr.sa.sa_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	server->daemon = MHD_start_daemon(flags, 0, server_on_accept, server, intake_on_access,
		&server->intake,
		/* First, so that it is used from the start. */
		MHD_OPTION_EXTERNAL_LOGGER, mhd_log, (void *)(uintptr_t)LOG,
		MHD_OPTION_LISTEN_SOCKET, *fd, MHD_OPTION_NOTIFY_COMPLETED, intake_on_completed,
		NULL, MHD_OPTION_NOTIFY_CONNECTION, http_conns_notify, &server->conns,
		MHD_OPTION_UNESCAPE_CALLBACK, intake_on_unescape, NULL, MHD_OPTION_URI_LOG_CALLBACK,
		intake_on_target, NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)MHD_IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONN_MEMORY,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (!server->daemon)
		return -ENOMEM;
	*fd = -1;
	return 0;
}

static int server_join_loop(
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
	(void)uv_poll_start(&server->poll, UV_READABLE, server_on_poll);
	(void)uv_poll_start(&server->linger_poll, UV_READABLE, server_on_linger);
	return 0;
}

static void server_freep(struct http_server **server)
{
	if (!*server)
		return;
	if ((*server)->daemon)
		MHD_stop_daemon((*server)->daemon);
	free((*server)->intake.token);
	free(*server);
}

static int server_take_config(struct http_server *server, const struct http_server_config *config)
{
	for (size_t i = 0; i < config->route_count; i++)
		assert(http_route_is_sound(&config->routes[i]));
	server->intake.addr = config->addr;
	server->intake.routes = config->routes;
	server->intake.route_count = config->route_count;
	server->intake.owner = config->owner;
	if (!config->token)
		return 0;
	server->intake.token = strdup(config->token);
	return server->intake.token ? 0 : -ENOMEM;
}

int http_server_new(
	uv_loop_t *loop, const struct http_server_config *config, struct http_server **ret_server)
{
	_cleanup_(server_freep) struct http_server *server = calloc(1, sizeof(*server));
	_cleanup_(fd_closep) int fd = -1;
	int r;

	if (!server)
		return -ENOMEM;
	r = server_take_config(server, config);
	if (r < 0)
		return r;
	/* Not by libmicrohttpd, for the sake of its errors. */
	r = listener_socket(&server->intake.addr, HTTP_CONNS_MAX, &fd);
	if (r < 0)
		return r;
	r = server_start_daemon(server, &fd);
	if (r == 0)
		r = server_join_loop(server, loop, config);
	if (r == 0)
		*ret_server = take_ptr(server);
	return r;
}

const struct addr *http_server_addr(const struct http_server *server)
{
	return &server->intake.addr;
}

void http_server_drop_waiting(struct http_server *server)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_LISTEN_FD);
	int fd;

	while ((fd = accept4(info->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		(void)fd_close(fd);
}

void http_server_close(struct http_server *server, void (*closed)(void *owner), void *owner)
{
	server->intake.closing = true;
	server->closed = closed;
	server->closed_owner = owner;
	(void)fd_close(MHD_quiesce_daemon(server->daemon));
	server_arm(server);
}
