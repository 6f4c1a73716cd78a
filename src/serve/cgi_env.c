/* SPDX-License-Identifier: MIT */
/* WASI wants UTF-8; what isn't is read as Latin-1, which is what headers were in once. */
#include "serve/cgi_env.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/lang.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "serve/request_target.h"

#define HOST_MAX 256 /* a name of DNS has at most 253 characters */

/* Have variables of their own, or must not have any. */
static const char *const left_out[] = { "Content-Length", "Content-Type", "Proxy" };

static bool cgi_env_is_utf8(const char *text)
{
	size_t left = strlen(text), len;

	for (; left > 0; text += len, left -= len) {
		len = utf8_len(text, left);
		if (len == 0)
			return false;
	}
	return true;
}

static char *cgi_env_from_latin1(const char *text)
{
	char *made = malloc(2 * strlen(text) + 1), *out = made;

	for (; made && *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte >= 0x80) {
			*out++ = (char)(0xc0 | byte >> 6);
			byte = 0x80 | (byte & 0x3f);
		}
		*out++ = (char)byte;
	}
	if (made)
		*out = '\0';
	return made;
}

static _printf_(2, 3) int cgi_env_add(struct cgi_env *e, const char *fmt, ...)
{
	va_list args;
	char *var;
	int n;

	if (e->count == CGI_ENV_MAX)
		return 0;
	va_start(args, fmt);
	n = vasprintf(&var, fmt, args);
	va_end(args);
	if (n < 0)
		return -ENOMEM;
	if (!cgi_env_is_utf8(var)) {
		char *text = cgi_env_from_latin1(var);

		free(var);
		if (!text)
			return -ENOMEM;
		var = text;
	}
	e->vars[e->count++] = var;
	return 0;
}

/* SERVER_NAME and SERVER_PORT as the visitor has them: in front of us there may be a tunnel. */
static int cgi_env_add_server(struct cgi_env *e, const struct cgi_request *request)
{
	const char *host = request->host ? request->host : "localhost";
	const char *colon = strrchr(host, ':');
	uint16_t port = request->host ? 80 : request->port;
	size_t len = strlen(host);
	int r;

	if (colon && !strchr(colon, ']')) {
		if (colon[1] && parse_u16(colon + 1, strlen(colon + 1), &port) < 0)
			return -EINVAL;
		len = (size_t)(colon - host);
	}
	if (len == 0 || len > HOST_MAX)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)host[i]) && !strchr("-._:[]", host[i]))
			return -EINVAL;
	r = cgi_env_add(e, "SERVER_NAME=%.*s", (int)len, host);
	return r < 0 ? r : cgi_env_add(e, "SERVER_PORT=%" PRIu16, port);
}

/* The path decoded, which is to be text. */
static int cgi_env_add_path(struct cgi_env *e, const struct cgi_request *request)
{
	char *path = strdup(request->path);
	int r = -ENOMEM;

	if (path)
		r = request_target_decode(path);
	if (r == 0 && !cgi_env_is_utf8(path))
		r = -EINVAL;
	if (r == 0)
		r = cgi_env_add(e, "PATH_INFO=%s", path);
	if (r == 0)
		r = cgi_env_add(e, "PATH_TRANSLATED=%s", path);
	free(path);
	return r;
}

int cgi_env_init(struct cgi_env *e, const struct cgi_request *request)
{
	const char *query = request->query ? request->query : "";
	const struct {
		const char *name, *value;
	} vars[] = {
		{ "AUTH_TYPE", "" },
		{ "CONTENT_TYPE", request->content_type ? request->content_type : "" },
		{ "GATEWAY_INTERFACE", "CGI/1.1" },
		{ "QUERY_STRING", query },
		{ "REMOTE_ADDR", request->peer },
		{ "REMOTE_HOST", request->peer },
		{ "REMOTE_USER", "" },
		{ "REQUEST_METHOD", request->method },
		{ "SCRIPT_NAME", "" },
		{ "SERVER_PROTOCOL", request->version },
		{ "SERVER_SOFTWARE", "wasmrun/" WASMRUN_VERSION },
		{ "X_MATCHED_ROUTE", "/..." },
		{ "X_RAW_PATH_INFO", request->path },
	};
	const char *mark = request->query ? "?" : "";
	int r;

	e->count = 0;
	r = cgi_env_add_server(e, request);
	if (r == 0)
		r = cgi_env_add_path(e, request);
	for (size_t i = 0; i < ARRAY_LEN(vars) && r == 0; i++)
		r = cgi_env_add(e, "%s=%s", vars[i].name, vars[i].value);
	if (r == 0 && request->body_len)
		r = cgi_env_add(e, "CONTENT_LENGTH=%" PRIu64, request->body_len);
	if (r == 0)
		r = cgi_env_add(e, "REQUEST_URI=%s%s%s", request->path, mark, query);
	if (r == 0)
		r = cgi_env_add(e, "X_FULL_URL=http://%s%s%s%s",
			request->host ? request->host : "localhost", request->path, mark, query);
	return r;
}

/* NAME= of a header; false for one that has none. An underscore would meet a hyphen. */
static bool cgi_env_name(const char *header, char *out, size_t size)
{
	int n = snprintf(out, size, "HTTP_%s=", header);

	for (size_t i = 0; i < ARRAY_LEN(left_out); i++)
		if (strcasecmp(header, left_out[i]) == 0)
			return false;
	for (const char *c = header; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '-')
			return false;
	if (!*header || n >= (int)size)
		return false;
	for (; *out != '='; out++)
		*out = *out == '-' ? '_' : (char)toupper((unsigned char)*out);
	return true;
}

int cgi_env_add_header(struct cgi_env *e, const char *name, const char *value)
{
	char var[128], *before = NULL;
	size_t i;
	int r;

	if (!cgi_env_name(name, var, sizeof(var)))
		return 0;
	for (i = 0; i < e->count; i++)
		if (strncmp(e->vars[i], var, strlen(var)) == 0)
			break;
	if (i == e->count)
		return cgi_env_add(e, "%s%s", var, value);
	/* The last of them takes the place of the first. */
	before = e->vars[i];
	e->vars[i] = e->vars[--e->count];
	r = cgi_env_add(e, "%s%s%s", before, strcasecmp(name, "Cookie") == 0 ? "; " : ", ", value);
	free(before);
	return r;
}

void cgi_env_clear(struct cgi_env *e)
{
	while (e->count)
		free(e->vars[--e->count]);
}
