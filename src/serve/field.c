/* SPDX-License-Identifier: MIT */
#include "serve/field.h"

#include <string.h>
#include <strings.h>

#include "base/lang.h"

static const char *const servers[] = {
	"Connection",
	"Content-Length",
	"Date",
	"Keep-Alive",
	"Proxy-Authenticate",
	"Proxy-Authentication-Info",
	"Proxy-Connection",
	"TE",
	"Trailer",
	"Transfer-Encoding",
	"Upgrade",
};

/* What one file's answer says of it. */
static const char *const answers[] = {
	"Accept-Ranges",
	"Allow",
	"Content-Encoding",
	"Content-Range",
	"Content-Type",
	"ETag",
	"Last-Modified",
	"Location",
};

size_t field_token_len(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && text[n] > ' ' && text[n] < 0x7f &&
		!strchr("\"(),/:;<=>?@[\\]{}", text[n]))
		n++;
	return n;
}

static bool field_is_among(const char *const *names, size_t count, const char *name, size_t len)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(names[i]) == len && strncasecmp(names[i], name, len) == 0)
			return true;
	return false;
}

bool field_is_servers(const char *name, size_t len)
{
	return field_is_among(servers, ARRAY_LEN(servers), name, len);
}

const char *field_refusal(const char *text)
{
	size_t len = field_token_len(text, strlen(text));

	if (len == 0 || text[len] != ':')
		return "it is no NAME: VALUE";
	if (text[len + 1 + strspn(text + len + 1, " ")] == '\0')
		return "it has no value";
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return "it has a control character";
	if (field_is_servers(text, len))
		return "the server says that itself, of each connection";
	if (field_is_among(answers, ARRAY_LEN(answers), text, len))
		return "the server says that itself, of each file";
	return NULL;
}

struct field field_split(char *text)
{
	char *value = text + strcspn(text, ":"), *end = text + strlen(text);

	*value++ = '\0';
	value += strspn(value, " ");
	while (end > value && end[-1] == ' ')
		*--end = '\0';
	return (struct field){ .name = text, .value = value };
}
