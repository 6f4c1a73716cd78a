/* SPDX-License-Identifier: MIT */
/* What can be shown on the terminal that a descriptor is, if it is one. */
#ifndef BASE_TTY_H
#define BASE_TTY_H

#include <stdbool.h>

#define TTY_COLUMNS 80 /* where the terminal doesn't say how large it is */
#define TTY_ROWS 24

struct tty_size {
	unsigned columns, rows;
};

/* Whether it knows control sequences (ECMA-48): a terminal, and TERM isn't "dumb". */
bool tty_is_smart(int fd);

/* The same, and the user wants colours: NO_COLOR is not set, or empty (no-color.org). */
bool tty_has_colours(int fd);

/* As it is now: it changes when a window does. */
struct tty_size tty_size_of(int fd);

#endif
