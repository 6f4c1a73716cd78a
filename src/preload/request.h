/* SPDX-License-Identifier: MIT */
/* Where a request of HTTP/1 ends (RFC 9112, section 6.3), as clients write it: in pieces of any
 * length. */
#ifndef PRELOAD_REQUEST_H
#define PRELOAD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#define REQUEST_LINE_MAX 48 /* enough for a Content-Length of 64 bits */

/* A new one when zeroed. */
struct request {
	enum {
		REQUEST_BEGINS, /* its first line is to come */
		REQUEST_HEAD,
		REQUEST_BODY,
		REQUEST_CHUNKS,
		REQUEST_WHOLE,
	} stage;
	bool head_only; /* it is HEAD: its answer has no body */
	bool chunked;
	unsigned long long left;     /* of the body */
	char line[REQUEST_LINE_MAX]; /* how the line begins that is not complete; of chunks: how far
					the last one has come is in `len` */
	size_t len;                  /* of the whole line */
};

/*
 * More of it has come. Returns whether all of it has. What comes behind its end is another one's
 * and is not looked at. A piece of a body in chunks that looks like the last chunk counts as such
 * when it is the last that came.
 */
bool request_read(struct request *r, const char *bytes, size_t len);

#endif
