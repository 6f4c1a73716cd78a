/* SPDX-License-Identifier: MIT */
/* What applications and peers say may be any bytes; JSON knows only Unicode (RFC 8259, 8.1). */
#include "http/json_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

json_t *json_text(const char *text, size_t len)
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
		size_t one = utf8_len(text + i, len - i);

		memcpy(clean + n, one ? text + i : REPLACEMENT, one ? one : strlen(REPLACEMENT));
		n += one ? one : strlen(REPLACEMENT);
		i += one ? one : 1;
	}
	json = json_stringn(clean, n);
	free(clean);
	return json;
}

json_t *json_text_or_null(const char *text)
{
	return text ? json_text(text, strlen(text)) : json_null();
}
