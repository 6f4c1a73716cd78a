/* SPDX-License-Identifier: MIT */
/*
 * The warm connections of a tunnel (docs/protocol.md): the pool of data connections that are opened
 * ahead, wait for a visitor, serve him, and wait again (warm_conn.h). It dials what is missing, and
 * knows whom each serves. A connection lives as long as the relay keeps it: while it waits, and
 * while it is in order, only the relay closes it.
 */
#ifndef TUNNEL_WARM_H
#define TUNNEL_WARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "base/uuid.h"
#include "net/flow.h"
#include "net/target.h"
#include "net/timeouts.h"
#include "tunnel/backoff.h"
#include "tunnel/data_conn.h"
#include "tunnel/demand.h"
#include "tunnel/dial_budget.h"
#include "tunnel/warm_conn.h"

#define WARM_DIALS_MAX 8           /* at a time */
#define WARM_DIAL_MS FLOW_SETUP_MS /* from the first packet to Ready, as for who is announced */
/* One that the relay closes before that, and before it gave it a visitor, was no use: the next is
 * dialled with a backoff. */
#define WARM_YOUNG_MS 5000

struct addr;
struct warm;
struct warm_member;

enum warm_state {
	WARM_DIALLING, /* data_conn.h has it; for WARM_DIAL_MS */
	WARM_WAITING,  /* for a Visitor frame; the set watches it */
	WARM_SERVING,  /* a visitor has it, for less than DEMAND_SPAN_MS */
	WARM_BUSY,     /* the same, for longer */
	WARM_LEFT,     /* as WAITING, of a session that we have left; for WARM_DIAL_MS */
	WARM_STATES,
};

struct warm_events {
	/*
	 * The relay has given a visitor to `c`, `from` NULL or where he comes from. The callee
	 * starts a flow from c->target or calls warm_refuse(), from within; a flow owes c a
	 * warm_ended(), from within or later.
	 */
	void (*visitor)(struct warm *w, struct warm_conn *c, const struct uuid *id,
		const struct addr *from);
};

struct warm {
	const struct warm_events *events;
	struct data_relay *relay;
	/* Of the session; limit 0: none are to be had. */
	struct uuid key;
	unsigned limit;
	unsigned session; /* its number */
	bool frozen;      /* none is dialled any more */

	struct warm_set set;
	struct list conns[WARM_STATES]; /* in the order in which they came to be so */
	unsigned count[WARM_STATES];
	struct demand demand;
	struct dial_budget budget;

	struct timeouts dials; /* deadlines of WARM_DIAL_MS */
	uv_timer_t timer;      /* looks at what is missing again */
	struct backoff backoff;
	uint64_t retry_ms;         /* monotonic; none is dialled before */
	bool in_trouble;           /* one is dialled at a time, until one of these is of use */
	struct warm_member *probe; /* that one; NULL: none */
	unsigned failures;         /* in a row */
	bool told;                 /* of this session's trouble */

	unsigned handles; /* that libuv knows of */
	void (*closed)(struct warm *w);
};

void warm_init(struct warm *w, uv_loop_t *loop, struct data_relay *relay,
	const struct warm_events *events);

/*
 * Behind warm_stop(). `closed` follows, never from within. Visitors may still be served, and each
 * calls warm_ended() as he ends, if that is before `closed` or behind it: w outlives both.
 */
void warm_close(struct warm *w, void (*closed)(struct warm *w));

/* The relay takes `limit` connections that name `key`, of which there are DEMAND_MAX at most; 0:
 * none. */
void warm_grant(struct warm *w, unsigned limit, const struct uuid *key);

/* The session is over: those that wait are closed, those that serve go on, and are closed then. */
void warm_reset(struct warm *w);

/* Before warm_reset(), where the relay has said that it is over. A visitor may be on his way on
 * those that wait: they are left to the relay to close. */
void warm_leave(struct warm *w);

/* warm_reset(), of those that were left, too. */
void warm_stop(struct warm *w);

/* The relay may still give visitors to those that there are; no others are dialled. */
void warm_freeze(struct warm *w);

/* A visitor has begun, over whatever connection. */
void warm_note_visitor(struct warm *w);

/* The visitor's flow is over, behind `moved` bytes, and c the pool's again. `fd` as of struct
 * pump_result with its `rest`: it waits again. -1: it is gone. */
void warm_ended(struct warm_conn *c, uint64_t moved, int fd, const uint8_t *rest, size_t rest_len);

/* There is no flow for him: he gets his end now, and the connection is gone. */
void warm_refuse(struct warm_conn *c);

#endif
