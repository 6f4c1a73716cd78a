/* SPDX-License-Identifier: MIT */
/* Telling UTF-8 from other bytes (RFC 3629): no overlong forms, no surrogates, up to U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>

/* How many of the len bytes at text are its first character; 0 when they begin with none. */
size_t utf8_len(const char *text, size_t len);

#endif
