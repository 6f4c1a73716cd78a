/* SPDX-License-Identifier: MIT */
/* One JSON object per line. */
#include "cli/event.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

static void decrefp(json_t **json)
{
	json_decref(*json);
}

void event_write(const char *name, const char *fmt, ...)
{
	_cleanup_(decrefp) json_t *event = NULL;
	_cleanup_(decrefp) json_t *members = NULL;
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
	/* A reader that has gone away is no reason to stop serving. */
	if (json_dumpf(event, stdout, JSON_COMPACT) == 0)
		putchar('\n');
	clearerr(stdout);
}
