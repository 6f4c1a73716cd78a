/* SPDX-License-Identifier: MIT */
/*
 * --metrics: one fixed document over HTTP/1.1 (RFC 9112), for Prometheus. libmicrohttpd would do it
 * too, but pulls in GnuTLS, which takes an idle process from 0.8 to 1.2 MB of private memory,
 * beyond the budget of 1 MB.
 *
 * Every connection gets one answer and is closed. Its request fits into a chan's buffer, comes
 * within METRICS_TIMEOUT_MS, and no more than METRICS_CONNS_MAX are served at once.
 */
#ifndef CLI_METRICS_SERVER_H
#define CLI_METRICS_SERVER_H

#include <stddef.h>
#include <stdio.h>
#include <uv.h>

#include "base/list.h"
#include "net/listener.h"
#include "net/timeouts.h"

#define METRICS_CONNS_MAX 16
#define METRICS_TIMEOUT_MS 5000

struct metrics_server {
	struct listener listener;
	uv_loop_t *loop;
	struct list conns; /* struct metrics_conn, those not yet closing */
	struct timeouts timeouts;
	unsigned count; /* of connections, closing ones included */
	unsigned refs;  /* the listener, the timeouts and all connections */
	/* Set by the caller before. `write` writes the document; `closed`: everything is gone. */
	void (*write)(void *owner, FILE *out);
	void (*closed)(void *owner);
	void *owner;
};

/* 0; or a negative errno: nothing is to be closed. The address listened on is listener.addr. */
int metrics_server_open(struct metrics_server *s, uv_loop_t *loop, const struct addr *addr);

/* `closed` follows, never from within. */
void metrics_server_close(struct metrics_server *s);

/* The status to answer with (200, 400, 404, 405), or 0: the request is not complete. */
int metrics_request_status(const void *data, size_t len);

#endif
