/* SPDX-License-Identifier: MIT */
/*
 * An HTTP/1.1 server on the control loop, for the page and the API of one user: libmicrohttpd with
 * its epoll descriptor under the loop, no thread of its own.
 *
 * What may ask at all is decided before a handler sees the request, see http/access.h. Bodies are
 * read whole, up to the limit of their route. What is refused for its head is answered at once, and
 * closed, unless its body is short; the peer may go on sending for a while, see net/lingering.h.
 */
#ifndef HTTP_HTTP_SERVER_H
#define HTTP_HTTP_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "net/addr.h"

#define HTTP_CONNS_MAX 128         /* at once; more are closed unheard */
#define HTTP_QUERY_MAX 32          /* parameters; 414 beyond it */
#define HTTP_CONNS_PER_ADDR_MAX 32 /* IPv4 /32, IPv6 /64; loopback is exempt */

struct http_route;
struct http_server;

struct http_server_config {
	struct addr addr; /* port 0: the kernel's choice */
	/* Asked for in `Authorization: Bearer`, and copied; NULL: the address is loopback, and
	 * requests must be addressed to it by name. */
	const char *token;
	const struct http_route *routes; /* not copied */
	size_t route_count;
	void *owner;              /* of the handlers */
	uint64_t head_timeout_ms; /* 0: MHD_HEAD_MS, see mhd/mhd.h */
	uint64_t idle_timeout_ms; /* 0: MHD_IDLE_S */
};

/* Listens. 0, or a negative errno: that of the socket, mostly. */
int http_server_new(
	uv_loop_t *loop, const struct http_server_config *config, struct http_server **ret_server);

/* With the port that was found. */
const struct addr *http_server_addr(const struct http_server *server);

/* Closes the connections that have come since http_server_new() and that no turn of the loop has
 * accepted yet. */
void http_server_drop_waiting(struct http_server *server);

/*
 * Takes no more connections, waits until every request that a handler has kept is answered, then
 * frees. The owner ends its event streams and answers what it has kept, before or soon after.
 * `closed` is the last call, never from within.
 */
void http_server_close(struct http_server *server, void (*closed)(void *owner), void *owner);

#endif
