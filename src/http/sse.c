/* SPDX-License-Identifier: MIT */
/*
 * The invariant: a reader's connection is suspended exactly while its queue is empty and its stream
 * hasn't ended, so that an idle reader costs nothing. libmicrohttpd doesn't look at a suspended
 * connection. That its client is gone is found out when the next event, or sse_beat(), is written.
 *
 * libmicrohttpd asks for bytes by sse_on_read(), which suspends when there are none; an event
 * resumes (sse_reader_wake()). The response owns its reader: sse_on_free() comes when the client is
 * gone, when the stream has ended, or when the server stops.
 */
#include "http/sse.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/http_internal.h"
#include "http/http_request.h"

#define BLOCK_SIZE 4096 /* of what libmicrohttpd asks for at once */
#define BEAT ":\n\n"

struct sse_reader {
	struct list link; /* in hub->readers */
	struct sse_hub *hub;
	struct http_intake *intake;
	struct MHD_Connection *connection;
	struct sse_queue queue;
	bool suspended;
};

/* --- the queue --- */

void sse_queue_init(struct sse_queue *queue, size_t max)
{
	buf_init(&queue->events, max);
	queue->lost = 0;
}

void sse_queue_deinit(struct sse_queue *queue)
{
	buf_deinit(&queue->events);
}

static int sse_queue_append(struct sse_queue *queue, const char *event, const char *data)
{
	size_t event_len = strlen(event), data_len = strlen(data);
	size_t len = event_len + data_len + strlen("event: \ndata: \n\n");
	uint8_t *tail;
	int r = buf_reserve(&queue->events, len + 1, &tail);

	if (r < 0)
		return r;
	(void)snprintf((char *)tail, len + 1, "event: %s\ndata: %s\n\n", event, data);
	buf_commit(&queue->events, len);
	return 0;
}

void sse_queue_push(struct sse_queue *queue, const char *event, const char *data)
{
	if (queue->lost || sse_queue_append(queue, event, data) < 0)
		queue->lost++;
}

size_t sse_queue_pull(struct sse_queue *queue, char *out, size_t max)
{
	size_t len = buf_len(&queue->events);
	char text[64];

	if (len == 0 && queue->lost) {
		(void)snprintf(
			text, sizeof(text), "{\"count\":%llu}", (unsigned long long)queue->lost);
		if (sse_queue_append(queue, SSE_LOST, text) == 0)
			queue->lost = 0;
		len = buf_len(&queue->events);
	}
	if (len > max)
		len = max;
	if (len) {
		memcpy(out, buf_head(&queue->events), len);
		buf_consume(&queue->events, len);
	}
	return len;
}

/* --- readers --- */

static ssize_t sse_on_read(void *owner, uint64_t pos, char *out, size_t max)
{
	struct sse_reader *reader = owner;
	size_t len = sse_queue_pull(&reader->queue, out, max);

	if (len)
		return (ssize_t)len;
	if (reader->hub->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	reader->suspended = true;
	MHD_suspend_connection(reader->connection);
	return 0;
}

static void sse_on_free(void *owner)
{
	struct sse_reader *reader = owner;

	list_remove(&reader->link);
	reader->hub->count--;
	sse_queue_deinit(&reader->queue);
	free(reader);
}

static void sse_reader_wake(struct sse_reader *reader)
{
	if (!reader->suspended)
		return;
	reader->suspended = false;
	MHD_resume_connection(reader->connection);
	http_server_wake(reader->intake);
}

void sse_hub_init(struct sse_hub *hub)
{
	list_init(&hub->readers);
	hub->count = 0;
	hub->ended = false;
}

struct sse_reader *sse_accept(struct sse_hub *hub, struct http_request *request)
{
	struct MHD_Response *response = NULL;
	struct sse_reader *reader = NULL;

	if (hub->ended || hub->count >= SSE_READERS_MAX) {
		http_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
			"there are %u readers of events already", hub->count);
		return NULL;
	}
	reader = calloc(1, sizeof(*reader));
	if (reader)
		response = MHD_create_response_from_callback(
			MHD_SIZE_UNKNOWN, BLOCK_SIZE, sse_on_read, reader, sse_on_free);
	if (!response) {
		free(reader);
		http_request_reply(request, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL);
		return NULL;
	}
	reader->hub = hub;
	reader->intake = request->intake;
	reader->connection = request->connection;
	sse_queue_init(&reader->queue, SSE_QUEUE_MAX);
	list_push_back(&hub->readers, &reader->link);
	hub->count++;
	http_response_add(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
	http_request_reply(request, MHD_HTTP_OK, response);
	return reader;
}

void sse_send(struct sse_reader *reader, const char *event, const char *data)
{
	sse_queue_push(&reader->queue, event, data);
	sse_reader_wake(reader);
}

void sse_publish(struct sse_hub *hub, const char *event, const char *data)
{
	list_for_each(pos, &hub->readers)
		sse_send(list_entry(pos, struct sse_reader, link), event, data);
}

void sse_beat(struct sse_hub *hub)
{
	list_for_each(pos, &hub->readers) {
		struct sse_reader *reader = list_entry(pos, struct sse_reader, link);

		/* Who has something in its queue is written to anyway. */
		if (reader->suspended && buf_append(&reader->queue.events, BEAT, strlen(BEAT)) == 0)
			sse_reader_wake(reader);
	}
}

void sse_hub_end(struct sse_hub *hub)
{
	hub->ended = true;
	list_for_each(pos, &hub->readers)
		sse_reader_wake(list_entry(pos, struct sse_reader, link));
}
