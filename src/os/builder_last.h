/* SPDX-License-Identifier: MIT */
/* What is told of a build when it is over. */
#ifndef OS_BUILDER_LAST_H
#define OS_BUILDER_LAST_H

#include <stdbool.h>
#include <stdint.h>

/* The last run of a build command, with what follows until the application can be started. */
struct builder_last {
	uint64_t since_ms;    /* wall clock; 0: none has run */
	uint64_t duration_ms; /* once it is over */
	bool over;
	int result; /* 0; -ECANCELED: it was given up; another one: it has failed */
	uint64_t first_line, next_line; /* of what it has said, in the log */
	uint64_t began_ms;              /* the builder's own; monotonic */
};

#endif
