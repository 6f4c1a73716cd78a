/* SPDX-License-Identifier: MIT */
/* SipHash-1-3 against the numbers of Python's own, and its key. */
#include "base/hash.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static const struct {
	const char *text;
	size_t len;
	uint64_t hash;
} vectors[] = {
	{ "a", 1, 0x407448d2b89b1813 },
	{ "abc", 3, 0xc03bc3a0042630f2 },
	{ "1234567", 7, 0xa33d651594fdae81 },
	{ "12345678", 8, 0x3489982430560a87 },
	{ "192.0.2.1:443 and more", 22, 0xbfd203c3de384651 },
};

static void test_vectors(void **state)
{
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
		assert_int_equal(hash_bytes(0, vectors[i].text, vectors[i].len), vectors[i].hash);
}

static void test_seed_changes_the_hash(void **state)
{
	uint64_t a, b;

	assert_int_equal(hash_seed(&a), 0);
	assert_int_equal(hash_seed(&b), 0);
	assert_int_not_equal(a, b);
	assert_int_not_equal(hash_bytes(a, "key", 3), hash_bytes(b, "key", 3));
	assert_int_equal(hash_bytes(a, "key", 3), hash_bytes(a, "key", 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_seed_changes_the_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
