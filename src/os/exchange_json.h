/* SPDX-License-Identifier: MIT */
/*
 * Recorded exchanges for the API: what is no text comes in base64, so that nothing of it is lost on
 * the way. Each returns NULL when there is no memory.
 */
#ifndef OS_EXCHANGE_JSON_H
#define OS_EXCHANGE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct exchange;
struct http_message;

/* One, without heads and bodies: a RecordedRequest. */
json_t *exchange_json(const struct exchange *e);

/* A RecordedMessage; null as long as its head is not there. */
json_t *exchange_message_json(const struct http_message *m);

/* The body that is kept, as text or in base64. */
json_t *exchange_body_json(const struct http_message *m, bool *ret_is_text);

/* A head's fields, in order: [{"name": "value"}]. */
json_t *exchange_headers_json(const struct buf *head);

/* The next blank-separated word of a start line, which moves on; the last one takes the rest. */
json_t *exchange_line_word(const char **line, size_t *len, bool last);

/* Whether the values of a field of that name let somebody in: Authorization, Cookie and their like.
 */
bool exchange_is_secret(const char *name);

/* Milliseconds, with a fraction. */
json_t *exchange_ms_json(uint64_t us);

#endif
