/* SPDX-License-Identifier: MIT */
/*
 * What a server answers to: a const table of its owner's, from which the description of the API is
 * made, too.
 */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "http/param.h"

struct http_asset;
struct http_request;

enum http_method {
	HTTP_GET, /* and HEAD, which is GET without the body */
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_METHODS,
};

/*
 * Answers by one of the http_reply_...() of http/http_request.h, before it returns or later, on the
 * control loop: until then the request waits, which costs nothing.
 */
typedef void (*http_handler_fn)(void *owner, struct http_request *request);

/* An answer's status and what it says; the schema's name is one of the owner's. */
struct http_answer {
	unsigned status;
	const char *type;   /* media type; NULL: application/json; "": it has no body */
	const char *schema; /* NULL: bytes or text */
	const char *help;
};

#define HTTP_PARAMS_MAX 4
#define HTTP_ANSWERS_MAX 8

struct http_route {
	enum http_method method;
	const char *path; /* whole; "{NAME}" stands for one segment, which is the parameter NAME */
	http_handler_fn handler;
	const struct http_asset *asset; /* of http_get_asset() */
	bool open;                      /* needs no token, see http/access.h */
	size_t body_max; /* bytes; 0: a body is not looked at, and may have HTTP_BODY_IGNORED */
	const char *summary;
	const char *body_type;   /* media type; NULL: application/json */
	const char *body_schema; /* name; NULL: none, or bytes */
	bool body_required;
	bool versioned; /* it has an ETag, and where it changes something heeds If-Match */
	struct http_param params[HTTP_PARAMS_MAX];    /* up to the one without a name */
	struct http_answer answers[HTTP_ANSWERS_MAX]; /* up to the one without a status */
};

#define HTTP_BODY_IGNORED 65536

/* "GET", ... */
const char *http_method_name(enum http_method method);

#define HTTP_ALLOW_MAX sizeof("GET, HEAD, POST, PUT, DELETE")
struct http_match {
	const struct http_route *route; /* NULL: there is none */
	char allow[HTTP_ALLOW_MAX];     /* then: the methods that the path has, "": it is unknown */
	char values[HTTP_PARAMS_MAX][HTTP_VALUE_MAX + 1]; /* by parameter; "": not in the path */
};

/*
 * `path` is decoded. It is compared byte by byte, segment by segment: nothing in it is resolved or
 * left out, so that "/a/../b", "/a//b" and "/a/" are other paths than "/b", "/a/b" and "/a". A path
 * that is in the table as it stands is never taken for one with a parameter.
 */
void http_route_find(const struct http_route *routes, size_t count, const char *method,
	const char *path, struct http_match *ret_match);

/* Whether the parameter stands in the route's path; else it is one of the query. */
bool http_route_has_in_path(const struct http_route *route, const struct http_param *param);

/* What the table's owner promises: each "{NAME}" is a whole segment and has its parameter, which is
 * no HTTP_TEXT. */
bool http_route_is_sound(const struct http_route *route);

#endif
