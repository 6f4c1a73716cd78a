/* SPDX-License-Identifier: MIT */
/*
 * One attempt at a control connection: resolve, connect (each address), handshake, each with its
 * deadline. Where the relay does not understand what was said, the attempt goes on over a fresh
 * connection: once without our Options, once in the line dialect.
 */
#ifndef TUNNEL_ATTEMPT_H
#define TUNNEL_ATTEMPT_H

#include <stdint.h>
#include <uv.h>

#include "net/addr.h"
#include "proto/auth.h"
#include "proto/options.h"
#include "tunnel/failure.h"
#include "tunnel/tunnel.h"

struct attempt;
struct chan;
struct dialer;
struct front;

struct attempt_config {
	uv_loop_t *loop;
	struct dialer *dialer;     /* outlives the attempt */
	struct front *front;       /* that stands before the relay, likewise; NULL: none */
	const char *relay;         /* HOST:PORT or URL, for texts; outlives the attempt */
	const char *option_prefix; /* see struct tunnel_config */
	const struct auth *auth;   /* NULL: no secret; outlives the attempt */
	enum tunnel_protocol protocol;
	uint16_t port;       /* wanted public port, 0: any */
	uint16_t local_port; /* told in the line dialect */
	struct options offer;
};

/* A finished handshake. Bytes that came behind it stand in chan->in. */
struct attempt_link {
	struct chan *chan; /* on the heap; the callee owns it and sets its callbacks and owner */
	enum dialect dialect;
	uint16_t public_port;
	struct addr peer; /* that answered */
};

struct attempt_events {
	/* The outcome: link or failure is set, and lives as long as the call. Not after
	 * attempt_free(). */
	void (*done)(void *owner, struct attempt_link *link, const struct failure *failure);
	/* The memory is gone. */
	void (*gone)(void *owner);
	void *owner;
};

/* Negative errno: nothing has begun. `done` is never called from within. */
int attempt_start(const struct attempt_config *config, const struct attempt_events *events,
	struct attempt **ret_attempt);

/* To be called once, also after `done` (and from within it); `gone` follows. Takes NULL. Returns
 * NULL. */
struct attempt *attempt_free(struct attempt *a);

#endif
