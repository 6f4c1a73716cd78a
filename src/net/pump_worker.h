/* SPDX-License-Identifier: MIT */
/*
 * A worker: an edge-triggered epoll with its share of the pumps. It waits when it is told to, and
 * knows no thread: who runs it is a thread (net/pump_thread.h), or the control loop
 * (net/pump_inline.h), with a timer of its own kind.
 */
#ifndef NET_PUMP_WORKER_H
#define NET_PUMP_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/pump.h"
#include "net/pump_deadlines.h"
#include "net/watch.h"

struct pump_worker {
	int epoll_fd;
	bool on_loop;       /* the control loop runs it: turns are short, and pumps leave */
	unsigned max_turns; /* there, as inline_turns of the config */
	struct pump_io io;
	struct list open;      /* every pump that it has */
	struct list run_queue; /* those with something to do now */
	struct list ready;     /* watches to be told */
	/* Emptied by who runs it: those that are over, and those that are to go from the control
	 * loop to a thread. */
	struct list finished, moving;
	struct pump_deadlines deadlines;
	uint64_t armed_for_ms; /* when the timer fires; monotonic, UINT64_MAX: it isn't set */

	unsigned load; /* the control loop's own: pumps handed over and not yet completed */
};

/* On failure pump_worker_deinit() follows as well. */
int pump_worker_init(struct pump_worker *w, const struct pump_pool_config *config,
	struct pipe_pool *pipes, bool on_loop);
void pump_worker_deinit(struct pump_worker *w);

/* pump_worker_wait() tells when the descriptor has become readable, by the bit 1 << token, which
 * is 0 or 1. Nobody has to read it: each write is an edge. */
int pump_worker_watch(struct pump_worker *w, int fd, unsigned token);

/* Level-triggered, so it is told as long as it is readable: the first by its bit as above, a watch
 * by its `ready`, from within pump_worker_wait(), before the turns of its round. */
int pump_worker_watch_loop(struct pump_worker *w, int fd, unsigned token);
int pump_worker_add_watch(struct pump_worker *w, struct watch *watch, int fd);
/* Edge-triggered, and its pump's while it has one. */
int pump_worker_add_socket(struct pump_worker *w, struct watch *watch, int fd);
/* Nothing if it isn't watched. */
void pump_worker_remove_watch(struct pump_worker *w, struct watch *watch, int fd);

/* Takes in what has happened, at most `timeout_ms` from now; -1 waits for it, 0 doesn't. Returns
 * the bits of those watched. */
unsigned pump_worker_wait(struct pump_worker *w, int timeout_ms);

/* A turn for each that has something to do. Leaves the finished ones in w->finished, and those that
 * have become a thread's business in w->moving. */
void pump_worker_run(struct pump_worker *w);

/* Whether the timer is to be set, and for when (base/clock.h); asked at the end of each round. */
bool pump_worker_arm(struct pump_worker *w, uint64_t *ret_at_ms);
/* It is that time. */
void pump_worker_tick(struct pump_worker *w);

/* A pump is its own from here on, its first turn the next one. */
void pump_worker_take(struct pump_worker *w, struct pump *p);
/* Ends it with the next turn. */
void pump_worker_end(struct pump_worker *w, struct pump *p);
/* Ends all of them now. */
void pump_worker_abort_all(struct pump_worker *w);

#endif
