/* SPDX-License-Identifier: MIT */
/* A reply that is made while it is sent: one piece of it is in memory, and between two of them the
 * loop goes on. */
#ifndef HTTP_PIECES_H
#define HTTP_PIECES_H

#include <stddef.h>

struct http_request;

struct http_pieces {
	/* 1: the next piece, from malloc(3), is taken over. 0: there are no more. A negative errno:
	 * the connection ends before the reply does, so that it doesn't look whole. */
	int (*next)(void *owner, char **ret_text, size_t *ret_len);
	/* The last call: it is sent, or nobody wants it any more. */
	void (*done)(void *owner);
	void *owner;
};

/* With status 200. Out of memory: 500, and `done` is called. */
void http_reply_pieces(
	struct http_request *request, const char *type, const struct http_pieces *pieces);

#endif
