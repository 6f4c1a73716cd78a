/* SPDX-License-Identifier: MIT */
/*
 * One direction of a connection that somebody looks at, read as messages of HTTP/1 (RFC 9112). It
 * is for showing: what is strange in a message is kept as it came, and where it can't be told where
 * one ends, nothing more is read. Pure; pieces of any length, with gaps where bytes were left out.
 */
#ifndef RECORD_HTTP_STREAM_H
#define RECORD_HTTP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define HTTP_HEAD_MAX 65536U  /* of a message; what has more isn't read */
#define HTTP_BODY_KEPT 65536U /* of a body; the rest is counted */

struct http_message {
	struct buf head;       /* as it came, up to its empty line and with it */
	struct buf body;       /* its first HTTP_BODY_KEPT bytes, without the framing of chunks */
	uint64_t body_len;     /* bytes of it that have come */
	uint64_t body_missing; /* of those that are kept nowhere though there was room: left out */
	bool whole;            /* its end has come */
	bool chunked;
};

void http_message_init(struct http_message *m);
void http_message_deinit(struct http_message *m);

/* Of a head: the value of its first field of that name, without the blanks round it. NULL: none. */
const char *http_head_field(const struct buf *head, const char *name, size_t *ret_len);

/* The next one of that name behind `*pos`, which is 0 at first and moves on. */
const char *http_head_next_field(
	const struct buf *head, size_t *pos, const char *name, size_t *ret_len);

/* The start line, without its end. */
const char *http_head_line(const struct buf *head, size_t *ret_len);

/* What follows a head. */
enum http_body {
	HTTP_BODY_FRAMED,  /* what its fields say */
	HTTP_BODY_NONE,    /* nothing, whatever they say: an answer to HEAD, 204, 304 */
	HTTP_BODY_FOREIGN, /* no HTTP any more: an upgrade, CONNECT */
};

struct http_stream_events {
	/* A message begins. NULL: nothing of it is kept. It stays until `ended`, or
	 * http_stream_leave(). */
	struct http_message *(*begun)(void *owner);
	/* Its head is there. The body of a response depends on its request. */
	enum http_body (*headed)(void *owner, const struct buf *head);
	/* It is whole. Not called for one that the stream's end has cut off. */
	void (*ended)(void *owner);
	void *owner;
};

enum http_stream_state {
	HTTP_STREAM_LINE, /* between messages */
	HTTP_STREAM_HEAD,
	HTTP_STREAM_LENGTH, /* `left` bytes of a body */
	HTTP_STREAM_CHUNK_SIZE,
	HTTP_STREAM_CHUNK, /* `left` bytes of a chunk */
	HTTP_STREAM_CHUNK_END,
	HTTP_STREAM_TRAILER,
	HTTP_STREAM_UNTIL_END, /* a body that ends with the connection */
	HTTP_STREAM_FOREIGN,   /* no HTTP: nothing more is read */
	HTTP_STREAM_ENDED,     /* nor behind the stream's end */
	HTTP_STREAM_LOST,      /* nor here, for the reason `why` */
};

struct http_stream {
	const struct http_stream_events *events;
	bool responses; /* else requests */
	enum http_stream_state state;
	uint64_t offset; /* of the next byte */
	uint64_t ended;  /* behind the last message, or the head behind which all is foreign */
	bool ends;       /* one does with what is being read */
	uint64_t left;
	/* Bytes that are shown nowhere, and would be: `body_missing` of all messages, and the gap
	 * in which a message's end or head was. Of a body behind what is kept there are none. */
	uint64_t lacking;
	size_t line_len;              /* of the line that is under way */
	bool line_text;               /* there is more in it than one CR */
	char size[20];                /* of a chunk, its digits */
	struct buf head;              /* that is under way */
	const char *why;              /* it is lost: a constant */
	struct http_message *message; /* the owner's; NULL: nothing is kept */
};

void http_stream_init(
	struct http_stream *s, const struct http_stream_events *events, bool responses);
void http_stream_deinit(struct http_stream *s);

/* `offset` is that of the first byte; what is missing before it was left out. */
void http_stream_read(struct http_stream *s, uint64_t offset, const void *data, size_t len);

/* The side has ended in order: so has a body that ends with the connection. */
void http_stream_end(struct http_stream *s, uint64_t offset);

/* The message that is under way is forgotten by its owner: the reading goes on. */
void http_stream_leave(struct http_stream *s);

/* Bytes before that offset make no difference; UINT64_MAX: nothing does any more. */
uint64_t http_stream_unwanted(const struct http_stream *s);

#endif
