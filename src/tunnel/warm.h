/* SPDX-License-Identifier: MIT */
/*
 * The warm connections of a tunnel (docs/protocol.md): data connections that were opened ahead,
 * wait for a visitor, serve him, and wait again. A connection lives as long as the relay keeps it:
 * while it waits, and while it is in order, only the relay closes it.
 */
#ifndef TUNNEL_WARM_H
#define TUNNEL_WARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "base/uuid.h"
#include "net/target.h"
#include "net/timeouts.h"
#include "tunnel/backoff.h"
#include "tunnel/data_conn.h"
#include "tunnel/demand.h"

#define WARM_DIALS_MAX 8 /* at a time */
/* One that the relay closes before that, and before it gave it a visitor, was no use: the next is
 * dialled with a backoff. */
#define WARM_YOUNG_MS 5000
#define WARM_FRAME_MS 3000 /* from the first byte of a Visitor frame to its last */
/* Bytes of it, and with it, that are read before the pump; and what the pump has read ahead of the
 * next frame at most: its buffer. */
#define WARM_READ_MAX 16384
#define WARM_EARLY_MAX 262144
#define WARM_BATCH_MAX 32 /* connections on which something has come, per look */

struct addr;
struct warm;
struct warm_conn;

enum warm_state {
	WARM_DIALLING, /* data_conn.h has it */
	WARM_WAITING,  /* for a Visitor frame; the set watches it */
	WARM_SERVING,  /* a visitor has it, for less than DEMAND_SPAN_MS */
	WARM_BUSY,     /* the same, for longer */
	WARM_STATES,
};

struct warm_events {
	/*
	 * The relay has given a visitor to `c`, `from` NULL or where he comes from. The callee
	 * owes c a warm_ended() or warm_refuse(), from within or later.
	 */
	void (*visitor)(struct warm *r, struct warm_conn *c, const struct uuid *id,
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

	struct list conns[WARM_STATES]; /* in the order in which they came to be so */
	unsigned count[WARM_STATES];
	struct demand demand;

	int epoll_fd; /* watches those that wait; -1: not yet needed */
	uv_poll_t poll;
	struct warm_conn *batch[WARM_BATCH_MAX]; /* while events are dealt with; NULL: gone */
	unsigned batch_count;
	struct warm_conn *giving; /* within events->visitor(); NULL: gone */

	struct timeouts frames; /* deadlines of WARM_FRAME_MS */
	uv_timer_t timer;       /* looks at what is missing again */
	struct backoff backoff;
	uint64_t retry_ms; /* monotonic; none is dialled before */
	bool in_trouble;   /* one is dialled at a time, until one is of use */
	unsigned failures; /* in a row */
	bool told;         /* of this session's trouble */

	unsigned handles; /* that libuv knows of */
	void (*closed)(struct warm *r);
};

void warm_init(struct warm *r, uv_loop_t *loop, struct data_relay *relay,
	const struct warm_events *events);

/* Behind warm_reset(), and with no visitor left; `closed` follows, never from within. */
void warm_close(struct warm *r, void (*closed)(struct warm *r));

/* The relay takes `limit` connections that name `key`; 0: none. */
void warm_grant(struct warm *r, unsigned limit, const struct uuid *key);

/* The session is over: those that wait are closed, those that serve go on, and are closed then. */
void warm_reset(struct warm *r);

/* The relay may still give visitors to those that there are; no others are dialled. */
void warm_freeze(struct warm *r);

/* A visitor has begun, over whatever connection. */
void warm_note_visitor(struct warm *r);

/* The outer end of the visitor's flow; speaks blocks. Turned away, he gets an ordinary end. */
const struct target *warm_target(const struct warm_conn *c);

/* The flow is open, and has copied what had come with the frame. */
void warm_joined(struct warm_conn *c);

/* The visitor's flow is over. `fd` as of struct pump_result with its `rest`: it waits again. -1: it
 * is gone. */
void warm_ended(struct warm_conn *c, int fd, const uint8_t *rest, size_t rest_len);

/* There is no flow for him: he gets his end now, and the connection is gone. */
void warm_refuse(struct warm_conn *c);

#endif
