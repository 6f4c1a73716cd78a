/* SPDX-License-Identifier: MIT */
/*
 * The threads that run a component, and whether one doesn't come back from it. They belong to
 * Tokio, which takes turns between tasks only where a task lets go: one that computes keeps its
 * thread, and nothing in the process can take it away again.
 */
#ifndef PRELOAD_WORKERS_H
#define PRELOAD_WORKERS_H

#include <stdbool.h>
#include <stdint.h>

/* The calling thread does something else than to run a component. */
void workers_return(void);

/*
 * Looks at all threads, at now_ms of the monotonic clock, and wants to be called every tick_ms.
 * True: one has computed for limit_ms, and has not returned in all that time.
 */
bool workers_stuck(uint64_t now_ms, uint64_t tick_ms, uint64_t limit_ms);

#endif
