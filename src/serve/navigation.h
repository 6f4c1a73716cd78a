/* SPDX-License-Identifier: MIT */
/* Whether a request comes from somebody who opens an address, rather than from a page that loads
 * what it needs. */
#ifndef SERVE_NAVIGATION_H
#define SERVE_NAVIGATION_H

#include <stdbool.h>

struct navigation {
	const char *path;       /* decoded, begins with a slash */
	const char *accept;     /* the header; NULL: none */
	const char *fetch_mode; /* Sec-Fetch-Mode; NULL: none, as without TLS except on localhost */
};

/*
 * Browsers say it themselves (Sec-Fetch-Mode, W3C Fetch Metadata), or ask for text/html by name,
 * which they do for nothing else. Who takes whatever there is, without an Accept or with one that
 * says just that, counts too: curl, robots that preview a link, and on plain HTTP a script's
 * fetch(). Where the name's end says that it is no page, such as ".js", it is an asset for all of
 * them.
 */
bool navigation_is(const struct navigation *n);

#endif
