/* SPDX-License-Identifier: MIT */
/*
 * One job at a time takes all that there is to do: to open the file anew, to write the lines that
 * wait, at the end to close it. The file is the job's meanwhile. What comes in the meantime is for
 * the next job.
 */
#include "os/conn_file.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/lang.h"
#include "base/line_file.h"
#include "base/log.h"
#include "base/owner.h"
#include "os/conn_log.h"
#include "os/job.h"

/* Lines, and how many there are, and how many found no room. */
struct lines {
	struct buf text;
	uint64_t count, lost;
};

struct conn_file {
	struct job_line jobs;
	const char *path;
	struct line_file *file; /* NULL: the job at work has it */
	struct lines waiting;
	bool reopens, closing;
	bool full;           /* lines are lost, which is told */
	uv_timer_t deadline; /* of the end */
	void (*closed)(void *owner);
	void *owner;
};

struct conn_file_job {
	struct job job;
	struct conn_file *owner;
	struct line_file *file; /* NULL: closed, or given back */
	char *path;
	struct lines lines;
	bool reopens, closes;
	int reopened, written; /* results */
};

static struct lines lines_new(void)
{
	struct lines lines = { 0 };

	buf_init(&lines.text, CONN_FILE_WAITING_MAX);
	return lines;
}

/* --- in a thread --- */

static void conn_file_write(struct conn_file_job *j)
{
	uint64_t lost;
	FILE *out = line_file_begin(j->file, j->lines.count + j->lines.lost, &lost);

	lost += j->lines.lost;
	if (lost)
		(void)fprintf(out, "{\"lines_lost\":%" PRIu64 "}\n", lost);
	(void)fwrite(buf_head(&j->lines.text), 1, buf_len(&j->lines.text), out);
	j->written = line_file_flush(j->file);
}

static void conn_file_run(struct job *job)
{
	struct conn_file_job *j = container_of(job, struct conn_file_job, job);

	if (j->reopens)
		j->reopened = line_file_reopen(j->file, j->path, CONN_FILE_MODE);
	if (j->lines.count || j->lines.lost)
		conn_file_write(j);
	if (j->closes)
		j->file = line_file_close(j->file);
}

/* --- on the loop --- */

static void conn_file_start(struct conn_file *f);

static void conn_file_on_closed(uv_handle_t *handle)
{
	struct conn_file *f = container_of((uv_timer_t *)handle, struct conn_file, deadline);
	void (*closed)(void *owner) = f->closed;
	void *owner = f->owner;

	buf_deinit(&f->waiting.text);
	(void)line_file_close(f->file);
	free(f);
	closed(owner);
}

static void conn_file_end(struct conn_file *f)
{
	job_line_close(&f->jobs);
	uv_close((uv_handle_t *)&f->deadline, conn_file_on_closed);
}

static void conn_file_done(struct job *job)
{
	struct conn_file_job *j = container_of(job, struct conn_file_job, job);
	struct conn_file *f = j->owner;

	f->file = take_ptr(j->file);
	if (j->reopened < 0)
		log_warn("os", "can't open the connection log anew, the old file goes on: %s",
			file_why(j->reopened));
	if (j->written < 0)
		log_error("os", "the connection log can't be written, lines are lost error='%s'",
			strerror(-j->written));
	if (j->closes)
		conn_file_end(f);
	else
		conn_file_start(f);
}

/* One that was dropped still has the file. That is closed at last: the file system has answered by
 * now, and if it hangs again, the end of the process would wait for it just as well. */
static void conn_file_free(struct job *job)
{
	struct conn_file_job *j = container_of(job, struct conn_file_job, job);

	(void)line_file_close(j->file);
	buf_deinit(&j->lines.text);
	free(j->path);
	free(j);
}

/* Nothing while a job is at work, which starts the next one. Without memory the next line tries
 * again. */
static void conn_file_start(struct conn_file *f)
{
	struct conn_file_job *j;

	if (!f->file || (!f->reopens && !f->waiting.count && !f->closing))
		return;
	j = calloc(1, sizeof(*j));
	if (j)
		j->path = strdup(f->path);
	if (!j || !j->path) {
		free(j);
		if (f->closing)
			conn_file_end(f);
		return;
	}
	j->job.run = conn_file_run;
	j->job.done = conn_file_done;
	j->job.free = conn_file_free;
	j->owner = f;
	j->file = take_ptr(f->file);
	j->lines = f->waiting;
	j->reopens = f->reopens;
	j->closes = f->closing;
	f->waiting = lines_new();
	f->reopens = f->full = false;
	job_start(&f->jobs, &j->job);
}

int conn_file_new(uv_loop_t *loop, const char *path, struct conn_file **ret_file)
{
	struct conn_file *f = calloc(1, sizeof(*f));
	int r = f ? line_file_open(path, CONN_FILE_MODE, &f->file) : -ENOMEM;

	if (r < 0) {
		free(f);
		return r;
	}
	f->path = path;
	f->waiting = lines_new();
	job_line_init(&f->jobs, loop);
	(void)uv_timer_init(loop, &f->deadline);
	*ret_file = f;
	return 0;
}

static int conn_file_append(struct conn_file *f, const struct conn *conn)
{
	json_t *json = conn_json(conn);
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	size_t len = text ? strlen(text) : 0;
	int r = -ENOMEM;

	json_decref(json);
	if (text) {
		text[len] = '\n'; /* in place of the NUL */
		r = buf_append(&f->waiting.text, text, len + 1);
	}
	free(text);
	return r;
}

void conn_file_add(struct conn_file *f, const struct conn *conn)
{
	if (conn_file_append(f, conn) == 0) {
		f->waiting.count++;
	} else {
		f->waiting.lost++;
		if (!f->full)
			log_warn("os", "the connection log doesn't keep up, lines are lost: is its "
				       "file system there?");
		f->full = true;
	}
	conn_file_start(f);
}

void conn_file_reopen(struct conn_file *f)
{
	f->reopens = true;
	conn_file_start(f);
}

static void conn_file_on_late(uv_timer_t *timer)
{
	struct conn_file *f = container_of(timer, struct conn_file, deadline);

	log_warn("os", "the connection log's file system doesn't answer: its last lines are lost");
	conn_file_end(f);
}

void conn_file_close(struct conn_file *f, void (*closed)(void *owner), void *owner)
{
	f->closing = true;
	f->closed = closed;
	f->owner = owner;
	(void)uv_timer_start(&f->deadline, conn_file_on_late, CONN_FILE_CLOSE_MS, 0);
	conn_file_start(f);
}
