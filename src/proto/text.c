/* SPDX-License-Identifier: MIT */
/* JSON strings (RFC 8259, section 7), written byte for byte as stock bore's serde_json does. */
#include "proto/text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* Of the control characters, those with a short escape; the rest are \u00xx. */
static const char short_escapes[128] = {
	['\b'] = 'b',
	['\t'] = 't',
	['\n'] = 'n',
	['\f'] = 'f',
	['\r'] = 'r',
	['"'] = '"',
	['\\'] = '\\',
};

/* The bytes of the first character; 0 when it is not UTF-8 (RFC 3629). */
static size_t utf8_len(const char *text, size_t len)
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

size_t text_escape(const char *text, size_t len, char *buf, size_t size)
{
	char escaped[8];
	size_t used = 0, at = 0, n, out_len;

	while (used < len) {
		uint8_t c = (uint8_t)text[used];
		const char *out = escaped;

		n = utf8_len(text + used, len - used);
		if (n == 1 && short_escapes[c]) {
			out_len =
				(size_t)snprintf(escaped, sizeof escaped, "\\%c", short_escapes[c]);
		} else if (c < 0x20) {
			out_len = (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", c);
		} else {
			out = text + used;
			out_len = n;
		}
		if (!n || out_len >= size - at)
			break;
		memcpy(buf + at, out, out_len);
		at += out_len;
		used += n;
	}
	buf[at] = '\0';
	return used;
}
