/* SPDX-License-Identifier: MIT */
/*
 * Our extension of the bore wire: what the two ends agree on beside the stock messages. A client
 * offers, the server answers with what it grants; an ability counts when both have named it.
 * Unknown members are ignored on both sides, so that a later version can add some (`ready` is
 * reserved).
 *
 * On the wire: {"Options":{"resume":true,"token":"<hex>","beat":5000,"refuse":true,"visitor":true,
 * "move":true}}
 */
#ifndef PROTO_OPTIONS_H
#define PROTO_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTIONS_TOKEN_LEN 16 /* bytes of a resume token: not to be guessed */

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
	bool move;    /* Move is sent when the next relay takes over, and understood */
};

#define OPTIONS_BEAT_MS 5000 /* what our client offers */
#define OPTIONS_BEAT_MIN_MS 1000
#define OPTIONS_BEAT_MAX_MS 60000

/* The JSON object {"resume":…}. Decoding: -EBADMSG for a known member of the wrong type. */
int options_decode(const struct json_t *object, struct options *ret_options);
/* As snprintf(): returns the length that it has or would have. */
size_t options_format(const struct options *options, char *buf, size_t size);

#endif
