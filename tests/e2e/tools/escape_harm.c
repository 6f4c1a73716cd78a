/* SPDX-License-Identifier: MIT */
/* What escape.c does to its own listener and to itself, which the supervisor must bear. */
#include "escape.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static char bytes[256];

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

static void *sleep_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static struct outcome try_use_up(char **words)
{
	long most = atol(words[2]), n = 0;
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	if (strcmp(words[1], "descriptors") == 0)
		while (n < most && dup(1) >= 0)
			n++;
	else if (strcmp(words[1], "threads") == 0)
		while (n < most && pthread_create(&thread, &attr, sleep_for_ever, NULL) == 0)
			n++;
	else if (strcmp(words[1], "output") == 0)
		while (n < most && write(1, bytes, sizeof bytes) > 0)
			n++;
	else if (strcmp(words[1], "steps") == 0)
		while (n < most && write(atoi(words[3]), bytes, sizeof bytes) > 0)
			n++;
	else
		for (; n < most; n++) {
			char *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

			if (at == MAP_FAILED)
				break;
		}
	return through();
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
	{ "use_up", try_use_up },
	{ "name", try_name },
	{ NULL, NULL },
};
