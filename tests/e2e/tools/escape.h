/* SPDX-License-Identifier: MIT */
/* What the parts of the hostile program share: escape.c says what it is. */
#ifndef TOOLS_ESCAPE_H
#define TOOLS_ESCAPE_H

#include <errno.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

struct outcome {
	const char *call;
	int error; /* 0: it is through */
};

extern int listener, broker;

static inline struct outcome through(void)
{
	return (struct outcome){ "ok", 0 };
}

static inline struct outcome failed(const char *call)
{
	return (struct outcome){ call, errno };
}

/* The next one that waits at the listener. */
int take_visitor(int flags);

/* Ways by the broker: escape_broker.c. */
struct outcome try_ask(char **words);
struct outcome try_ask_name(char **words);
struct outcome try_ask_often(char **words);
struct outcome try_ask_deaf(char **words);
struct outcome try_junk(char **words);
struct outcome try_cycles(char **words);
struct outcome try_linger(char **words);

#endif
