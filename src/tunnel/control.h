/* SPDX-License-Identifier: MIT */
/*
 * The control connection after its handshake: announcements come in, beats and refusals go out. It
 * keeps no deadline but that of the next beat; whether the relay is silent is the machine's to say.
 */
#ifndef TUNNEL_CONTROL_H
#define TUNNEL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "proto/msg.h"
#include "tunnel/attempt.h"
#include "tunnel/episode.h"

#define CONTROL_NEVER UINT64_MAX

struct chan;

struct control_events {
	void (*heard)(void *owner); /* a message, before it is told by one of those below */
	/* `from` NULL: the relay doesn't say, or not in a way that is an address. */
	void (*visitor)(void *owner, const struct uuid *id, const struct addr *from);
	void (*options)(void *owner, const struct options *granted);
	/* Another relay has taken over where this one is: control_close() is to follow. */
	void (*moved)(void *owner);
	/* The end, once; control_close() is to follow. */
	void (*lost)(void *owner, const char *why);
	/* The memory of a connection that was closed is gone. */
	void (*gone)(void *owner);
	void *owner;
};

struct control {
	struct control_events events;
	struct chan *chan; /* owned; NULL when there is none */
	enum dialect dialect;
	struct options granted;
	struct episode complaints; /* Errors of the relay, since it is connected */
	uint64_t beat_at_ms;       /* CONTROL_NEVER without the ability */
};

void control_init(struct control *c, const struct control_events *events);

/* Takes the chan out of the link. What came behind the handshake waits for control_read(). */
void control_open(struct control *c, struct attempt_link *link);

/* Eats what has come. */
void control_read(struct control *c);

/* False where that isn't agreed on, or there is no connection. */
bool control_refuse(struct control *c, const struct uuid *id, const char *why);

/* Sends the beat that is due. */
void control_tick(struct control *c, uint64_t now_ms);

/* Idempotent; does nothing when there is no connection. */
void control_close(struct control *c);

#endif
