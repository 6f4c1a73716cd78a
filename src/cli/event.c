/* SPDX-License-Identifier: MIT */
/* One JSON object per line. */
#include "cli/event.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"

static void event_decrefp(json_t **json)
{
	json_decref(*json);
}

/* Writes the whole line or nothing. A reader that has gone away or doesn't read on must not keep us
 * from serving. */
static void event_put(const char *name, const json_t *event)
{
	char *text = json_dumps(event, JSON_COMPACT | JSON_ENSURE_ASCII);
	const struct iovec line[] = {
		{ .iov_base = text, .iov_len = text ? strlen(text) : 0 },
		{ .iov_base = (char[]){ '\n' }, .iov_len = 1 },
	};

	(void)fflush(stdout);
	if (!text || !fd_has_room(STDOUT_FILENO) ||
		(writev(STDOUT_FILENO, line, ARRAY_LEN(line)) < 0 && errno == EAGAIN))
		log_warn("event", "left out event=%s, standard output has no room", name);
	free(text);
}

void event_write(const char *name, const char *fmt, ...)
{
	_cleanup_(event_decrefp) json_t *event = NULL;
	_cleanup_(event_decrefp) json_t *members = NULL;
	json_error_t error;
	va_list ap;

	event = json_pack("{s:I, s:s}", "time", (json_int_t)clock_wall_ms(), "event", name);
	if (fmt) {
		va_start(ap, fmt);
		members = json_vpack_ex(&error, 0, fmt, ap);
		va_end(ap);
	}
	if (!event || (fmt && json_object_update(event, members) < 0)) {
		log_warn("event", "left out event=%s", name);
		return;
	}
	event_put(name, event);
}
