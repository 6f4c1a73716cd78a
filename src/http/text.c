/* SPDX-License-Identifier: MIT */
/* What applications and peers say may be any bytes; JSON knows only Unicode (RFC 8259, 8.1). */
#include "http/text.h"

#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* How many bytes at `s` are one character (RFC 3629); 0: none. */
static size_t utf8_len(const unsigned char *s, size_t left)
{
	/* What the second byte may be, which rules out overlong forms and surrogates. */
	unsigned char low = 0x80, high = 0xbf;
	size_t len;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (left < len || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

json_t *text_json(const char *text, size_t len)
{
	json_t *json = json_stringn(text, len);
	char *clean;
	size_t n = 0;

	if (json)
		return json;
	clean = malloc(len * strlen(REPLACEMENT) + 1);
	if (!clean)
		return NULL;
	for (size_t i = 0; i < len;) {
		size_t one = utf8_len((const unsigned char *)text + i, len - i);

		memcpy(clean + n, one ? text + i : REPLACEMENT, one ? one : strlen(REPLACEMENT));
		n += one ? one : strlen(REPLACEMENT);
		i += one ? one : 1;
	}
	json = json_stringn(clean, n);
	free(clean);
	return json;
}

json_t *text_json_or_null(const char *text)
{
	return text ? text_json(text, strlen(text)) : json_null();
}
