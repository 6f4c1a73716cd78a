/* SPDX-License-Identifier: MIT */
/* A range that isn't understood is one that wasn't asked for: the answer is the whole file. */
#include "serve/range.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"

enum range range_parse(const char *header, uint64_t size, uint64_t *ret_offset, uint64_t *ret_len)
{
	static const char unit[] = "bytes=";
	uint64_t first, last = UINT64_MAX;
	const char *dash;

	if (!header || strncasecmp(header, unit, strlen(unit)) != 0)
		return RANGE_NONE;
	header += strlen(unit);
	dash = strchr(header, '-');
	if (!dash || (dash[1] && parse_u64(dash + 1, strlen(dash + 1), 0, INT64_MAX, &last) < 0))
		return RANGE_NONE;
	if (dash == header) {
		/* The last so many bytes. */
		if (last == UINT64_MAX)
			return RANGE_NONE;
		if (last == 0 || size == 0)
			return RANGE_UNSATISFIABLE;
		first = last < size ? size - last : 0;
		last = size - 1;
	} else if (parse_u64(header, (size_t)(dash - header), 0, INT64_MAX, &first) < 0 ||
		   last < first) {
		return RANGE_NONE;
	}
	if (first >= size)
		return RANGE_UNSATISFIABLE;
	*ret_offset = first;
	*ret_len = (last < size ? last + 1 : size) - first;
	return RANGE_PART;
}
