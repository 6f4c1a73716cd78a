/* SPDX-License-Identifier: MIT */
/*
 * Of escape.c, what uses things up: "use_up WHAT MOST ..." answers "WHAT N", how many it has got;
 * "flood WHAT" goes on for ever in threads of its own, and answers at once.
 */
#include "escape.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB (1 << 20)
#define FLOODERS 2

static char bytes[MIB];

static bool take_memory(char **words)
{
	return mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		       -1, 0) != MAP_FAILED;
}

static bool take_descriptor(char **words)
{
	return dup(1) >= 0;
}

static void *sleep_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static bool take_thread(char **words)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	return pthread_create(&thread, &attr, sleep_for_ever, NULL) == 0;
}

/* A MiB of the file in words[3]. */
static bool take_disk(char **words)
{
	int fd = open(words[3], O_WRONLY | O_CREAT | O_APPEND, 0600);
	bool done = fd >= 0 && write(fd, bytes, sizeof bytes) == sizeof bytes;

	if (fd >= 0)
		close(fd);
	return done;
}

/* One by the broker, to words[3], port words[4]. */
static bool take_connection(char **words)
{
	return hold_connection(words[3], words[4]);
}

static const struct {
	const char *name;
	bool (*take)(char **words);
} things[] = {
	{ "memory", take_memory },
	{ "descriptors", take_descriptor },
	{ "threads", take_thread },
	{ "disk", take_disk },
	{ "connections", take_connection },
};

static struct outcome try_use_up(char **words)
{
	struct rlimit files;
	int n = 0;

	/* All that the hard limit lets it have. */
	(void)getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	for (size_t i = 0; i < COUNT(things); i++)
		if (strcmp(things[i].name, words[1]) == 0) {
			while (n < atoi(words[2]) && things[i].take(words))
				n++;
			return (struct outcome){ things[i].name, n };
		}
	return (struct outcome){ "unknown", ENOSYS };
}

static void *write_for_ever(void *fd)
{
	while (write((int)(intptr_t)fd, bytes, 4096) > 0)
		;
	return NULL;
}

static void *ask_for_ever(void *arg)
{
	for (;;)
		ask_deaf("127.0.0.1", "1");
	return arg;
}

static struct outcome try_flood(char **words)
{
	int fd = strcmp(words[1], "output") == 0 ? 1 : strcmp(words[1], "errors") == 0 ? 2 : status;
	bool asks = strcmp(words[1], "requests") == 0;
	pthread_t thread;
	int r = 0;

	memset(bytes, strcmp(words[1], "steps") == 0 || words[2] ? '\n' : 'x', sizeof bytes);
	for (int i = 0; i < FLOODERS && r == 0; i++)
		r = pthread_create(
			&thread, NULL, asks ? ask_for_ever : write_for_ever, (void *)(intptr_t)fd);
	return (struct outcome){ r ? "pthread_create" : "ok", r };
}

const struct way use_ways[] = {
	{ "use_up", try_use_up },
	{ "flood", try_flood },
	{ NULL, NULL },
};
