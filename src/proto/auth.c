/* SPDX-License-Identifier: MIT */
/*
 * The HMAC of the handshake. OpenSSL's objects are fetched once; each use copies the prepared but
 * unkeyed context and keys the copy, so that the key stands in ordinary memory only for the
 * microseconds of one call (OpenSSL wipes what it frees). Used from several threads at once it is
 * safe: nothing is written after auth_new().
 */
#include "proto/auth.h"

#include <assert.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#include "base/owner.h"
#include "base/parse.h"

#define DIGEST_LEN 32 /* SHA-256 */
static_assert(2 * DIGEST_LEN == AUTH_TAG_LEN, "a tag is a digest in hex");

struct auth {
	EVP_MAC_CTX *hmac; /* HMAC-SHA256, without a key */
	EVP_MD *sha256;
	struct secret key;  /* SHA-256 of the secret */
	struct secret text; /* set if kept */
};

static void auth_freep(struct auth **auth)
{
	auth_free(*auth);
}

/* All that these calls can fail for is memory, or an OpenSSL without its default provider. */
static int auth_prepare_hmac(EVP_MAC_CTX **ret_hmac)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){ "SHA256" }, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *hmac = mac ? EVP_MAC_CTX_new(mac) : NULL;

	EVP_MAC_free(mac);
	if (!hmac || !EVP_MAC_CTX_set_params(hmac, params)) {
		EVP_MAC_CTX_free(hmac);
		return -ENOMEM;
	}
	*ret_hmac = hmac;
	return 0;
}

static int auth_sha256(
	const struct auth *auth, const char *text, size_t len, uint8_t out[DIGEST_LEN])
{
	return EVP_Digest(text, len, out, NULL, auth->sha256, NULL) ? 0 : -ENOMEM;
}

int auth_new(const struct secret *secret, bool keep_text, struct auth **ret_auth)
{
	_cleanup_(auth_freep) struct auth *auth = calloc(1, sizeof *auth);
	uint8_t key[DIGEST_LEN];
	int r;

	if (!auth)
		return -ENOMEM;
	assert(secret->set);
	r = auth_prepare_hmac(&auth->hmac);
	if (r < 0)
		return r;
	auth->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!auth->sha256)
		return -ENOMEM;
	r = auth_sha256(auth, secret->text, secret->len, key);
	if (r == 0)
		r = secret_set(&auth->key, (const char *)key, sizeof key);
	explicit_bzero(key, sizeof key);
	if (r == 0 && keep_text)
		r = secret_set(&auth->text, secret->text, secret->len);
	if (r < 0)
		return r;
	*ret_auth = take_ptr(auth);
	return 0;
}

struct auth *auth_free(struct auth *auth)
{
	if (!auth)
		return NULL;
	EVP_MAC_CTX_free(auth->hmac);
	EVP_MD_free(auth->sha256);
	secret_clear(&auth->key);
	secret_clear(&auth->text);
	free(auth);
	return NULL;
}

static int auth_sign(
	const struct auth *auth, const struct uuid *challenge, uint8_t ret_tag[DIGEST_LEN])
{
	EVP_MAC_CTX *hmac = EVP_MAC_CTX_dup(auth->hmac);
	const uint8_t *key = (const uint8_t *)auth->key.text;
	size_t len;
	int r = 0;

	if (!hmac || !EVP_MAC_init(hmac, key, auth->key.len, NULL) ||
		!EVP_MAC_update(hmac, challenge->bytes, sizeof challenge->bytes) ||
		!EVP_MAC_final(hmac, ret_tag, &len, DIGEST_LEN))
		r = -ENOMEM;
	EVP_MAC_CTX_free(hmac);
	return r;
}

int auth_answer(
	const struct auth *auth, const struct uuid *challenge, char ret_tag[AUTH_TAG_LEN + 1])
{
	uint8_t tag[DIGEST_LEN];
	int r = auth_sign(auth, challenge, tag);

	if (r < 0)
		return r;
	format_hex(tag, sizeof tag, ret_tag);
	return 0;
}

bool auth_check_tag(
	const struct auth *auth, const struct uuid *challenge, const char *tag, size_t len)
{
	uint8_t given[DIGEST_LEN], right[DIGEST_LEN];

	if (parse_hex(tag, len, given, sizeof given) < 0 || auth_sign(auth, challenge, right) < 0)
		return false;
	return CRYPTO_memcmp(given, right, sizeof right) == 0;
}

bool auth_check_text(const struct auth *auth, const char *text, size_t len)
{
	uint8_t given[DIGEST_LEN];

	if (auth_sha256(auth, text, len, given) < 0)
		return false;
	return CRYPTO_memcmp(given, auth->key.text, sizeof given) == 0;
}

const struct secret *auth_text(const struct auth *auth)
{
	return auth->text.set ? &auth->text : NULL;
}
