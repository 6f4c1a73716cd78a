/* SPDX-License-Identifier: MIT */
/*
 * The application's listening socket on OS_APP_HOST, which outlives its instances. While nobody is
 * there to serve, nor comes soon, the gate takes the connections itself and turns them away
 * (os/unserved.h).
 *
 * Whoever has the socket can take the port away from all by shutdown(2), which no filter can refuse
 * him. The gate notices and opens the port anew.
 */
#ifndef OS_GATE_H
#define OS_GATE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "os/unserved.h"

#define GATE_PAUSE_MS 3000 /* how long visitors wait for the next instance */

enum gate_state {
	GATE_OPEN,      /* an instance takes the connections */
	GATE_ON_DEMAND, /* nobody does: that a visitor waits is told once, by `wanted` */
	GATE_PAUSED,    /* the next one is on its way: visitors wait, but not for long */
	GATE_CLOSED,    /* they are turned away */
};

struct gate {
	uv_poll_t poll;
	uv_timer_t pause; /* from GATE_PAUSED, or from a shortage, to turning away */
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

/* GATE_CLOSED at first. port 0: the kernel's choice. wanted, shut, closed, owner are set by the
 * caller before. Negative errno: nothing is to be closed. */
int gate_open(struct gate *g, uv_loop_t *loop, uint16_t port);

/* A pause that goes on is the same pause. */
void gate_set(struct gate *g, enum gate_state state);

/* `closed` follows, never from within. */
void gate_close(struct gate *g);

#endif
