/* SPDX-License-Identifier: MIT */
/*
 * One timer sweeps the connections while there is anything to look at: an open one, one that
 * lingers, or an episode of requests that were given up.
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

#define LOG "http"

static void conns_on_timer(uv_timer_t *timer);

static void conns_arm(struct http_conns *set)
{
	uint64_t sweep_ms =
		set->mhd.count >= HTTP_CONNS_MAX / 2 ? MHD_SWEEP_CROWDED_MS : MHD_SWEEP_MS;

	if (set->mhd.count == 0 && set->mhd.lingering.count == 0 && set->given_up == 0)
		return;
	uv_update_time(set->timer.loop);
	(void)uv_timer_start(&set->timer, conns_on_timer, sweep_ms, 0);
}

static void conns_on_timer(uv_timer_t *timer)
{
	struct http_conns *set = container_of(timer, struct http_conns, timer);
	uint64_t now_ms = clock_now_ms();

	mhd_conns_sweep(&set->mhd, now_ms);
	if (set->given_up && now_ms - set->given_up_ms >= HTTP_GIVEN_UP_QUIET_MS) {
		log_warn(LOG, "no more requests that can't be read to their end count=%u",
			set->given_up);
		set->given_up = 0;
	}
	conns_arm(set);
}

int http_conns_init(
	struct http_conns *set, uv_loop_t *loop, uint64_t head_timeout_ms, uint64_t idle_timeout_ms)
{
	int r = mhd_conns_init(&set->mhd);

	if (r < 0)
		return r;
	(void)uv_timer_init(loop, &set->timer);
	set->given_up = 0;
	set->head_timeout_ms = head_timeout_ms ? head_timeout_ms : MHD_HEAD_MS;
	set->idle_timeout_ms = idle_timeout_ms ? idle_timeout_ms : MHD_IDLE_S * 1000;
	return 0;
}

void http_conns_deinit(struct http_conns *set)
{
	mhd_conns_deinit(&set->mhd);
}

bool http_conns_admit(const struct http_conns *set, const struct addr *addr)
{
	struct addr_key key = addr_limit_key(addr), other;
	unsigned count = 0;

	/* All of this machine's users and programs are one address. */
	if (addr_is_loopback(addr))
		return true;
	list_for_each(pos, &set->mhd.open) {
		other = addr_limit_key(&list_entry(pos, struct http_conn, mhd.link)->addr);
		count += memcmp(&other, &key, sizeof(key)) == 0;
	}
	return count < HTTP_CONNS_PER_ADDR_MAX;
}

void http_conn_heard(struct http_conn *conn)
{
	if (!conn)
		return;
	conn->turns = conn->unread_turns = 0;
	conn->heard_ms = clock_now_ms();
}

static void conn_await(struct http_conn *conn, uint64_t timeout_ms)
{
	http_conn_heard(conn);
	conn->in_body = false;
	conn->mhd.deadline_ms = clock_now_ms() + timeout_ms;
}

static void conn_open(
	struct http_conns *set, struct MHD_Connection *connection, struct http_conn **ret_conn)
{
	const struct sockaddr *sa =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
			->client_addr;
	struct http_conn *conn = calloc(1, sizeof(*conn));

	if (!conn || addr_from_sockaddr(sa, &conn->addr) < 0) {
		free(conn);
		mhd_conns_add(&set->mhd, NULL, connection);
		return;
	}
	conn->set = set;
	mhd_conns_add(&set->mhd, &conn->mhd, connection);
	conn_await(conn, set->head_timeout_ms);
	if (!uv_is_active((uv_handle_t *)&set->timer))
		conns_arm(set);
	*ret_conn = conn;
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
		mhd_conns_remove(&conns->mhd, &conn->mhd);
		free(conn);
	}
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
		conn->mhd.deadline_ms = UINT64_MAX;
}

/* Turns are counted for the sake of others as well, such as each event for a reader. What comes is
 * read in the next one, or never: it may have come since the last one, so it is looked for again.
 */
static bool conn_is_stuck(struct http_conn *conn)
{
	char byte;

	if (conn->turns < HTTP_TURNS_MAX)
		return false;
	if (recv(conn->mhd.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
		return ++conn->unread_turns >= HTTP_UNREAD_TURNS_MAX;
	conn->unread_turns = 0;
	return clock_now_ms() - conn->heard_ms >= HTTP_STUCK_MS;
}

void http_conns_turn(struct http_conns *set)
{
	list_for_each(pos, &set->mhd.open) {
		struct http_conn *conn = list_entry(pos, struct http_conn, mhd.link);

		if (!conn->in_body || conn->mhd.deadline_ms == UINT64_MAX)
			continue;
		conn->turns++;
		if (!conn_is_stuck(conn))
			continue;
		if (set->given_up++ == 0)
			log_warn(LOG, "a request that can't be read to its end is given up");
		set->given_up_ms = clock_now_ms();
		mhd_conn_end(&conn->mhd);
	}
}
