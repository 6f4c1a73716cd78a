/* SPDX-License-Identifier: MIT */
/*
 * The data path: worker threads that join two connected sockets until both directions are done.
 *
 * The control loop owns the pool. It hands over two sockets with the bytes that it has read from
 * them; from then on a worker owns the descriptors, and the control loop hears once more, in the
 * completion. All here is called on its thread, completions as well.
 */
#ifndef NET_PUMP_POOL_H
#define NET_PUMP_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct bucket;
struct pump;
struct pump_pool;
struct tap;

/* The two ends of a connection. What is read from one is written to the other. */
enum pump_side {
	PUMP_OUTER, /* towards the visitor: the public port, or the client's data connection */
	PUMP_INNER, /* towards the application: the relay's data connection, or the local one */
	PUMP_SIDES,
};

/* How a connection ended. */
enum pump_end {
	PUMP_END_CLOSED, /* both directions reached EOF and everything was delivered */
	PUMP_END_RESET,  /* a side was reset, failed or vanished; what came from it was delivered */
	PUMP_END_HALF_CLOSED, /* half closed, all delivered, and quiet for the half-close timeout */
	PUMP_END_IDLE,        /* without traffic for the idle timeout */
	PUMP_END_ABORTED,     /* pump_abort() or the pool's end */
	PUMP_END_NO_MEMORY,   /* it could not be set up */
	PUMP_END_UNTAKEN,     /* the peer of `awaits_taken` was dead or silent, and nothing had been
			       * read     from the other side, whose socket is in the result */
};

/* What is spoken on a socket. */
enum pump_wire {
	PUMP_WIRE_RAW,    /* the bytes of the stream, and TCP's own end */
	PUMP_WIRE_BLOCKS, /* proto/block.h: the socket can outlive the stream */
};

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
#define PUMP_TAKEN_MS 3000U /* from the start to the TAKEN that is awaited */

struct pump_pool_config {
	unsigned workers; /* threads; 0: one per online core */
	enum pump_mode mode;
	uint64_t half_close_timeout_ms; /* 0: none */
	uint64_t idle_timeout_ms;       /* 0: none */
	uint64_t vanished_timeout_ms;   /* PUMP_VANISHED_MS; 0: none */
	uint32_t pipe_pages; /* the budget for pipes; 0: half of what the kernel allows a user */
};

struct pump_result {
	uint64_t bytes[PUMP_SIDES]; /* read from that side and delivered to the other */
	enum pump_end end;
	enum pump_side side; /* of the side that was reset, for PUMP_END_RESET */
	int error; /* positive errno of that side, ETIMEDOUT if it has vanished; 0: none */
	enum pump_side first; /* that ended, and for how long neither had said a word by then */
	uint64_t quiet_ms;
	/*
	 * -1, or a socket that is the caller's from here on. PUMP_END_CLOSED: the one that speaks
	 * blocks, both directions of which have said END; `rest` is what has come from it behind
	 * that, and lives as long as the call. PUMP_END_UNTAKEN: the other one, as it came.
	 */
	int fd[PUMP_SIDES];
	const uint8_t *rest;
	size_t rest_len;
};

/* Runs once per pump_pool_add() that returned 0, on the control loop; `result` lives as long as the
 * call. */
typedef void (*pump_done_fn)(void *owner, const struct pump_result *result);

struct pump_job {
	int fd[PUMP_SIDES];            /* see pump.h; non-blocking; the pool owns them on success */
	const void *early[PUMP_SIDES]; /* bytes already read from that side, copied by the call */
	size_t early_len[PUMP_SIDES];
	enum pump_wire
		wire[PUMP_SIDES]; /* blocks on one side at most; its early bytes are blocks */
	/* Said on the side that speaks blocks before all else, in one segment with the first bytes
	 * where these have come; copied by the call, and counted nowhere. */
	const void *preface;
	size_t preface_len;
	/* The side that speaks blocks says TAKEN first, within PUMP_TAKEN_MS. */
	bool awaits_taken;
	/* A first word or end that comes while what was sent before isn't acknowledged: reset. */
	bool answers[PUMP_SIDES];
	/* What is read from that side takes from it; outlives the pump. NULL: no limit. */
	struct bucket *bucket[PUMP_SIDES];
	struct tap *tap; /* sees what is read; the pump holds it. NULL: nobody looks on */
	pump_done_fn done;
	void *owner;
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

void pump_pool_stats(const struct pump_pool *pool, struct pump_stats *ret_stats);

/*
 * Aborts what is open, delivers every completion, joins the threads and frees the pool; `closed` is
 * the last call, on the control loop.
 */
void pump_pool_close(struct pump_pool *pool, void (*closed)(void *owner), void *owner);

#endif
