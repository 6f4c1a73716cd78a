/* SPDX-License-Identifier: MIT */
/*
 * One timer looks at all connections from time to time, while there are any. What is shut down on
 * both sides, libmicrohttpd closes; a connection that it closes is read from for a while longer.
 */
#include "http/conns.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/log.h"
#include "http/http_server.h"
#include "mhd/mhd.h"

#define NEVER UINT64_MAX

static void conn_end(struct http_conn *conn)
{
	conn->deadline_ms = NEVER;
	(void)shutdown(conn->fd, SHUT_RDWR);
}

/* An end that has come is made an event of its own: libmicrohttpd reads it then. A request that is
 * whole is answered all the same. */
static void conn_look_for_end(struct http_conn *conn)
{
	if (conn->peer_ended || !lingering_peer_has_ended(conn->fd))
		return;
	conn->peer_ended = true;
	(void)shutdown(conn->fd, SHUT_RD);
}

static void on_timer(uv_timer_t *timer);

static void conns_arm(struct http_conns *set)
{
	uint64_t now_ms = clock_now_ms(), next_ms = NEVER, sweep_ms;

	if (set->count == 0 && set->linger.count == 0)
		return;
	list_for_each(pos, &set->open)
		next_ms = min_u64(next_ms, list_entry(pos, struct http_conn, link)->deadline_ms);
	sweep_ms = set->count >= HTTP_CONNS_MAX / 2 ? HTTP_SWEEP_CROWDED_MS : HTTP_SWEEP_MS;
	if (next_ms != NEVER)
		sweep_ms = min_u64(sweep_ms, next_ms > now_ms ? next_ms - now_ms : 1);
	uv_update_time(set->timer.loop);
	(void)uv_timer_start(&set->timer, on_timer, sweep_ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct http_conns *set = container_of(timer, struct http_conns, timer);
	uint64_t now_ms = clock_now_ms();

	list_for_each(pos, &set->open) {
		struct http_conn *conn = list_entry(pos, struct http_conn, link);

		if (conn->deadline_ms <= now_ms)
			conn_end(conn);
		else
			conn_look_for_end(conn);
	}
	lingering_run(&set->linger);
	conns_arm(set);
}

int http_conns_init(
	struct http_conns *set, uv_loop_t *loop, uint64_t head_timeout_ms, uint64_t idle_timeout_ms)
{
	int r = lingering_init(&set->linger);

	if (r < 0)
		return r;
	list_init(&set->open);
	set->count = 0;
	(void)uv_timer_init(loop, &set->timer);
	set->head_timeout_ms = head_timeout_ms ? head_timeout_ms : MHD_HEAD_MS;
	set->idle_timeout_ms = idle_timeout_ms ? idle_timeout_ms : MHD_IDLE_S * 1000;
	return 0;
}

void http_conns_deinit(struct http_conns *set)
{
	lingering_deinit(&set->linger);
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

static void conn_await(struct http_conn *conn, uint64_t timeout_ms)
{
	conn->turns = 0;
	conn->in_body = false;
	conn->deadline_ms = clock_now_ms() + timeout_ms;
	if (!uv_is_active((uv_handle_t *)&conn->set->timer) ||
		timeout_ms < uv_timer_get_due_in(&conn->set->timer))
		conns_arm(conn->set);
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
	set->count++;
	*ret_conn = conn;
	conn_await(conn, set->head_timeout_ms);
}

void http_conns_notify(void *set, struct MHD_Connection *connection, void **ret_conn,
	enum MHD_ConnectionNotificationCode code)
{
	struct http_conns *conns = set;
	struct http_conn *conn = *ret_conn;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		conn_open(set, connection, &conn);
		*ret_conn = conn;
	} else if (conn) {
		*ret_conn = NULL;
		lingering_add(&conns->linger, conn->fd);
		list_remove(&conn->link);
		conns->count--;
		free(conn);
	}
}

struct http_conn *http_conn_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
		->socket_context;
}

void http_conn_await_next(struct http_conn *conn)
{
	if (conn)
		conn_await(conn, conn->set->idle_timeout_ms + conn->set->head_timeout_ms);
}

void http_conn_await_body(struct http_conn *conn)
{
	if (!conn)
		return;
	conn_await(conn, MHD_BODY_MS);
	conn->in_body = true;
}

void http_conn_await_nothing(struct http_conn *conn)
{
	if (conn)
		conn->deadline_ms = NEVER;
}

void http_conn_heard(struct http_conn *conn)
{
	if (conn)
		conn->turns = 0;
}

void http_conns_turn(struct http_conns *set)
{
	list_for_each(pos, &set->open) {
		struct http_conn *conn = list_entry(pos, struct http_conn, link);

		if (!conn->in_body || conn->deadline_ms == NEVER || ++conn->turns < HTTP_TURNS_MAX)
			continue;
		log_warn("http", "a request that can't be read to its end is given up");
		conn_end(conn);
	}
}
