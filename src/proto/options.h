/* SPDX-License-Identifier: MIT */
/*
 * Our extension of the bore wire: what the two ends agree on beside the stock messages. A client
 * offers, the server answers with what it grants; an ability counts when both have named it.
 * Unknown members are ignored on both sides, so that a later version can add some.
 *
 * On the wire: {"Options":{"resume":true,"token":"<hex>","beat":5000,"refuse":true,"visitor":true,
 * "move":true,"ready":64,"key":"<uuid>"}}
 */
#ifndef PROTO_OPTIONS_H
#define PROTO_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"

#define OPTIONS_TOKEN_LEN 16 /* bytes of a resume token: not to be guessed */
#define OPTIONS_READY_MAX 4096

struct json_t;

struct options {
	/*
	 * The client can resume, the server gives tokens. `has_token`: from the client, the one
	 * that it got last and presents now; from the server, the next one to present.
	 */
	bool resume;
	bool has_token;
	uint8_t token[OPTIONS_TOKEN_LEN];
	/*
	 * 0: no beat. Client: it will send a Heartbeat every `beat_ms`; server: it will count the
	 * client as dead after three of them have failed to come. OPTIONS_BEAT_MIN_MS to
	 * OPTIONS_BEAT_MAX_MS; on the wire, a value out of that range counts as 0.
	 */
	uint32_t beat_ms;
	bool refuse;  /* Refuse messages are sent and understood */
	bool visitor; /* visitors are announced with their address, by Visitor messages */
	/* Warm connections: client: as many as it would keep; server: as many as it parks. 0: none.
	 * On the wire, more than OPTIONS_READY_MAX counts as that. */
	uint32_t ready;
	bool has_key; /* from the server, with `ready`: what its warm connections name (MSG_READY)
		       */
	struct uuid key;
	bool move; /* Move is sent when the next relay takes over, and understood */
};

#define OPTIONS_BEAT_MS 5000 /* what our client offers */
#define OPTIONS_BEAT_MIN_MS 1000
#define OPTIONS_BEAT_MAX_MS 60000

/* The JSON object {"resume":…}. Decoding: -EBADMSG for a known member of the wrong type. */
int options_decode(const struct json_t *object, struct options *ret_options);
/* As snprintf(): returns the length that it has or would have. */
size_t options_format(const struct options *options, char *buf, size_t size);

#endif
