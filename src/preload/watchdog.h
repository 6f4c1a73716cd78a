/* SPDX-License-Identifier: MIT */
/*
 * The limits of a component that serves wasi:http, which the wasmtime command has none of: of a
 * request, of one that computes for ever, and of connections that are left open.
 */
#ifndef PRELOAD_WATCHDOG_H
#define PRELOAD_WATCHDOG_H

#include <stdint.h>

#define LIMIT_IDLE_MS 75000 /* of a connection without a request, once there are many */
#define LIMIT_LATE_MAX                                                                           \
	100               /* requests that were given up, and that the component may still be at \
			   */
#define LIMIT_CUT_MS 3000 /* for the others' answers, where all is ended for one's sake */

/*
 * Watches from a thread of its own, until the process ends. A request without an answer for
 * request_ms (0: no limit) is given up: its visitor is told so. The component itself can't be taken
 * away from it: where one computes on and on, or too many were given up, `drain` is called to take
 * no more connections, and the process ends.
 */
void watchdog_start(uint64_t request_ms, void (*drain)(void));

#endif
