/* SPDX-License-Identifier: MIT */
/*
 * One forwarded connection. It promises: what was read from a side is delivered before that side's
 * end is passed on, a FIN as a FIN and a reset as a reset.
 *
 * A pump lives by these calls, all on its worker's thread:
 *
 *   pump_ready()  epoll tells of a socket: noted is what each direction may do now
 *   pump_run()    its turn: each direction that can moves bytes, and passes an end on
 *   pump_check()  the worker's timer: deadlines, and what no event tells
 *
 * A side ends in one of four ways:
 *
 *   a FIN           Its direction is done once that was passed on; the other one goes on.
 *   a reset         Nothing reaches the side any more. What it had sent is delivered, and then the
 *                   other side is reset; at the latest when its reader has taken nothing for
 *                   PUMP_DELIVERY_TIMEOUT_MS.
 *   both, in turn   It had said all it had to say. So the FIN is passed on, nobody hurries the
 *                   reader, and the reset follows when his kernel has acknowledged the FIN.
 *   it vanishes     As a reset, with ETIMEDOUT. pump_check() finds it.
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

/* How long a failed connection's last bytes may stay undelivered without any progress. */
#define PUMP_DELIVERY_TIMEOUT_MS 5000U

/*
 * How often the kernel must have asked a silent peer. The probes of a reader that has paused for
 * long are two minutes apart (TCP_RTO_MAX), and a lost one is no proof.
 */
#define PUMP_VANISHED_ASKED 3U

bool pump_side_dead(const struct pump *p, enum pump_side side)
{
	struct tcp_info info;

	return sockopt_tcp_info(p->fd[side], &info) && info.tcpi_state == TCP_CLOSE;
}

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
	pump_dir_drop(&p->dir[other], io);
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

static bool pump_side_awaits_taken(const struct pump *p, enum pump_side side)
{
	return p->dir[side].blocks.reader.awaits_taken;
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
		p->over[side] = sockopt_queued(p->fd[side]) == 0;
	return p->over[side] || !sockopt_unsent(p->fd[side]);
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
static bool pump_over(struct pump *p)
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
		p->fd[side] = p->result.fd[side] = -1;
		p->dir[side].pipe = PIPE_NONE;
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
		assert(p->dir[side].pipe.rd < 0);
		assert(p->fd[side] < 0);
		free(p->dir[side].held);
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
		bytes += (p->dir[side].held ? p->dir[side].held_end : 0) +
			 p->dir[side].blocks.wire_len;
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
		p->dir[other].blocked = false;
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
	return p->dir[pump_other_side(side)].blocked ||
	       (p->dir[PUMP_OUTER].done && p->dir[PUMP_INNER].done && !p->failed[side]);
}

enum pump_next pump_run(struct pump *p, struct pump_io *io)
{
	bool over;

	for (int side = 0; side < PUMP_SIDES && !p->ended; side++) {
		if (pump_dir_can_run(&p->dir[side]))
			pump_dir_run(p, (enum pump_side)side, io);
	}
	for (int side = 0; side < PUMP_SIDES && !p->ended; side++) {
		if (pump_left_by(p, (enum pump_side)side))
			pump_fail(p, (enum pump_side)side, EPIPE, io);
	}
	over = pump_over(p);
	if (!over && !p->ended && pump_is_closing(p)) {
		/* The last FIN, and what was left to share its segment, can't wait for close(2). */
		for (int side = 0; side < PUMP_SIDES; side++) {
			if (!pump_outlived_by(p, (enum pump_side)side))
				(void)pump_shut(p, (enum pump_side)side);
		}
		over = pump_over(p);
	}
	if (over)
		pump_set_end(p, pump_last_end(p));
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

void pump_set_end(struct pump *p, enum pump_end end)
{
	if (p->ended)
		return;
	p->ended = true;
	p->result.end = end;
}

/* Gives the result what it takes over of the side. */
static void pump_hand_out(struct pump *p, enum pump_side side, struct pump_io *io)
{
	if (p->result.end == PUMP_END_CLOSED && pump_outlived_by(p, side)) {
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
		pump_dir_drop(&p->dir[side], io);
		free(pump_dir_take_wire(&p->dir[side], io));
		if (!p->over[side] && pump_closes_in_order(p, (enum pump_side)side))
			sockopt_lift_reset(p->fd[side]);
		p->fd[side] = fd_close(p->fd[side]);
	}
}

enum pump_deadline pump_current_deadline(const struct pump *p, const struct pump_io *io)
{
	for (int side = 0; side < PUMP_SIDES; side++) {
		if (p->failed[side] && !p->dir[side].fin)
			return PUMP_DEADLINE_DELIVERY;
	}
	if (pump_side_awaits_taken(p, PUMP_OUTER) || pump_side_awaits_taken(p, PUMP_INNER))
		return PUMP_DEADLINE_TAKEN;
	if (io->half_close_timeout_ms && (p->dir[PUMP_OUTER].done || p->dir[PUMP_INNER].done))
		return PUMP_DEADLINE_HALF_CLOSED;
	return io->idle_timeout_ms ? PUMP_DEADLINE_IDLE : PUMP_DEADLINE_NONE;
}

/*
 * Changes with every byte moved, and with every byte acknowledged: a slow reader can empty a full
 * send queue for minutes before it takes another byte from us.
 */
static uint64_t pump_progress(const struct pump *p, const uint64_t queued[PUMP_SIDES])
{
	uint64_t mark = 0;

	for (int side = 0; side < PUMP_SIDES; side++)
		mark += atomic_load_explicit(&p->dir[side].bytes, memory_order_relaxed) -
			queued[side];
	return mark;
}

/*
 * Whether something is queued for the side and the kernel has asked in vain for
 * vanished_timeout_ms. TCP_USER_TIMEOUT would say so, too, of a reader that pauses and answers
 * each probe.
 */
static bool pump_side_vanished(struct pump *p, enum pump_side side, uint64_t queued,
	const struct pump_io *io, uint64_t now_ms)
{
	uint64_t silent_ms = now_ms - p->silent_since_ms[side];
	struct tcp_info info = { 0 };
	unsigned asked;

	if (!io->vanished_timeout_ms || p->failed[side])
		return false;
	if (queued)
		(void)sockopt_tcp_info(p->fd[side], &info);
	asked = (unsigned)info.tcpi_retransmits + info.tcpi_probes;
	if (!asked || info.tcpi_last_ack_recv < silent_ms) {
		p->silent_since_ms[side] = now_ms;
		return false;
	}
	return silent_ms >= io->vanished_timeout_ms && asked >= PUMP_VANISHED_ASKED;
}

/* Ends it if nothing has moved for a deadline that applies. */
static void pump_end_if_late(struct pump *p, const uint64_t queued[PUMP_SIDES],
	const struct pump_io *io, uint64_t now_ms)
{
	uint64_t mark = pump_progress(p, queued), quiet_ms;
	/* A reader that pauses has not had all yet: that it is half closed is no reason to cut. */
	bool undelivered = (queued[PUMP_OUTER] && !p->failed[PUMP_OUTER]) ||
			   (queued[PUMP_INNER] && !p->failed[PUMP_INNER]);

	if (mark != p->progress_mark) {
		p->progress_mark = mark;
		p->progress_ms = now_ms;
	}
	quiet_ms = now_ms - p->progress_ms;
	if (p->deadline == PUMP_DEADLINE_DELIVERY) {
		if (quiet_ms >= PUMP_DELIVERY_TIMEOUT_MS)
			pump_set_end(p, PUMP_END_RESET);
	} else if (p->deadline == PUMP_DEADLINE_HALF_CLOSED && !undelivered &&
		   quiet_ms >= io->half_close_timeout_ms) {
		pump_set_end(p, PUMP_END_HALF_CLOSED);
	} else if (io->idle_timeout_ms && quiet_ms >= io->idle_timeout_ms) {
		pump_set_end(p, PUMP_END_IDLE);
	}
}

/*
 * Whether TAKEN has come in time; from one that is late nothing is read any more. What is there
 * unread was not late: it was this process that stood still, or its machine.
 */
static enum pump_next pump_check_taken(struct pump *p, struct pump_io *io, uint64_t now_ms)
{
	enum pump_side side = pump_side_awaits_taken(p, PUMP_OUTER) ? PUMP_OUTER : PUMP_INNER;
	char byte;

	if (now_ms - p->progress_ms < PUMP_TAKEN_MS)
		return PUMP_WAIT;
	if (recv(p->fd[side], &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
		p->dir[side].readable = true;
		return PUMP_MORE;
	}
	p->dir[side].eof = true;
	pump_fail(p, side, ETIMEDOUT, io);
	return PUMP_MORE;
}

enum pump_next pump_check(struct pump *p, struct pump_io *io, uint64_t now_ms)
{
	uint64_t queued[PUMP_SIDES];

	if (p->ended)
		return PUMP_FINISHED;
	if (p->deadline == PUMP_DEADLINE_TAKEN)
		return pump_check_taken(p, io, now_ms);
	for (int side = 0; side < PUMP_SIDES; side++) {
		queued[side] = sockopt_queued(p->fd[side]);
		if (!pump_side_vanished(p, (enum pump_side)side, queued[side], io, now_ms))
			continue;
		pump_fail(p, (enum pump_side)side, ETIMEDOUT, io);
		return PUMP_MORE;
	}
	if (pump_over(p))
		pump_set_end(p, pump_last_end(p));
	else
		pump_end_if_late(p, queued, io, now_ms);
	return p->ended ? PUMP_FINISHED : PUMP_WAIT;
}
