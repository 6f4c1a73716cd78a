/* SPDX-License-Identifier: MIT */
/*
 * The limits of a component that serves wasi:http, which the wasmtime command has none of: of a
 * request, of one that computes for ever, and of connections that are left open.
 */
#ifndef PRELOAD_WATCHDOG_H
#define PRELOAD_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

#define WATCHDOG_IDLE_MS 75000 /* of a connection without a request, once there are many */
#define WATCHDOG_CUT_MS 3000   /* for the others' answers, where all is ended for one's sake */
/* Requests that were given up, and that the component may still be at. It is held to be done with
 * half of them each time that it has had as long as wasmtime gives a request of its own outward. */
#define WATCHDOG_LATE_MAX 100
#define WATCHDOG_HALVE_MS 600000

/*
 * Looks from a thread of its own, until the process ends. A request without an answer for
 * request_ms (0: no limit) is given up: its visitor is told so. The component itself can't be taken
 * away from it: where one computes on and on, or too many were given up, `drain` is called to take
 * no more connections, and the process ends.
 */
void watchdog_start(uint64_t request_ms, void (*drain)(void));

struct watchdog_late {
	unsigned count;
	uint64_t halved_ms; /* when `count` was, or should have been */
};

/* So many more were given up at now_ms. True: they are too many. */
bool watchdog_count_late(struct watchdog_late *late, uint64_t now_ms, unsigned more);

#endif
