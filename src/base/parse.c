/* SPDX-License-Identifier: MIT */
/*
 * Numbers, durations and hex from text. Written out because strtoul() takes blanks and signs,
 * depends on a NUL and tells errors through errno.
 */
#include "base/parse.h"

#include "base/lang.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static const struct {
	const char *name;
	uint64_t ms;
} units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 3600 * 1000 } };

static int parse_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -EINVAL;
}

int parse_u64(const char *s, size_t len, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	bool overflow = false;

	if (!len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EINVAL;
		/* "Not a number" wins over "too big", so the loop looks at every byte. */
		overflow |= __builtin_mul_overflow(value, 10, &value);
		overflow |= __builtin_add_overflow(value, (uint64_t)(s[i] - '0'), &value);
	}
	if (overflow || value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

int parse_u16(const char *s, size_t len, uint16_t *ret_value)
{
	uint64_t value;
	int r = parse_u64(s, len, 0, UINT16_MAX, &value);

	if (r < 0)
		return r;
	*ret_value = (uint16_t)value;
	return 0;
}

int parse_duration_ms(const char *s, uint64_t *ret_ms)
{
	size_t digits = strspn(s, "0123456789");
	uint64_t value;
	int r;

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(s + digits, units[i].name) != 0)
			continue;
		r = parse_u64(s, digits, 0, UINT64_MAX / units[i].ms, &value);
		if (r < 0)
			return r;
		*ret_ms = value * units[i].ms;
		return 0;
	}
	return -EINVAL;
}

int parse_hex(const char *s, size_t len, uint8_t *out, size_t out_len)
{
	if (len % 2 || len / 2 != out_len)
		return -EINVAL;
	for (size_t i = 0; i < out_len; i++) {
		int high = parse_hex_digit(s[2 * i]), low = parse_hex_digit(s[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

void format_hex(const uint8_t *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[data[i] >> 4];
		*out++ = digits[data[i] & 0xf];
	}
	*out = '\0';
}
