/* SPDX-License-Identifier: MIT */
/* The one line on standard error that goes with an exit code. */
#include "guest/guest_exit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasmtime.h>

#include "base/err.h"
#include "base/printable.h"

/* A trap's backtrace has several, with names that a module gave to its functions. */
static void write_lines(const char *text)
{
	size_t len;

	do {
		len = strcspn(text, "\n");
		(void)printable_write(stderr, text, len);
		fputc('\n', stderr);
		text += len;
	} while (*text++);
}

int guest_fail(enum guest_exit code, const char *fmt, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);
	if (n < 0)
		text = NULL;
	/* Lines of several threads don't mix. */
	flockfile(stderr);
	fputs("wasmrun-guest: ", stderr);
	write_lines(text ? text : "out of memory");
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
