/* SPDX-License-Identifier: MIT */
/*
 * One forwarded connection. Invariants: a direction reads only when it holds nothing undelivered,
 * so a slow reader stops its own sender and nobody else; a pipe or heap block exists only while
 * bytes are stuck in it; what was read from a side is delivered before that side's end is passed
 * on, whether the end was a FIN or a reset.
 *
 * Edges: epoll tells each change once. `readable` and `blocked` remember it until a call says
 * otherwise. A read that returns less than was asked for has emptied the queue, and what comes
 * later makes a new edge, so no second read is spent on EAGAIN. The exception is the end of the
 * stream: its edge may already have been told together with the data (IN, RDHUP and HUP in one
 * event), so after RDHUP, HUP or ERR the source is read until 0 or an error. A write that takes
 * less than was offered has marked the socket as full, and EPOLLOUT follows.
 */
#include "net/pump.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"

/* Fairness: what a direction may move before the next one has its turn. */
#define PUMP_TURN_BYTES (1024U * 1024U)
#define PUMP_TURN_CALLS 16

/*
 * A direction that has moved so much in large reads is bulk and is spliced; one whose turns are
 * smaller than a large read is copied again. Below that a copy is cheaper than the calls it saves.
 */
#define PUMP_SPLICE_AFTER (64U * 1024U)
#define PUMP_LARGE_READ (16U * 1024U)

/* How long a failed connection's last bytes may stay undelivered without any progress. */
#define PUMP_DRAIN_TIMEOUT_MS 5000U

static enum pump_side other_side(enum pump_side side)
{
	return side == PUMP_OUTER ? PUMP_INNER : PUMP_OUTER;
}

/* The counters have one writer, so an addition needs no locked instruction. */
static void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, now + n, memory_order_relaxed);
}

static uint64_t counter_read(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static bool dir_pending(const struct pump_dir *d)
{
	return d->held || d->pipe.used > 0;
}

static bool dir_can_run(const struct pump_dir *d)
{
	return !d->done && !d->blocked && (dir_pending(d) || d->readable || d->eof);
}

static void dir_release_held(struct pump_dir *d, struct pump_io *io)
{
	if (!d->held)
		return;
	io->held_bytes -= d->held_end;
	free(d->held);
	d->held = NULL;
}

static void dir_drop(struct pump_dir *d, struct pump_io *io)
{
	dir_release_held(d, io);
	pipe_give(&io->pipes, &d->pipe);
}

/* The side is dead: nothing more reaches it, but what it had sent can still be read. */
static void pump_fail(struct pump *p, enum pump_side side, int error, struct pump_io *io)
{
	enum pump_side other = other_side(side);

	if (p->failed[side])
		return;
	p->failed[side] = true;
	if (p->failed[other]) {
		pump_set_end(p, PUMP_END_RESET);
		return;
	}
	p->result.side = side;
	p->result.error = error;
	p->dir[side].hup = true;
	p->dir[side].readable = !p->dir[side].eof;
	p->dir[other].done = true;
	dir_drop(&p->dir[other], io);
}

/* recv() or splice() from the source returned 0 or failed. */
static void dir_read_end(struct pump *p, enum pump_side side, int error, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];

	d->readable = false;
	if (error == EAGAIN)
		return;
	/* The kernel reports an error only once the receive queue is empty. */
	d->eof = true;
	if (error)
		pump_fail(p, side, error, io);
}

/* A write to the destination took `n` of `len` bytes, or failed with -1. Returns what it took. */
static uint32_t dir_wrote(
	struct pump *p, enum pump_side side, ssize_t n, uint32_t len, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];

	if (n < 0 && errno != EAGAIN) {
		pump_fail(p, other_side(side), errno, io);
		return 0;
	}
	if (n < (ssize_t)len)
		d->blocked = true;
	if (n <= 0)
		return 0;
	counter_add(&d->bytes, (uint64_t)n);
	counter_add(&io->bytes[side], (uint64_t)n);
	return (uint32_t)n;
}

static uint32_t dir_send(
	struct pump *p, enum pump_side side, const uint8_t *data, uint32_t len, struct pump_io *io)
{
	ssize_t n = send(p->fd[other_side(side)], data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return dir_wrote(p, side, n, len, io);
}

/*
 * The whole content goes in one call, so SPLICE_F_MORE, which would let the kernel hold back the
 * last partial segment, never applies.
 */
static void dir_send_pipe(struct pump *p, enum pump_side side, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];
	uint32_t len = d->pipe.used;
	ssize_t n = splice(d->pipe.rd, NULL, p->fd[other_side(side)], NULL, len, SPLICE_F_NONBLOCK);
	uint32_t sent = dir_wrote(p, side, n, len, io);

	d->pipe.used -= sent;
	counter_add(&io->spliced_bytes, sent);
}

/* Delivers what is stuck. */
static void dir_flush(struct pump *p, enum pump_side side, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];

	if (d->held) {
		d->held_start +=
			dir_send(p, side, d->held + d->held_start, d->held_end - d->held_start, io);
		if (d->held_start == d->held_end)
			dir_release_held(d, io);
	} else if (d->pipe.used > 0) {
		dir_send_pipe(p, side, io);
	}
}

static void dir_hold(
	struct pump *p, enum pump_side side, const uint8_t *data, uint32_t len, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];

	d->held = malloc(len);
	if (!d->held) {
		pump_set_end(p, PUMP_END_NO_MEMORY);
		return;
	}
	memcpy(d->held, data, len);
	d->held_start = 0;
	d->held_end = len;
	io->held_bytes += len;
}

/* One read and one write. Returns the bytes read. */
static uint32_t dir_copy(struct pump *p, enum pump_side side, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];
	ssize_t n = recv(p->fd[side], io->buffer, PUMP_BUFFER_BYTES, MSG_DONTWAIT);
	uint32_t len, sent;

	if (n <= 0) {
		dir_read_end(p, side, n < 0 ? errno : 0, io);
		return 0;
	}
	len = (uint32_t)n;
	if (len < PUMP_BUFFER_BYTES && !d->hup)
		d->readable = false;
	d->streak = len >= PUMP_LARGE_READ ? d->streak + len : 0;
	sent = dir_send(p, side, io->buffer, len, io);
	if (sent < len && !d->done)
		dir_hold(p, side, io->buffer + sent, len - sent, io);
	return len;
}

/*
 * Socket to pipe to socket. A pipe's capacity is not a byte count (a segment of one byte takes a
 * slot), and EAGAIN doesn't say which end it is about. But the pipe is empty here, so it is the
 * socket.
 */
static uint32_t dir_splice(struct pump *p, enum pump_side side, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];
	ssize_t n;

	assert(d->pipe.used == 0);
	n = splice(p->fd[side], NULL, d->pipe.wr, NULL, PUMP_TURN_BYTES, SPLICE_F_NONBLOCK);
	if (n <= 0) {
		dir_read_end(p, side, n < 0 ? errno : 0, io);
		return 0;
	}
	d->pipe.used = (uint32_t)n;
	dir_send_pipe(p, side, io);
	return (uint32_t)n;
}

static bool dir_wants_pipe(const struct pump_dir *d, enum pump_mode mode)
{
	return mode == PUMP_SPLICE || (mode == PUMP_AUTO && d->streak >= PUMP_SPLICE_AFTER);
}

static uint32_t dir_fetch(struct pump *p, enum pump_side side, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];

	if (d->pipe.rd < 0 && dir_wants_pipe(d, io->mode) && !pipe_take(&io->pipes, &d->pipe))
		d->streak = 0;
	return d->pipe.rd < 0 ? dir_copy(p, side, io) : dir_splice(p, side, io);
}

/* Everything was delivered and the source has ended: pass the end on. */
static void dir_finish(struct pump *p, enum pump_side side, struct pump_io *io)
{
	enum pump_side other = other_side(side);

	p->dir[side].done = true;
	/* After a reset no FIN: the other side is to be reset. With both done, close() sends it. */
	if (p->failed[side] || p->dir[other].done)
		return;
	if (shutdown(p->fd[other], SHUT_WR) < 0)
		pump_fail(p, other, errno, io);
}

static void dir_run(struct pump *p, enum pump_side side, struct pump_io *io)
{
	struct pump_dir *d = &p->dir[side];
	bool spliced = d->pipe.rd >= 0;
	uint32_t fetched = 0;

	for (int calls = 0; calls < PUMP_TURN_CALLS && fetched < PUMP_TURN_BYTES; calls++) {
		dir_flush(p, side, io);
		if (dir_pending(d) || d->done || !d->readable || p->ended)
			break;
		fetched += dir_fetch(p, side, io);
		spliced |= d->pipe.rd >= 0;
	}
	if (spliced && fetched < PUMP_LARGE_READ)
		d->streak = 0;
	if (d->pipe.used == 0)
		pipe_give(&io->pipes, &d->pipe);
	if (d->eof && !dir_pending(d) && !d->done)
		dir_finish(p, side, io);
}

/* Bytes that the side's peer has not acknowledged yet. */
static uint64_t side_queued(const struct pump *p, enum pump_side side)
{
	int queued;

	return ioctl(p->fd[side], SIOCOUTQ, &queued) == 0 && queued > 0 ? (uint64_t)queued : 0;
}

static enum pump_side failed_side(const struct pump *p)
{
	return p->failed[PUMP_OUTER] ? PUMP_OUTER : PUMP_INNER;
}

/*
 * Once both directions are done the connection is over, but for one that failed: a reset makes the
 * kernel drop what the peer hasn't acknowledged, so it must wait for that.
 */
static bool pump_over(const struct pump *p)
{
	if (!p->dir[PUMP_OUTER].done || !p->dir[PUMP_INNER].done)
		return false;
	if (!p->failed[PUMP_OUTER] && !p->failed[PUMP_INNER])
		return true;
	return side_queued(p, other_side(failed_side(p))) == 0;
}

static int dir_init(struct pump_dir *d, const void *early, size_t len)
{
	d->pipe = PIPE_NONE;
	if (len == 0)
		return 0;
	d->held = malloc(len);
	if (!d->held)
		return -ENOMEM;
	memcpy(d->held, early, len);
	d->held_end = (uint32_t)len;
	return 0;
}

struct pump *pump_new(const struct pump_job *job, uint64_t now_ms)
{
	struct pump *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	list_init(&p->link);
	list_init(&p->abort_link);
	list_init(&p->run_link);
	list_init(&p->watch_link);
	p->fd[PUMP_OUTER] = p->fd[PUMP_INNER] = -1;
	p->start_ms = now_ms;
	p->done = job->done;
	p->owner = job->owner;
	for (int side = 0; side < PUMP_SIDES; side++) {
		if (dir_init(&p->dir[side], job->early[side], job->early_len[side]) < 0)
			return pump_free(p);
	}
	for (int side = 0; side < PUMP_SIDES; side++)
		p->fd[side] = job->fd[side];
	return p;
}

struct pump *pump_free(struct pump *p)
{
	if (!p)
		return NULL;
	for (int side = 0; side < PUMP_SIDES; side++) {
		assert(p->dir[side].pipe.rd < 0);
		assert(p->fd[side] < 0);
		free(p->dir[side].held);
	}
	free(p);
	return NULL;
}

uint32_t pump_held(const struct pump *p)
{
	uint32_t bytes = 0;

	for (int side = 0; side < PUMP_SIDES; side++)
		bytes += p->dir[side].held ? p->dir[side].held_end : 0;
	return bytes;
}

static int side_error(const struct pump *p, enum pump_side side)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(p->fd[side], SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error == 0)
		return ECONNRESET;
	return error;
}

void pump_ready(struct pump *p, enum pump_side side, uint32_t events, struct pump_io *io)
{
	enum pump_side other = other_side(side);

	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		p->dir[side].readable = !p->dir[side].eof;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		p->dir[side].hup = true;
	if (events & EPOLLOUT)
		p->dir[other].blocked = false;
	/* HUP is both directions shut. If ours to that side isn't, the side was reset. */
	if ((events & EPOLLERR) || ((events & EPOLLHUP) && !p->dir[other].done))
		pump_fail(p, side, side_error(p, side), io);
}

bool pump_can_run(const struct pump *p)
{
	return p->ended || dir_can_run(&p->dir[PUMP_OUTER]) || dir_can_run(&p->dir[PUMP_INNER]) ||
	       (p->dir[PUMP_OUTER].done && p->dir[PUMP_INNER].done);
}

enum pump_next pump_run(struct pump *p, struct pump_io *io)
{
	for (int side = 0; side < PUMP_SIDES && !p->ended; side++) {
		if (dir_can_run(&p->dir[side]))
			dir_run(p, (enum pump_side)side, io);
	}
	if (!p->ended && pump_over(p))
		pump_set_end(p, p->failed[0] || p->failed[1] ? PUMP_END_RESET : PUMP_END_CLOSED);
	if (p->ended)
		return PUMP_FINISHED;
	if (dir_can_run(&p->dir[PUMP_OUTER]) || dir_can_run(&p->dir[PUMP_INNER]))
		return PUMP_MORE;
	return PUMP_WAIT;
}

void pump_set_end(struct pump *p, enum pump_end end)
{
	if (p->ended)
		return;
	p->ended = true;
	p->result.end = end;
}

static bool end_is_reset(enum pump_end end)
{
	return end != PUMP_END_CLOSED && end != PUMP_END_HALF_CLOSED;
}

void pump_close(struct pump *p, struct pump_io *io)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	for (int side = 0; side < PUMP_SIDES; side++) {
		dir_drop(&p->dir[side], io);
		if (end_is_reset(p->result.end))
			(void)setsockopt(p->fd[side], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		p->fd[side] = fd_close(p->fd[side]);
	}
}

enum pump_watch pump_wants_watch(const struct pump *p, const struct pump_io *io)
{
	if (p->failed[PUMP_OUTER] || p->failed[PUMP_INNER])
		return PUMP_WATCH_DRAIN;
	if (io->half_close_timeout_ms && p->dir[PUMP_OUTER].done != p->dir[PUMP_INNER].done)
		return PUMP_WATCH_HALF_CLOSED;
	return io->idle_timeout_ms ? PUMP_WATCH_IDLE : PUMP_WATCH_NONE;
}

/*
 * Changes with every byte moved, and with every byte acknowledged: a slow reader can empty a full
 * send queue for minutes before it takes another byte from us.
 */
static uint64_t pump_mark(const struct pump *p)
{
	uint64_t mark = 0;

	for (int side = 0; side < PUMP_SIDES; side++)
		mark += counter_read(&p->dir[side].bytes) - side_queued(p, (enum pump_side)side);
	return mark;
}

enum pump_next pump_check_watch(struct pump *p, const struct pump_io *io, uint64_t now_ms)
{
	static const enum pump_end end_of[] = {
		[PUMP_WATCH_IDLE] = PUMP_END_IDLE,
		[PUMP_WATCH_HALF_CLOSED] = PUMP_END_HALF_CLOSED,
		[PUMP_WATCH_DRAIN] = PUMP_END_RESET,
	};
	const uint64_t timeout_of[] = {
		[PUMP_WATCH_IDLE] = io->idle_timeout_ms,
		[PUMP_WATCH_HALF_CLOSED] = io->half_close_timeout_ms,
		[PUMP_WATCH_DRAIN] = PUMP_DRAIN_TIMEOUT_MS,
	};
	uint64_t mark;

	if (pump_over(p)) {
		pump_set_end(p, PUMP_END_RESET);
		return PUMP_FINISHED;
	}
	mark = pump_mark(p);
	if (mark != p->watch_mark) {
		p->watch_mark = mark;
		p->watch_since_ms = now_ms;
	}
	if (now_ms - p->watch_since_ms < timeout_of[p->watch])
		return PUMP_WAIT;
	pump_set_end(p, end_of[p->watch]);
	return PUMP_FINISHED;
}
