/* SPDX-License-Identifier: MIT */
/* The table of the tunnel's life; what is not in it does not happen. */
#include "tunnel/state.h"

#include <assert.h>

#include "base/lang.h"

static const char *const state_names[] = {
	[TUNNEL_NOT_STARTED] = "Not started",
	[TUNNEL_DISCONNECTED] = "Disconnected",
	[TUNNEL_CONNECTING] = "Connecting",
	[TUNNEL_CONNECTED] = "Connected",
	[TUNNEL_RECONNECTING] = "Reconnecting",
	[TUNNEL_FAILED] = "Failed",
};
static_assert(ARRAY_LEN(state_names) == TUNNEL_STATES, "every state has its public word");

static const struct machine_edge edges[] = {
	{ TUNNEL_NOT_STARTED, MACHINE_START, TUNNEL_CONNECTING },
	{ TUNNEL_DISCONNECTED, MACHINE_START, TUNNEL_CONNECTING },
	{ TUNNEL_FAILED, MACHINE_START, TUNNEL_CONNECTING },

	{ TUNNEL_CONNECTING, MACHINE_UP, TUNNEL_CONNECTED },
	{ TUNNEL_CONNECTING, MACHINE_RETRY, TUNNEL_CONNECTING },
	{ TUNNEL_CONNECTING, MACHINE_GIVE_UP, TUNNEL_FAILED },

	{ TUNNEL_CONNECTED, MACHINE_DOWN, TUNNEL_RECONNECTING },
	{ TUNNEL_CONNECTED, MACHINE_GIVE_UP, TUNNEL_FAILED },

	{ TUNNEL_RECONNECTING, MACHINE_UP, TUNNEL_CONNECTED },
	{ TUNNEL_RECONNECTING, MACHINE_RETRY, TUNNEL_RECONNECTING },
	{ TUNNEL_RECONNECTING, MACHINE_GIVE_UP, TUNNEL_FAILED },

	{ TUNNEL_NOT_STARTED, MACHINE_STOP, TUNNEL_NOT_STARTED },
	{ TUNNEL_DISCONNECTED, MACHINE_STOP, TUNNEL_DISCONNECTED },
	{ TUNNEL_CONNECTING, MACHINE_STOP, TUNNEL_DISCONNECTED },
	{ TUNNEL_CONNECTED, MACHINE_STOP, TUNNEL_DISCONNECTED },
	{ TUNNEL_RECONNECTING, MACHINE_STOP, TUNNEL_DISCONNECTED },
	{ TUNNEL_FAILED, MACHINE_STOP, TUNNEL_DISCONNECTED },
};

const char *tunnel_state_name(enum tunnel_state state)
{
	assert((unsigned)state < TUNNEL_STATES);
	return state_names[state];
}

const struct machine_edge *machine_edge(enum tunnel_state from, enum machine_event event)
{
	for (size_t i = 0; i < ARRAY_LEN(edges); i++)
		if (edges[i].from == from && edges[i].event == event)
			return &edges[i];
	return NULL;
}
