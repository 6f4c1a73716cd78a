/* SPDX-License-Identifier: MIT */
/* The fields of a head (RFC 9110, 5): whose they are, and those that the user wants in all answers.
 */
#ifndef SERVE_FIELD_H
#define SERVE_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#define FIELDS_LEN_MAX \
	16384 /* bytes of all the user's fields; they share a buffer with the request */

struct field {
	const char *name, *value; /* without control characters */
};

/* How many characters of a token (RFC 9110, 5.6.2) the text begins with. */
size_t field_token_len(const char *text, size_t len);

/* Of one connection, or of how a reply is framed: the server's business (RFC 9110, 7.6.1). */
bool field_is_servers(const char *name, size_t len);

/* NULL where "NAME: VALUE" can stand in each answer, else why it can't: one clause. */
const char *field_refusal(const char *text);

/* Cuts such a text up in place. */
struct field field_split(char *text);

#endif
