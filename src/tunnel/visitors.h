/* SPDX-License-Identifier: MIT */
/*
 * The visitors of a tunnel: each that the relay announces gets a data connection to the relay and
 * one to the local application, both dialed at once, and both are given to a pump. See visitor.c
 * for the steps.
 */
#ifndef TUNNEL_VISITORS_H
#define TUNNEL_VISITORS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "net/dial.h"
#include "net/pump_pool.h"
#include "proto/msg.h"
#include "tunnel/episode.h"
#include "tunnel/tunnel.h"

/* Visitors that are not yet joined with the application. More than the relay's default for all
 * tunnels. */
#define VISITORS_SETUP_MAX 4096
/* From the announcement to both connections, as long as the relay keeps a visitor that nobody
 * takes. */
#define VISITORS_SETUP_TIMEOUT_MS 10000
#define VISITORS_NEVER UINT64_MAX

struct auth;

struct visitors_events {
	/* Tells the relay that a visitor isn't wanted; false if it doesn't know such a message.
	 * Calls nothing back. */
	bool (*refuse)(void *owner, const struct uuid *id, const char *why);
	void (*visit)(void *owner, const struct tunnel_visit *visit);
	/* The last visitor is gone, and what libuv knew of it. */
	void (*idle)(void *owner);
	void *owner;
};

struct visitors {
	/* Set by the owner. */
	uv_loop_t *loop;
	struct pump_pool *pool;
	const struct auth *auth; /* NULL: no secret */
	struct visitors_events events;
	struct dialer local;  /* the application */
	struct dialer relay;  /* the address of the live control connection, */
	enum dialect dialect; /* and what is spoken there */

	/* Own. */
	struct list setup; /* oldest first */
	struct list open;  /* with a pump */
	unsigned setup_count;
	unsigned parts;                      /* of visitors: dials and chans not yet gone */
	struct episode failures[PUMP_SIDES]; /* of connections to that side */
	struct episode crowds;               /* of more than VISITORS_SETUP_MAX */
	uint64_t conns_open, conns_total;
	uint64_t turned_away;         /* were announced, and never joined with the application */
	uint64_t bytes_in, bytes_out; /* of the closed ones */
};

/* Fills in what is its own. */
void visitors_init(struct visitors *vs);

/* Announced by the relay, from NULL or where it comes from. `turn_away`: NULL, or why it is not to
 * reach the application. */
void visitors_add(
	struct visitors *vs, const struct uuid *id, const struct addr *from, const char *turn_away);

/* The control connection is gone: who hasn't been taken from the relay never will be. */
void visitors_lost_relay(struct visitors *vs);

/* Ends all; `idle` follows, from within if there is nothing to wait for. */
void visitors_end(struct visitors *vs);

bool visitors_idle(const struct visitors *vs);

/* Bytes from visitors and to visitors, the open ones included. */
void visitors_bytes(const struct visitors *vs, uint64_t *ret_in, uint64_t *ret_out);

/* Calls fn for each open connection. */
void visitors_each(const struct visitors *vs, tunnel_visit_fn fn, void *owner);

/* When visitors_tick() has something to do; VISITORS_NEVER. */
uint64_t visitors_deadline(const struct visitors *vs);
void visitors_tick(struct visitors *vs, uint64_t now_ms);

#endif
