/* SPDX-License-Identifier: MIT */
/* What C itself lacks, and every layer uses. */
#ifndef BASE_LANG_H
#define BASE_LANG_H

#include <stddef.h>
#include <stdint.h>

/* Lets the compiler check the arguments against the format. */
#define _printf_(format_index, first_arg) __attribute__((format(printf, format_index, first_arg)))

#define ARRAY_LEN(x) (sizeof(x) / sizeof((x)[0]))

/* A macro's number as a text. */
#define TEXT_OF(x) TEXT_OF_TOKEN(x)
#define TEXT_OF_TOKEN(x) #x

/* The object whose member `ptr` points to. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
