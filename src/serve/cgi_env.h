/* SPDX-License-Identifier: MIT */
/*
 * The environment of a CGI program for one request: RFC 3875, section 4.1, with what WAGI adds
 * (X_FULL_URL, X_MATCHED_ROUTE, X_RAW_PATH_INFO) and REQUEST_URI, which everyone adds.
 *
 * The program is mounted at the root: SCRIPT_NAME is empty and PATH_INFO the whole path. Nothing of
 * a request ever becomes an argument of the program.
 */
#ifndef SERVE_CGI_ENV_H
#define SERVE_CGI_ENV_H

#include <stddef.h>
#include <stdint.h>

#define CGI_ENV_MAX 192 /* variables; headers beyond it are left out */

struct cgi_request {
	const char *method, *version;
	const char *path;         /* not decoded, begins with a slash */
	const char *query;        /* NULL: none */
	const char *host;         /* the Host header; NULL: none */
	const char *content_type; /* NULL: none */
	uint64_t body_len;
	const char *peer; /* the visitor's address in numbers */
	uint16_t port;    /* that was connected to */
};

struct cgi_env {
	char *vars[CGI_ENV_MAX]; /* owned, NAME=VALUE, in UTF-8 */
	size_t count;
};

/* 0, -EINVAL for a path or host that can't be told, -ENOMEM. To be cleared in every case. */
int cgi_env_init(struct cgi_env *e, const struct cgi_request *request);

/*
 * HTTP_NAME, unless it has a variable of its own, or a name that could be taken for another's. A
 * second one of a name is appended to the first. "Proxy" is left out: as HTTP_PROXY many a library
 * would take it for a setting. 0, -ENOMEM.
 */
int cgi_env_add_header(struct cgi_env *e, const char *name, const char *value);

void cgi_env_clear(struct cgi_env *e);

#endif
