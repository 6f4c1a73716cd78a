/* SPDX-License-Identifier: MIT */
/*
 * A file that is part of the program, as tools/embed makes them of a folder. A browser keeps a copy
 * and asks for it again each time, by its entity tag, which costs an answer without a body
 * (RFC 9110, 13.1.2); unless the name tells the contents, then it never asks.
 */
#ifndef HTTP_ASSET_H
#define HTTP_ASSET_H

#include <stdbool.h>
#include <stddef.h>

struct http_request;

struct http_asset {
	const char *path; /* whole: "/", "/page.js" */
	const char *type;
	const char *etag; /* of its contents, in quotes */
	bool immutable;   /* its name has a hash of its contents */
	const void *data;
	size_t len;
};

/* The handler of a route that has one. */
void http_get_asset(void *owner, struct http_request *request);

#endif
