/* SPDX-License-Identifier: MIT */
/* The states of an application and the edges between them. Pure. */
#ifndef OS_SUPERVISOR_STATE_H
#define OS_SUPERVISOR_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "os/gate.h"
#include "os/lineup.h"
#include "os/supervisor.h"

/* Whether the table has the edge. */
bool supervisor_edge(enum supervisor_state from, enum supervisor_state to);

/* What visitors meet. wait_ms is how long SUPERVISOR_RESTARTING takes, unless it is for_visitors.
 */
enum gate_state supervisor_gate_state(
	enum supervisor_state state, uint64_t wait_ms, bool for_visitors);

/* What is to replace the application in that state. */
enum supervisor_next supervisor_next(enum supervisor_state state, const struct lineup *lineup);

/* Whether the state, which is not SUPERVISOR_STOPPING, fits what there is of the application. */
bool supervisor_fits(enum supervisor_state state, const struct lineup *lineup);

/* Around and around in these, an episode of crashes goes on (os/restarts.h). */
bool supervisor_circles(enum supervisor_state state);

#endif
