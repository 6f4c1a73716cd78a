/* SPDX-License-Identifier: MIT */
/*
 * The life of a tunnel as a pure state machine: no loop, no socket, the time is an argument
 * (monotonic). The owner tells what has happened and does what machine_tick() asks for. See
 * docs/states.md.
 */
#ifndef TUNNEL_MACHINE_H
#define TUNNEL_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "tunnel/backoff.h"
#include "tunnel/episode.h"
#include "tunnel/state.h"

#define MACHINE_NEVER UINT64_MAX
#define MACHINE_SILENCE_MIN_MS 8000   /* stock servers speak every 500 ms */
#define MACHINE_SILENCE_MAX_MS 600000 /* whatever pauses the relay has made */
#define MACHINE_SILENCE_FACTOR 3      /* times the longest pause seen on this connection */
#define MACHINE_LATE_MS 1000          /* a tick so late: we slept, the relay gets as much again */
#define MACHINE_STEADY_MS                                                                      \
	10000                 /* connected for so long: the next loss starts with short delays \
			       */
#define MACHINE_HURRY_MS 1000 /* between two attempts, however often the network changes */
#define MACHINE_SAME_PORT_MS 30000 /* taken for so long: any other port will do */

struct machine_config {
	const char *name;              /* of the relay, for the log; outlives the machine */
	bool reconnect;                /* false: a lost connection is Failed */
	bool retry;                    /* the first attempt is repeated as a reconnection is */
	uint64_t reconnect_timeout_ms; /* 0: none */
	uint16_t port;                 /* wanted public port, 0: any */
};

/* What an attempt's failure means for the next. */
enum machine_verdict {
	MACHINE_PASSING,    /* may work later */
	MACHINE_PORT_TAKEN, /* may work later, or with another port */
	MACHINE_FINAL,      /* won't work: wrong secret, port out of range */
};

/* What is to be done now. */
enum machine_todo {
	MACHINE_NOTHING,
	MACHINE_ATTEMPT, /* make an attempt with machine_port() */
	MACHINE_SILENT,  /* no word for too long: machine_lost() */
	MACHINE_TIME_UP, /* the reconnect timeout is over: machine_give_up() */
};

/* The entry actions; with old == new_state an attempt has failed and the next one waits. */
typedef void (*machine_changed_fn)(
	void *owner, enum tunnel_state old, enum tunnel_state new_state, const char *cause);

struct machine {
	struct machine_config config;
	struct backoff backoff;
	struct episode failures; /* of attempts, since the last success */
	machine_changed_fn changed;
	void *owner;
	enum tunnel_state state;
	uint16_t public_port; /* the last one since the start, 0: none yet */
	uint64_t tried_ms;    /* when the last attempt was asked for */
	/* Each of these may be MACHINE_NEVER. */
	uint64_t attempt_ms;    /* when the next attempt is due; none while one is under way */
	uint64_t give_up_ms;    /* when attempts end */
	uint64_t silent_ms;     /* Connected: when the relay has been silent for too long */
	uint64_t port_taken_ms; /* since when public_port is refused as taken */
	/* While Connected. */
	uint64_t connected_ms; /* since when */
	uint64_t heard_ms;     /* the relay's last word */
	uint64_t longest_ms;   /* the longest pause between two words */
};

void machine_init(struct machine *m, const struct machine_config *config, backoff_random_fn random,
	machine_changed_fn changed, void *owner);

void machine_start(struct machine *m, uint64_t now_ms);
void machine_stop(struct machine *m, const char *cause);
void machine_up(struct machine *m, uint64_t now_ms, uint16_t public_port);
void machine_attempt_failed(
	struct machine *m, uint64_t now_ms, enum machine_verdict verdict, const char *cause);
void machine_heard(struct machine *m, uint64_t now_ms);
void machine_lost(struct machine *m, uint64_t now_ms, const char *cause);
/* Lost, and known to be had again: the next attempt is made at once, but for a relay that says so
 * within MACHINE_HURRY_MS of the connection. */
void machine_moved(struct machine *m, uint64_t now_ms, const char *cause);
void machine_give_up(struct machine *m, const char *cause);

/* An attempt that waits is due now, or MACHINE_HURRY_MS after the last one. */
void machine_hurry(struct machine *m, uint64_t now_ms);

/* The public port to ask for in the attempt that is due; 0 for any. */
uint16_t machine_port(const struct machine *m, uint64_t now_ms);

/* When machine_tick() has something to do; NEVER. Earlier ticks do no harm. */
uint64_t machine_deadline(const struct machine *m);
enum machine_todo machine_tick(struct machine *m, uint64_t now_ms);

#endif
