/* SPDX-License-Identifier: MIT */
/*
 * The relay's end of the handshake against a hostile client. The first byte chooses the secret, the
 * dialects and when the challenge goes out, the second the size of the pieces; the rest is what the
 * client sends. In pieces it must end as it does in one. The challenge is always the same, so that
 * the fuzzer gets past it with a tag from the seeds.
 */
#include <assert.h>

#include "conversation.h"
#include "fuzz.h"
#include "proto/server_handshake.h"

#define OUT_MAX 8192

/* Stands in for uuid_random() by the linker's --wrap. */
int __wrap_uuid_random(struct uuid *ret_uuid);
int __wrap_uuid_random(struct uuid *ret_uuid)
{
	for (size_t i = 0; i < sizeof ret_uuid->bytes; i++)
		ret_uuid->bytes[i] = (uint8_t)i;
	return 0;
}

static int feed(void *hs, const uint8_t *data, size_t len, size_t *ret_used, struct buf *out)
{
	return server_handshake_feed(hs, data, len, ret_used, out);
}

static void converse(uint8_t how, const uint8_t *data, size_t size, size_t piece,
	struct server_handshake *hs, struct conversation *c)
{
	bool wait;

	*hs = (struct server_handshake){ .auth = how & 1 ? conversation_auth() : NULL,
		.line_dialect = how & 2 };
	*c = (struct conversation){ .hs = hs, .feed = feed };
	buf_init(&c->out, OUT_MAX);
	c->r = server_handshake_start(hs, how & 4, &c->out, &wait);
	if (wait && how & 8)
		c->r = server_handshake_challenge(hs, &c->out);
	conversation_feed(c, data, size, piece);
	if (c->r == HANDSHAKE_MORE && how & 16)
		c->r = server_handshake_expire(hs, how & 32, &c->out);
	assert(c->r >= HANDSHAKE_MORE && c->r <= HANDSHAKE_FAILED);
	assert((c->r == HANDSHAKE_FAILED) == (hs->failure != HANDSHAKE_OK));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct server_handshake whole_hs, pieces_hs;
	struct conversation whole, pieces;

	if (size < 2)
		return 0;
	converse(data[0], data + 2, size - 2, size, &whole_hs, &whole);
	converse(data[0], data + 2, size - 2, data[1] % 64 + 1, &pieces_hs, &pieces);
	conversation_assert_alike(&whole, &pieces);
	assert(whole_hs.failure == pieces_hs.failure);
	assert(whole_hs.dialect == pieces_hs.dialect);
	assert(whole_hs.request == pieces_hs.request && whole_hs.port == pieces_hs.port);
	assert(uuid_equal(&whole_hs.id, &pieces_hs.id));
	/* Words are kept back for an Accept behind a wrong answer, if it is there already. */
	assert(buf_len(&whole.out) == buf_len(&pieces.out) ||
		(whole_hs.is_stream && !whole_hs.told && pieces_hs.told));
	buf_deinit(&whole.out);
	buf_deinit(&pieces.out);
	return 0;
}
