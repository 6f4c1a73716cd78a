/* SPDX-License-Identifier: MIT */
/*
 * One connection on the control port, from its first byte on. It turns out to be a client's control
 * connection, or a data connection, whose descriptor then goes to the visitor's stream.
 *
 *              ┌─ wants a port whose tunnel has a token ─▶ CLAIMING ─┐
 *   GREETING ──┼──────────────── Hello ──────────────────────────────┴▶ SERVING ─▶ ENDED
 *              └─ Accept, failure, deadline ──────────────────────────────────────▶ ENDED
 */
#ifndef RELAY_SESSION_H
#define RELAY_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "front/preamble.h"
#include "net/addr.h"
#include "net/chan.h"
#include "net/timeouts.h"
#include "proto/server_handshake.h"
#include "relay/ready.h"

struct endpoint;
struct relay;

enum session_state {
	SESSION_GREETING, /* the handshake; HANDSHAKE_TIMEOUT_MS */
	SESSION_CLAIMING, /* its port belongs to a live tunnel: waits for a token; RELAY_CLAIM_MS */
	SESSION_SERVING,  /* the control connection of a tunnel; RELAY_HEARTBEAT_MS */
	SESSION_ENDED,    /* its memory goes when the chan is closed */
	SESSION_STATES,
};

struct session {
	struct relay *relay;
	struct chan chan;
	struct preamble preamble; /* GREETING */
	struct server_handshake hs;
	enum session_state state;
	struct addr from;
	struct endpoint *endpoint; /* while SERVING */
	struct options offer;      /* the client's, once `offered` */
	bool offered;
	struct ready_stack ready; /* its warm connections, where it was granted some */
	int unsaid; /* a visitor could not be announced: negative errno, ended with this turn */
	uint64_t heard_ms;        /* when the last bytes came */
	uint64_t acked_ms;        /* when its kernel was last heard of, as of the last look */
	struct list link;         /* in relay->greeting or relay->serving */
	struct list unsent;       /* in relay->unsent while something is queued */
	struct timeout timeout;   /* of the state */
	struct timeout challenge; /* GREETING: the challenge waits for the client's first byte */
};

/*
 * A session for a connection whose handshake has begun; owns `fd`. Negative errno: nothing was
 * taken. It times out after HANDSHAKE_TIMEOUT_MS.
 */
int session_new(struct relay *relay, int fd, const struct preamble *preamble,
	const struct server_handshake *hs, struct session **ret_session);

/* Handles what stands in the chan's `in`, in any state. */
void session_read(struct session *s);

/* The handshake is done. This is a data connection: its descriptor goes to a visitor's stream, or
 * is parked. */
void session_become_data(struct session *s);
/* Or a Hello has come. */
void session_want_port(struct session *s);

/* Who he is, as clients are told that understand it. */
void session_describe_visitor(const struct uuid *id, const struct addr *from, struct msg *ret_msg);

/*
 * The client may be gone: its kernel, which has a heartbeat to acknowledge every
 * RELAY_HEARTBEAT_MS, has been silent for RELAY_SILENT_MS, though ours has asked again; or it has
 * missed a beat.
 */
bool session_is_silent(struct session *s);

/* Tells the client of a visitor. Goes out at the end of this turn, with those that come until then.
 */
void session_announce(struct session *s, const struct uuid *id, const struct addr *from);

/*
 * The next relay has this one's ports. A client that can resume is told to go there, and keeps its
 * open streams here. One that can't is left with its visitors, whom a stock client would cut, and
 * ended when the last of them is gone.
 */
void session_send_away(struct session *s);

/* Ends it with its tunnel; nothing is freed before the loop's next turn. Idempotent. */
void session_end(struct session *s, const char *why);

/* Sends what was queued in this turn. */
void session_flush_all(struct relay *relay);

/* Timeouts of relay->claims and relay->heartbeats. */
void session_on_claim_over(struct timeouts *q, struct timeout *t);
void session_on_heartbeat(struct timeouts *q, struct timeout *t);

#endif
