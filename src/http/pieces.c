/* SPDX-License-Identifier: MIT */
/* libmicrohttpd asks for the next bytes when the peer has taken those before. Here that is a part
 * of a piece; a piece is made when the one before it is sent, and wiped when it is. */
#include "http/pieces.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"
#include "base/secret.h"
#include "http/http_internal.h"
#include "http/http_request.h"

#define BLOCK_SIZE 65536 /* of what libmicrohttpd asks for at once */

struct pieces {
	struct http_pieces from;
	char *text; /* owned; NULL: the next one has to be made */
	size_t len, at;
};

static ssize_t pieces_on_read(void *owner, uint64_t pos, char *out, size_t max)
{
	struct pieces *p = owner;
	size_t n;
	int r;

	while (p->at == p->len) {
		secret_free(p->text);
		p->text = NULL;
		p->at = p->len = 0;
		r = p->from.next(p->from.owner, &p->text, &p->len);
		if (r < 0)
			return MHD_CONTENT_READER_END_WITH_ERROR;
		if (r == 0)
			return MHD_CONTENT_READER_END_OF_STREAM;
	}
	n = (size_t)min_u64(max, p->len - p->at);
	memcpy(out, p->text + p->at, n);
	p->at += n;
	return (ssize_t)n;
}

static void pieces_on_free(void *owner)
{
	struct pieces *p = owner;

	p->from.done(p->from.owner);
	secret_free(p->text);
	free(p);
}

void http_reply_pieces(
	struct http_request *request, const char *type, const struct http_pieces *pieces)
{
	struct pieces *p = calloc(1, sizeof(*p));
	struct MHD_Response *response = NULL;

	if (p) {
		p->from = *pieces;
		response = MHD_create_response_from_callback(
			MHD_SIZE_UNKNOWN, BLOCK_SIZE, pieces_on_read, p, pieces_on_free);
	}
	if (!response) {
		free(p);
		pieces->done(pieces->owner);
		http_request_reply(request, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL);
		return;
	}
	http_response_add(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	http_request_reply(request, MHD_HTTP_OK, response);
}
