/* SPDX-License-Identifier: MIT */
#include "base/tty.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool tty_is_smart(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && !(term && strcmp(term, "dumb") == 0);
}

bool tty_has_colours(int fd)
{
	const char *no_color = getenv("NO_COLOR");

	return tty_is_smart(fd) && !(no_color && *no_color);
}

struct tty_size tty_size_of(int fd)
{
	struct winsize size = { 0 };

	(void)ioctl(fd, TIOCGWINSZ, &size);
	return (struct tty_size){ .columns = size.ws_col ? size.ws_col : TTY_COLUMNS,
		.rows = size.ws_row ? size.ws_row : TTY_ROWS };
}
