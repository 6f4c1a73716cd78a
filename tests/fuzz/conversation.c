/* SPDX-License-Identifier: MIT */
#include "conversation.h"

#include <assert.h>
#include <string.h>

#include "base/lang.h"
#include "proto/handshake.h"
#include "proto/msg.h"

const struct auth *conversation_auth(void)
{
	static struct auth *auth;
	struct secret secret = { 0 };

	if (!auth && (secret_set(&secret, "secret", 6) < 0 || auth_new(&secret, true, &auth) < 0))
		assert(!"no memory");
	secret_clear(&secret);
	return auth;
}

void conversation_feed(struct conversation *c, const uint8_t *data, size_t size, size_t piece)
{
	size_t used, given = 0;

	while (c->r == HANDSHAKE_MORE && given < size) {
		given += min_u64(piece, size - given);
		c->r = c->feed(c->hs, data + c->used, given - c->used, &used, &c->out);
		assert(used <= given - c->used);
		c->used += used;
		if (c->r == HANDSHAKE_MORE)
			assert(given - c->used <= MSG_MAX);
	}
}

void conversation_assert_alike(const struct conversation *c, const struct conversation *d)
{
	assert(c->r == d->r && c->used == d->used);
	assert(buf_len(&c->out) <= buf_len(&d->out));
	assert(!buf_len(&c->out) ||
		memcmp(buf_head(&c->out), buf_head(&d->out), buf_len(&c->out)) == 0);
}
