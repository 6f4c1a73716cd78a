/* SPDX-License-Identifier: MIT */
/*
 * Who may ask. A page of another site that the user has open must not reach a server on loopback,
 * neither directly (it would have another Origin) nor by a name of its own that it lets point to
 * 127.0.0.1 (DNS rebinding: it would have another Host), nor by what has no Origin, as an image
 * (browsers say Sec-Fetch-Site of it). A server that the network reaches asks for a token instead,
 * which no other site knows; there may be a front with TLS before it.
 */
#ifndef HTTP_ACCESS_H
#define HTTP_ACCESS_H

#include <stdbool.h>

/* The headers' values, NULL where there is none. */
struct access_headers {
	const char *host, *origin, *authorization;
	const char *fetch_site; /* Sec-Fetch-Site; NULL as well where other sites may lead to */
};

enum access_verdict {
	ACCESS_OK,
	ACCESS_BAD_HOST,
	ACCESS_BAD_ORIGIN,
	ACCESS_BAD_SITE,
	ACCESS_BAD_TOKEN,
};

/* `token` NULL: bound to loopback. `open`: the route needs no token, for it says nothing. */
enum access_verdict access_check(
	const struct access_headers *headers, const char *token, bool open);

/* The line for the one who asked, with what to do instead. */
const char *access_verdict_text(enum access_verdict verdict);

#endif
