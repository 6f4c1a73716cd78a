/* SPDX-License-Identifier: MIT */
/* JSON strings (RFC 8259, section 7), written byte for byte as stock bore's serde_json does. */
#include "proto/json_escape.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

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

size_t json_escape(const char *text, size_t len, char *buf, size_t size)
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
