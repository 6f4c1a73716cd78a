/* SPDX-License-Identifier: MIT */
/* A terminal can be told many things. Only colours are let through, and they end with their line.
 */
#include "cli/terminal.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/owner.h"
#include "base/printable.h"
#include "base/tty.h"

#define COLOURS_OFF "\033[0m"

/* How long the colour sequence at `text` is; 0: there is none. */
static size_t terminal_colour_len(const char *text, size_t len)
{
	size_t n = 2;

	if (len < 3 || text[0] != '\033' || text[1] != '[')
		return 0;
	while (n < len && ((text[n] >= '0' && text[n] <= '9') || text[n] == ';' || text[n] == ':'))
		n++;
	return n < len && text[n] == 'm' ? n + 1 : 0;
}

void terminal_write_line(FILE *out, const char *text, size_t len)
{
	struct printable_piece piece;
	bool coloured = false;
	size_t n;

	if (len && text[len - 1] == '\r')
		len--;
	for (; len; text += n, len -= n) {
		n = terminal_colour_len(text, len);
		if (n && tty_has_colours(fileno(out))) {
			coloured = true;
			(void)fwrite(text, 1, n, out);
		} else if (!n) {
			printable_next(text, len, &piece);
			(void)fwrite(piece.text, 1, piece.len, out);
			n = piece.used;
		}
	}
	if (coloured)
		(void)fputs(COLOURS_OFF, out);
}

void terminal_error(const char *fmt, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		text = NULL;
	(void)fputs("error: ", stderr);
	if (text)
		(void)printable_write(stderr, text, (size_t)n);
	else
		(void)fputs("out of memory", stderr);
	(void)fputc('\n', stderr);
}
