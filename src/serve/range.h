/* SPDX-License-Identifier: MIT */
/* Headers with which a visitor asks for less than a whole file (RFC 9110, 13 and 14). */
#ifndef SERVE_RANGE_H
#define SERVE_RANGE_H

#include <stdbool.h>
#include <stdint.h>

enum range {
	RANGE_NONE,          /* the whole file: no range, several of them, or none that is known */
	RANGE_PART,          /* 206 */
	RANGE_UNSATISFIABLE, /* 416: it begins behind the end */
};

/* Reads a Range header, which may be NULL, for a file of size bytes. */
enum range range_parse(const char *header, uint64_t size, uint64_t *ret_offset, uint64_t *ret_len);

/* Whether an If-None-Match header names this entity tag, strong or weak. */
bool etag_matches(const char *header, const char *etag);

#endif
