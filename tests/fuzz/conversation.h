/* SPDX-License-Identifier: MIT */
/* What the two ends of the handshake have in common for their fuzz targets. */
#ifndef FUZZ_CONVERSATION_H
#define FUZZ_CONVERSATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "proto/auth.h"

/* One end of a handshake and what has become of it. */
struct conversation {
	void *hs;
	/* The end's own _feed(). */
	int (*feed)(void *hs, const uint8_t *data, size_t len, size_t *ret_used, struct buf *out);
	int r;       /* what the end said last, enum handshake_result */
	size_t used; /* of the peer's bytes */
	struct buf out;
};

/* Made once, never freed: the secret is "secret". */
const struct auth *conversation_auth(void);

/* Feeds it for as long as it asks for more, and checks what it says of its use. */
void conversation_feed(struct conversation *c, const uint8_t *data, size_t size, size_t piece);

/* Both have used the same bytes and come to the same end; c's words are the first of d's. */
void conversation_assert_alike(const struct conversation *c, const struct conversation *d);

#endif
