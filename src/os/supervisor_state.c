/* SPDX-License-Identifier: MIT */
/* The supervisor's tables. */
#include "os/supervisor_state.h"

#include <assert.h>

#include "base/lang.h"

static const char *const supervisor_names[] = {
	[SUPERVISOR_STOPPED] = "stopped",
	[SUPERVISOR_DETECTING] = NULL,
	[SUPERVISOR_BUILDING] = "building",
	[SUPERVISOR_STARTING] = "starting",
	[SUPERVISOR_RUNNING] = "running",
	[SUPERVISOR_RESTARTING] = "restarting",
	[SUPERVISOR_STOPPING] = "stopping",
	[SUPERVISOR_FAILED] = "failed",
};

static_assert(ARRAY_LEN(supervisor_names) == SUPERVISOR_STATES, "every state has a name");

static const char *const supervisor_next_names[] = {
	[SUPERVISOR_NEXT_NONE] = NULL,
	[SUPERVISOR_NEXT_BUILDING] = "building",
	[SUPERVISOR_NEXT_STARTING] = "starting",
};

static_assert(ARRAY_LEN(supervisor_next_names) == SUPERVISOR_NEXTS, "every one has a name");

static const struct {
	enum supervisor_state from, to;
} supervisor_edges[] = {
	{ SUPERVISOR_STOPPED, SUPERVISOR_DETECTING },    /* start */
	{ SUPERVISOR_STOPPED, SUPERVISOR_STARTING },     /* what was to replace it is built */
	{ SUPERVISOR_STOPPED, SUPERVISOR_FAILED },       /* and can't be started */
	{ SUPERVISOR_STOPPED, SUPERVISOR_STOPPING },     /* stop, while something else ends */
	{ SUPERVISOR_DETECTING, SUPERVISOR_DETECTING },  /* restart */
	{ SUPERVISOR_DETECTING, SUPERVISOR_BUILDING },   /* there is something to build */
	{ SUPERVISOR_DETECTING, SUPERVISOR_STARTING },   /* there is not */
	{ SUPERVISOR_DETECTING, SUPERVISOR_FAILED },     /* nothing is there to be run */
	{ SUPERVISOR_DETECTING, SUPERVISOR_STOPPING },   /* stop */
	{ SUPERVISOR_BUILDING, SUPERVISOR_STARTING },    /* the build has succeeded */
	{ SUPERVISOR_BUILDING, SUPERVISOR_FAILED },      /* it has failed, or takes too long */
	{ SUPERVISOR_BUILDING, SUPERVISOR_STOPPING },    /* stop, restart */
	{ SUPERVISOR_STARTING, SUPERVISOR_RUNNING },     /* it takes connections */
	{ SUPERVISOR_STARTING, SUPERVISOR_STARTING },    /* ended, the next one is on its way */
	{ SUPERVISOR_STARTING, SUPERVISOR_STOPPED },     /* ended by itself, content */
	{ SUPERVISOR_STARTING, SUPERVISOR_RESTARTING },  /* crashed, and has been running before */
	{ SUPERVISOR_STARTING, SUPERVISOR_FAILED },      /* crashed, and has never been running */
	{ SUPERVISOR_STARTING, SUPERVISOR_STOPPING },    /* stop, restart, or it never listens */
	{ SUPERVISOR_RUNNING, SUPERVISOR_STOPPED },      /* ended by itself, content */
	{ SUPERVISOR_RUNNING, SUPERVISOR_RESTARTING },   /* crashed */
	{ SUPERVISOR_RUNNING, SUPERVISOR_STARTING },     /* ended, the next one is on its way */
	{ SUPERVISOR_RUNNING, SUPERVISOR_STOPPING },     /* stop */
	{ SUPERVISOR_RESTARTING, SUPERVISOR_STARTING },  /* the delay is over */
	{ SUPERVISOR_RESTARTING, SUPERVISOR_DETECTING }, /* restart */
	{ SUPERVISOR_RESTARTING, SUPERVISOR_STOPPED },   /* stop */
	{ SUPERVISOR_RESTARTING, SUPERVISOR_STOPPING },  /* stop, while something else ends */
	{ SUPERVISOR_RESTARTING, SUPERVISOR_FAILED },    /* it is gone, or can't be executed */
	{ SUPERVISOR_STOPPING, SUPERVISOR_STOPPED },     /* all has ended */
	{ SUPERVISOR_STOPPING, SUPERVISOR_DETECTING },   /* and another start is wanted */
	{ SUPERVISOR_STOPPING, SUPERVISOR_FAILED },      /* it was because it never listened */
	{ SUPERVISOR_FAILED, SUPERVISOR_DETECTING },     /* start */
	{ SUPERVISOR_FAILED, SUPERVISOR_STARTING },      /* what was to replace it is built */
	{ SUPERVISOR_FAILED, SUPERVISOR_FAILED },        /* and can't be started */
	{ SUPERVISOR_FAILED, SUPERVISOR_STOPPED },       /* stop */
	{ SUPERVISOR_FAILED, SUPERVISOR_STOPPING },      /* stop, while something else ends */
};

const char *supervisor_state_name(enum supervisor_state state)
{
	return supervisor_names[state];
}

const char *supervisor_next_name(enum supervisor_next next)
{
	return supervisor_next_names[next];
}

bool supervisor_edge(enum supervisor_state from, enum supervisor_state to)
{
	for (size_t i = 0; i < ARRAY_LEN(supervisor_edges); i++)
		if (supervisor_edges[i].from == from && supervisor_edges[i].to == to)
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

enum supervisor_next supervisor_next(enum supervisor_state state, const struct lineup *lineup)
{
	if (state == SUPERVISOR_DETECTING || state == SUPERVISOR_BUILDING ||
		state == SUPERVISOR_STOPPING)
		return SUPERVISOR_NEXT_NONE;
	if (lineup->next)
		return SUPERVISOR_NEXT_STARTING;
	return lineup_builds(lineup) ? SUPERVISOR_NEXT_BUILDING : SUPERVISOR_NEXT_NONE;
}

bool supervisor_fits(enum supervisor_state state, const struct lineup *lineup)
{
	const struct instance *app = lineup->app, *next = lineup->next;
	bool builds = lineup_builds(lineup);

	if (next && (!app || next->state != INSTANCE_STARTING))
		return false;
	switch (state) {
	case SUPERVISOR_DETECTING:
		return !app && builds;
	case SUPERVISOR_BUILDING:
		return !app && builds && lineup_building(lineup);
	case SUPERVISOR_STARTING:
		return app && app->state == INSTANCE_STARTING;
	case SUPERVISOR_RUNNING:
		return app && app->state == INSTANCE_READY;
	default:
		return !app;
	}
}

bool supervisor_circles(enum supervisor_state state)
{
	return state == SUPERVISOR_RESTARTING || state == SUPERVISOR_STARTING ||
	       state == SUPERVISOR_RUNNING;
}
