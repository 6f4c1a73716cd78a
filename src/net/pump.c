/* SPDX-License-Identifier: MIT */
/*
 * One forwarded connection. Invariant: what was read from a side is delivered before that side's
 * end is passed on, a FIN as a FIN and a reset as a reset.
 */
#include "net/pump.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/fd.h"

/* How long a failed connection's last bytes may stay undelivered without any progress. */
#define PUMP_DRAIN_TIMEOUT_MS 5000U

void pump_fail(struct pump *p, enum pump_side side, int error, struct pump_io *io)
{
	enum pump_side other = pump_other_side(side);

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
	p->dir[side].fin = false;
	p->dir[side].readable = !p->dir[side].eof;
	p->dir[other].done = true;
	pump_dir_drop(&p->dir[other], io);
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
	return side_queued(p, pump_other_side(failed_side(p))) == 0;
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
		if (pump_dir_init(&p->dir[side], job->early[side], job->early_len[side]) < 0)
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
	enum pump_side other = pump_other_side(side);

	if (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		p->dir[side].readable = !p->dir[side].eof;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		p->dir[side].hup = true;
	if (events & EPOLLPRI)
		p->dir[side].urgent = true;
	if (events & EPOLLOUT)
		p->dir[other].blocked = false;
	/* HUP is both directions shut. If ours to that side isn't, the side was reset. */
	if ((events & EPOLLERR) || ((events & EPOLLHUP) && !p->dir[other].done))
		pump_fail(p, side, side_error(p, side), io);
	else if (events & EPOLLRDHUP)
		p->dir[side].fin = true;
}

bool pump_can_run(const struct pump *p)
{
	return p->ended || pump_dir_can_run(&p->dir[PUMP_OUTER]) ||
	       pump_dir_can_run(&p->dir[PUMP_INNER]) ||
	       (p->dir[PUMP_OUTER].done && p->dir[PUMP_INNER].done);
}

enum pump_next pump_run(struct pump *p, struct pump_io *io)
{
	for (int side = 0; side < PUMP_SIDES && !p->ended; side++) {
		if (pump_dir_can_run(&p->dir[side]))
			pump_dir_run(p, (enum pump_side)side, io);
	}
	if (!p->ended && pump_over(p))
		pump_set_end(p, p->failed[0] || p->failed[1] ? PUMP_END_RESET : PUMP_END_CLOSED);
	if (p->ended)
		return PUMP_FINISHED;
	if (pump_dir_can_run(&p->dir[PUMP_OUTER]) || pump_dir_can_run(&p->dir[PUMP_INNER]))
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
		pump_dir_drop(&p->dir[side], io);
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
		mark += atomic_load_explicit(&p->dir[side].bytes, memory_order_relaxed) -
			side_queued(p, (enum pump_side)side);
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
