/* SPDX-License-Identifier: MIT */
/* Text of others on the user's terminal. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stddef.h>
#include <stdio.h>

/* As it is, but for control characters (a tab may stay): those would steer the terminal, and become
 * '?'. */
void terminal_write(FILE *out, const char *text, size_t len);

#endif
