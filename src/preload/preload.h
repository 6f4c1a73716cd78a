/* SPDX-License-Identifier: MIT */
/* What the library tells the supervisor, in empty lines, as guest/streams.h has it for modules. */
#ifndef PRELOAD_PRELOAD_H
#define PRELOAD_PRELOAD_H

#include <stdbool.h>

/* Of the functions that take the place of the C library's. */
#define PRELOAD_EXPORT __attribute__((visibility("default")))

enum preload_step {
	PRELOAD_BEGUN,
	PRELOAD_LISTENING, /* connections are taken */
	PRELOAD_VISITED,   /* one was */
	PRELOAD_ANSWERED,  /* a visitor was sent something */
};

/* The component has got so far; it has got to the step before already. Each is told once. From any
 * thread. */
void preload_tell(enum preload_step to);

/* The process only compiles, and ends then: with EXIT_SUCCESS behind a step when the code is kept.
 */
bool preload_compiles(void);

/* A line that says why the process is about to end, with its line break. */
void preload_explain(const char *line);

#endif
