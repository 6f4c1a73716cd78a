/* SPDX-License-Identifier: MIT */
/* The client's end of the handshake, see handshake.h. */
#ifndef PROTO_CLIENT_HANDSHAKE_H
#define PROTO_CLIENT_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "proto/auth.h"
#include "proto/handshake.h"
#include "proto/msg.h"

enum client_goal {
	CLIENT_TUNNEL, /* Hello: this becomes a control connection */
	CLIENT_STREAM, /* Accept: this becomes a visitor's raw stream */
	CLIENT_READY,  /* Ready, in JSON: this waits for visitors; see docs/protocol.md */
};

struct client_handshake {
	/* Set by the caller, which keeps what is pointed to alive. */
	enum dialect dialect;
	enum client_goal goal;
	uint16_t port;               /* CLIENT_TUNNEL: wanted public port, 0 for any */
	uint16_t local_port;         /* CLIENT_TUNNEL, line dialect: the server ignores it */
	struct uuid id;              /* CLIENT_STREAM; CLIENT_READY: the session's key */
	const struct auth *auth;     /* NULL: no secret; keeps its text for the line dialect */
	const struct options *offer; /* CLIENT_TUNNEL in JSON: sent with Hello; NULL: none */

	/* Results. */
	uint16_t public_port; /* CLIENT_TUNNEL, DONE */
	enum handshake_failure failure;
	size_t error_len; /* the relay's own Error text, not escaped; 0: it gave none */
	char error[MSG_MAX + 1];

	/* Own. */
	bool heard; /* the relay's first byte has come */
	int step;
};

/*
 * Begins: appends to `out` what the client says before the server has spoken. Returns
 * HANDSHAKE_MORE, HANDSHAKE_DONE where nothing is awaited (an Accept or Ready without a secret),
 * HANDSHAKE_FAILED (a secret that does not fit into a line), or negative errno.
 */
int client_handshake_start(struct client_handshake *hs, struct buf *out);

/*
 * Eats up to `len` bytes, *ret_used of them; appends the answer to `out`. enum handshake_result or
 * negative errno. Not to be called again after DONE or FAILED.
 */
int client_handshake_feed(struct client_handshake *hs, const uint8_t *data, size_t len,
	size_t *ret_used, struct buf *out);

/* What the end of the stream (or the deadline) means at this point: never HANDSHAKE_OK. */
enum handshake_failure client_handshake_cut(const struct client_handshake *hs, bool timed_out);

#endif
