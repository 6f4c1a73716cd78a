/* SPDX-License-Identifier: MIT */
/*
 * A flow: one forwarded connection from the wish to its end. It opens both of its ends at the same
 * time, each a descriptor or a target (net/target.h), gives both to a pump, and tells its owner
 * once how it has ended.
 *
 * A set holds the flows of one kind, with one timer for all of their deadlines. The owner embeds
 * the flow in what it keeps for as long as the connection; what only the set-up needs is allocated
 * apart, and freed when the flow is open.
 */
#ifndef NET_FLOW_H
#define NET_FLOW_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "net/flow_end.h"
#include "net/pump_pool.h"
#include "net/timeouts.h"

/* From the start to both ends: as long as a stock relay keeps a visitor that no client takes. */
#define FLOW_SETUP_MS 10000
#define FLOW_NAME_MAX 64 /* with its NUL */
struct flow;
struct flow_set;
struct tap;
struct target;

enum flow_state {
	FLOW_NEW,         /* not started */
	FLOW_OPENING,     /* an end is awaited, or both; for FLOW_SETUP_MS */
	FLOW_TURNED_AWAY, /* only the outer end is awaited, to be closed; the same deadline */
	FLOW_OPEN,        /* a pump has both ends; the pool has the deadlines */
	FLOW_ABORTING,    /* the pump is to end; its completion follows */
	FLOW_ENDED,       /* its owner is told */
	FLOW_STATES,
};

/* What the flows of a set have in common; a constant. */
struct flow_kind {
	struct flow_words words;
	bool answers[PUMP_SIDES]; /* see struct pump_job */
	bool resets; /* the outer end, too, of one whose set-up fails: he is told it is open */
	/* For the log. */
	const char *(*name)(const struct flow *f, char text[FLOW_NAME_MAX]);
	/* The flow won't be opened: tells whoever is behind the outer end, which isn't there yet.
	 * False: there is no way to; that end is awaited then, and closed. May be NULL. */
	bool (*refuse)(struct flow *f, const char *why);
	struct tap *(*tap)(struct flow *f); /* joined: who looks on, NULL nobody; may be NULL */
	/* A target has been reached. May be NULL. */
	void (*reached)(struct flow *f, enum pump_side side);
	/* It has not: logs that, and says why the flow is turned away, a constant. `error` as of
	 * target->open(). NULL: no target of theirs can fail. */
	const char *(*failed)(struct flow *f, enum pump_side side, int error);
	void (*opened)(struct flow *f); /* FLOW_OPEN */
	/* It has ended, and its memory is the owner's again. Called once, last. */
	void (*closed)(struct flow *f, const struct flow_result *result);
	void (*idle)(struct flow_set *set); /* flow_set_idle(); may be NULL */
};

struct flow_set {
	const struct flow_kind *kind;
	struct pump_pool *pool;            /* not owned */
	struct bucket *bucket[PUMP_SIDES]; /* as of struct pump_job; the owner's */
	struct list setup;                 /* FLOW_OPENING and FLOW_TURNED_AWAY, oldest first */
	struct list open;                  /* FLOW_OPEN and FLOW_ABORTING */
	uint64_t setup_count, open_count;
	struct timeouts deadlines; /* of those in `setup` */
	unsigned refs;             /* see flow_set_ref() */
	void (*closed)(struct flow_set *set);
};

struct flow {
	struct flow_set *set;
	struct list link; /* in set->setup or set->open */
	union {
		struct flow_setup *setup; /* until it is open; owned */
		struct pump *pump;        /* from then on; the pool's */
	};
	const char *why;   /* TURNED_AWAY, ABORTING: the reason, a constant */
	uint64_t since_ms; /* monotonic */
	enum flow_state state;
};

/* What a flow starts from: for each side a target, or a descriptor where that is NULL. */
struct flow_wish {
	const struct target *target[PUMP_SIDES]; /* outlive the flow */
	int fd[PUMP_SIDES];                      /* connected, non-blocking */
	bool has_reset[PUMP_SIDES];              /* sockopt_set_reset() was called */
	const char *turn_away;                   /* NULL, or why it is turned away from the start */
	/* As of struct pump_job. The preface outlives the call where a target is to be opened. */
	struct watch *watch[PUMP_SIDES];
	enum pump_wire wire[PUMP_SIDES];
	bool awaits_taken;
	const void *preface;
	size_t preface_len;
};

/* `kind` and `pool` outlive the set. */
void flow_set_init(
	struct flow_set *s, uv_loop_t *loop, struct pump_pool *pool, const struct flow_kind *kind);

/* No flow may be in set-up. `closed` follows, never from within. */
void flow_set_close(struct flow_set *set, void (*closed)(struct flow_set *set));
bool flow_set_idle(const struct flow_set *set); /* there is no flow, and no reference */

/* Starts a flow; it may have been opened, and may be closed and gone, when this returns. On success
 * the flow owns the descriptors. -ENOMEM: nothing was taken, and nothing is told. */
int flow_start(struct flow *f, struct flow_set *set, const struct flow_wish *wish);

/* The one way out, for the reason `why`, which lives as long as the flow. In set-up it is gone on
 * return. An open one is reset on both sides, and `closed` follows, also if it was ending. */
void flow_close(struct flow *f, const char *why);

/* In set-up: whether that end is there. */
bool flow_has(const struct flow *f, enum pump_side side);

#endif
