/* SPDX-License-Identifier: MIT */
#include "net/pump_deadlines.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/lang.h"
#include "net/pump.h"
#include "net/sockopt.h"

#define DEADLINES_PARTS 16U /* of a timeout: it is met within one of them */
#define DEADLINES_MIN_MS 10U
#define DEADLINES_DELIVERY_EVERY_MS 20U
#define DEADLINES_TAKEN_EVERY_MS (PUMP_TAKEN_MS / DEADLINES_PARTS)
#define DEADLINES_THROTTLED_EVERY_MS 10U

/* How long a failed connection's last bytes may stay undelivered without any progress. */
#define DEADLINES_DELIVERY_MS 5000U

/*
 * How often the kernel must have asked a silent peer. The probes of a reader that has paused for
 * long are two minutes apart (TCP_RTO_MAX), and a lost one is no proof.
 */
#define DEADLINES_VANISHED_ASKED 3U

static uint64_t deadlines_usual_ms(const struct pump_pool_config *config, uint64_t most_ms)
{
	const uint64_t timeouts[] = { config->half_close_timeout_ms, config->idle_timeout_ms,
		config->vanished_timeout_ms };
	uint64_t every_ms = most_ms ? most_ms : UINT64_MAX;

	for (size_t i = 0; i < ARRAY_LEN(timeouts); i++) {
		if (timeouts[i])
			every_ms = min_u64(
				every_ms, max_u64(timeouts[i] / DEADLINES_PARTS, DEADLINES_MIN_MS));
	}
	return every_ms;
}

void pump_deadlines_init(
	struct pump_deadlines *d, const struct pump_pool_config *config, uint64_t most_ms)
{
	const uint64_t every_ms[PUMP_ROWS] = {
		[PUMP_ROW_USUAL] = deadlines_usual_ms(config, most_ms),
		[PUMP_ROW_DELIVERY] = DEADLINES_DELIVERY_EVERY_MS,
		[PUMP_ROW_TAKEN] = DEADLINES_TAKEN_EVERY_MS,
		[PUMP_ROW_THROTTLED] = DEADLINES_THROTTLED_EVERY_MS,
	};

	for (size_t i = 0; i < PUMP_ROWS; i++) {
		list_init(&d->row[i].pumps);
		d->row[i].every_ms = every_ms[i];
		d->row[i].next_ms = 0;
	}
	d->next_ms = UINT64_MAX;
}

/* "Never" stays so. */
static uint64_t deadlines_next_look(
	const struct pump_deadlines *d, enum pump_row row, uint64_t now_ms)
{
	return now_ms + min_u64(d->row[row].every_ms, UINT64_MAX - now_ms);
}

static void deadlines_put(
	struct pump_deadlines *d, enum pump_row row, struct list *link, uint64_t now_ms)
{
	if (list_empty(&d->row[row].pumps))
		d->row[row].next_ms = deadlines_next_look(d, row, now_ms);
	d->next_ms = min_u64(d->next_ms, d->row[row].next_ms);
	list_push_back(&d->row[row].pumps, link);
}

static enum pump_deadline deadlines_current(const struct pump *p, const struct pump_io *io)
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

static enum pump_row deadlines_row(enum pump_deadline deadline)
{
	switch (deadline) {
	case PUMP_DEADLINE_DELIVERY:
		return PUMP_ROW_DELIVERY;
	case PUMP_DEADLINE_TAKEN:
		return PUMP_ROW_TAKEN;
	default:
		return PUMP_ROW_USUAL;
	}
}

static void deadlines_note_throttled(struct pump_deadlines *d, struct pump *p)
{
	if (pump_is_throttled(p) && list_empty(&p->throttled_link))
		deadlines_put(d, PUMP_ROW_THROTTLED, &p->throttled_link, clock_now_ms());
}

void pump_deadlines_add(
	struct pump_deadlines *d, struct pump *p, const struct pump_io *io, uint64_t now_ms)
{
	enum pump_deadline deadline = deadlines_current(p, io);

	if (deadline != p->deadline)
		p->progress_ms = now_ms;
	p->deadline = deadline;
	deadlines_put(d, deadlines_row(deadline), &p->deadline_link, now_ms);
	deadlines_note_throttled(d, p);
}

void pump_deadlines_update(struct pump_deadlines *d, struct pump *p, const struct pump_io *io)
{
	enum pump_deadline deadline = deadlines_current(p, io);

	deadlines_note_throttled(d, p);
	if (deadline == p->deadline)
		return;
	p->progress_ms = clock_now_ms();
	list_remove(&p->deadline_link);
	p->deadline = deadline;
	deadlines_put(d, deadlines_row(deadline), &p->deadline_link, p->progress_ms);
}

void pump_deadlines_remove(struct pump *p)
{
	list_remove(&p->deadline_link);
	list_remove(&p->throttled_link);
}

bool pump_deadlines_due(struct pump_deadlines *d, enum pump_row row, uint64_t now_ms)
{
	if (list_empty(&d->row[row].pumps) || now_ms < d->row[row].next_ms)
		return false;
	d->row[row].next_ms = deadlines_next_look(d, row, now_ms);
	return true;
}

void pump_deadlines_looked(struct pump_deadlines *d)
{
	d->next_ms = UINT64_MAX;
	for (size_t i = 0; i < PUMP_ROWS; i++) {
		if (!list_empty(&d->row[i].pumps))
			d->next_ms = min_u64(d->next_ms, d->row[i].next_ms);
	}
}

/*
 * Changes with every byte moved, and with every byte acknowledged: a slow reader can empty a full
 * send queue for minutes before it takes another byte from us.
 */
static uint64_t deadlines_progress(const struct pump *p, const uint64_t queued[PUMP_SIDES])
{
	uint64_t mark = 0;

	for (int side = 0; side < PUMP_SIDES; side++)
		mark += atomic_load_explicit(&p->dir[side].out.bytes, memory_order_relaxed) -
			queued[side];
	return mark;
}

/*
 * Whether something is queued for the side and the kernel has asked in vain for
 * vanished_timeout_ms. TCP_USER_TIMEOUT would say so, too, of a reader that pauses and answers
 * each probe.
 */
static bool deadlines_side_vanished(struct pump *p, enum pump_side side, uint64_t queued,
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
	return silent_ms >= io->vanished_timeout_ms && asked >= DEADLINES_VANISHED_ASKED;
}

/* Ends it if nothing has moved for a deadline that applies. */
static void deadlines_end_if_late(struct pump *p, const uint64_t queued[PUMP_SIDES],
	const struct pump_io *io, uint64_t now_ms)
{
	uint64_t mark = deadlines_progress(p, queued), quiet_ms;
	/* A reader that pauses has not had all yet: that it is half closed is no reason to cut. */
	bool undelivered = (queued[PUMP_OUTER] && !p->failed[PUMP_OUTER]) ||
			   (queued[PUMP_INNER] && !p->failed[PUMP_INNER]);

	if (mark != p->progress_mark) {
		p->progress_mark = mark;
		p->progress_ms = now_ms;
	}
	quiet_ms = now_ms - p->progress_ms;
	if (p->deadline == PUMP_DEADLINE_DELIVERY) {
		if (quiet_ms >= DEADLINES_DELIVERY_MS)
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
static enum pump_next deadlines_check_taken(struct pump *p, struct pump_io *io, uint64_t now_ms)
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

enum pump_next pump_deadlines_check(struct pump *p, struct pump_io *io, uint64_t now_ms)
{
	uint64_t queued[PUMP_SIDES];

	if (p->ended)
		return PUMP_FINISHED;
	if (p->deadline == PUMP_DEADLINE_TAKEN)
		return deadlines_check_taken(p, io, now_ms);
	for (int side = 0; side < PUMP_SIDES; side++) {
		queued[side] = sockopt_queued(p->fd[side]);
		if (!deadlines_side_vanished(p, (enum pump_side)side, queued[side], io, now_ms))
			continue;
		pump_fail(p, (enum pump_side)side, ETIMEDOUT, io);
		return PUMP_MORE;
	}
	if (!pump_end_if_over(p))
		deadlines_end_if_late(p, queued, io, now_ms);
	return p->ended ? PUMP_FINISHED : PUMP_WAIT;
}
