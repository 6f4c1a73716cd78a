/* SPDX-License-Identifier: MIT */
/* The inside of a JSON string. */
#ifndef PROTO_JSON_ESCAPE_H
#define PROTO_JSON_ESCAPE_H

#include <stddef.h>

/*
 * Escapes UTF-8 text as serde_json does, NUL-terminated, never cutting a character. Returns how
 * many bytes of the text found room; less than `len` as well when it is not UTF-8.
 */
size_t json_escape(const char *text, size_t len, char *buf, size_t size);

#endif
