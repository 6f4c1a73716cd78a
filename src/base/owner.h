/* SPDX-License-Identifier: MIT */
/*
 * Ownership, written down: a local that owns something says with _cleanup_() what frees it, and a
 * transfer says take_ptr() or take_fd(), which leave nothing to free behind.
 */
#ifndef BASE_OWNER_H
#define BASE_OWNER_H

#include <stddef.h>
#include <stdlib.h>

/* Runs f(&variable) when the variable goes out of scope. */
#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void *take_pointer(void *where)
{
	void **from = (void **)where, *taken = *from;

	*from = NULL;
	return taken;
}

/* Hands the pointer over: yields its value and leaves NULL behind. */
#define take_ptr(p) ((__typeof__(p))take_pointer(&(p)))

/* For a text of malloc(3) that goes out of scope; NULL is fine. */
static inline void freep(char **text)
{
	free(*text);
}

/* Hands the descriptor over: returns its value and leaves -1 behind. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#endif
