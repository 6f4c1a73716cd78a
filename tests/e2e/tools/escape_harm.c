/* SPDX-License-Identifier: MIT */
/* What escape.c does to its own listener and to itself, which the supervisor must bear. */
#include "escape.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct outcome try_listener_blocks(char **words)
{
	if (fcntl(listener, F_SETFL, 0) < 0)
		return failed("fcntl");
	return through();
}

static struct outcome try_shut(char **words)
{
	return result("shutdown", shutdown(listener, SHUT_RDWR));
}

static struct outcome try_end(char **words)
{
	_exit(atoi(words[1]));
}

/* Which program this is. */
static struct outcome try_name(char **words)
{
	return (struct outcome){ arguments[0], 0 };
}

const struct way harm_ways[] = {
	{ "listener_blocks", try_listener_blocks },
	{ "shut", try_shut },
	{ "end", try_end },
	{ "name", try_name },
	{ NULL, NULL },
};
