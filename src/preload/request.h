/* SPDX-License-Identifier: MIT */
/* Where a request of HTTP/1 ends (RFC 9112, section 6.3), as clients write it. */
#ifndef PRELOAD_REQUEST_H
#define PRELOAD_REQUEST_H

#include <stddef.h>

#define REQUEST_HEAD_END "\r\n\r\n"

/* How many bytes it has, head and all, or one of answer.h: ANSWER_CHUNKS, ANSWER_LONG, or
 * ANSWER_OPEN while its head goes on behind `text`, which it begins. */
unsigned request_len(const char *text, size_t len);

#endif
