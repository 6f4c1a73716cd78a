/* SPDX-License-Identifier: MIT */
/*
 * Text of others on a terminal, in a log, wherever a person reads it. A tab and every character of
 * UTF-8 stay as they are but for those that do something: the C0 set, DEL, the C1 set, which
 * terminals know as raw bytes (0x9b begins a sequence) and in UTF-8, the line and paragraph
 * separators, and what changes the order of text (U+202A to U+202E, U+2066 to U+2069; see "Trojan
 * Source", CVE-2021-42574). Each byte of these, and each that is no UTF-8, becomes \xNN.
 *
 * Whatever prints goes through here, so that nobody has to know where a text came from. That is
 * about what steers a reader's terminal; log_escape() is about where a quoted text ends.
 */
#ifndef BASE_PRINTABLE_H
#define BASE_PRINTABLE_H

#include <stddef.h>
#include <stdio.h>

#define PRINTABLE_PIECE_MAX 5 /* bytes and a NUL */

/* The beginning of a text as it is shown. */
struct printable_piece {
	char text[PRINTABLE_PIECE_MAX];
	size_t len, columns; /* of `text`; a wide character counts as one column */
	size_t used;         /* bytes that it stands for */
};

/* `len` is at least 1. */
void printable_next(const char *text, size_t len, struct printable_piece *ret_piece);

/* Returns how many columns were written. */
size_t printable_write(FILE *out, const char *text, size_t len);

#endif
