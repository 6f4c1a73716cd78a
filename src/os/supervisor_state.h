/* SPDX-License-Identifier: MIT */
/* The states of an application, the edges between them, and what an application's end means. Pure.
 */
#ifndef OS_SUPERVISOR_STATE_H
#define OS_SUPERVISOR_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/gate.h"
#include "os/supervisor.h"

/* Whether the table has the edge. */
bool supervisor_edge(enum supervisor_state from, enum supervisor_state to);

/* What visitors meet. wait_ms is how long SUPERVISOR_RESTARTING takes, unless it is for_visitors.
 */
enum gate_state supervisor_gate_state(
	enum supervisor_state state, uint64_t wait_ms, bool for_visitors);

/* "exit code 3", "killed by signal 9 (Killed)": from waitpid(2)'s status. Returns ret_text. */
char *supervisor_describe_end(int status, char *ret_text, size_t size);

#endif
