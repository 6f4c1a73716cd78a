/* SPDX-License-Identifier: MIT */
/* Where an answer of HTTP/1 ends (RFC 9112, section 6.3), as hyper in the wasmtime command writes
 * it. */
#ifndef PRELOAD_ANSWER_H
#define PRELOAD_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

/* More than any length that is told. */
#define ANSWER_CHUNKS (~0U)          /* with its last chunk, see answer_is_last_chunk() */
#define ANSWER_OPEN (~0U - 1)        /* with the connection */
#define ANSWER_PROVISIONAL (~0U - 2) /* it is none, another one follows */
#define ANSWER_LONG (~0U - 3)        /* so long or longer */

/*
 * How many bytes it has, head and all, or one of the above. `text` begins with its whole head,
 * which hyper writes at once. `head_only`: the request was HEAD.
 */
unsigned answer_len(const char *text, size_t len, bool head_only);

/* The length of an answer's first line; 0: these bytes are something else, or provisional. */
size_t answer_line_len(const char *text, size_t len);

/* A piece of the document that looks the same counts for the end too. */
bool answer_is_last_chunk(const char *text, size_t len);

#endif
