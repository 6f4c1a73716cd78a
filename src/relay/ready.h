/* SPDX-License-Identifier: MIT */
/*
 * Warm connections (docs/protocol.md): data connections that wait for the next visitor of a
 * session, parked in a stack of its own. A parked one is a bare descriptor: no handle of the loop
 * watches it. It is looked at when it is taken, and by a sweep of all now and then.
 *
 * Only the relay closes a parked connection that is in order, so that none is lost between parked
 * and given. Pure but for the sockets: the time is passed in.
 */
#ifndef RELAY_READY_H
#define RELAY_READY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/uuid.h"
#include "relay/pending.h"

#define READY_SWEEP_MS 5000 /* between two sweeps */
/* Parked for so long without a visitor, it is closed: the first ones always; behind a front, which
 * cuts what is idle (nginx: 60 s); and those that are more than READY_KEPT. */
#define READY_IDLE_MS 300000U
#define READY_FRONT_MS 45000U
#define READY_SPARE_MS 60000U
#define READY_KEPT 2          /* of a session, whatever others have */
#define READY_LEVELS 64       /* whether a session has more than so many isn't told apart */
#define READY_UNTAKEN_MAX 3   /* visitors in a row that were not taken: the session gets none */
#define READY_PAUSE_MS 60000U /* for so long */
#define READY_KEEP_IDLE_S 10  /* TCP keepalive, so that a NAT does not forget it */
#define READY_ENDED_KEYS 64   /* of sessions that have ended, the last ones */

struct ready_conn {
	int fd;
	bool front; /* it came through a proxy */
	uint64_t parked_ms;
};

struct ready {
	struct pending keys;
	/* The stacks that aren't empty, by how many they have; the last level: or more. */
	struct list levels[READY_LEVELS + 1];
	uint32_t richest; /* the highest level that has one; 0: none has */
	uint32_t count, max;
	struct uuid ended[READY_ENDED_KEYS]; /* a ring */
	unsigned next_ended;
};

/* A session's; all zero where it has none. */
struct ready_stack {
	struct pending_entry entry; /* its id is the key */
	struct ready *ready;
	struct list link;
	struct ready_conn *conns; /* the one that was parked last is the last; owned */
	uint32_t count, room, max;
	uint32_t untaken; /* visitors in a row */
	uint64_t paused_until_ms;
};

/* At most `max` are parked in all, in at most `max_stacks` stacks. */
int ready_init(struct ready *r, uint32_t max_stacks, uint32_t max);
void ready_deinit(struct ready *r);

/* Gives it a key, that nobody guesses. Negative errno. */
int ready_open(struct ready *r, struct ready_stack *s, uint32_t max);
/* Closes what is parked. Idempotent. */
void ready_close(struct ready_stack *s);

/* NULL: no session has this key. */
struct ready_stack *ready_find(const struct ready *r, const struct uuid *key);
/* Whether a session that has ended lately had it: what was on its way then is no offence. */
bool ready_has_ended(const struct ready *r, const struct uuid *key);

/*
 * Owns `fd` on success. -ENOSPC: it, or all, have as many as they may; -EAGAIN: it is paused. Where
 * all have, it takes the place of one of the stack that has the most, if that has more than
 * READY_KEPT and still no fewer than this one then: so all come to have the same.
 */
int ready_park(struct ready_stack *s, int fd, bool front, uint64_t now_ms);
/* The one that was parked last, of those that are alive and quiet. False: there is none. */
bool ready_take(struct ready_stack *s, struct ready_conn *ret_conn);
/* How it went with one that was taken. */
void ready_note_taken(struct ready_stack *s);
void ready_note_untaken(struct ready_stack *s, uint64_t now_ms);

/* Closes `wanted` of them, the coldest of whoever has the most. Returns how many there were. */
uint32_t ready_relieve(struct ready *r, uint32_t wanted);
void ready_drop_all(struct ready *r);
/* Closes the dead, those of which something has come, and those that have been parked too long. */
void ready_sweep(struct ready *r, uint64_t now_ms);

#endif
