/* SPDX-License-Identifier: MIT */
#include "http/param.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

#define ID_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

int http_param_word(const struct http_param *param, const char *text)
{
	for (int i = 0; param->words[i]; i++)
		if (strcmp(text, param->words[i]) == 0)
			return i;
	return -1;
}

static bool param_is_right(const struct http_param *param, const char *text)
{
	size_t len = strlen(text);
	uint64_t number;

	switch (param->type) {
	case HTTP_TEXT:
		return len > 0;
	case HTTP_NUMBER:
		return parse_u64(text, len, param->min, param->max, &number) == 0;
	case HTTP_WORD:
		return http_param_word(param, text) >= 0;
	case HTTP_ID:
		return len > 0 && len <= HTTP_VALUE_MAX && strspn(text, ID_CHARS) == len;
	}
	return false;
}

static void param_describe(const struct http_param *param, char *text, size_t size)
{
	size_t n = 0;

	switch (param->type) {
	case HTTP_TEXT:
		(void)snprintf(text, size, "must not be empty");
		break;
	case HTTP_NUMBER:
		(void)snprintf(text, size, "must be a number from %" PRIu64 " to %" PRIu64,
			param->min, param->max);
		break;
	case HTTP_ID:
		(void)snprintf(text, size, "must be letters, digits, '-' and '_', up to %d of them",
			HTTP_VALUE_MAX);
		break;
	case HTTP_WORD:
		for (int i = 0; param->words[i] && n < size; i++)
			n += (size_t)snprintf(text + n, size - n, "%s%s",
				i ? ", " : "must be one of ", param->words[i]);
		break;
	}
}

int http_param_check(
	const struct http_param *param, const char *text, char ret_must[HTTP_PARAM_MUST_MAX])
{
	if (!text && !param->required)
		return 0;
	if (text && param_is_right(param, text))
		return 0;
	if (text)
		param_describe(param, ret_must, HTTP_PARAM_MUST_MAX);
	else
		(void)snprintf(ret_must, HTTP_PARAM_MUST_MAX, "is missing");
	return -EINVAL;
}
