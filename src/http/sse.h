/* SPDX-License-Identifier: MIT */
/*
 * Server-sent events (HTML standard, section 9.2): replies that don't end. A reader that is slower
 * than the events has a bounded queue. Once an event doesn't fit, it and all that follow are
 * counted until the reader has caught up, and are told as one event `lost`.
 */
#ifndef HTTP_SSE_H
#define HTTP_SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"

#define SSE_READERS_MAX 32
#define SSE_QUEUE_MAX 262144 /* bytes for each reader */
#define SSE_LOST "lost"      /* its data: {"count":N} */

struct http_request;
struct sse_reader;

struct sse_queue {
	struct buf events;
	uint64_t lost; /* events since the queue was full */
};

void sse_queue_init(struct sse_queue *queue, size_t max);
void sse_queue_deinit(struct sse_queue *queue);
/* `data` is one line. */
void sse_queue_push(struct sse_queue *queue, const char *event, const char *data);
/* How many bytes it gave, 0: there are none. */
size_t sse_queue_pull(struct sse_queue *queue, char *out, size_t max);

struct sse_hub {
	struct list readers;
	unsigned count;
	bool ended;
};

void sse_hub_init(struct sse_hub *hub);

/* Replies to the request: with the stream, or with 503 if there are too many (NULL). The reader
 * lives until its client is gone, at least until the loop is asked again. */
struct sse_reader *sse_accept(struct sse_hub *hub, struct http_request *request);

/* One event to one reader, or to all. `data` is one line. */
void sse_send(struct sse_reader *reader, const char *event, const char *data);
void sse_publish(struct sse_hub *hub, const char *event, const char *data);

/* Writes a comment to all who have had nothing else: the connection of a client that is gone fails
 * by that, and its reader goes. */
void sse_beat(struct sse_hub *hub);

/* Ends all streams, behind what is in their queues. */
void sse_hub_end(struct sse_hub *hub);

#endif
