/* SPDX-License-Identifier: MIT */
/*
 * The language that a module was written in, and how a server in it takes its connections. Preview
 * 1 has no call to listen on a port, so a server that does so the usual way fails, in each language
 * in another one.
 */
#ifndef APP_LANGUAGE_H
#define APP_LANGUAGE_H

#include <stdbool.h>

#define LANGUAGE_HINT_MAX 192

/* The first number behind a module's three streams. Its folders have it and those that follow
 * (preview 1's preopens), its listener the one behind them. */
#define LANGUAGE_FIRST_FD 3

enum app_language {
	LANGUAGE_OTHER, /* another, or one that nobody knows */
	LANGUAGE_C,     /* and C++ */
	LANGUAGE_GO,
	LANGUAGE_RUST,
	LANGUAGES,
};

/* What to write instead, one sentence without an end. `fd` is the listener's number.
 * Returns ret_hint. */
const char *language_hint(
	enum app_language language, unsigned fd, char ret_hint[LANGUAGE_HINT_MAX]);

/* Whether a line of a C compiler or linker is about one of the calls that a server which listens by
 * itself begins with, and that preview 1's C library hasn't. */
bool language_lacks_sockets(const char *line);

#endif
