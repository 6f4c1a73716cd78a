/* SPDX-License-Identifier: MIT */
/*
 * Messages of both dialects and roles. The first byte chooses them, the rest is what the peer has
 * sent. What was read must be written, and read back as the same.
 */
#include <assert.h>
#include <string.h>

#include "fuzz.h"
#include "proto/msg.h"

static void assert_same(const struct msg *a, const struct msg *b)
{
	assert(a->type == b->type);
	assert(a->port == b->port);
	assert(uuid_equal(&a->id, &b->id));
	assert(a->options.resume == b->options.resume);
	assert(a->options.has_token == b->options.has_token);
	assert(memcmp(a->options.token, b->options.token, OPTIONS_TOKEN_LEN) == 0);
	assert(a->options.beat_ms == b->options.beat_ms);
	assert(a->options.refuse == b->options.refuse);
	assert(a->options.visitor == b->options.visitor);
	/* Canonical, these can be longer than they were read, and their text is cut then. */
	assert(a->text_len == b->text_len ||
		((a->type == MSG_REFUSE || a->type == MSG_VISITOR) && a->text_len > b->text_len));
	assert(memcmp(a->text, b->text, b->text_len) == 0);
	assert(a->text[a->text_len] == '\0' && b->text[b->text_len] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum dialect dialect = size && data[0] & 1 ? DIALECT_LINE : DIALECT_BORE;
	enum role from = size && data[0] & 2 ? ROLE_SERVER : ROLE_CLIENT;
	uint8_t wire[MSG_WIRE_MAX];
	size_t used, back_used, len;
	struct msg msg, back;
	int r;

	if (!size)
		return 0;
	for (data++, size--; size; data += used, size -= used) {
		r = msg_decode(dialect, from, data, size, &msg, &used);
		if (r == MSG_PARTIAL)
			assert(size <= MSG_MAX);
		if (r != MSG_COMPLETE)
			return 0;
		assert(used && used <= size && used <= MSG_WIRE_MAX && msg.text_len <= MSG_MAX);
		r = msg_encode(dialect, from, &msg, wire, &len);
		assert(r == 0 && len <= MSG_WIRE_MAX);
		r = msg_decode(dialect, from, wire, len, &back, &back_used);
		assert(r == MSG_COMPLETE && back_used == len);
		assert_same(&msg, &back);
	}
	return 0;
}
