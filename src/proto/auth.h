/* SPDX-License-Identifier: MIT */
/*
 * Authentication by a shared secret: HMAC-SHA256(key = SHA-256(secret), the 16 raw bytes of the
 * challenge's UUID), in lower-case hex. The key is kept out of core dumps and wiped at the end; the
 * line dialect's clear secret is compared by its hash. All comparisons take constant time.
 */
#ifndef PROTO_AUTH_H
#define PROTO_AUTH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/secret.h"
#include "base/uuid.h"

#define AUTH_TAG_LEN 64 /* hex digits */

struct auth;

/*
 * An empty secret is a secret. `keep_text`: the line dialect will be spoken, as a client. 0 or
 * negative errno.
 */
int auth_new(const struct secret *secret, bool keep_text, struct auth **ret_auth);
struct auth *auth_free(struct auth *auth);

/* Signs a challenge, as the client. */
int auth_answer(
	const struct auth *auth, const struct uuid *challenge, char ret_tag[AUTH_TAG_LEN + 1]);

/* The server's checks: of a tag (hex of either case), and of the clear secret of an AUTH line. */
bool auth_check_tag(
	const struct auth *auth, const struct uuid *challenge, const char *tag, size_t len);
bool auth_check_text(const struct auth *auth, const char *text, size_t len);

const struct secret *auth_text(const struct auth *auth); /* NULL unless kept */

#endif
