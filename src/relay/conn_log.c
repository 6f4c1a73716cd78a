/* SPDX-License-Identifier: MIT */
/* What can't be written is said once and costs lines, never connections. Owns its file. */
#include "relay/conn_log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/line_file.h"
#include "base/log.h"

#define CONN_LOG_MODE 0640

struct conn_log {
	struct line_file *file;
	uint64_t stamp_s;
	char stamp[32]; /* of stamp_s, to the second */
};

const char *relay_event_name(enum relay_event_type type)
{
	static const char *const names[] = {
		[RELAY_LISTENING] = "listening",
		[RELAY_TUNNEL_OPENED] = "tunnel_opened",
		[RELAY_TUNNEL_RESUMED] = "tunnel_resumed",
		[RELAY_TUNNEL_ADOPTED] = "tunnel_adopted",
		[RELAY_TUNNEL_HANDED_OVER] = "tunnel_handed_over",
		[RELAY_TUNNEL_CLOSED] = "tunnel_closed",
		[RELAY_TUNNEL_REFUSED] = "tunnel_refused",
		[RELAY_VISITOR_OPENED] = "visitor_opened",
		[RELAY_VISITOR_CLOSED] = "visitor_closed",
		[RELAY_HANDED_OVER] = "handed_over",
		[RELAY_DRAINING] = "draining",
	};

	static_assert(ARRAY_LEN(names) == RELAY_EVENT_TYPES, "a name for each type");
	return names[type];
}

int conn_log_open(const char *path, struct conn_log **ret_log)
{
	struct conn_log *log = calloc(1, sizeof(*log));
	int r = log ? line_file_open(path, CONN_LOG_MODE, &log->file) : -ENOMEM;

	if (r == 0)
		*ret_log = log;
	else
		free(log);
	return r;
}

struct conn_log *conn_log_close(struct conn_log *log)
{
	if (!log)
		return NULL;
	(void)line_file_close(log->file);
	free(log);
	return NULL;
}

int conn_log_reopen(struct conn_log *log, const char *path)
{
	return line_file_reopen(log->file, path, CONN_LOG_MODE);
}

static void conn_log_write_time(struct conn_log *log, FILE *out)
{
	uint64_t now = clock_wall_ms();
	time_t seconds = (time_t)(now / 1000);
	struct tm tm;

	if (now / 1000 != log->stamp_s && gmtime_r(&seconds, &tm)) {
		log->stamp_s = now / 1000;
		(void)strftime(log->stamp, sizeof(log->stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	}
	(void)fprintf(out, "%s.%03uZ", log->stamp, (unsigned)(now % 1000));
}

void conn_log_write(struct conn_log *log, const struct relay_event *event)
{
	char text[ADDR_TEXT_MAX];
	uint64_t lost;
	FILE *out;

	if (!log)
		return;
	out = line_file_begin(log->file, 1, &lost);
	if (lost) {
		conn_log_write_time(log, out);
		(void)fprintf(out, " lines_lost count=%" PRIu64 "\n", lost);
	}
	conn_log_write_time(log, out);
	(void)fprintf(out, " %s", relay_event_name(event->type));
	if (event->port)
		(void)fprintf(out, " port=%u", event->port);
	if (event->addr)
		(void)fprintf(out, " addr=%s", addr_format(event->addr, text));
	if (event->id)
		(void)fprintf(out, " id=%s", event->id);
	if (event->type == RELAY_VISITOR_CLOSED)
		(void)fprintf(
			out, " in=%" PRIu64 " out=%" PRIu64, event->bytes_in, event->bytes_out);
	if (event->type == RELAY_VISITOR_CLOSED || event->type == RELAY_TUNNEL_CLOSED ||
		event->type == RELAY_TUNNEL_HANDED_OVER)
		(void)fprintf(out, " ms=%" PRIu64, event->duration_ms);
	if (event->why)
		(void)fprintf(out, " why='%s'", event->why);
	(void)fputc('\n', out);
}

void conn_log_flush(struct conn_log *log)
{
	int r = log ? line_file_flush(log->file) : 0;

	if (r < 0)
		log_error("relay", "the connection log can't be written, lines are lost error='%s'",
			strerror(-r));
}
