/* SPDX-License-Identifier: MIT */
/*
 * The client's end of the handshake against a hostile relay. The first byte chooses the dialect,
 * the goal, the secret and the offer, the second the size of the pieces; the rest is what the relay
 * sends. In pieces it must end as it does in one.
 */
#include <assert.h>

#include "conversation.h"
#include "fuzz.h"
#include "proto/client_handshake.h"

#define OUT_MAX 8192

static int feed(void *hs, const uint8_t *data, size_t len, size_t *ret_used, struct buf *out)
{
	return client_handshake_feed(hs, data, len, ret_used, out);
}

static void converse(uint8_t how, const uint8_t *data, size_t size, size_t piece,
	struct client_handshake *hs, struct conversation *c)
{
	static const struct options offer = { .resume = true, .beat_ms = OPTIONS_BEAT_MS };
	/* Lines know no Ready. */
	enum client_goal data_goal = (how & 65) == 64 ? CLIENT_READY : CLIENT_STREAM;

	*hs = (struct client_handshake){
		.dialect = how & 1 ? DIALECT_LINE : DIALECT_BORE,
		.goal = how & 2 ? data_goal : CLIENT_TUNNEL,
		.auth = how & 4 ? conversation_auth() : NULL,
		.offer = how & 8 ? &offer : NULL,
		.port = how & 16 ? 9000 : 0,
		.local_port = 80,
	};
	*c = (struct conversation){ .hs = hs, .feed = feed };
	buf_init(&c->out, OUT_MAX);
	c->r = client_handshake_start(hs, &c->out);
	conversation_feed(c, data, size, piece);
	assert(c->r >= HANDSHAKE_MORE && c->r <= HANDSHAKE_FAILED);
	assert((c->r == HANDSHAKE_FAILED) == (hs->failure != HANDSHAKE_OK));
	if (c->r == HANDSHAKE_MORE)
		assert(client_handshake_cut(hs, how & 32) != HANDSHAKE_OK);
	if (c->r == HANDSHAKE_DONE)
		assert((hs->goal == CLIENT_TUNNEL) == (hs->public_port != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client_handshake whole_hs, pieces_hs;
	struct conversation whole, pieces;

	if (size < 2)
		return 0;
	converse(data[0], data + 2, size - 2, size, &whole_hs, &whole);
	converse(data[0], data + 2, size - 2, data[1] % 64 + 1, &pieces_hs, &pieces);
	/* An Error is the relay's if it comes together with a data connection's challenge. */
	if (pieces.r != HANDSHAKE_DONE || pieces_hs.goal == CLIENT_TUNNEL ||
		whole.r != HANDSHAKE_FAILED) {
		conversation_assert_alike(&whole, &pieces);
		assert(buf_len(&whole.out) == buf_len(&pieces.out));
		assert(whole_hs.failure == pieces_hs.failure);
		assert(whole_hs.public_port == pieces_hs.public_port);
		assert(whole_hs.error_len == pieces_hs.error_len);
	}
	buf_deinit(&whole.out);
	buf_deinit(&pieces.out);
	return 0;
}
