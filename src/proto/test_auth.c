/* SPDX-License-Identifier: MIT */
/* Tags against vectors that Python's hmac and hashlib have made, and their checks. */
#include "proto/auth.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <ctype.h>
#include <string.h>

#include "base/lang.h"

static const struct uuid challenge = { { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23,
	0x45, 0x67, 0x89, 0xab, 0xcd, 0xef } };

static const struct {
	const char *secret, *tag;
} vectors[] = {
	{ "secret", "5b54de7171ca66617b148c2a30e4d844d7fb574988478ff55f4e11624999d1ed" },
	{ "", "bf98b75037630533afe355bf7dd8e8a93e7831b525eb41007a619e2d27bd24ae" },
	{ "p\xc3\xa4ssword", "3ffe076a2220cd1e99725db655f26d0a8ce0eb899e453be50a968f93155adcef" },
};

static struct auth *make(const char *text, bool keep_text)
{
	struct secret secret = { 0 };
	struct auth *auth;

	assert_int_equal(secret_set(&secret, text, strlen(text)), 0);
	assert_int_equal(auth_new(&secret, keep_text, &auth), 0);
	secret_clear(&secret);
	return auth;
}

static void test_vectors(void **state)
{
	char tag[AUTH_TAG_LEN + 1];

	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		struct auth *auth = make(vectors[i].secret, false);

		/* Twice: a use leaves nothing behind. */
		for (int n = 0; n < 2; n++) {
			assert_int_equal(auth_answer(auth, &challenge, tag), 0);
			assert_string_equal(tag, vectors[i].tag);
		}
		for (size_t j = 0; j < ARRAY_LEN(vectors); j++) {
			assert_int_equal(
				auth_check_tag(auth, &challenge, vectors[j].tag, AUTH_TAG_LEN),
				i == j);
			assert_int_equal(
				auth_check_text(auth, vectors[j].secret, strlen(vectors[j].secret)),
				i == j);
		}
		assert_null(auth_free(auth));
	}
}

static void test_tags(void **state)
{
	struct auth *auth = make("secret", false);
	struct uuid other = challenge;
	char tag[AUTH_TAG_LEN + 1];

	memcpy(tag, vectors[0].tag, sizeof tag);
	for (size_t i = 0; i < AUTH_TAG_LEN; i++)
		tag[i] = (char)toupper(tag[i]);
	assert_true(auth_check_tag(auth, &challenge, tag, AUTH_TAG_LEN));
	assert_false(auth_check_tag(auth, &challenge, tag, AUTH_TAG_LEN - 2));
	assert_false(auth_check_tag(auth, &challenge, tag, 0));
	other.bytes[15] ^= 1;
	assert_false(auth_check_tag(auth, &other, tag, AUTH_TAG_LEN));
	tag[AUTH_TAG_LEN - 1] ^= 1;
	assert_false(auth_check_tag(auth, &challenge, tag, AUTH_TAG_LEN));
	tag[0] = 'g';
	assert_false(auth_check_tag(auth, &challenge, tag, AUTH_TAG_LEN));
	auth_free(auth);
}

static void test_text(void **state)
{
	struct auth *auth = make("secret", false);

	assert_null(auth_text(auth));
	assert_false(auth_check_text(auth, "secret", 5));
	assert_false(auth_check_text(auth, "secret", 7)); /* with its NUL */
	assert_false(auth_check_text(auth, "", 0));
	auth_free(auth);

	auth = make("", true);
	assert_non_null(auth_text(auth));
	assert_int_equal(auth_text(auth)->len, 0);
	auth_free(auth);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
