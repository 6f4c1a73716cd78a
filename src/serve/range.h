/* SPDX-License-Identifier: MIT */
/* The header with which a visitor asks for less than a whole file (RFC 9110, 14). */
#ifndef SERVE_RANGE_H
#define SERVE_RANGE_H

#include <stdint.h>

enum range {
	RANGE_NONE,          /* the whole file: no range, several of them, or none that is known */
	RANGE_PART,          /* 206 */
	RANGE_UNSATISFIABLE, /* 416: it begins behind the end */
};

/* Reads a Range header, which may be NULL, for a file of size bytes. */
enum range range_parse(const char *header, uint64_t size, uint64_t *ret_offset, uint64_t *ret_len);

#endif
