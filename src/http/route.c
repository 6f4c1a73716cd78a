/* SPDX-License-Identifier: MIT */
/* Finding a route: the tables are short, so they are searched from end to end. */
#include "http/route.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"

static const char *const names[] = {
	[HTTP_GET] = "GET",
	[HTTP_POST] = "POST",
	[HTTP_PUT] = "PUT",
	[HTTP_DELETE] = "DELETE",
};
static_assert(ARRAY_LEN(names) == HTTP_METHODS, "a name for each method");

const char *http_method_name(enum http_method method)
{
	return names[method];
}

static bool method_is(enum http_method method, const char *name)
{
	return strcmp(names[method], name) == 0 ||
	       (method == HTTP_GET && strcmp(name, "HEAD") == 0);
}

static void allow_append(char allow[HTTP_ALLOW_MAX], enum http_method method)
{
	size_t len = strlen(allow);

	(void)snprintf(allow + len, HTTP_ALLOW_MAX - len, "%s%s%s", len ? ", " : "", names[method],
		method == HTTP_GET ? ", HEAD" : "");
}

const struct http_route *http_route_find(const struct http_route *routes, size_t count,
	const char *method, const char *path, char ret_allow[HTTP_ALLOW_MAX])
{
	ret_allow[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		if (strcmp(routes[i].path, path) != 0)
			continue;
		if (method_is(routes[i].method, method))
			return &routes[i];
		allow_append(ret_allow, routes[i].method);
	}
	return NULL;
}
