/* SPDX-License-Identifier: MIT */
/*
 * Who is connected, and until when a request must have come: libmicrohttpd only ends connections
 * that are silent, so that a byte now and then would hold one for ever.
 */
#ifndef HTTP_CONNS_H
#define HTTP_CONNS_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "net/addr.h"

/* The socket context of a connection; lives as long as that. */
struct http_conn {
	struct list link; /* in set->open */
	struct http_conns *set;
	struct addr addr;
	int fd;               /* libmicrohttpd's */
	uint64_t deadline_ms; /* monotonic; of the request that is coming */
	bool zero_byte; /* one stands in the path or the query of the request that came last */
};

struct http_conns {
	struct list open;
	uv_timer_t timer;  /* closed by the owner */
	uint64_t armed_ms; /* when it fires */
	uint64_t head_timeout_ms;
};

/* `head_timeout_ms` 0: HTTP_HEAD_TIMEOUT_MS. */
void http_conns_init(struct http_conns *set, uv_loop_t *loop, uint64_t head_timeout_ms);

/* Whether one more from this address gets in. */
bool http_conns_admit(const struct http_conns *set, const struct addr *addr);

/* A connection has come, or is gone: for MHD_OPTION_NOTIFY_CONNECTION, with the set as its owner.
 */
void http_conns_notify(void *set, struct MHD_Connection *connection, void **ret_conn,
	enum MHD_ConnectionNotificationCode code);

/* NULL: there was no memory for it, and the connection is about to be closed. */
struct http_conn *http_conn_of(struct MHD_Connection *connection);

/* What it waits for now; takes NULL. */
void http_conn_await_head(struct http_conn *conn);
void http_conn_await_body(struct http_conn *conn);
void http_conn_await_nothing(struct http_conn *conn);

#endif
