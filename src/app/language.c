/* SPDX-License-Identifier: MIT */
#include "app/language.h"

#include <stdio.h>
#include <string.h>

#include "base/lang.h"

/* What stands before the number of the descriptor, and behind it. */
static const struct {
	const char *before, *behind;
} takes[LANGUAGES] = {
	[LANGUAGE_OTHER] = { "by sock_accept(", ", ...)" },
	[LANGUAGE_C] = { "in C by accept(", ", NULL, NULL)" },
	[LANGUAGE_GO] = { "in Go by net.FileListener(os.NewFile(", ", \"\"))" },
	[LANGUAGE_RUST] = { "in Rust by unsafe { TcpListener::from_raw_fd(", ") }" },
};

const char *language_hint(enum app_language language, unsigned fd, char ret_hint[LANGUAGE_HINT_MAX])
{
	(void)snprintf(ret_hint, LANGUAGE_HINT_MAX,
		"a server doesn't listen by itself, but takes its connections from descriptor %u, "
		"%s%u%s",
		fd, takes[language].before, fd, takes[language].behind);
	return ret_hint;
}

bool language_lacks_sockets(const char *line)
{
	/* Of wasm-ld, and of compilers that take no call without a declaration. */
	static const char *const says[] = { "undefined symbol: ", "undeclared function '" };
	static const char *const calls[] = { "socket", "bind", "listen" };

	for (size_t i = 0; i < ARRAY_LEN(says); i++) {
		const char *at = strstr(line, says[i]);

		for (size_t k = 0; at && k < ARRAY_LEN(calls); k++) {
			const char *name = at + strlen(says[i]);
			size_t len = strlen(calls[k]);

			if (strncmp(name, calls[k], len) == 0 &&
				(name[len] == '\0' || name[len] == '\''))
				return true;
		}
	}
	return false;
}
