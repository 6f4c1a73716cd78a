/* SPDX-License-Identifier: MIT */
/*
 * One request, and its reply, as a handler sees them. Texts are the request's and live as long. All
 * of them come from the visitor; of the path it is known that it begins with a slash and has no
 * control characters.
 */
#ifndef SERVE_SERVE_REQUEST_H
#define SERVE_SERVE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct serve_request;

const char *serve_request_method(const struct serve_request *r);
const char *serve_request_version(const struct serve_request *r); /* "HTTP/1.1" */
const char *serve_request_path(const struct serve_request *r);    /* not decoded */
const char *serve_request_query(const struct serve_request *r);   /* not decoded; NULL: none */

/* NULL without it. */
const char *serve_request_header(const struct serve_request *r, const char *name);

/* Calls fn for each header, in their order. */
void serve_request_headers(struct serve_request *r,
	void (*fn)(void *data, const char *name, const char *value), void *data);

const struct sockaddr *serve_request_peer(const struct serve_request *r);

/* The body as a file of its own, read from its start; -1 when there is none. The request's. */
int serve_request_body(const struct serve_request *r, uint64_t *ret_len);

/*
 * Counts len bytes of memory in for as long as the request lives. False: there is too much already,
 * and the request has been answered with 503.
 */
bool serve_request_hold(struct serve_request *r, uint64_t len);

/* Replies. Exactly one, then its headers. The first copies; the second takes over a file, of which
 * len bytes from offset are sent; the third says its status in words, and nothing else. */
void serve_reply_data(struct serve_request *r, unsigned status, const void *data, size_t len);
void serve_reply_file(
	struct serve_request *r, unsigned status, int take_fd, uint64_t offset, uint64_t len);
void serve_reply_status(struct serve_request *r, unsigned status);

/* The words behind the status, for a reply that stands; "": the usual ones. */
void serve_reply_reason(struct serve_request *r, const char *reason);

/* Neither may hold control characters; the value may be empty. */
void serve_reply_header(struct serve_request *r, const char *name, const char *value);

#endif
