/* SPDX-License-Identifier: MIT */
/*
 * What a worker looks for at its pumps though no event has told of them, and when: a deadline, the
 * last byte acknowledged, a peer that has vanished, room in a bucket.
 *
 * Pumps stand in rows, each of which is looked through every so often while somebody is in it. It
 * has no timer and calls nobody: the worker sets its own for `next_ms`, and looks through the rows
 * that are due then. So a deadline is late by the time between two looks, at most.
 */
#ifndef NET_PUMP_DEADLINES_H
#define NET_PUMP_DEADLINES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/pump.h"

/* Every pump is in one of the first three, by the deadline that applies to it. */
enum pump_row {
	PUMP_ROW_USUAL,     /* every sixteenth of the shortest timeout */
	PUMP_ROW_DELIVERY,  /* PUMP_DEADLINE_DELIVERY: every 20 ms */
	PUMP_ROW_TAKEN,     /* PUMP_DEADLINE_TAKEN: every sixteenth of PUMP_TAKEN_MS */
	PUMP_ROW_THROTTLED, /* beside its other one: asks its bucket again every 10 ms */
	PUMP_ROWS,
};

struct pump_deadlines {
	struct {
		struct list pumps; /* by deadline_link; the throttled ones by throttled_link */
		uint64_t every_ms; /* UINT64_MAX: never */
		uint64_t next_ms;  /* the next look; means nothing while the row is empty */
	} row[PUMP_ROWS];
	uint64_t next_ms; /* not behind the next look at any row; monotonic, UINT64_MAX: none */
};

/* `most_ms`: the usual row is looked through so often at least; 0: only for the timeouts. */
void pump_deadlines_init(
	struct pump_deadlines *d, const struct pump_pool_config *config, uint64_t most_ms);

/* A pump that is new here, and may be in the middle of something. */
void pump_deadlines_add(
	struct pump_deadlines *d, struct pump *p, const struct pump_io *io, uint64_t now_ms);
/* Something may have changed: which deadline applies, from now on, or that it waits for a bucket.
 * Costs no system call, and reads the clock only when something has. */
void pump_deadlines_update(struct pump_deadlines *d, struct pump *p, const struct pump_io *io);
void pump_deadlines_remove(struct pump *p);

/* Whether the row is to be looked through now. The next look is then every_ms later. */
bool pump_deadlines_due(struct pump_deadlines *d, enum pump_row row, uint64_t now_ms);

/* One look at a pump of a row that is due. PUMP_FINISHED: it is over; PUMP_MORE: a side has failed,
 * or has bytes; else PUMP_WAIT. */
enum pump_next pump_deadlines_check(struct pump *p, struct pump_io *io, uint64_t now_ms);

/* The worker has looked at what was due: makes `next_ms` the next look at any row. */
void pump_deadlines_looked(struct pump_deadlines *d);

#endif
