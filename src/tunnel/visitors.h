/* SPDX-License-Identifier: MIT */
/*
 * The visitors of a tunnel: each is a flow (net/flow.h) from a data connection to the relay to the
 * local application. Either the relay announces him, and that connection is made (data_conn.h), or
 * it gives him to one that has waited (warm.h).
 */
#ifndef TUNNEL_VISITORS_H
#define TUNNEL_VISITORS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/uuid.h"
#include "net/flow.h"
#include "net/target.h"
#include "proto/msg.h"
#include "tunnel/data_conn.h"
#include "tunnel/episode.h"
#include "tunnel/warm.h"
#include "tunnel/tunnel.h"

/* Visitors that are not yet joined with the application. More than the relay's default for all
 * tunnels. */
#define VISITORS_SETUP_MAX 4096

/* Of a front's idle time-out: the least that is looked for, and how exactly it is kept. */
#define VISITORS_QUIET_MIN_MS 5000
#define VISITORS_QUIET_SAME_MS 1500

struct visitors_events {
	/* Tells the relay that a visitor isn't wanted; false if it doesn't know such a message.
	 * Calls nothing back. */
	bool (*refuse)(void *owner, const struct uuid *id, const char *why);
	void (*visit)(void *owner, const struct tunnel_visit *visit);
	struct tap *(*tap)(void *owner, const struct tunnel_visit *visit);
	/* The last visitor is gone, and what libuv knew of it. */
	void (*idle)(void *owner);
	void *owner;
};

struct visitors {
	/* Set by the owner. */
	struct visitors_events events;
	struct dial_target local; /* the application */
	struct data_relay relay;  /* its `auth` and `front`; the rest by visitors_aim() */
	/* NULL, or why those who come now are not to reach the application, a constant. */
	const char *turn_away;

	/* Own. */
	struct target data_conn; /* the outer end of who is announced */
	struct warm warm;
	struct flow_set flows;
	void *ids;                           /* of those in `flows`: a tree of tsearch(3) */
	struct episode failures[PUMP_SIDES]; /* of connections to that side */
	uint64_t quiet_ms;                   /* before the last end from the front's side */
	bool quiet_told;                     /* that it has an idle time-out */
	struct episode crowds;               /* of more than VISITORS_SETUP_MAX */
	uint64_t conns_total;
	uint64_t turned_away;         /* came, and were never joined with the application */
	uint64_t bytes_in, bytes_out; /* of the closed ones */
	unsigned parts;               /* of it that libuv knows of */
	void (*closed)(struct visitors *vs);
};

/* Fills in what is its own, all zero before. visitors_close() is to follow. */
void visitors_init(struct visitors *vs, uv_loop_t *loop, struct pump_pool *pool);

/* Where the relay is to be dialled for those who are announced from now on. 0 or -EINVAL. */
int visitors_aim(struct visitors *vs, const char *host, uint16_t port, enum dialect dialect);

/* This session may have `limit` warm connections that name `key`; 0: none. */
void visitors_ready(struct visitors *vs, unsigned limit, const struct uuid *key);

/* Announced by the relay, from NULL or where he comes from. */
void visitors_add(struct visitors *vs, const struct uuid *id, const struct addr *from);

/* No more are to come: the relay is still there, but those who come are turned away. */
void visitors_drain(struct visitors *vs, const char *turn_away);

/* Before visitors_lost_relay(), where the relay goes in order: whom it has given is served. */
void visitors_leave_relay(struct visitors *vs);

/* The control connection is gone: who hasn't been taken from the relay never will be. */
void visitors_lost_relay(struct visitors *vs);

/* Ends all; `idle` follows, from within if there is nothing to wait for. */
void visitors_end(struct visitors *vs);

/* Behind visitors_end(). `closed` follows, never from within. Visitors may still be ending, until
 * `idle`: vs outlives both. */
void visitors_close(struct visitors *vs, void (*closed)(struct visitors *vs));

/* Bytes from visitors and to visitors, the open ones included. */
void visitors_bytes(const struct visitors *vs, uint64_t *ret_in, uint64_t *ret_out);

#endif
