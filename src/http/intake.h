/* SPDX-License-Identifier: MIT */
/*
 * The way of a request: in, through its head and its body to its handler, and out, with the reply.
 * These are callbacks of libmicrohttpd, which calls them for one request in this order; the intake
 * is their owner where they have one.
 */
#ifndef HTTP_INTAKE_H
#define HTTP_INTAKE_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#include "net/addr.h"

struct http_route;

/* What requests are judged by; embedded in the server. */
struct http_intake {
	struct addr addr; /* the server's own */
	char *token;      /* owned; NULL: none is asked for */
	const struct http_route *routes;
	size_t route_count;
	void *owner;   /* of the handlers */
	bool closing;  /* handlers are not to be bothered any more */
	unsigned kept; /* requests whose handler has returned without a reply */
};

/* For MHD_OPTION_URI_LOG_CALLBACK: the target of the first line, as it came. */
void *intake_on_target(void *owner, const char *target, struct MHD_Connection *connection);

/* For MHD_OPTION_UNESCAPE_CALLBACK: the names and values in the query, and the path. */
size_t intake_on_unescape(void *owner, struct MHD_Connection *connection, char *text);

/* For MHD_start_daemon(): the head is through; a piece of the body has come; it has ended; a
 * request that was kept goes on. */
enum MHD_Result intake_on_access(void *intake, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *data, size_t *len, void **ret_request);

/* For MHD_OPTION_NOTIFY_COMPLETED: the reply is written, or the connection has failed. Frees the
 * request. */
void intake_on_completed(void *owner, struct MHD_Connection *connection, void **ret_request,
	enum MHD_RequestTerminationCode code);

#endif
