/* SPDX-License-Identifier: MIT */
/* Control characters: the C0 set, DEL, and the C1 set, which terminals know in UTF-8 too. */
#include "cli/terminal.h"

#include <stdbool.h>

void terminal_write(FILE *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		unsigned char next = i + 1 < len ? (unsigned char)text[i + 1] : 0;
		bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0;

		if (c1)
			i++;
		fputc(c1 || (c < 0x20 && c != '\t') || c == 0x7f ? '?' : c, out);
	}
}
