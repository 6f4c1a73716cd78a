/* SPDX-License-Identifier: MIT */
/* Text of unknown origin, for JSON. */
#ifndef HTTP_JSON_TEXT_H
#define HTTP_JSON_TEXT_H

#include <jansson.h>
#include <stddef.h>

/* Any bytes as a JSON string: what is not UTF-8 becomes U+FFFD. NULL: out of memory. */
json_t *json_text(const char *text, size_t len);

/* The same, null for NULL. */
json_t *json_text_or_null(const char *text);

#endif
