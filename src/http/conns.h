/* SPDX-License-Identifier: MIT */
/*
 * Who is connected, and what libmicrohttpd doesn't look after: a byte now and then would hold a
 * connection for ever; one whose peer has ended behind half a request stays until it has been
 * silent for long enough; and there are requests that it neither reads on nor gives up, see
 * http_conns_turn().
 */
#ifndef HTTP_CONNS_H
#define HTTP_CONNS_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "net/addr.h"
#include "net/lingering.h"

/* What is wrong with the target of a request's first line. */
enum http_target_fault {
	TARGET_FINE,
	TARGET_ZERO_BYTE,   /* in the path or the query */
	TARGET_CODED_SLASH, /* "%2F" in the path */
	TARGET_LONG_QUERY,  /* more parameters than HTTP_QUERY_MAX */
};

/* The socket context of a connection; lives as long as that. */
struct http_conn {
	struct list link; /* in set->open */
	struct http_conns *set;
	struct addr addr;
	int fd;                       /* libmicrohttpd's */
	uint64_t deadline_ms;         /* monotonic; of the request that is coming */
	bool in_body;                 /* of the request that is coming */
	unsigned turns;               /* at once, since its body was last heard of */
	bool peer_ended;              /* libmicrohttpd has been told */
	enum http_target_fault fault; /* of the request that came last */
};

struct http_conns {
	struct list open;
	uv_timer_t timer; /* closed by the owner */
	struct lingering linger;
	size_t count;
	uint64_t head_timeout_ms, idle_timeout_ms;
};

/* How often ended peers and deadlines are looked for; and where half of all places are taken. */
#define HTTP_SWEEP_MS 1000
#define HTTP_SWEEP_CROWDED_MS 100

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

/* NULL: there was no memory for it, and the connection is about to be closed. */
struct http_conn *http_conn_of(struct MHD_Connection *connection);

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
 * turns is shut out.
 */
#define HTTP_TURNS_MAX 4000
void http_conns_turn(struct http_conns *set);

#endif
