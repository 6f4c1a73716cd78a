/* SPDX-License-Identifier: MIT */
/* stdio does the collecting. A full disk, or a pipe that nobody reads, is said once and costs
 * lines, never connections. Owns its stream. */
#include "relay/conn_log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"

#define CONN_LOG_BUFFER 16384 /* about a hundred lines a write */

struct conn_log {
	FILE *file;
	bool failed;
	uint64_t lines; /* that wait to be flushed */
	uint64_t lost;  /* lines that could not be written since the last that could */
	uint64_t stamp_s;
	char stamp[32]; /* of stamp_s, to the second */
};

const char *relay_event_name(enum relay_event_type type)
{
	static const char *const names[] = {
		[RELAY_LISTENING] = "listening",
		[RELAY_TUNNEL_OPENED] = "tunnel_opened",
		[RELAY_TUNNEL_RESUMED] = "tunnel_resumed",
		[RELAY_TUNNEL_CLOSED] = "tunnel_closed",
		[RELAY_TUNNEL_REFUSED] = "tunnel_refused",
		[RELAY_VISITOR_OPENED] = "visitor_opened",
		[RELAY_VISITOR_CLOSED] = "visitor_closed",
		[RELAY_DRAINING] = "draining",
	};

	static_assert(ARRAY_LEN(names) == RELAY_EVENT_TYPES, "a name for each type");
	return names[type];
}

/* A pipe whose reader sleeps costs lines, and nobody waits for it. */
static int conn_log_open_file(const char *path, int *ret_fd)
{
	int fd;

	if (strcmp(path, "-") != 0)
		return file_open(path, O_WRONLY | O_APPEND | O_CREAT, 0640,
			FILE_OR_PIPE | FILE_OR_DEVICE, ret_fd);
	fd_unblock_output(STDOUT_FILENO);
	fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int conn_log_open(const char *path, struct conn_log **ret_log)
{
	_cleanup_(fd_closep) int fd = -1;
	struct conn_log *log;
	int r = conn_log_open_file(path, &fd);

	if (r < 0)
		return r;
	log = calloc(1, sizeof(*log));
	if (!log)
		return -ENOMEM;
	log->file = fdopen(fd, "w"); /* truncates nothing */
	if (!log->file) {
		r = -errno;
		free(log);
		return r;
	}
	(void)take_fd(&fd);
	(void)setvbuf(log->file, NULL, _IOFBF, CONN_LOG_BUFFER);
	*ret_log = log;
	return 0;
}

struct conn_log *conn_log_close(struct conn_log *log)
{
	if (!log)
		return NULL;
	(void)fclose(log->file);
	free(log);
	return NULL;
}

int conn_log_reopen(struct conn_log *log, const char *path)
{
	_cleanup_(fd_closep) int fd = -1;
	int r = conn_log_open_file(path, &fd);

	if (r < 0)
		return r;
	(void)fflush(log->file);
	log->failed = false;
	log->lines = log->lost = 0;
	return dup3(fd, fileno(log->file), O_CLOEXEC) < 0 ? -errno : 0;
}

static void conn_log_write_time(struct conn_log *log)
{
	uint64_t now = clock_wall_ms();
	time_t seconds = (time_t)(now / 1000);
	struct tm tm;

	if (now / 1000 != log->stamp_s && gmtime_r(&seconds, &tm)) {
		log->stamp_s = now / 1000;
		(void)strftime(log->stamp, sizeof(log->stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	}
	(void)fprintf(log->file, "%s.%03uZ", log->stamp, (unsigned)(now % 1000));
}

/* The last line of what could not be written may be there in part, so this one begins anew. */
static void conn_log_write_lost(struct conn_log *log)
{
	(void)fputc('\n', log->file);
	conn_log_write_time(log);
	(void)fprintf(log->file, " lines_lost count=%" PRIu64 "\n", log->lost);
}

void conn_log_write(struct conn_log *log, const struct relay_event *event)
{
	char text[ADDR_TEXT_MAX];

	if (!log)
		return;
	if (log->lost && !log->lines)
		conn_log_write_lost(log);
	log->lines++;
	conn_log_write_time(log);
	(void)fprintf(log->file, " %s", relay_event_name(event->type));
	if (event->port)
		(void)fprintf(log->file, " port=%u", event->port);
	if (event->addr)
		(void)fprintf(log->file, " addr=%s", addr_format(event->addr, text));
	if (event->id)
		(void)fprintf(log->file, " id=%s", event->id);
	if (event->type == RELAY_VISITOR_CLOSED)
		(void)fprintf(log->file, " in=%" PRIu64 " out=%" PRIu64, event->bytes_in,
			event->bytes_out);
	if (event->type == RELAY_VISITOR_CLOSED || event->type == RELAY_TUNNEL_CLOSED)
		(void)fprintf(log->file, " ms=%" PRIu64, event->duration_ms);
	if (event->why)
		(void)fprintf(log->file, " why='%s'", event->why);
	(void)fputc('\n', log->file);
}

void conn_log_flush(struct conn_log *log)
{
	if (!log || !log->lines)
		return;
	if (fflush(log->file) == 0 && !ferror(log->file)) {
		log->lines = log->lost = 0;
		return;
	}
	log->lost += log->lines;
	log->lines = 0;
	if (!log->failed)
		log_error("relay", "the connection log can't be written, lines are lost error='%s'",
			strerror(errno));
	log->failed = true;
	clearerr(log->file);
}
