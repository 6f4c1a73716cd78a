/* SPDX-License-Identifier: MIT */
/*
 * A warm connection on which the handshake is over: it waits for a Visitor frame, says TAKEN, is
 * the outer end of that visitor's flow, and waits again. Which there are, and how many, is the
 * pool's to say (warm.h).
 */
#ifndef TUNNEL_WARM_CONN_H
#define TUNNEL_WARM_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "net/target.h"
#include "net/timeouts.h"
#include "net/watch.h"

#define WARM_FRAME_MS 3000 /* from the first byte of a Visitor frame to its last */
/* Bytes that one look reads of it, and with it. What a pump has read ahead (`rest`) may be more:
 * PUMP_AHEAD_MAX. */
#define WARM_READ_MAX 16384

struct addr;
struct pump_pool;
struct uuid;
struct warm_conn;
struct warm_set;

struct warm_conn_events {
	/*
	 * The relay has given a visitor to `c`, and was told TAKEN; `from` NULL or where he comes
	 * from. The callee starts a flow from `c->target`, or calls warm_conn_turn_away(), from
	 * within; it may deinit c.
	 */
	void (*visitor)(struct warm_conn *c, const struct uuid *id, const struct addr *from);
	/*
	 * It has waited in vain, for a cause that is for people. `misused`: the relay has said
	 * there what has no place there. The callee deinits c.
	 */
	void (*lost)(struct warm_conn *c, bool misused, const char *why);
};

/* Those that wait. */
struct warm_set {
	const struct warm_conn_events *events;
	struct pump_pool *pool;   /* not owned */
	struct warm_conn *giving; /* within events->visitor(); NULL: gone */
	struct timeouts frames;   /* deadlines of WARM_FRAME_MS */
	void (*closed)(struct warm_set *s);
};

struct warm_conn {
	/* The outer end of its visitor's flow; speaks blocks. Turned away, he gets an ordinary end.
	 * Good for one flow, within events->visitor(). */
	struct target target;

	/* Own. */
	struct warm_set *set;
	int fd;             /* owned; -1: a pump has it, or none does */
	bool waits;         /* for a visitor */
	struct watch watch; /* of the socket, as of struct pump_job */
	struct timeout frame;
	struct buf in; /* the frame, as far as it has come; then the blocks for the flow */
	/* While a visitor is given: what came behind the frame. */
	const uint8_t *early;
	size_t early_len;
	bool no_memory; /* for that */
};

void warm_set_init(struct warm_set *s, uv_loop_t *loop, struct pump_pool *pool,
	const struct warm_conn_events *events);
/* None waits any more. `closed` follows, never from within; those that serve may be there still. */
void warm_set_close(struct warm_set *s, void (*closed)(struct warm_set *s));

/* It has no descriptor yet. */
void warm_conn_init(struct warm_conn *c, struct warm_set *set);
/* Closes what it has, in order: what was said there last still arrives. */
void warm_conn_deinit(struct warm_conn *c);

/*
 * It owns `fd` from here on, and waits, for the first time or again. `early` is what has come there
 * already, PUMP_AHEAD_MAX at most; NULL: nothing. Any event may follow from within, and c be gone
 * on return.
 */
void warm_conn_wait(struct warm_conn *c, int fd, const uint8_t *early, size_t early_len);

/* Its visitor's flow is open, and has copied what had come with the frame. */
void warm_conn_joined(struct warm_conn *c);

/* Its visitor gets his end, and the connection is closed. */
void warm_conn_turn_away(struct warm_conn *c);

#endif
