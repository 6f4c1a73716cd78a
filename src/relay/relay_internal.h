/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the relay share. A session is one connection on the control port; a session
 * that was given a public port has an endpoint, where streams (visitors) come in. The relay owns
 * all of them.
 */
#ifndef RELAY_RELAY_INTERNAL_H
#define RELAY_RELAY_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "net/flow.h"
#include "net/listener.h"
#include "net/pump_pool.h"
#include "net/reserve.h"
#include "net/timeouts.h"
#include "proto/auth.h"
#include "relay/conn_log.h"
#include "relay/counts.h"
#include "relay/limits.h"
#include "relay/pending.h"
#include "relay/ports.h"
#include "relay/ready.h"
#include "relay/relay.h"

#define RELAY_HEARTBEAT_MS 400 /* "at least every 500 ms", and timers are late now and then */
/* More than two heartbeats, and an acknowledgement that the client's kernel delays (200 ms). */
#define RELAY_SILENT_MS 1000
#define RELAY_SILENT_BEATS 2        /* without a word: one is missing */
#define RELAY_CLAIM_MS 500          /* for the Options of a client that wants its port back */
#define RELAY_USER_TIMEOUT_MS 15000 /* heartbeats not acknowledged: the client is gone */
#define RELAY_MISSED_BEATS 3
#define RELAY_ORPHAN_MS 30000 /* clients want no other port for so long (MACHINE_SAME_PORT_MS) */

struct endpoint;
struct handover;

enum relay_phase {
	RELAY_PHASE_NEW,      /* nothing listens */
	RELAY_PHASE_SERVING,  /* everything is accepted */
	RELAY_PHASE_DRAINING, /* no new tunnels or visitors; the waiting ones may still be claimed
			       */
	RELAY_PHASE_DRAINED,  /* nothing is open any more */
	RELAY_PHASE_CLOSING,  /* all ends; the memory goes with the last handle */
};

struct relay {
	uv_loop_t *loop;
	struct pump_pool *pool; /* not owned */
	struct relay_config config;
	relay_event_fn event; /* may be NULL */
	void *owner;
	enum relay_phase phase;

	struct auth *auth; /* NULL: no secret */
	struct reserve reserve;
	uint64_t max_fds;                  /* RLIMIT_NOFILE when the relay was made */
	struct listener listener;          /* the control port */
	bool listener_open;                /* until its `closed` */
	bool trust_hinted, silence_hinted; /* by greeting.c, about a proxy */
	struct ports ports;
	struct endpoint **endpoints; /* by port number, 65,536 of them */
	struct limits limits;
	struct pending pending;
	struct ready ready;
	struct relay_counts counts;

	struct list greeting; /* sessions that are not yet tunnels, the oldest first */
	struct list serving;  /* sessions with an endpoint */
	struct list unsent;   /* sessions whose chan is to be flushed at the end of this turn */
	struct list queued;   /* endpoints that are paused because of max_pending */
	uint32_t greeting_count, serving_count, orphan_count;
	uint32_t paused_count;   /* endpoints that are paused, for whatever limit */
	struct flow_set streams; /* who waits for a data connection, and who is joined with one */
	uint64_t objects;        /* sessions, endpoints, streams: not yet freed */

	struct timeouts handshakes, challenges, claims, heartbeats, orphans, sweeps;
	struct timeout sweep;      /* of `ready`; armed in `sweeps` while something is parked */
	struct handover *handover; /* owned; NULL: no relay can follow this one */
	bool holding;     /* visitors stay in the kernel's queues: a hand-over is under way */
	bool handed_over; /* the next relay has the ports */
	uv_timer_t grace;
	unsigned handles; /* of those six and one, and of `streams`: not yet closed */

	void (*drained)(void *owner);
	void *drained_owner;
	void (*closed)(void *owner);
	void *closed_owner;
};

/* For a hand-over: no visitors, then nothing on the control port, for now; and both again. */
void relay_hold(struct relay *relay);
void relay_hold_control(struct relay *relay);
void relay_release(struct relay *relay);
/* The next relay has it all. */
void relay_handed_over(struct relay *relay);

/* Tells the world: log, connection log, the owner. */
void relay_tell(struct relay *relay, const struct relay_event *event);

/* Something has ended: goes on with what waits for nothing to be open. May end the relay's phase,
 * never its memory. */
void relay_settle(struct relay *relay);

#endif
