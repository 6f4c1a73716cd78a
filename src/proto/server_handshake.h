/* SPDX-License-Identifier: MIT */
/* The relay's end of the handshake, see handshake.h. */
#ifndef PROTO_SERVER_HANDSHAKE_H
#define PROTO_SERVER_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "proto/auth.h"
#include "proto/handshake.h"
#include "proto/msg.h"

enum server_request {
	SERVER_TUNNEL, /* Hello: wants `port` */
	SERVER_STREAM, /* Accept: wants the visitor `id` */
	SERVER_READY,  /* Ready: waits for visitors of the session whose key `id` is */
};

struct server_handshake {
	/* Set by the caller. */
	const struct auth *auth; /* NULL: no secret */
	bool line_dialect;       /* the line dialect is served */

	/* Results. */
	enum dialect dialect; /* known from the first byte on */
	enum server_request request;
	uint16_t port;
	struct uuid id;
	enum handshake_failure failure;
	bool told; /* FAILED: an Error text is in `out`; if not, close with a reset */

	/* Own. */
	int step;
	bool challenged;
	bool auth_line; /* the client has sent one */
	bool is_stream; /* an Accept or Ready was seen: what the client hears is a visitor's */
	struct uuid challenge;
};

/*
 * Begins; returns HANDSHAKE_MORE. `speaks_json`: this address is known to speak JSON only, so the
 * challenge goes out at once. Otherwise *ret_wait may say that the caller is to call
 * server_handshake_challenge() after HANDSHAKE_CHALLENGE_WAIT_MS.
 */
int server_handshake_start(
	struct server_handshake *hs, bool speaks_json, struct buf *out, bool *ret_wait);

/* Sends the challenge unless the client speaks lines or has it already. HANDSHAKE_MORE. */
int server_handshake_challenge(struct server_handshake *hs, struct buf *out);

/*
 * Eats up to `len` bytes, *ret_used of them. DONE: `request` is to be answered by the caller
 * (msg_append() in `dialect`); what follows in `data` belongs to the tunnel or to the stream.
 * FAILED: the Error text, if there is one for this, is already in `out`; a data connection gets
 * none. Not to be called again after either.
 */
int server_handshake_feed(struct server_handshake *hs, const uint8_t *data, size_t len,
	size_t *ret_used, struct buf *out);

/*
 * The deadline has passed. HANDSHAKE_FAILED. `may_be_stream`: the client may have said its Accept,
 * which is on its way yet; if not, appends what stock says then.
 */
int server_handshake_expire(struct server_handshake *hs, bool may_be_stream, struct buf *out);

#endif
