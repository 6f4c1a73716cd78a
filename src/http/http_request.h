/* SPDX-License-Identifier: MIT */
/*
 * One request, as a handler sees it: whole, allowed, and waiting for exactly one reply. It is valid
 * until then.
 */
#ifndef HTTP_HTTP_REQUEST_H
#define HTTP_HTTP_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lang.h"

#define HTTP_ERROR_TEXT_MAX 1024
#define HTTP_ETAG_MAX 64 /* with its quotes and a NUL */

struct http_request;

/*
 * A parameter of the request's route by its name, decoded, and as the table of routes wants it:
 * what was wrong, or missing, was answered with 400. Where it isn't in the query: NULL, the
 * fallback, -1.
 */
const char *http_request_text(const struct http_request *request, const char *name);
uint64_t http_request_number(const struct http_request *request, const char *name);
int http_request_word(const struct http_request *request, const char *name);

void http_request_body(const struct http_request *request, const void **ret_data, size_t *ret_len);

/* Of a route that is `versioned`: If-Match as it was sent (RFC 9110, 13.1.1). NULL: there is none,
 * and whatever is there may be replaced. */
const char *http_request_if_match(const struct http_request *request);
/* The reply that follows has this as its entity tag, which the request's owner may free. */
void http_request_set_etag(struct http_request *request, const char *etag);

/* The body as a JSON object, which the caller owns; empty where there is no body. NULL: it is
 * none, and 400 has been sent. */
json_t *http_request_json(struct http_request *request);

/* Takes `body` over; NULL (out of memory) is answered with 500. */
void http_reply_json(struct http_request *request, unsigned status, json_t *body);
/* {"success":false,"error":"..."} */
void http_reply_error(struct http_request *request, unsigned status, const char *fmt, ...)
	_printf_(3, 4);
/* Copies the data, and wipes its copy when it is sent. */
void http_reply_bytes(struct http_request *request, unsigned status, const char *type,
	const void *data, size_t len);

#endif
