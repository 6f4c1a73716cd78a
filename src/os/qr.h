/* SPDX-License-Identifier: MIT */
/* A text, such as the public URL, for a phone's camera (ISO/IEC 18004). */
#ifndef OS_QR_H
#define OS_QR_H

#include <stdio.h>

/* Both write nothing and return a negative errno where the text can't be encoded. */
int qr_write_svg(FILE *out, const char *text);
/* For a terminal with colours and UTF-8: two modules in one character. -EMSGSIZE where that needs
 * more than these columns or lines. */
int qr_write_terminal(FILE *out, const char *text, unsigned columns, unsigned lines);

#endif
