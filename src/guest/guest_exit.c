/* SPDX-License-Identifier: MIT */
/* The one line on standard error that goes with an exit code. */
#include "guest/guest_exit.h"

#include <stdarg.h>
#include <stdio.h>
#include <wasmtime.h>

int guest_fail(enum guest_exit code, const char *fmt, ...)
{
	va_list args;

	/* Lines of several threads don't mix. */
	flockfile(stderr);
	fputs("wasmrun-guest: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	funlockfile(stderr);
	return code;
}

int guest_fail_engine(struct wasmtime_error *error, const char *what)
{
	struct wasm_byte_vec_t text;
	int code;

	wasmtime_error_message(error, &text);
	code = guest_fail(GUEST_EXIT_SETUP, "%s: %.*s", what, (int)text.size, (char *)text.data);
	wasm_byte_vec_delete(&text);
	wasmtime_error_delete(error);
	return code;
}
