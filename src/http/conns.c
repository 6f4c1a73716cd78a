/* SPDX-License-Identifier: MIT */
/*
 * One timer for all deadlines. It fires no later than the first of them; one that has moved on is
 * found out then, which costs less than moving the timer.
 */
#include "http/conns.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"
#include "http/http_server.h"

#define NEVER UINT64_MAX

static void on_timer(uv_timer_t *timer);

static void conns_arm(struct http_conns *set, uint64_t deadline_ms)
{
	uint64_t now = clock_now_ms();

	if (deadline_ms >= set->armed_ms)
		return;
	set->armed_ms = deadline_ms;
	uv_update_time(set->timer.loop);
	(void)uv_timer_start(&set->timer, on_timer, deadline_ms > now ? deadline_ms - now : 0, 0);
}

/* libmicrohttpd sees the end of what it reads, and closes. */
static void on_timer(uv_timer_t *timer)
{
	struct http_conns *set = container_of(timer, struct http_conns, timer);
	uint64_t now = clock_now_ms(), next = NEVER;

	set->armed_ms = NEVER;
	list_for_each(pos, &set->open) {
		struct http_conn *conn = list_entry(pos, struct http_conn, link);

		if (conn->deadline_ms <= now) {
			conn->deadline_ms = NEVER;
			(void)shutdown(conn->fd, SHUT_RDWR);
		}
		next = min_u64(next, conn->deadline_ms);
	}
	conns_arm(set, next);
}

void http_conns_init(struct http_conns *set, uv_loop_t *loop, uint64_t head_timeout_ms)
{
	list_init(&set->open);
	(void)uv_timer_init(loop, &set->timer);
	set->armed_ms = NEVER;
	set->head_timeout_ms = head_timeout_ms ? head_timeout_ms : HTTP_HEAD_TIMEOUT_MS;
}

bool http_conns_admit(const struct http_conns *set, const struct addr *addr)
{
	struct addr_key key = addr_limit_key(addr), other;
	unsigned count = 0;

	/* All of this machine's users and programs are one address. */
	if (addr_is_loopback(addr))
		return true;
	list_for_each(pos, &set->open) {
		other = addr_limit_key(&list_entry(pos, struct http_conn, link)->addr);
		count += memcmp(&other, &key, sizeof(key)) == 0;
	}
	return count < HTTP_CONNS_PER_ADDR_MAX;
}

static void conn_open(
	struct http_conns *set, struct MHD_Connection *connection, struct http_conn **ret_conn)
{
	int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	const struct sockaddr *sa =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
			->client_addr;
	struct http_conn *conn = calloc(1, sizeof(*conn));

	if (!conn || addr_from_sockaddr(sa, &conn->addr) < 0) {
		free(conn);
		(void)shutdown(fd, SHUT_RDWR);
		return;
	}
	conn->set = set;
	conn->fd = fd;
	list_push_back(&set->open, &conn->link);
	*ret_conn = conn;
	http_conn_await_head(conn);
}

void http_conns_notify(void *set, struct MHD_Connection *connection, void **ret_conn,
	enum MHD_ConnectionNotificationCode code)
{
	struct http_conn *conn = *ret_conn;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		conn_open(set, connection, &conn);
		*ret_conn = conn;
	} else if (conn) {
		*ret_conn = NULL;
		list_remove(&conn->link);
		free(conn);
	}
}

struct http_conn *http_conn_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
		->socket_context;
}

static void conn_await(struct http_conn *conn, uint64_t timeout_ms)
{
	conn->deadline_ms = clock_now_ms() + timeout_ms;
	conns_arm(conn->set, conn->deadline_ms);
}

void http_conn_await_head(struct http_conn *conn)
{
	if (conn)
		conn_await(conn, conn->set->head_timeout_ms);
}

void http_conn_await_body(struct http_conn *conn)
{
	if (conn)
		conn_await(conn, HTTP_BODY_TIMEOUT_MS);
}

void http_conn_await_nothing(struct http_conn *conn)
{
	if (conn)
		conn->deadline_ms = NEVER;
}
