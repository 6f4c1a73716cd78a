/* SPDX-License-Identifier: MIT */
#include "serve/navigation.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "serve/media_type.h"

/* Whether the list has that range, with any parameters (RFC 9110, 12.5.1). */
static bool navigation_list_has(const char *list, const char *range)
{
	size_t len = strlen(range);

	while (*list) {
		const char *at = list + strspn(list, " \t,"), *end;

		list = at + strcspn(at, ",");
		end = at + strcspn(at, " \t,;");
		if ((size_t)(end - at) == len && strncasecmp(at, range, len) == 0)
			return true;
	}
	return false;
}

bool navigation_is(const struct navigation *n)
{
	const char *type = media_type_of(strrchr(n->path, '/'));

	if (strcmp(type, MEDIA_TYPE_UNKNOWN) != 0 && strncmp(type, "text/html", 9) != 0)
		return false;
	if (n->fetch_mode)
		return strcmp(n->fetch_mode, "navigate") == 0;
	return !n->accept || navigation_list_has(n->accept, "text/html") ||
	       strcmp(n->accept, "*/*") == 0;
}
