/* SPDX-License-Identifier: MIT */
/* What commands print of others' text: base/printable.h says what becomes of it. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stddef.h>
#include <stdio.h>

#include "base/lang.h"

/*
 * A line of an application or of its build, without its newline. Colours (SGR, ECMA-48 8.3.117)
 * stay where `out` is a terminal that wants them, end with the line, and are left out elsewhere; a
 * carriage return at its end is the newline's.
 */
void terminal_write_line(FILE *out, const char *text, size_t len);

/* "error: …" and a newline, on standard error. */
void terminal_error(const char *fmt, ...) _printf_(1, 2);

#endif
