/* SPDX-License-Identifier: MIT */
/*
 * How the end of a body is told is in RFC 9112, 6.3. Where that lets a server be lenient, this
 * isn't: a length that is given twice is refused even if both are the same.
 */
#include "mhd/mhd.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/parse.h"

struct mhd_name_count {
	const char *name;
	unsigned count;
};

static enum MHD_Result mhd_count_name(
	void *owner, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct mhd_name_count *c = owner;

	c->count += strcasecmp(name, c->name) == 0;
	return MHD_YES;
}

unsigned mhd_header_count(struct MHD_Connection *connection, const char *name)
{
	struct mhd_name_count c = { .name = name };

	(void)MHD_get_connection_values(connection, MHD_HEADER_KIND, mhd_count_name, &c);
	return c.count;
}

static const char *mhd_header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

enum mhd_body mhd_body_of(struct MHD_Connection *connection, uint64_t *ret_len)
{
	const char *length = mhd_header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
	const char *coding = mhd_header(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING);
	unsigned framing = mhd_header_count(connection, MHD_HTTP_HEADER_CONTENT_LENGTH) +
			   mhd_header_count(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING);

	*ret_len = 0;
	if (framing > 1)
		return MHD_BODY_TWICE;
	if (framing == 0)
		return MHD_BODY_NONE;
	if (!length)
		return coding && strcasecmp(coding, "chunked") == 0 ? MHD_BODY_CHUNKED
								    : MHD_BODY_UNKNOWN;
	if (parse_u64(length, strlen(length), 0, UINT64_MAX, ret_len) < 0)
		*ret_len = UINT64_MAX;
	return *ret_len ? MHD_BODY_LENGTH : MHD_BODY_NONE;
}

bool mhd_query_cut(const char *target, size_t max)
{
	/* The memory is the connection's, and writable: libmicrohttpd itself cuts it up next. */
	char *query = strchr((char *)(uintptr_t)target, '?');
	size_t count = 1;

	if (!query || !query[1])
		return false;
	for (const char *c = query; *c; c++)
		count += *c == '&';
	if (count <= max)
		return false;
	query[1] = '\0';
	return true;
}

void mhd_log(void *component, const char *fmt, va_list args)
{
	char text[256], escaped[512];
	int n = vsnprintf(text, sizeof(text), fmt, args);

	if (n > 0)
		log_debug(component, "libmicrohttpd: '%s'",
			log_escape(escaped, sizeof(escaped), text, strcspn(text, "\r\n")));
}
