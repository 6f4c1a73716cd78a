/* SPDX-License-Identifier: MIT */
/*
 * A recorded request, made anew to be sent again, as it was or edited. What concerned its
 * connection (RFC 9110, 7.6.1) and its framing is left out and made anew: there is one request on
 * the new connection, and its body is sent at once. Pure.
 */
#ifndef RECORD_AGAIN_H
#define RECORD_AGAIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "record/recorder.h"

#define AGAIN_MARK "X-Wasmrun-Replay"
#define AGAIN_MAX (HTTP_HEAD_MAX + HTTP_BODY_KEPT) /* bytes of a request that is sent again */

struct again_text {
	const char *data; /* NULL: as it was */
	size_t len;
};

struct again_header {
	struct again_text name, value;
};

struct again_edit {
	struct again_text method, target, body;
	const struct again_header *headers; /* all of them; NULL: as they were */
	size_t header_count;
};

/* Why the exchange can't be sent again with that edit, a constant. NULL: it can. */
const char *again_refusal(const struct exchange *e, const struct again_edit *edit);

/*
 * Writes the request into ret_request, which was initialized with AGAIN_MAX. NULL; or what is wrong
 * with the edit, a constant; ret_request is the caller's in any case.
 */
const char *again_write(
	const struct exchange *e, const struct again_edit *edit, struct buf *ret_request);

#endif
