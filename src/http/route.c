/* SPDX-License-Identifier: MIT */
/*
 * Finding a route: the tables are short, so they are searched from end to end. Twice: a path that
 * is in the table as it stands ("/api/requests/record") comes before one with a parameter
 * ("/api/requests/{id}"), whatever their order and methods.
 */
#include "http/route.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"

static const char *const method_names[] = {
	[HTTP_GET] = "GET",
	[HTTP_POST] = "POST",
	[HTTP_PUT] = "PUT",
	[HTTP_DELETE] = "DELETE",
};
static_assert(ARRAY_LEN(method_names) == HTTP_METHODS, "a name for each method");

const char *http_method_name(enum http_method method)
{
	return method_names[method];
}

static bool route_has_method(const struct http_route *route, const char *name)
{
	return strcmp(method_names[route->method], name) == 0 ||
	       (route->method == HTTP_GET && strcmp(name, "HEAD") == 0);
}

static void allow_append(char allow[HTTP_ALLOW_MAX], enum http_method method)
{
	size_t len = strlen(allow);

	(void)snprintf(allow + len, HTTP_ALLOW_MAX - len, "%s%s%s", len ? ", " : "",
		method_names[method], method == HTTP_GET ? ", HEAD" : "");
}

/* `name` is followed by a brace. NULL: the route has none of that name. */
static const struct http_param *route_param(const struct http_route *route, const char *name)
{
	size_t len = strcspn(name, "}");

	for (size_t i = 0; i < HTTP_PARAMS_MAX && route->params[i].name; i++)
		if (strlen(route->params[i].name) == len &&
			strncmp(route->params[i].name, name, len) == 0)
			return &route->params[i];
	return NULL;
}

static bool route_has_path(const struct http_route *route, const char *path,
	char ret_values[HTTP_PARAMS_MAX][HTTP_VALUE_MAX + 1])
{
	memset(ret_values, 0, HTTP_PARAMS_MAX * sizeof(ret_values[0]));
	for (const char *form = route->path; *form; form++) {
		size_t len;

		if (*form != '{') {
			if (*form != *path++)
				return false;
			continue;
		}
		len = strcspn(path, "/");
		if (len == 0 || len > HTTP_VALUE_MAX)
			return false;
		memcpy(ret_values[route_param(route, form + 1) - route->params], path, len);
		path += len;
		form = strchr(form, '}');
	}
	return *path == '\0';
}

static void match_among(const struct http_route *routes, size_t count, bool with_params,
	const char *method, const char *path, struct http_match *match)
{
	for (size_t i = 0; i < count; i++) {
		if ((strchr(routes[i].path, '{') != NULL) != with_params ||
			!route_has_path(&routes[i], path, match->values))
			continue;
		if (route_has_method(&routes[i], method)) {
			match->route = &routes[i];
			return;
		}
		allow_append(match->allow, routes[i].method);
	}
}

void http_route_find(const struct http_route *routes, size_t count, const char *method,
	const char *path, struct http_match *ret_match)
{
	ret_match->route = NULL;
	ret_match->allow[0] = '\0';
	match_among(routes, count, false, method, path, ret_match);
	if (!ret_match->route && !ret_match->allow[0])
		match_among(routes, count, true, method, path, ret_match);
}

bool http_route_has_in_path(const struct http_route *route, const struct http_param *param)
{
	for (const char *brace = route->path; (brace = strchr(brace, '{')); brace++)
		if (route_param(route, brace + 1) == param)
			return true;
	return false;
}

bool http_route_is_sound(const struct http_route *route)
{
	const char *brace = route->path;

	if (*brace != '/')
		return false;
	for (; (brace = strchr(brace, '{')); brace++) {
		const struct http_param *param = route_param(route, brace + 1);
		const char *end = strchr(brace, '}');

		if (!param || param->type == HTTP_TEXT || brace[-1] != '/' || !end ||
			(end[1] && end[1] != '/'))
			return false;
	}
	return true;
}
