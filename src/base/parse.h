/* SPDX-License-Identifier: MIT */
/*
 * Numbers, durations and hex from text. The whole text must be the value: no blanks, no signs,
 * nothing behind it. All return -EINVAL for text that is no such value, -ERANGE for one out of
 * range.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stddef.h>
#include <stdint.h>

/* A decimal number in min..max. */
int parse_u64(const char *s, size_t len, uint64_t min, uint64_t max, uint64_t *ret_value);
int parse_u16(const char *s, size_t len, uint16_t *ret_value);

/* A number with the unit ms, s, m or h; a plain number is in seconds. */
int parse_duration_ms(const char *s, uint64_t *ret_ms);

/* Exactly 2 * out_len hex digits of either case. On failure out is undefined. */
int parse_hex(const char *s, size_t len, uint8_t *out, size_t out_len);

/* Writes 2 * len lower-case digits and a NUL to out. */
void format_hex(const uint8_t *data, size_t len, char *out);

#endif
