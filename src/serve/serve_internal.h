/* SPDX-License-Identifier: MIT */
/* What the files of this layer know of each other's insides, and of libmicrohttpd. */
#ifndef SERVE_SERVE_INTERNAL_H
#define SERVE_SERVE_INTERNAL_H

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "mhd/mhd_conns.h"

struct serve_request;

/* A connection, from libmicrohttpd's first word about it to its last. */
struct serve_conn {
	struct mhd_conn mhd;
	bool busy;        /* a request has begun and is not through */
	uint64_t idle_ms; /* since when it is about to have a request: its begin, or an answer's end
			   */
	uint64_t ended_ms; /* draining: since when the visitor has seen the end; 0: he hasn't */
	/* Owned; its daemon's thread alone looks at it. libmicrohttpd doesn't tell of the end of a
	 * request that fails before its head is through: then it lasts as long as the connection.
	 */
	struct serve_request *request;
};

/* Made at the request's first line, freed when libmicrohttpd is through with it or its connection.
 * It runs: head, body, handler, reply; a request that is refused is given its reply before. */
struct serve_request {
	struct list link; /* in the queue of the workers */
	uint64_t queued_ms;
	atomic_ullong *held_total; /* of the server */
	uint64_t held;             /* bytes counted in there */
	struct MHD_Connection *connection;
	struct serve_conn *conn; /* whose it is */
	char *target;            /* owned: as it came, for the log */
	char *parts;             /* owned: the target again, cut */
	char *path, *query;      /* in parts; query may be NULL */
	const char *method, *version;
	bool begun;  /* its head was looked at */
	int body_fd; /* owned; -1: nothing has come */
	uint64_t body_len;
	uint64_t body_seen; /* dropped bytes included */
	unsigned status;    /* of the reply; 0: there is none yet */
	uint64_t reply_len;
	char *reason;                  /* owned: the status in words; NULL: the usual ones */
	struct MHD_Response *response; /* owned; NULL with a status: out of memory */
};

/* NULL without memory. The target is a request line's. */
struct serve_request *serve_request_new(
	struct MHD_Connection *connection, const char *target, atomic_ullong *held_total);
struct serve_request *serve_request_free(struct serve_request *r);

/* Looks at the head; it may be answered by that. */
void serve_request_begin(struct serve_request *r, const char *method, const char *version);

/* False: the connection is to be closed. */
bool serve_request_take_body(struct serve_request *r, const void *data, size_t len);

/* One line on standard output. */
void serve_request_log(const struct serve_request *r);

#endif
