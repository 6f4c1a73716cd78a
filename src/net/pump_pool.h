/* SPDX-License-Identifier: MIT */
/*
 * The data path: workers that join two connected sockets until both directions are done. One worker
 * is the control loop's own, which serves short connections where they were joined; the others are
 * threads, for what lives on or moves much.
 *
 * The control loop owns the pool. It hands over two sockets with the bytes that it has read from
 * them; from then on a worker owns the descriptors, and the control loop hears once more, in the
 * completion, never from within a call. All here is called on its thread, completions as well.
 */
#ifndef NET_PUMP_POOL_H
#define NET_PUMP_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "net/pump_job.h"

struct pump;
struct pump_pool;
struct watch;

enum pump_mode {
	PUMP_AUTO,   /* copy first, splice(2) once a direction has moved 64 KiB */
	PUMP_COPY,   /* never splice */
	PUMP_SPLICE, /* splice from the first byte where a pipe is to be had (for tests) */
};

/*
 * The defaults. A peer that leaves bytes unacknowledged for so long is gone: as long as keepalive
 * gives it, which is silent then; the kernel itself tries for 15 minutes (tcp(7), tcp_retries2).
 */
#define PUMP_VANISHED_MS 120000U
#define PUMP_HALF_CLOSE_MS 600000U

/* An exchange of one request has three to five turns; to give a pump away costs about two. */
#define PUMP_INLINE_TURNS 32U

struct pump_pool_config {
	unsigned workers; /* threads; 0: one per core (sched_getaffinity(2)) */
	/* The turns that a connection has on the control loop, before it is given to a thread; bulk
	 * is so before. PUMP_INLINE_TURNS; 0: none, for a loop that waits for others. */
	unsigned inline_turns;
	/* The loop is run by UV_RUN_DEFAULT alone, until the pool is closed: the pool may wait in
	 * libuv's place, which saves a system call for each time that it is woken. */
	bool waits;
	enum pump_mode mode;
	uint64_t half_close_timeout_ms; /* 0: none */
	uint64_t idle_timeout_ms;       /* 0: none */
	uint64_t vanished_timeout_ms;   /* PUMP_VANISHED_MS; 0: none */
	uint32_t pipe_pages; /* the budget for pipes; 0: half of what the kernel allows a user */
};

/* Counts since the start, and what is in use now; summed over the workers without stopping them. */
struct pump_stats {
	uint64_t open, total;
	uint64_t bytes[PUMP_SIDES];
	uint64_t spliced_bytes;
	uint64_t held_bytes; /* read, not yet delivered and on the heap: of slow readers */
	uint64_t pipes_large, pipes_small, pipes_limit; /* in use by size; the budget in pages */
	uint64_t pipes_denied; /* times a direction wanted a pipe, got none and went on copying */
};

/* 0, or a negative errno. On success the caller closes the pool with pump_pool_close(). */
int pump_pool_new(
	uv_loop_t *loop, const struct pump_pool_config *config, struct pump_pool **ret_pool);

/* Hands a connection over. 0: the pool owns both descriptors, *ret_pump (may be NULL) is valid
 * until `done` has returned. Negative errno: nothing was taken. */
int pump_pool_add(struct pump_pool *pool, const struct pump_job *job, struct pump **ret_pump);

/* Bytes moved so far from each side, readable while the pump runs. */
void pump_bytes(const struct pump *pump, uint64_t ret_bytes[PUMP_SIDES]);

/* Ends a connection now, with a reset on both sides; `done` follows. Idempotent. */
void pump_abort(struct pump_pool *pool, struct pump *pump);

/*
 * Watches a descriptor of the control loop's as long as it is readable, until it is unwatched,
 * which is before it is closed, and before the pool is. 0, or a negative errno.
 */
int pump_pool_watch(struct pump_pool *pool, struct watch *watch, int fd);
/* The same for a socket that pumps are to have, with all its events, of which each is told once. */
int pump_pool_watch_socket(struct pump_pool *pool, struct watch *watch, int fd);
/* Nothing if it isn't watched. */
void pump_pool_unwatch(struct pump_pool *pool, struct watch *watch, int fd);

/*
 * `turn_ends` is called when the loop has called back for all that has come, before it waits again;
 * NULL: no more. A check handle isn't enough: where the pool waits, most turns are without libuv.
 */
void pump_pool_set_turn_ends(struct pump_pool *pool, void (*turn_ends)(void *owner), void *owner);

void pump_pool_stats(const struct pump_pool *pool, struct pump_stats *ret_stats);

/*
 * Aborts what is open, delivers every completion, joins the threads and frees the pool; `closed` is
 * the last call, on the control loop.
 */
void pump_pool_close(struct pump_pool *pool, void (*closed)(void *owner), void *owner);

#endif
