/* SPDX-License-Identifier: MIT */
/* A request's target, and the headers that ask for a part: the first line is the target, the next
 * two are a range and entity tags. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "mhd/etag.h"
#include "serve/range.h"
#include "serve/request_target.h"

#define FILE_SIZE 1000

static void check_range(const char *header)
{
	uint64_t offset, len;

	if (range_parse(header, FILE_SIZE, &offset, &len) == RANGE_PART)
		assert(len > 0 && offset < FILE_SIZE && len <= FILE_SIZE - offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), *rest = text, *path, *query;
	const char *target;
	size_t len;

	if (!text)
		return 0;
	target = strsep(&rest, "\n");
	len = strlen(target);
	if (rest)
		check_range(strsep(&rest, "\n"));
	if (rest)
		(void)etag_matches(rest, "\"1-2\"");
	if (request_target_split(text, &path, &query) == 0) {
		assert(*path == '/' && path >= text && path <= text + len);
		assert(!query || (query > path && query <= text + len));
		if (request_target_decode(path) == 0)
			assert(*path == '/');
	}
	free(text);
	return 0;
}
