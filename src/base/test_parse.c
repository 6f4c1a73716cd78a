/* SPDX-License-Identifier: MIT */
/* Numbers, durations and hex from text. */
#include "base/parse.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "base/lang.h"

static const struct {
	const char *text;
	int r;
	uint64_t value;
} u64_cases[] = {
	{ "0", 0, 0 },
	{ "7835", 0, 7835 },
	{ "007", 0, 7 },
	{ "18446744073709551615", 0, UINT64_MAX },
	{ "18446744073709551616", -ERANGE, 0 },
	{ "99999999999999999999999", -ERANGE, 0 },
	{ "99999999999999999999999x", -EINVAL, 0 },
	{ "", -EINVAL, 0 },
	{ " 1", -EINVAL, 0 },
	{ "1 ", -EINVAL, 0 },
	{ "+1", -EINVAL, 0 },
	{ "-1", -EINVAL, 0 },
	{ "0x10", -EINVAL, 0 },
};

static const struct {
	const char *text;
	int r;
	uint64_t ms;
} duration_cases[] = {
	{ "0", 0, 0 },
	{ "10", 0, 10000 },
	{ "250ms", 0, 250 },
	{ "10s", 0, 10000 },
	{ "5m", 0, 300000 },
	{ "1h", 0, 3600000 },
	{ "18446744073709551615ms", 0, UINT64_MAX },
	{ "18446744073709551615s", -ERANGE, 0 },
	{ "5124095576030432h", -ERANGE, 0 },
	{ "", -EINVAL, 0 },
	{ "s", -EINVAL, 0 },
	{ "1d", -EINVAL, 0 },
	{ "1.5s", -EINVAL, 0 },
	{ "2h30m", -EINVAL, 0 },
	{ "-1s", -EINVAL, 0 },
};

static void test_u64(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(u64_cases); i++) {
		uint64_t value = 0;
		const char *text = u64_cases[i].text;

		assert_int_equal(
			parse_u64(text, strlen(text), 0, UINT64_MAX, &value), u64_cases[i].r);
		assert_int_equal(value, u64_cases[i].value);
	}
}

static void test_u64_bounds(void **state)
{
	uint64_t value = 1;

	assert_int_equal(parse_u64("4", 1, 5, 9, &value), -ERANGE);
	assert_int_equal(parse_u64("10", 2, 5, 9, &value), -ERANGE);
	assert_int_equal(value, 1);
	assert_int_equal(parse_u64("9", 1, 5, 9, &value), 0);
	assert_int_equal(value, 9);
	/* The length counts, not a NUL. */
	assert_int_equal(parse_u64("678", 1, 5, 9, &value), 0);
	assert_int_equal(value, 6);
}

static void test_u16(void **state)
{
	uint16_t value = 1;

	assert_int_equal(parse_u16("65536", 5, &value), -ERANGE);
	assert_int_equal(value, 1);
	assert_int_equal(parse_u16("65535", 5, &value), 0);
	assert_int_equal(value, 65535);
}

static void test_duration(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(duration_cases); i++) {
		uint64_t ms = 0;

		assert_int_equal(
			parse_duration_ms(duration_cases[i].text, &ms), duration_cases[i].r);
		assert_int_equal(ms, duration_cases[i].ms);
	}
}

static void test_hex(void **state)
{
	uint8_t bytes[4];
	char text[9];

	assert_int_equal(parse_hex("00fFA59b", 8, bytes, 4), 0);
	assert_memory_equal(bytes, "\x00\xff\xa5\x9b", 4);
	format_hex(bytes, 4, text);
	assert_string_equal(text, "00ffa59b");
	assert_int_equal(parse_hex("00ffa59", 7, bytes, 4), -EINVAL);
	assert_int_equal(parse_hex("00ffa59b00", 10, bytes, 4), -EINVAL);
	assert_int_equal(parse_hex("00ffa59", 7, bytes, 3), -EINVAL);
	assert_int_equal(parse_hex("00ffa5g0", 8, bytes, 4), -EINVAL);
	assert_int_equal(parse_hex("", 0, bytes, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_u64_bounds),
		cmocka_unit_test(test_u16),
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
