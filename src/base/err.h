/* SPDX-License-Identifier: MIT */
/*
 * The few language helpers that every file needs: cleanup attributes, handing over ownership, and
 * the compiler's printf check. Errors themselves are plain ints: 0 is done, a negative errno means
 * that the operation is dead and goes up unchanged, a positive value is a condition of the module's
 * own enum.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Runs f(&variable) when the variable goes out of scope. */
#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(format_index, first_arg) __attribute__((format(printf, format_index, first_arg)))

#define ARRAY_LEN(x) (sizeof(x) / sizeof((x)[0]))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

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

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
