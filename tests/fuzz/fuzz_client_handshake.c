/* SPDX-License-Identifier: MIT */
/*
 * The client's end of the handshake against a hostile relay. The first byte chooses the dialect,
 * the goal, the secret and the offer, the second the size of the pieces; the rest is what the relay
 * sends. In pieces it must end as it does in one.
 */
#include <assert.h>
#include <string.h>

#include "base/lang.h"
#include "fuzz.h"
#include "proto/client_handshake.h"

#define OUT_MAX 8192

struct outcome {
	int r;
	size_t used;
	struct client_handshake hs;
	struct buf out;
};

static const struct auth *auth_get(void)
{
	static struct auth *auth;
	struct secret secret = { 0 };

	if (!auth && (secret_set(&secret, "secret", 6) < 0 || auth_new(&secret, true, &auth) < 0))
		assert(!"no memory");
	secret_clear(&secret);
	return auth;
}

static void converse(uint8_t how, const uint8_t *data, size_t size, size_t chunk, struct outcome *o)
{
	static const struct options offer = { .resume = true, .beat_ms = OPTIONS_BEAT_MS };
	size_t used, given = 0;

	*o = (struct outcome){ .hs = {
				       .dialect = how & 1 ? DIALECT_LINE : DIALECT_BORE,
				       .goal = how & 2 ? CLIENT_STREAM : CLIENT_TUNNEL,
				       .auth = how & 4 ? auth_get() : NULL,
				       .offer = how & 8 ? &offer : NULL,
				       .port = how & 16 ? 9000 : 0,
				       .local_port = 80,
			       } };
	buf_init(&o->out, OUT_MAX);
	o->r = client_handshake_start(&o->hs, &o->out);
	while (o->r == HANDSHAKE_MORE && given < size) {
		given += min_u64(chunk, size - given);
		o->r = client_handshake_feed(
			&o->hs, data + o->used, given - o->used, &used, &o->out);
		assert(used <= given - o->used);
		o->used += used;
		if (o->r == HANDSHAKE_MORE)
			assert(given - o->used <= MSG_MAX);
	}
	assert(o->r >= HANDSHAKE_MORE && o->r <= HANDSHAKE_FAILED);
	assert((o->r == HANDSHAKE_FAILED) == (o->hs.failure != HANDSHAKE_OK));
	if (o->r == HANDSHAKE_MORE)
		assert(client_handshake_cut(&o->hs, how & 32) != HANDSHAKE_OK);
	if (o->r == HANDSHAKE_DONE)
		assert((o->hs.goal == CLIENT_TUNNEL) == (o->hs.public_port != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, pieces;

	if (size < 2)
		return 0;
	converse(data[0], data + 2, size - 2, size, &whole);
	converse(data[0], data + 2, size - 2, data[1] % 64 + 1, &pieces);
	/* An Error is the relay's if it comes together with a data connection's challenge. */
	if (pieces.r != HANDSHAKE_DONE || pieces.hs.goal != CLIENT_STREAM || !whole.hs.error_len) {
		assert(whole.r == pieces.r && whole.used == pieces.used);
		assert(whole.hs.failure == pieces.hs.failure);
		assert(whole.hs.public_port == pieces.hs.public_port);
		assert(whole.hs.error_len == pieces.hs.error_len);
		assert(buf_len(&whole.out) == buf_len(&pieces.out));
		assert(!buf_len(&whole.out) || memcmp(buf_head(&whole.out), buf_head(&pieces.out),
						       buf_len(&whole.out)) == 0);
	}
	buf_deinit(&whole.out);
	buf_deinit(&pieces.out);
	return 0;
}
