/* SPDX-License-Identifier: MIT */
/*
 * A parameter of a route, in its path or in the query. What it may be is said once, in the table of
 * routes: requests are held against it before a handler sees them, and the description of the API
 * is made from it.
 */
#ifndef HTTP_PARAM_H
#define HTTP_PARAM_H

#include <stdbool.h>
#include <stdint.h>

enum http_param_type {
	HTTP_TEXT,   /* anything but an empty one; not for a path, where it could be ".." */
	HTTP_NUMBER, /* min to max, in digits */
	HTTP_WORD,   /* one of `words` */
	HTTP_ID,     /* as we make them ourselves: letters, digits, '-', '_', see HTTP_VALUE_MAX */
};

#define HTTP_VALUE_MAX 64 /* bytes of a parameter in a path, and of an HTTP_ID anywhere */
#define HTTP_ID_PATTERN "^[A-Za-z0-9_-]+$"

struct http_param {
	const char *name;
	enum http_param_type type;
	bool required;            /* in the query; one in the path always is */
	uint64_t min, max;        /* of an HTTP_NUMBER, at most INT64_MAX */
	uint64_t fallback;        /* an HTTP_NUMBER that isn't in the query */
	const char *const *words; /* up to NULL */
	const char *help;
};

/* 0, or -EINVAL and what it must be, as "must be a number from 1 to 9". `text` NULL: there is none
 * in the query, or nothing behind its name. */
#define HTTP_PARAM_MUST_MAX 160
int http_param_check(
	const struct http_param *param, const char *text, char ret_must[HTTP_PARAM_MUST_MAX]);

/* The place of a text among the words; -1: it is none of them. */
int http_param_word(const struct http_param *param, const char *text);

#endif
