/* SPDX-License-Identifier: MIT */
/* What the files of this layer know of each other's insides, and of libmicrohttpd. */
#ifndef HTTP_HTTP_INTERNAL_H
#define HTTP_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/http_request.h"
#include "http/intake.h"
#include "http/route.h"

/*
 * Made at the request's first line, freed when libmicrohttpd is through with it. It runs: body,
 * then the handler, then the reply; a request that is refused is given its reply at once, and its
 * body is dropped where it isn't left unread.
 */
struct http_request {
	struct http_intake *intake;
	struct MHD_Connection *connection;
	struct http_match match; /* its route */
	uint64_t body_len;       /* as announced; 0 where nothing, or nothing in numbers, is */
	bool is_short;           /* the body is read to its end though the reply stands */
	struct buf body;
	uint64_t body_seen; /* bytes, dropped ones included */
	bool handled;       /* the handler has been called */
	bool replied;
	bool kept;                     /* suspended: the handler has returned without a reply */
	unsigned status;               /* of the reply */
	char etag[HTTP_ETAG_MAX];      /* of the reply; "": it has none */
	struct MHD_Response *response; /* owned; NULL though replied: out of memory */
};

/* Takes `response` over; NULL: the connection is closed. */
void http_request_reply(
	struct http_request *request, unsigned status, struct MHD_Response *response);

/* Of the route that was found. False: one is wrong, and 400 has been sent. */
bool http_request_check_params(struct http_request *request);

/* A header whose text is known to be right; without memory for it the reply goes without. */
void http_response_add(struct MHD_Response *response, const char *name, const char *value);

/* A connection of this server's intake was resumed: without a thread of its own libmicrohttpd isn't
 * woken by that. */
void http_server_wake(struct http_intake *intake);

#endif
