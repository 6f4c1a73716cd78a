/* SPDX-License-Identifier: MIT */
/*
 * The visitors of a tunnel: each that the relay announces is a flow (net/flow.h) from a data
 * connection to the relay (data_conn.h) to the local application.
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
#include "tunnel/episode.h"
#include "tunnel/tunnel.h"

/* Visitors that are not yet joined with the application. More than the relay's default for all
 * tunnels. */
#define VISITORS_SETUP_MAX 4096

/* Of a front's idle time-out: the least that is looked for, and how exactly it is kept. */
#define VISITORS_QUIET_MIN_MS 5000
#define VISITORS_QUIET_SAME_MS 1500

struct auth;
struct front;

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
	const struct auth *auth; /* NULL: no secret */
	struct visitors_events events;
	struct dial_target local; /* the application */
	struct front *front;      /* that stands before the relay; NULL: none */
	struct dial_target relay; /* the address of the live control connection, */
	enum dialect dialect;     /* and what is spoken there */

	/* Own. */
	uv_loop_t *loop;
	struct flow_set flows;
	struct episode failures[PUMP_SIDES]; /* of connections to that side */
	uint64_t quiet_ms;                   /* before the last end from the front's side */
	bool quiet_told;                     /* that it has an idle time-out */
	struct episode crowds;               /* of more than VISITORS_SETUP_MAX */
	uint64_t conns_total;
	uint64_t turned_away;         /* were announced, and never joined with the application */
	uint64_t bytes_in, bytes_out; /* of the closed ones */
};

/* Fills in what is its own, all zero before. flow_set_close(&vs->flows) is to follow, some time
 * behind visitors_end(). */
void visitors_init(struct visitors *vs, uv_loop_t *loop, struct pump_pool *pool);

/* Where the relay is to be dialled for those who are announced from now on. 0 or -EINVAL. */
int visitors_aim(struct visitors *vs, const char *host, uint16_t port, enum dialect dialect);

/* Announced by the relay, from NULL or where it comes from. `turn_away`: NULL, or why it is not to
 * reach the application, a constant. */
void visitors_add(
	struct visitors *vs, const struct uuid *id, const struct addr *from, const char *turn_away);

/* The control connection is gone: who hasn't been taken from the relay never will be. */
void visitors_lost_relay(struct visitors *vs);

/* Ends all; `idle` follows, from within if there is nothing to wait for. */
void visitors_end(struct visitors *vs);

/* Bytes from visitors and to visitors, the open ones included. */
void visitors_bytes(const struct visitors *vs, uint64_t *ret_in, uint64_t *ret_out);

/* A visitor's id, by the flow. */
const struct uuid *visitors_id(const struct flow *f);

#endif
