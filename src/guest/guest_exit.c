/* SPDX-License-Identifier: MIT */
/* The words about an end are made where it is known, and printed once, by guest_end_tell(). */
#include "guest/guest_exit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wasmtime.h>

#include "base/printable.h"

int guest_fail(struct guest_end *end, enum guest_exit reason, const char *fmt, ...)
{
	va_list args;

	end->reason = reason;
	va_start(args, fmt);
	(void)vsnprintf(end->why, sizeof(end->why), fmt, args);
	va_end(args);
	for (char *c = end->why; (c = strchr(c, '\n'));)
		*c = ' ';
	return reason;
}

int guest_fail_engine(struct guest_end *end, struct wasmtime_error *error, const char *what)
{
	struct wasm_byte_vec_t text;
	int r;

	wasmtime_error_message(error, &text);
	r = guest_fail(end, GUEST_EXIT_SETUP, "%s: %.*s", what, (int)text.size, (char *)text.data);
	wasm_byte_vec_delete(&text);
	wasmtime_error_delete(error);
	return r;
}

void guest_say(const char *text, size_t len)
{
	const char *end = text + len;

	/* Lines of several threads don't mix. */
	flockfile(stderr);
	fputs("wasmrun-guest: ", stderr);
	for (const char *next; text < end; text = next + 1) {
		next = memchr(text, '\n', (size_t)(end - text)) ?: end;
		(void)printable_write(stderr, text, (size_t)(next - text));
		fputc('\n', stderr);
	}
	funlockfile(stderr);
}

int guest_end_tell(const struct guest_end *end, int status_fd)
{
	if (*end->why && status_fd >= 0)
		(void)!dprintf(status_fd, "%s\n", end->why);
	else if (*end->why)
		guest_say(end->why, strlen(end->why));
	return end->reason ? (int)end->reason : (int)(end->code & 0xff);
}
