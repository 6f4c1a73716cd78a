/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the hostile program share: escape.c says what it is. Each part has a table of
 * its ways out, by the word that a visitor says; the words behind it are the way's arguments.
 */
#ifndef TOOLS_ESCAPE_H
#define TOOLS_ESCAPE_H

#include <errno.h>
#include <stdbool.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define WORDS_MAX 8

struct outcome {
	const char *call;
	int error; /* 0: it is through */
};

struct way {
	const char *name; /* NULL at a table's end */
	struct outcome (*try)(char **words);
};

extern const struct way net_ways[], file_ways[], process_ways[], broker_ways[], harm_ways[],
	use_ways[];

/* What it was given; -1: it was not. */
extern int listener, status, broker;
extern const char *cache; /* the folder with its compiled code */
/* As it was started. */
extern char **arguments;

static inline struct outcome through(void)
{
	return (struct outcome){ "ok", 0 };
}

static inline struct outcome failed(const char *call)
{
	return (struct outcome){ call, errno };
}

static inline struct outcome result(const char *call, long r)
{
	return r < 0 ? failed(call) : through();
}

/* The next one that waits at the listener. */
int take_visitor(int flags);

/* A connection by the broker that stays, as long as this program does. */
bool hold_connection(const char *host, const char *port);
/* A request whose answer nobody takes; false: it can't be made. */
bool ask_deaf(const char *host, const char *port);

/* A kernel's call with arguments that never change, by its name; false: there is none. */
bool try_call(const char *name, struct outcome *ret);

#endif
