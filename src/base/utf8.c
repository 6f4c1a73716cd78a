/* SPDX-License-Identifier: MIT */
/* A character is decoded, since what it means tells whether its form is the shortest. */
#include "base/utf8.h"

#include <stdint.h>

#include "base/lang.h"

size_t utf8_len(const char *text, size_t len)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t min; /* less would have been written in fewer bytes */
	} forms[] = {
		{ 0x80, 0x00, 0 },
		{ 0xe0, 0xc0, 0x80 },
		{ 0xf0, 0xe0, 0x800 },
		{ 0xf8, 0xf0, 0x10000 },
	};
	const uint8_t *s = (const uint8_t *)text;
	uint32_t code;

	for (size_t n = 1; n <= ARRAY_LEN(forms) && n <= len; n++) {
		if ((s[0] & forms[n - 1].mask) != forms[n - 1].lead)
			continue;
		code = s[0] & (uint8_t)~forms[n - 1].mask;
		for (size_t i = 1; i < n; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (s[i] & 0x3f);
		}
		if (code < forms[n - 1].min || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
			return 0;
		return n;
	}
	return 0;
}
