/* SPDX-License-Identifier: MIT */
/* What comes is a peer's: every byte is looked at. */
#include "serve/request_target.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"

static const char scheme[] = "http://";

int request_target_split(char *target, char **ret_path, char **ret_query)
{
	char *query;

	for (const char *c = target; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return -EINVAL;
	if (strncasecmp(target, scheme, strlen(scheme)) == 0) {
		target += strlen(scheme);
		target += strcspn(target, "/?");
		/* "http://host?query": there is no place for the missing slash but the one before.
		 */
		if (*target != '/')
			*--target = '/';
	}
	if (*target != '/')
		return -EINVAL;
	query = strchr(target, '?');
	if (query)
		*query++ = '\0';
	*ret_path = target;
	*ret_query = query;
	return 0;
}

int request_target_decode(char *path)
{
	char *out = path;

	for (const char *in = path; *in; in++) {
		uint8_t byte = (uint8_t)*in;

		if (*in == '%') {
			/* Two digits, neither of which may be the end. */
			if (!in[1] || parse_hex(in + 1, 2, &byte, 1) < 0 || byte == 0)
				return -EINVAL;
			in += 2;
		}
		*out++ = (char)byte;
	}
	*out = '\0';
	return 0;
}
