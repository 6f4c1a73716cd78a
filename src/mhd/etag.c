/* SPDX-License-Identifier: MIT */
#include "mhd/etag.h"

#include <stddef.h>
#include <string.h>

static bool etag_is_among(const char *header, const char *etag, bool weak)
{
	size_t len = strlen(etag);

	while (*header) {
		const char *at = header + strspn(header, " \t,");

		header = at + strcspn(at, ",");
		if (*at == '*')
			return true;
		if (weak && strncmp(at, "W/", 2) == 0)
			at += 2;
		if (strncmp(at, etag, len) == 0 && at + len + strspn(at + len, " \t") == header)
			return true;
	}
	return false;
}

bool etag_matches(const char *header, const char *etag)
{
	return etag_is_among(header, etag, true);
}

bool etag_matches_strongly(const char *header, const char *etag)
{
	return etag_is_among(header, etag, false);
}
