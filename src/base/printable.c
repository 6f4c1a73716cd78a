/* SPDX-License-Identifier: MIT */
/* The forms of UTF-8 that are refused can be told by their bytes: those of a range have all but the
 * last in common. */
#include "base/printable.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

static bool printable_has_effect(const uint8_t *c, size_t len)
{
	switch (len) {
	case 1:
		return (c[0] < 0x20 && c[0] != '\t') || c[0] == 0x7f;
	case 2:
		return c[0] == 0xc2 && c[1] < 0xa0; /* U+0080 to U+009F */
	case 3:
		return c[0] == 0xe2 &&
		       ((c[1] == 0x80 && c[2] >= 0xa8 && c[2] <= 0xae) || /* U+2028 to U+202E */
			       (c[1] == 0x81 && c[2] >= 0xa6 &&
				       c[2] <= 0xa9)); /* U+2066 to U+2069 */
	default:
		return false;
	}
}

void printable_next(const char *text, size_t len, struct printable_piece *ret_piece)
{
	size_t n = utf8_len(text, len);

	if (n && !printable_has_effect((const uint8_t *)text, n)) {
		*ret_piece = (struct printable_piece){ .len = n, .columns = 1, .used = n };
		memcpy(ret_piece->text, text, n);
		return;
	}
	*ret_piece = (struct printable_piece){ .len = 4, .columns = 4, .used = 1 };
	(void)snprintf(
		ret_piece->text, sizeof(ret_piece->text), "\\x%02x", (unsigned)(uint8_t)*text);
}

size_t printable_write(FILE *out, const char *text, size_t len)
{
	struct printable_piece piece;
	size_t columns = 0;

	for (size_t at = 0; at < len; at += piece.used) {
		printable_next(text + at, len - at, &piece);
		(void)fwrite(piece.text, 1, piece.len, out);
		columns += piece.columns;
	}
	return columns;
}
