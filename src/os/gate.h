/* SPDX-License-Identifier: MIT */
/*
 * The application's listening socket on OS_APP_HOST, which outlives its instances. While nobody is
 * there to serve, nor comes soon, the gate takes the connections itself and turns them away
 * (os/unserved.h).
 *
 * An instance has the same open file, and while it goes on the gate may have to turn visitors away,
 * too: while one starts slowly, or an old one finishes. So nothing of the socket is taken for
 * granted. The instance can take the port away from all by shutdown(2), which no filter can refuse:
 * the gate notices, and opens the port anew. Only without the wall it can connect(2) the same
 * socket behind that, of which epoll(7) tells nothing until that connection ends; but without the
 * wall it could end us as well. It can take O_NONBLOCK away right before we accept: then we wait
 * for a visitor as long as os/stall.h lets us, and don't look for others for a while. What it sets
 * on the socket, all who come by it have: see gate_take().
 *
 * To leave visitors in the queue as long as an instance has the socket was no way: who starts
 * slowly would keep them waiting without a word.
 */
#ifndef OS_GATE_H
#define OS_GATE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "os/stall.h"
#include "os/unserved.h"

#define GATE_PAUSE_MS 3000 /* how long visitors wait for the next instance */

/* Why an instance is ended that has taken the port away. */
#define GATE_SHUT "it has shut down the socket that its visitors come by"

enum gate_state {
	GATE_OPEN,      /* an instance takes the connections */
	GATE_ON_DEMAND, /* nobody does: that a visitor waits is told once, by `wanted` */
	GATE_PAUSED,    /* the next one is on its way: visitors wait, but not for long */
	GATE_CLOSED,    /* they are turned away */
};

struct gate {
	uv_poll_t poll;
	uv_timer_t pause; /* from GATE_PAUSED, a shortage or a stall to turning away */
	struct stall stall;
	enum gate_state state;
	int fd; /* listening, non-blocking; owned */
	uint16_t port;
	struct unserved unserved;
	unsigned parts;              /* not yet closed: the two above and that */
	bool lost;                   /* it listens no more, and isn't open anew yet */
	bool said_short;             /* of descriptors or memory; until the next one is taken */
	void (*wanted)(void *owner); /* NULL without GATE_ON_DEMAND */
	/* Somebody has shut it down: his time is over. It listens again, or will soon, with the
	 * same descriptor. */
	void (*shut)(void *owner);
	void (*closed)(void *owner);
	void *owner;
};

/* For the loop's thread. GATE_CLOSED at first. port 0: the kernel's choice. wanted, shut, closed,
 * owner are set by the caller before. Negative errno: nothing is to be closed. */
int gate_open(struct gate *g, uv_loop_t *loop, uint16_t port);

/* A pause that goes on is the same pause. */
void gate_set(struct gate *g, enum gate_state state);

/* `closed` follows, never from within. */
void gate_close(struct gate *g);

#endif
