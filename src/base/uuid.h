/* SPDX-License-Identifier: MIT */
/* UUIDs (RFC 9562) as the bore wire carries them. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters of the hyphenated form, without the NUL. */
#define UUID_TEXT_LEN 36

struct uuid {
	uint8_t bytes[16];
};

/*
 * A version 4 UUID from the kernel's random source; good as a one-time token. Drawn ahead, so not
 * for a process that was forked and has not exec'd, which would get those of its parent.
 */
int uuid_random(struct uuid *ret_uuid);

/* Takes 8-4-4-4-12 and plain 32 digits, of either case; -EINVAL for all else. */
int uuid_parse(const char *s, size_t len, struct uuid *ret_uuid);

/* Writes the hyphenated lower-case form. */
void uuid_format(const struct uuid *u, char out[UUID_TEXT_LEN + 1]);

bool uuid_equal(const struct uuid *a, const struct uuid *b);

#endif
