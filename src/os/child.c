/* SPDX-License-Identifier: MIT */
/*
 * The life of a child, by its events:
 *
 * 1. child_start() makes a pipe for each stream that is read here, and starts the child with the
 *    writing ends. It keeps none of them, so that a pipe ends with its last writer.
 * 2. A pipe is readable: one read a turn of the loop, whose complete lines are handed over.
 * 3. The pidfd is readable: the child has ended, and its group is killed with it, so that a
 *    grandchild with a writing end doesn't delay the end. What is left in the pipes is read, and
 *    all handles begin to close. From here on no signal goes out: the number may be another's.
 * 4. The last handle is closed: `ended` is called, and the memory is the owner's again.
 *
 * A child that can't become its program goes the same way, and has no 2.
 */
#include "os/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/lang.h"

#define CAUSE_MARK_LEN 7
#define READS_AT_END 256 /* a pipe holds 64 KiB, and nobody is there to fill it again */

static const char *const child_pipe_names[CHILD_PIPES] = {
	[CHILD_OUT] = SPAWN_STDOUT,
	[CHILD_ERR] = SPAWN_STDERR,
	[CHILD_STATUS] = SPAWN_STATUS,
};

/* Programs in Rust tell the causes of an error in a list, "    0: " and so on. */
static bool child_is_cause(const char *text, size_t len)
{
	return len > CAUSE_MARK_LEN && memcmp(text, "    ", 4) == 0 && text[4] >= '0' &&
	       text[4] <= '9' && memcmp(text + 5, ": ", 2) == 0;
}

/* Of a list of causes the first says most, and the last is behind all of them: both are kept. */
static void child_keep_words(struct child *c, const char *text, size_t len)
{
	bool cause = child_is_cause(text, len);
	size_t at = cause ? c->cause_len : 0;

	if (cause) {
		text += CAUSE_MARK_LEN;
		len -= CAUSE_MARK_LEN;
	}
	(void)snprintf(
		c->words + at, sizeof c->words - at, "%s%.*s", at > 0 ? ": " : "", (int)len, text);
	if (at == 0)
		c->cause_len = cause ? strlen(c->words) : 0;
}

static void child_take_line(
	struct child *c, const struct child_reader *r, const char *text, size_t len)
{
	if (r != &c->readers[CHILD_STATUS]) {
		log_ring_append(c->ring, r->stream, text, len);
		if (r->stream != LOG_STREAM_STDOUT && len > 0)
			child_keep_words(c, text, len);
	} else if (len > 0) {
		(void)snprintf(c->why, sizeof c->why, "%.*s", (int)len, text);
	} else if (c->step) {
		c->step(c);
	}
}

/* Hands over the lines that are complete, and one that fills the buffer. */
static void child_split_lines(struct child *c, struct child_reader *r)
{
	size_t start = 0;

	for (char *end; (end = memchr(r->line + start, '\n', r->len - start));) {
		size_t len = (size_t)(end - (r->line + start));

		child_take_line(c, r, r->line + start, len);
		start += len + 1;
	}
	memmove(r->line, r->line + start, r->len - start);
	r->len -= start;
	if (r->len == sizeof r->line) {
		child_take_line(c, r, r->line, r->len);
		r->len = 0;
	}
}

/* False: there is nothing more for now, or for ever. */
static bool child_read(struct child *c, struct child_reader *r)
{
	ssize_t n = read(r->fd, r->line + r->len, sizeof r->line - r->len);

	if (n < 0)
		return errno == EINTR;
	if (n == 0) {
		(void)uv_poll_stop(&r->poll);
		return false;
	}
	r->len += (size_t)n;
	child_split_lines(c, r);
	return true;
}

/* Once a turn: the buffer may be full of empty lines, which take their time, and others want to
 * run, too. */
static void child_on_readable(uv_poll_t *poll, int status, int events)
{
	(void)child_read(poll->data, container_of(poll, struct child_reader, poll));
}

static void child_close_fds(struct child *c)
{
	for (size_t i = 0; i < CHILD_PIPES; i++)
		c->readers[i].fd = fd_close(c->readers[i].fd);
	spawn_close(&c->proc);
}

static void child_on_handle_closed(uv_handle_t *handle)
{
	struct child *c = handle->data;

	if (--c->handles > 0)
		return;
	child_close_fds(c);
	c->ended(c, c->status);
}

static void child_fail(struct child *c, struct spawn_failure failure)
{
	c->failed = true;
	spawn_explain(&failure, c->why, sizeof c->why);
}

static void child_on_exit_readable(uv_poll_t *poll, int status, int events)
{
	struct child *c = poll->data;
	struct spawn_failure failure;
	int r = spawn_reap(&c->proc, &c->status, &failure);

	if (r == -EAGAIN)
		return;
	if (r == SPAWN_FAILED)
		child_fail(c, failure);
	uv_close((uv_handle_t *)poll, child_on_handle_closed);
	uv_close((uv_handle_t *)&c->timer, child_on_handle_closed);
	for (size_t i = 0; i < CHILD_PIPES; i++) {
		struct child_reader *reader = &c->readers[i];
		unsigned turn = 0;

		if (reader->fd < 0)
			continue;
		while (turn < READS_AT_END && child_read(c, reader))
			turn++;
		if (reader->len > 0)
			child_take_line(c, reader, reader->line, reader->len);
		uv_close((uv_handle_t *)&reader->poll, child_on_handle_closed);
	}
}

static int child_poll(struct child *c, uv_loop_t *loop, uv_poll_t *poll, int fd, uv_poll_cb cb)
{
	int r = uv_poll_init(loop, poll, fd);

	if (r < 0)
		return r;
	poll->data = c;
	c->handles++;
	return uv_poll_start(poll, UV_READABLE, cb);
}

/* The child's ends of the pipes are in `fds` then, and are the caller's to close. */
static int child_open_pipes(struct child *c, struct spawn_fds *fds)
{
	for (size_t i = 0; i < CHILD_PIPES; i++) {
		int ends[2];

		if (i == CHILD_STATUS && spawn_fds_number(fds, SPAWN_STATUS) < 0)
			continue;
		if (pipe2(ends, O_CLOEXEC) < 0)
			return -errno;
		c->readers[i].fd = ends[0];
		(void)spawn_fds_set(fds, child_pipe_names[i], ends[1]);
		/* Ours alone: what the child writes to is blocking, as programs expect. */
		if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
			return -errno;
	}
	return 0;
}

static void child_close_writers(const struct child *c, const struct spawn_fds *fds)
{
	for (size_t i = 0; i < CHILD_PIPES; i++)
		if (c->readers[i].fd >= 0)
			fd_close(fds->at[spawn_fds_number(fds, child_pipe_names[i])].fd);
}

/* A child whose end can't be seen must not be. One whose output can't be read is of no use. */
static int child_open_handles(struct child *c, uv_loop_t *loop, const struct spawn_config *config)
{
	int r = child_poll(c, loop, &c->exit, c->proc.pidfd, child_on_exit_readable);

	if (r < 0) {
		spawn_abandon(&c->proc);
		return r;
	}
	(void)uv_timer_init(loop, &c->timer);
	c->timer.data = c;
	c->handles++;
	for (size_t i = 0; i < CHILD_PIPES; i++) {
		struct child_reader *reader = &c->readers[i];

		if (reader->fd < 0)
			continue;
		r = child_poll(c, loop, &reader->poll, reader->fd, child_on_readable);
		if (r < 0) {
			reader->fd = fd_close(reader->fd);
			child_fail(c, spawn_failure_of(config, r));
			spawn_kill(&c->proc, SIGKILL);
		}
	}
	return 0;
}

int child_start(struct child *c, uv_loop_t *loop, const struct spawn_config *config,
	enum log_stream out, enum log_stream err)
{
	const enum log_stream streams[CHILD_PIPES] = { out, err, LOG_STREAM_SUPERVISOR };
	struct spawn_config own = *config;
	int r;

	c->proc = (struct spawn_child){ .pidfd = -1, .result_fd = -1 };
	c->handles = 0;
	c->failed = c->ending = false;
	*c->words = *c->why = '\0';
	c->cause_len = 0;
	for (size_t i = 0; i < CHILD_PIPES; i++) {
		c->readers[i].fd = -1;
		c->readers[i].stream = streams[i];
		c->readers[i].len = 0;
	}
	r = child_open_pipes(c, &own.fds);
	if (r == 0)
		r = spawn_start(&own, &c->proc);
	child_close_writers(c, &own.fds);
	if (r == 0)
		r = child_open_handles(c, loop, config);
	if (r < 0) {
		child_fail(c, spawn_failure_of(config, r));
		child_close_fds(c);
	}
	return r;
}

bool child_runs(const struct child *c)
{
	return c->proc.pid != 0;
}

static bool child_is_reaped(const struct child *c)
{
	return !child_runs(c) || uv_is_closing((const uv_handle_t *)&c->exit);
}

static void child_on_deadline(uv_timer_t *timer)
{
	struct child *c = timer->data;

	if (c->ending)
		child_kill(c);
	else
		c->late(c);
}

void child_set_deadline(struct child *c, uint64_t ms)
{
	if (child_is_reaped(c) || c->ending)
		return;
	(void)uv_timer_stop(&c->timer);
	if (ms)
		(void)uv_timer_start(&c->timer, child_on_deadline, ms, 0);
}

void child_signal(const struct child *c, int signal)
{
	if (!child_is_reaped(c))
		spawn_kill(&c->proc, signal);
}

void child_end(struct child *c)
{
	child_set_deadline(c, CHILD_TERM_MS);
	if (!c->ending)
		child_signal(c, SIGTERM);
	c->ending = true;
}

void child_kill(struct child *c)
{
	child_signal(c, SIGKILL);
	c->ending = true;
}

char *child_describe_end(int status, char *ret_text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(ret_text, size, "killed by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else
		snprintf(ret_text, size, "exit code %d", WEXITSTATUS(status));
	return ret_text;
}
