/* SPDX-License-Identifier: MIT */
/* UUIDs: made from getrandom(2), read and written as text. */
#include "base/uuid.h"

#include "base/lang.h"
#include "base/parse.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* The hyphenated form is five groups of hex digits with these lengths. */
static const uint8_t group_digits[] = { 8, 4, 4, 4, 12 };

/*
 * Fetched ahead, sixteen for one system call: a relay makes one for each visitor. What is given out
 * is wiped here, so that each is there once.
 */
static _Thread_local struct uuid_batch {
	struct uuid next[16];
	size_t left;
} uuid_batch;

static int uuid_draw(struct uuid *ret_uuid)
{
	struct uuid_batch *b = &uuid_batch;

	if (!b->left) {
		/* Up to 256 bytes come in one piece, and no signal interrupts that once the pool is
		 * seeded. */
		ssize_t n = getrandom(b->next, sizeof b->next, 0);

		static_assert(sizeof b->next <= 256, "in one piece");
		if (n != (ssize_t)sizeof b->next)
			return n < 0 ? -errno : -EIO;
		b->left = ARRAY_LEN(b->next);
	}
	b->left--;
	*ret_uuid = b->next[b->left];
	explicit_bzero(&b->next[b->left], sizeof b->next[b->left]);
	return 0;
}

int uuid_random(struct uuid *ret_uuid)
{
	struct uuid u = { { 0 } };
	int r = uuid_draw(&u);

	if (r < 0)
		return r;
	u.bytes[6] = (uint8_t)((u.bytes[6] & 0x0f) | 0x40); /* version 4 */
	u.bytes[8] = (uint8_t)((u.bytes[8] & 0x3f) | 0x80); /* the RFC's variant */
	*ret_uuid = u;
	return 0;
}

int uuid_parse(const char *s, size_t len, struct uuid *ret_uuid)
{
	char digits[32];
	size_t at = 0;
	struct uuid u = { { 0 } };

	if (len == UUID_TEXT_LEN) {
		for (size_t i = 0; i < sizeof group_digits; i++) {
			if (i > 0 && *s++ != '-')
				return -EINVAL;
			memcpy(digits + at, s, group_digits[i]);
			at += group_digits[i];
			s += group_digits[i];
		}
		s = digits;
		len = at;
	}
	if (parse_hex(s, len, u.bytes, sizeof u.bytes) < 0)
		return -EINVAL;
	*ret_uuid = u;
	return 0;
}

void uuid_format(const struct uuid *u, char out[UUID_TEXT_LEN + 1])
{
	const uint8_t *from = u->bytes;

	for (size_t i = 0; i < sizeof group_digits; i++) {
		if (i > 0)
			*out++ = '-';
		format_hex(from, group_digits[i] / 2, out);
		out += group_digits[i];
		from += group_digits[i] / 2;
	}
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}
