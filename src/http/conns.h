/* SPDX-License-Identifier: MIT */
/*
 * Who is connected to the page and the API: mhd/mhd_conns.h on the control loop, with a limit for
 * each address, and with an end for requests that libmicrohttpd neither reads on nor gives up, see
 * http_conns_turn().
 */
#ifndef HTTP_CONNS_H
#define HTTP_CONNS_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "mhd/mhd_conns.h"
#include "net/addr.h"

/* What is wrong with the target of a request's first line. */
enum http_target_fault {
	TARGET_FINE,
	TARGET_ZERO_BYTE,   /* in the path or the query */
	TARGET_CODED_SLASH, /* "%2F" in the path */
	TARGET_LONG_QUERY,  /* more parameters than HTTP_QUERY_MAX */
};

/* The socket context of a connection; lives as long as that. */
struct http_conn {
	struct mhd_conn mhd;
	struct http_conns *set;
	struct addr addr;
	bool in_body;                 /* of the request that is coming */
	unsigned turns;               /* runs without an event, since something of it came, */
	uint64_t heard_ms;            /* monotonic; when that was */
	unsigned unread_turns;        /* the last of them, in which something of it lay unread */
	enum http_target_fault fault; /* of the request that came last */
};

struct http_conns {
	struct mhd_conns mhd;
	uv_timer_t timer; /* closed by the owner */
	uint64_t head_timeout_ms, idle_timeout_ms;
	unsigned given_up;    /* requests, in this episode of them */
	uint64_t given_up_ms; /* when the last one was */
};

/* 0 or negative errno; then the timer is the loop's, too. A time that is 0 is the default. */
int http_conns_init(struct http_conns *set, uv_loop_t *loop, uint64_t head_timeout_ms,
	uint64_t idle_timeout_ms);

/* The timer has been closed, and the connections are gone. */
void http_conns_deinit(struct http_conns *set);

/* Whether one more from this address gets in. */
bool http_conns_admit(const struct http_conns *set, const struct addr *addr);

/* A connection has come, or is gone: for MHD_OPTION_NOTIFY_CONNECTION, with the set as its owner.
 */
void http_conns_notify(void *set, struct MHD_Connection *connection, void **ret_conn,
	enum MHD_ConnectionNotificationCode code);

/* What it waits for now; takes NULL. */
void http_conn_await_next(struct http_conn *conn); /* behind an answer */
void http_conn_await_body(struct http_conn *conn);
void http_conn_await_nothing(struct http_conn *conn);

/* Something of the body has come; takes NULL. */
void http_conn_heard(struct http_conn *conn);

/*
 * libmicrohttpd wants to run at once. Up to 0.9.75 it wants that for ever, at all of a core, when a
 * line that begins a chunk doesn't fit into its memory of the connection: it can't read on, and
 * under a loop of others it doesn't give up. Whose body is waited for through HTTP_TURNS_MAX such
 * turns is shut out, if something of it lies unread in its socket for HTTP_UNREAD_TURNS_MAX more;
 * without that, after HTTP_STUCK_MS. The log tells of the first, and of their number when none has
 * come for HTTP_GIVEN_UP_QUIET_MS.
 */
#define HTTP_TURNS_MAX 4000
#define HTTP_UNREAD_TURNS_MAX 100
#define HTTP_STUCK_MS 10000
#define HTTP_GIVEN_UP_QUIET_MS 2000
void http_conns_turn(struct http_conns *set);

#endif
