/* SPDX-License-Identifier: MIT */
/*
 * The relay's end of the handshake against a hostile client. The first byte chooses the secret, the
 * dialects and when the challenge goes out, the second the size of the pieces; the rest is what the
 * client sends. In pieces it must end as it does in one. The challenge is always the same, so that
 * the fuzzer gets past it with a tag from the seeds.
 */
#include <assert.h>
#include <string.h>

#include "base/lang.h"
#include "fuzz.h"
#include "proto/server_handshake.h"

#define OUT_MAX 8192

struct outcome {
	int r;
	size_t used;
	struct server_handshake hs;
	struct buf out;
};

/* Stands in for uuid_random() by the linker's --wrap. */
int __wrap_uuid_random(struct uuid *ret_uuid);
int __wrap_uuid_random(struct uuid *ret_uuid)
{
	for (size_t i = 0; i < sizeof ret_uuid->bytes; i++)
		ret_uuid->bytes[i] = (uint8_t)i;
	return 0;
}

static const struct auth *auth_get(void)
{
	static struct auth *auth;
	struct secret secret = { 0 };

	if (!auth && (secret_set(&secret, "secret", 6) < 0 || auth_new(&secret, false, &auth) < 0))
		assert(!"no memory");
	secret_clear(&secret);
	return auth;
}

static void converse(uint8_t how, const uint8_t *data, size_t size, size_t chunk, struct outcome *o)
{
	size_t used, given = 0;
	bool wait;

	*o = (struct outcome){ .hs = { .auth = how & 1 ? auth_get() : NULL,
				       .line_dialect = how & 2 } };
	buf_init(&o->out, OUT_MAX);
	o->r = server_handshake_start(&o->hs, how & 4, &o->out, &wait);
	if (wait && how & 8)
		o->r = server_handshake_challenge(&o->hs, &o->out);
	while (o->r == HANDSHAKE_MORE && given < size) {
		given += min_u64(chunk, size - given);
		o->r = server_handshake_feed(
			&o->hs, data + o->used, given - o->used, &used, &o->out);
		assert(used <= given - o->used);
		o->used += used;
		if (o->r == HANDSHAKE_MORE)
			assert(given - o->used <= MSG_MAX);
	}
	if (o->r == HANDSHAKE_MORE && how & 16)
		o->r = server_handshake_expire(&o->hs, how & 32, &o->out);
	assert(o->r >= HANDSHAKE_MORE && o->r <= HANDSHAKE_FAILED);
	assert((o->r == HANDSHAKE_FAILED) == (o->hs.failure != HANDSHAKE_OK));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, pieces;

	if (size < 2)
		return 0;
	converse(data[0], data + 2, size - 2, size, &whole);
	converse(data[0], data + 2, size - 2, data[1] % 64 + 1, &pieces);
	assert(whole.r == pieces.r && whole.used == pieces.used);
	assert(whole.hs.failure == pieces.hs.failure);
	assert(whole.hs.dialect == pieces.hs.dialect);
	assert(whole.hs.request == pieces.hs.request && whole.hs.port == pieces.hs.port);
	assert(uuid_equal(&whole.hs.id, &pieces.hs.id));
	/* Words are kept back for an Accept behind a wrong answer, if it is there already. */
	assert(buf_len(&whole.out) == buf_len(&pieces.out) ||
		(whole.hs.is_stream && !whole.hs.told && pieces.hs.told &&
			buf_len(&whole.out) < buf_len(&pieces.out)));
	assert(!buf_len(&whole.out) ||
		memcmp(buf_head(&whole.out), buf_head(&pieces.out), buf_len(&whole.out)) == 0);
	buf_deinit(&whole.out);
	buf_deinit(&pieces.out);
	return 0;
}
