/* SPDX-License-Identifier: MIT */
/*
 * What a CGI program has written: a head of fields, an empty line, and the document (RFC 3875,
 * section 6). The program is not trusted: nothing that it writes can become another header, or
 * touch how the reply is framed.
 *
 * A Location that is a path, the RFC's local redirect, is given to the visitor as a redirection
 * like every other: the server asks nothing on its own.
 */
#ifndef SERVE_CGI_RESPONSE_H
#define SERVE_CGI_RESPONSE_H

#include <stddef.h>
#include <stdint.h>

#include "serve/field.h"

#define CGI_HEAD_MAX 32768 /* bytes up to the document */
#define CGI_FIELDS_MAX 128
#define CGI_WHY_MAX 256

struct cgi_response {
	unsigned status;    /* 200 to 599 */
	const char *reason; /* in the head, without control characters; "": none was said */
	struct field fields[CGI_FIELDS_MAX]; /* in the head; to be given on, without Status */
	size_t count;
	size_t body;     /* where the document begins */
	uint64_t length; /* of the document, as its Content-Length says; 0: it doesn't */
};

/*
 * Parses the beginning of the output, which is cut up in place. -EINVAL, and ret_why says what is
 * wrong; text of the program in it is escaped.
 */
int cgi_response_parse(
	char *head, size_t len, struct cgi_response *ret_response, char ret_why[CGI_WHY_MAX]);

#endif
