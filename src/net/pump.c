/* SPDX-License-Identifier: MIT */
/*
 * One forwarded connection. It promises: what was read from a side is delivered before that side's
 * end is passed on, a FIN as a FIN and a reset as a reset.
 *
 * A pump lives by these calls, all on its worker's thread:
 *
 *   pump_ready()            epoll tells of a socket: noted is what each direction may do now
 *   pump_run()              its turn: each direction that can moves bytes, and passes an end on
 *   pump_deadlines_check()  the worker's timer: deadlines, and what no event tells
 *
 * A side ends in one of four ways:
 *
 *   a FIN           Its direction is done once that was passed on; the other one goes on.
 *   a reset         Nothing reaches the side any more. What it had sent is delivered, and then the
 *                   other side is reset; at the latest when its reader has taken nothing for
 *                   DEADLINES_DELIVERY_MS.
 *   both, in turn   It had said all it had to say. So the FIN is passed on, nobody hurries the
 *                   reader, and the reset follows when his kernel has acknowledged the FIN.
 *   it vanishes     As a reset, with ETIMEDOUT. pump_deadlines_check() finds it.
 *
 * A side of blocks has its FIN in END; TCP's own, behind that, is the reset in turn.
 *
 * How the pump ends is decided once (`ended`), by what comes first: both sides have ended and all
 * is delivered, a deadline, an abort, want of memory. Then the worker calls pump_close() and hands
 * the pump back; the control loop frees it when its completion has run. The descriptors are the
 * pump's from pump_new() to pump_close().
 */
#include "net/pump.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/lang.h"
#include "base/owner.h"
#include "net/sockopt.h"
#include "net/tap.h"

/* A silence that is shorter isn't told. */
#define PUMP_QUIET_MIN_MS 1000U

/* The kernel knows when the last byte came; a FIN is none. */
void pump_note_end(struct pump *p, enum pump_side side)
{
	uint64_t quiet_ms = UINT64_MAX;
	struct tcp_info info;

	if (p->end_noted)
		return;
	p->end_noted = true;
	p->result.first = side;
	/* Less than a second is nothing, and most connections are no older. */
	if (clock_now_ms() - p->started_ms < PUMP_QUIET_MIN_MS)
		return;
	for (int i = 0; i < PUMP_SIDES && quiet_ms >= PUMP_QUIET_MIN_MS; i++)
		quiet_ms = sockopt_tcp_info(p->fd[i], &info)
				   ? min_u64(quiet_ms, info.tcpi_last_data_recv)
				   : 0;
	p->result.quiet_ms = quiet_ms;
}

void pump_fail(struct pump *p, enum pump_side side, int error, struct pump_io *io)
{
	enum pump_side other = pump_other_side(side);

	if (p->failed[side])
		return;
	pump_note_end(p, side);
	if (error == 0)
		error = -sockopt_take_error(p->fd[side]);
	if (error == 0)
		error = ECONNRESET;
	p->failed[side] = true;
	if (p->failed[other]) {
		pump_set_end(p, PUMP_END_RESET);
		return;
	}
	p->result.side = side;
	p->result.error = error;
	/* The kernel's word for a reset that came behind a FIN (tcp_reset()). */
	if (error == EPIPE)
		pump_dir_note_fin(&p->dir[side]);
	/* What came from it is still read, to its end; what was on its way to it is dropped. */
	p->dir[side].hup = true;
	p->dir[side].readable = !p->dir[side].eof;
	p->dir[other].done = true;
	pump_out_drop(&p->dir[other].out, io);
}

static bool pump_failed(const struct pump *p)
{
	return p->failed[PUMP_OUTER] || p->failed[PUMP_INNER];
}

/* Both sides have said all, in order. */
static bool pump_is_closing(const struct pump *p)
{
	return p->dir[PUMP_OUTER].done && p->dir[PUMP_INNER].done && !pump_failed(p);
}

/*
 * The side has failed without a TAKEN, also in what had come of it, and nobody has had a byte of
 * the other one: that can be served in another way.
 */
static bool pump_untaken_by(const struct pump *p, enum pump_side side)
{
	return p->failed[side] && p->dir[side].done && pump_side_awaits_taken(p, side) &&
	       !p->dir[pump_other_side(side)].said;
}

/*
 * Its stream is over, and the socket is there for another one. TCP's FIN may have come: of the next
 * stream, if that said RAW, or of a peer that closes. Who reads it on finds out.
 */
static bool pump_outlived_by(const struct pump *p, enum pump_side side)
{
	const struct pump_dir *from = &p->dir[side], *to = &p->dir[pump_other_side(side)];

	return pump_is_closing(p) && from->blocks.codec == PUMP_DECODES &&
	       to->blocks.codec == PUMP_ENCODES;
}

int pump_shut(struct pump *p, enum pump_side side)
{
	p->shut[side] = true;
	return shutdown(p->fd[side], SHUT_WR);
}

/* Whether the kernel has passed on all that was for that side, which has ended. */
static bool pump_side_is_sent(struct pump *p, enum pump_side side)
{
	if (pump_outlived_by(p, side))
		return true;
	/* END may come without TCP's own end. */
	if (p->shut[side] && p->dir[side].blocks.codec != PUMP_DECODES)
		p->fins_acked[side] = sockopt_queued(p->fd[side]) == 0;
	return p->fins_acked[side] || !sockopt_unsent(p->fd[side]);
}

/*
 * TCP's end behind END, while the other direction goes on: the peer of blocks has closed the
 * connection, and takes nothing more. A front makes of its reset what an ordinary end looks like,
 * so it is one.
 */
static bool pump_left_by(const struct pump *p, enum pump_side side)
{
	const struct pump_dir *from = &p->dir[side], *to = &p->dir[pump_other_side(side)];

	return from->tcp_fin && from->blocks.reader.ended && !p->failed[side] && !to->fin &&
	       !to->done;
}

/*
 * Once both directions are done the connection is over, but for two things. A closed socket is on
 * its own, and the kernel gives it up when its reader pauses for some three minutes (tcp(7),
 * tcp_orphan_retries): it is ours until all was sent. And where a side has failed, a reset makes
 * the kernel drop what the other one hasn't acknowledged.
 */
static bool pump_is_over(struct pump *p)
{
	enum pump_side alive = p->failed[PUMP_OUTER] ? PUMP_INNER : PUMP_OUTER;

	if (!p->dir[PUMP_OUTER].done || !p->dir[PUMP_INNER].done)
		return false;
	if (pump_is_closing(p))
		return pump_side_is_sent(p, PUMP_OUTER) && pump_side_is_sent(p, PUMP_INNER);
	return pump_untaken_by(p, pump_other_side(alive)) || sockopt_queued(p->fd[alive]) == 0;
}

/* How it ends when it is over. */
static enum pump_end pump_last_end(const struct pump *p)
{
	if (!pump_failed(p))
		return PUMP_END_CLOSED;
	return pump_untaken_by(p, PUMP_OUTER) || pump_untaken_by(p, PUMP_INNER) ? PUMP_END_UNTAKEN
										: PUMP_END_RESET;
}

void pump_set_end(struct pump *p, enum pump_end end)
{
	if (p->ended)
		return;
	p->ended = true;
	p->result.end = end;
}

bool pump_end_if_over(struct pump *p)
{
	if (!p->ended && pump_is_over(p))
		pump_set_end(p, pump_last_end(p));
	return p->ended;
}

struct pump *pump_new(const struct pump_job *job)
{
	struct pump *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	list_init(&p->link);
	list_init(&p->abort_link);
	list_init(&p->run_link);
	list_init(&p->deadline_link);
	list_init(&p->throttled_link);
	for (int side = 0; side < PUMP_SIDES; side++) {
		enum pump_side to = pump_other_side((enum pump_side)side);

		p->fd[side] = p->result.fd[side] = -1;
		pump_out_init(&p->dir[side].out, job->fd[to], (enum pump_side)side);
	}
	p->done = job->done;
	p->owner = job->owner;
	for (int side = 0; side < PUMP_SIDES; side++) {
		if (pump_dir_init(&p->dir[side], job, (enum pump_side)side) < 0)
			return pump_free(p);
	}
	for (int side = 0; side < PUMP_SIDES; side++) {
		p->fd[side] = job->fd[side];
		p->bucket[side] = job->bucket[side];
		p->watch[side] = job->watch[side];
		if (job->tap && job->wire[side] == PUMP_WIRE_RAW)
			tap_put(job->tap, (enum pump_side)side, job->early[side],
				job->early_len[side]);
	}
	p->tap = job->tap ? tap_hold(job->tap) : NULL;
	return p;
}

struct pump *pump_free(struct pump *p)
{
	if (!p)
		return NULL;
	for (int side = 0; side < PUMP_SIDES; side++) {
		assert(p->dir[side].out.pipe.rd < 0);
		assert(p->fd[side] < 0);
		free(p->dir[side].out.held);
		free(p->dir[side].blocks.wire);
	}
	free(p->rest);
	(void)tap_drop(p->tap);
	free(p);
	return NULL;
}

uint32_t pump_held(const struct pump *p)
{
	uint32_t bytes = 0;

	for (int side = 0; side < PUMP_SIDES; side++)
		bytes += pump_out_held(&p->dir[side].out) + p->dir[side].blocks.wire_len;
	return bytes;
}

/* Whether nothing is to follow what was written to the side, and TCP has been told so. */
static bool pump_has_shut(const struct pump *p, enum pump_side side)
{
	const struct pump_dir *to = &p->dir[pump_other_side(side)];

	return to->done && (to->blocks.codec != PUMP_ENCODES ||
				   (pump_is_closing(p) && !pump_outlived_by(p, side)));
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
		p->dir[other].out.blocked = false;
	/* HUP is both directions shut. If ours to that side isn't, the side was reset. */
	if ((events & EPOLLERR) || ((events & EPOLLHUP) && !pump_has_shut(p, side)))
		pump_fail(p, side, 0, io);
	else if ((events & EPOLLRDHUP) && !p->failed[side])
		pump_dir_note_fin(&p->dir[side]);
}

bool pump_can_run(const struct pump *p)
{
	return p->ended || pump_dir_can_run(&p->dir[PUMP_OUTER]) ||
	       pump_dir_can_run(&p->dir[PUMP_INNER]) || pump_left_by(p, PUMP_OUTER) ||
	       pump_left_by(p, PUMP_INNER) || (p->dir[PUMP_OUTER].done && p->dir[PUMP_INNER].done);
}

bool pump_awaits_room(const struct pump *p, enum pump_side side)
{
	/* Of the acknowledgement of a FIN, too, EPOLLOUT is all that epoll can tell. */
	return p->dir[pump_other_side(side)].out.blocked ||
	       (p->dir[PUMP_OUTER].done && p->dir[PUMP_INNER].done && !p->failed[side]);
}

enum pump_next pump_run(struct pump *p, struct pump_io *io)
{
	for (int side = 0; side < PUMP_SIDES && !p->ended; side++) {
		if (pump_dir_can_run(&p->dir[side]))
			pump_dir_run(p, (enum pump_side)side, io);
	}
	for (int side = 0; side < PUMP_SIDES && !p->ended; side++) {
		if (pump_left_by(p, (enum pump_side)side))
			pump_fail(p, (enum pump_side)side, EPIPE, io);
	}
	if (!pump_end_if_over(p) && pump_is_closing(p)) {
		/* The last FIN, and what was left to share its segment, can't wait for close(2). */
		for (int side = 0; side < PUMP_SIDES; side++) {
			if (!pump_outlived_by(p, (enum pump_side)side))
				(void)pump_shut(p, (enum pump_side)side);
		}
		(void)pump_end_if_over(p);
	}
	if (p->ended)
		return PUMP_FINISHED;
	if (pump_dir_can_run(&p->dir[PUMP_OUTER]) || pump_dir_can_run(&p->dir[PUMP_INNER]))
		return PUMP_MORE;
	return PUMP_WAIT;
}

bool pump_is_throttled(const struct pump *p)
{
	return p->dir[PUMP_OUTER].throttled || p->dir[PUMP_INNER].throttled;
}

void pump_unthrottle(struct pump *p)
{
	p->dir[PUMP_OUTER].throttled = p->dir[PUMP_INNER].throttled = false;
}

bool pump_hands_on(const struct pump *p, enum pump_side side)
{
	return p->ended && p->result.end == PUMP_END_CLOSED && pump_outlived_by(p, side);
}

/* Gives the result what it takes over of the side. */
static void pump_hand_out(struct pump *p, enum pump_side side, struct pump_io *io)
{
	if (pump_hands_on(p, side)) {
		p->result.rest_len = p->dir[side].blocks.wire_len;
		p->result.rest = p->rest = pump_dir_take_wire(&p->dir[side], io);
	} else if (p->result.end != PUMP_END_UNTAKEN || p->failed[side]) {
		return;
	}
	p->result.fd[side] = take_fd(&p->fd[side]);
}

/*
 * On a side of blocks TCP's end is no end of the stream, until RAW is said there: without memory
 * for one stream, that of the stream before still arrives.
 */
static bool pump_closes_in_order(const struct pump *p, enum pump_side side)
{
	if (p->fd[side] < 0 || p->result.end == PUMP_END_CLOSED)
		return p->fd[side] >= 0;
	return p->result.end == PUMP_END_NO_MEMORY &&
	       p->dir[pump_other_side(side)].blocks.codec == PUMP_ENCODES;
}

void pump_close(struct pump *p, struct pump_io *io)
{
	p->result.taken = true;
	for (int side = 0; side < PUMP_SIDES; side++) {
		if (pump_side_awaits_taken(p, (enum pump_side)side)) {
			p->result.untaken = p->failed[side];
			p->result.taken = false;
		}
		pump_hand_out(p, (enum pump_side)side, io);
		pump_out_drop(&p->dir[side].out, io);
		free(pump_dir_take_wire(&p->dir[side], io));
		if (!p->fins_acked[side] && pump_closes_in_order(p, (enum pump_side)side))
			sockopt_lift_reset(p->fd[side]);
		p->fd[side] = fd_close(p->fd[side]);
	}
}
