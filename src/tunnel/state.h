/* SPDX-License-Identifier: MIT */
/* The states of a tunnel and the table of edges between them, with a picture in docs/states.md. */
#ifndef TUNNEL_STATE_H
#define TUNNEL_STATE_H

#include <stddef.h>

enum tunnel_state {
	TUNNEL_NOT_STARTED,  /* before the first start */
	TUNNEL_DISCONNECTED, /* stopped */
	TUNNEL_CONNECTING,   /* not yet connected since the start: an attempt is made or waits */
	TUNNEL_CONNECTED,    /* there is a public port */
	TUNNEL_RECONNECTING, /* was connected: an attempt is made or waits */
	TUNNEL_FAILED,       /* given up; only a start goes on from here */
	TUNNEL_STATES,
};

/* The public word: "Not started", "Connected", ... */
const char *tunnel_state_name(enum tunnel_state state);

enum machine_event {
	MACHINE_START,   /* the owner wants a tunnel */
	MACHINE_STOP,    /* the owner wants none */
	MACHINE_UP,      /* the handshake is done */
	MACHINE_DOWN,    /* the connection is lost and worth another attempt */
	MACHINE_RETRY,   /* an attempt has failed and is worth another */
	MACHINE_GIVE_UP, /* lost or failed, for good */
	MACHINE_EVENTS,
};

struct machine_edge {
	enum tunnel_state from;
	enum machine_event event;
	enum tunnel_state to;
};

/* The edge, or NULL where this event can't happen in this state. */
const struct machine_edge *machine_edge(enum tunnel_state from, enum machine_event event);

#endif
