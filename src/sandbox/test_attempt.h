/* SPDX-License-Identifier: MIT */
/*
 * For tests of a wall: each attempt is made by a process of its own, since nobody comes out from
 * behind a wall again. All here fail the test where something doesn't work that isn't the attempt.
 */
#ifndef SANDBOX_TEST_ATTEMPT_H
#define SANDBOX_TEST_ATTEMPT_H

#include <stddef.h>

/* An attempt's answer that may be any of the kernel's own, so nothing that a wall says. */
#define REACHED 1

/* 0 or a negative errno. */
typedef int attempt_fn(void);

/* Of what a system call has returned: 0, or errno negated. */
int attempt_result(long r);

/* What `attempt` has returned. `enter` sets the stage and goes behind the wall; 0 if it could. */
int attempt_run(attempt_fn *attempt, int (*enter)(const void *arg), const void *arg);

/* Fails unless `r` is as wanted. */
void attempt_expect(const char *name, const char *where, int r, int wanted);

/* All up to the end, which must come within a minute. `size`: with the NUL. */
void attempt_read_all(int fd, char *text, size_t size);

#endif
