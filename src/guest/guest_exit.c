/* SPDX-License-Identifier: MIT */
/* The one line on standard error that goes with an exit code. */
#include "guest/guest_exit.h"

#include <stdarg.h>
#include <stdio.h>

int guest_fail(enum guest_exit code, const char *fmt, ...)
{
	va_list args;

	fputs("wasmrun-guest: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}
