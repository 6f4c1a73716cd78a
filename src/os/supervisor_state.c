/* SPDX-License-Identifier: MIT */
/* The supervisor's tables. */
#include "os/supervisor_state.h"

#include <assert.h>

#include "base/lang.h"

static const char *const names[] = {
	[SUPERVISOR_STOPPED] = "stopped",
	[SUPERVISOR_BUILDING] = "building",
	[SUPERVISOR_STARTING] = "starting",
	[SUPERVISOR_RUNNING] = "running",
	[SUPERVISOR_RESTARTING] = "restarting",
	[SUPERVISOR_STOPPING] = "stopping",
	[SUPERVISOR_FAILED] = "failed",
};

static_assert(ARRAY_LEN(names) == SUPERVISOR_STATES, "every state has a name");

static const char *const next_names[] = {
	[SUPERVISOR_NEXT_NONE] = NULL,
	[SUPERVISOR_NEXT_BUILDING] = "building",
	[SUPERVISOR_NEXT_STARTING] = "starting",
};

static_assert(ARRAY_LEN(next_names) == SUPERVISOR_NEXTS, "every one has a name");

static const struct {
	enum supervisor_state from, to;
} edges[] = {
	{ SUPERVISOR_STOPPED, SUPERVISOR_BUILDING },    /* start */
	{ SUPERVISOR_STOPPED, SUPERVISOR_STARTING },    /* start, nothing is to be built */
	{ SUPERVISOR_STOPPED, SUPERVISOR_FAILED },      /* start, nothing is there to be run */
	{ SUPERVISOR_STOPPED, SUPERVISOR_STOPPING },    /* stop, while something else ends */
	{ SUPERVISOR_BUILDING, SUPERVISOR_STARTING },   /* the build has succeeded */
	{ SUPERVISOR_BUILDING, SUPERVISOR_FAILED },     /* it has failed, or takes too long */
	{ SUPERVISOR_BUILDING, SUPERVISOR_STOPPING },   /* stop, restart */
	{ SUPERVISOR_STARTING, SUPERVISOR_RUNNING },    /* it takes connections */
	{ SUPERVISOR_STARTING, SUPERVISOR_STARTING },   /* ended, the next one is on its way */
	{ SUPERVISOR_STARTING, SUPERVISOR_STOPPED },    /* ended by itself, content */
	{ SUPERVISOR_STARTING, SUPERVISOR_RESTARTING }, /* crashed, and has been running before */
	{ SUPERVISOR_STARTING, SUPERVISOR_FAILED },     /* crashed, and has never been running */
	{ SUPERVISOR_STARTING, SUPERVISOR_STOPPING },   /* stop, restart, or it never listens */
	{ SUPERVISOR_RUNNING, SUPERVISOR_STOPPED },     /* ended by itself, content */
	{ SUPERVISOR_RUNNING, SUPERVISOR_RESTARTING },  /* crashed */
	{ SUPERVISOR_RUNNING, SUPERVISOR_STARTING },    /* ended, the next one is on its way */
	{ SUPERVISOR_RUNNING, SUPERVISOR_STOPPING },    /* stop, restart */
	{ SUPERVISOR_RESTARTING, SUPERVISOR_STARTING }, /* the delay is over */
	{ SUPERVISOR_RESTARTING, SUPERVISOR_BUILDING }, /* restart */
	{ SUPERVISOR_RESTARTING, SUPERVISOR_STOPPED },  /* stop */
	{ SUPERVISOR_RESTARTING, SUPERVISOR_STOPPING }, /* stop, while something else ends */
	{ SUPERVISOR_RESTARTING, SUPERVISOR_FAILED },   /* the program can't be executed any more */
	{ SUPERVISOR_STOPPING, SUPERVISOR_STOPPED },    /* the child has ended */
	{ SUPERVISOR_STOPPING, SUPERVISOR_BUILDING },   /* and another is wanted */
	{ SUPERVISOR_STOPPING, SUPERVISOR_STARTING },
	{ SUPERVISOR_STOPPING, SUPERVISOR_FAILED }, /* it was stopped because it never listened */
	{ SUPERVISOR_FAILED, SUPERVISOR_BUILDING }, /* start */
	{ SUPERVISOR_FAILED, SUPERVISOR_STARTING },
	{ SUPERVISOR_FAILED, SUPERVISOR_FAILED },   /* start, and it fails at once */
	{ SUPERVISOR_FAILED, SUPERVISOR_STOPPED },  /* stop */
	{ SUPERVISOR_FAILED, SUPERVISOR_STOPPING }, /* stop, while something else ends */
};

const char *supervisor_state_name(enum supervisor_state state)
{
	return names[state];
}

const char *supervisor_next_name(enum supervisor_next next)
{
	return next_names[next];
}

bool supervisor_edge(enum supervisor_state from, enum supervisor_state to)
{
	for (size_t i = 0; i < ARRAY_LEN(edges); i++)
		if (edges[i].from == from && edges[i].to == to)
			return true;
	return false;
}

enum gate_state supervisor_gate_state(
	enum supervisor_state state, uint64_t wait_ms, bool for_visitors)
{
	switch (state) {
	case SUPERVISOR_RUNNING:
		return GATE_OPEN;
	case SUPERVISOR_STOPPED:
	case SUPERVISOR_FAILED:
		return GATE_CLOSED;
	case SUPERVISOR_RESTARTING:
		if (for_visitors)
			return GATE_ON_DEMAND;
		return wait_ms > GATE_PAUSE_MS ? GATE_CLOSED : GATE_PAUSED;
	default:
		return GATE_PAUSED;
	}
}

bool supervisor_circles(enum supervisor_state state)
{
	return state == SUPERVISOR_RESTARTING || state == SUPERVISOR_STARTING ||
	       state == SUPERVISOR_RUNNING;
}
