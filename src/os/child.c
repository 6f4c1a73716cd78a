/* SPDX-License-Identifier: MIT */
/*
 * The pidfd says when the child is gone; what it has written is in the pipes by then, and is read
 * before its end is told. A descriptor that a grandchild holds open doesn't delay that: the group
 * dies with the child. The handles of libuv are closed then, and `ended` comes with the last.
 */
#include "os/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"

#define CAUSE_MARK_LEN 7
#define SHOWN_MAX 256    /* of a path in a message */
#define READS_AT_END 256 /* a pipe holds 64 KiB, and nobody is there to fill it again */

/* Keeps the beginning of a line for a sentence of ours. */
static void keep_line(char *out, size_t size, const char *text, size_t len)
{
	(void)snprintf(out, size, "%.*s", (int)len, text);
}

/* Programs in Rust tell the causes of an error in a list, "    0: " and so on. */
static bool is_cause(const char *text, size_t len)
{
	return len > CAUSE_MARK_LEN && memcmp(text, "    ", 4) == 0 && text[4] >= '0' &&
	       text[4] <= '9' && memcmp(text + 5, ": ", 2) == 0;
}

/* Of a list of causes the first says most, and the last is behind all of them: both are kept. */
static void keep_words(struct child *c, const char *text, size_t len)
{
	bool cause = is_cause(text, len);
	size_t at = c->cause_len;

	if (cause) {
		text += CAUSE_MARK_LEN;
		len -= CAUSE_MARK_LEN;
	}
	if (cause && at > 0) {
		at += (size_t)snprintf(c->words + at, sizeof c->words - at, ": ");
		if (at < sizeof c->words)
			keep_line(c->words + at, sizeof c->words - at, text, len);
		return;
	}
	keep_line(c->words, sizeof c->words, text, len);
	c->cause_len = cause ? strlen(c->words) : 0;
}

static void reader_say(struct child *c, const struct child_reader *r, const char *text, size_t len)
{
	if (r == &c->readers[CHILD_STATUS]) {
		if (len > 0)
			keep_line(c->why, sizeof c->why, text, len);
		else if (c->step)
			c->step(c);
		return;
	}
	log_ring_append(c->ring, r->stream, text, len);
	if (r->stream != LOG_STREAM_STDOUT && len > 0)
		keep_words(c, text, len);
}

static void reader_flush(struct child *c, struct child_reader *r)
{
	reader_say(c, r, r->line, r->len);
	r->len = 0;
}

/* Hands over the lines that are complete, and one that fills the buffer. */
static void reader_split(struct child *c, struct child_reader *r)
{
	size_t start = 0;

	for (char *end; (end = memchr(r->line + start, '\n', r->len - start));) {
		size_t len = (size_t)(end - (r->line + start));

		reader_say(c, r, r->line + start, len);
		start += len + 1;
	}
	memmove(r->line, r->line + start, r->len - start);
	r->len -= start;
	if (r->len == sizeof r->line)
		reader_flush(c, r);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct child *c = handle->data;

	if (--c->handles > 0)
		return;
	for (size_t i = 0; i < CHILD_PIPES; i++)
		c->readers[i].fd = fd_close(c->readers[i].fd);
	c->proc.pidfd = fd_close(c->proc.pidfd);
	c->proc.pid = 0;
	c->ended(c, c->status);
}

/* False: there is nothing more for now, or for ever. */
static bool reader_read(struct child *c, struct child_reader *r)
{
	ssize_t n = read(r->fd, r->line + r->len, sizeof r->line - r->len);

	if (n < 0)
		return errno == EINTR;
	if (n == 0) {
		(void)uv_poll_stop(&r->poll);
		return false;
	}
	r->len += (size_t)n;
	reader_split(c, r);
	return true;
}

/* Once a turn: the buffer may be full of empty lines, which take their time, and others want to
 * run, too. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)reader_read(poll->data, container_of(poll, struct child_reader, poll));
}

static void on_exit_readable(uv_poll_t *poll, int status, int events)
{
	struct child *c = poll->data;

	if (spawn_reap(&c->proc, &c->status) == -EAGAIN)
		return;
	/* From here on no signal goes out: its number may be another's. */
	uv_close((uv_handle_t *)poll, on_handle_closed);
	uv_close((uv_handle_t *)&c->timer, on_handle_closed);
	for (size_t i = 0; i < CHILD_PIPES; i++) {
		struct child_reader *r = &c->readers[i];
		unsigned turn = 0;

		if (r->fd < 0)
			continue;
		while (turn < READS_AT_END && reader_read(c, r))
			turn++;
		if (r->len > 0)
			reader_flush(c, r);
		uv_close((uv_handle_t *)&r->poll, on_handle_closed);
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

/* A child whose end can't be watched must not be. */
static void child_abandon(struct child *c)
{
	int status;

	spawn_kill(&c->proc, SIGKILL);
	while (spawn_reap(&c->proc, &status) == -EAGAIN)
		(void)poll(&(struct pollfd){ .fd = c->proc.pidfd, .events = POLLIN }, 1, -1);
	c->proc.out = fd_close(c->proc.out);
	c->proc.err = fd_close(c->proc.err);
	c->proc.status = fd_close(c->proc.status);
	c->proc.pidfd = fd_close(c->proc.pidfd);
	c->proc.pid = 0;
}

static void child_open_reader(
	struct child *c, uv_loop_t *loop, enum child_pipe pipe, int fd, enum log_stream stream)
{
	struct child_reader *r = &c->readers[pipe];

	r->fd = fd;
	r->stream = stream;
	r->len = 0;
	if (fd < 0 || child_poll(c, loop, &r->poll, fd, on_readable) == 0)
		return;
	/* Without its output there is no use for it. */
	r->fd = fd_close(r->fd);
	spawn_kill(&c->proc, SIGKILL);
}

int child_start(struct child *c, uv_loop_t *loop, const struct spawn_config *config,
	enum log_stream out, enum log_stream err)
{
	int r = spawn_start(config, &c->proc);

	if (r < 0)
		return r;
	c->handles = 0;
	*c->words = *c->why = '\0';
	c->cause_len = 0;
	r = child_poll(c, loop, &c->exit, c->proc.pidfd, on_exit_readable);
	if (r < 0) {
		child_abandon(c);
		return r;
	}
	(void)uv_timer_init(loop, &c->timer);
	c->timer.data = c;
	c->handles++;
	c->ending = false;
	child_open_reader(c, loop, CHILD_OUT, take_fd(&c->proc.out), out);
	child_open_reader(c, loop, CHILD_ERR, take_fd(&c->proc.err), err);
	child_open_reader(c, loop, CHILD_STATUS, take_fd(&c->proc.status), LOG_STREAM_SUPERVISOR);
	return 0;
}

bool child_runs(const struct child *c)
{
	return c->proc.pid != 0;
}

static bool child_is_reaped(const struct child *c)
{
	return !child_runs(c) || uv_is_closing((const uv_handle_t *)&c->exit);
}

static void on_deadline(uv_timer_t *timer)
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
		(void)uv_timer_start(&c->timer, on_deadline, ms, 0);
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

void child_explain(const struct spawn_config *config, int r, char *ret_why, size_t size)
{
	const char *program = config->argv[0], *dir = config->dir;
	bool lost = dir && access(dir, X_OK) < 0;
	char shown[SHOWN_MAX];

	if (lost)
		r = -errno;
	log_escape(shown, sizeof shown, lost ? dir : program, strlen(lost ? dir : program));
	snprintf(ret_why, size, "can't %s '%s': %s", lost ? "run in the folder" : "start", shown,
		strerror(-r));
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
