/* SPDX-License-Identifier: MIT */
/* One connection for the data path (net/pump_pool.h): what it is to do, and how it went. */
#ifndef NET_PUMP_JOB_H
#define NET_PUMP_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bucket;
struct tap;
struct watch;

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
	PUMP_END_UNTAKEN,     /* the peer of `awaits_taken` was dead or silent, or said something
			       * else, and nothing had been read from the other side, whose socket
			       * is in the result */
};

/* What is spoken on a socket. */
enum pump_wire {
	PUMP_WIRE_RAW,    /* the bytes of the stream, and TCP's own end */
	PUMP_WIRE_BLOCKS, /* proto/block.h: the socket can outlive the stream */
};

/* Bytes of blocks that are read ahead, at most: early ones, and those behind a stream's end. */
#define PUMP_AHEAD_MAX 65536U
#define PUMP_TAKEN_MS 3000U /* from the start to the TAKEN that is awaited */

struct pump_result {
	uint64_t bytes[PUMP_SIDES]; /* read from that side and delivered to the other */
	enum pump_end end;
	enum pump_side side; /* of the side that was reset, for PUMP_END_RESET */
	int error; /* positive errno of that side, ETIMEDOUT if it has vanished; 0: none */
	enum pump_side first; /* that ended, and for how long neither had said a word by then */
	uint64_t quiet_ms;
	/* The side that was to say TAKEN has failed without it, whatever had been read from the
	 * other one; and it has said it, or wasn't to. Neither: it still had time. */
	bool untaken, taken;
	/*
	 * -1, or a socket that is the caller's from here on. PUMP_END_CLOSED: the one that speaks
	 * blocks, both directions of which have said END and neither RAW; `rest` is what has come
	 * from it behind that, less than PUMP_AHEAD_MAX, and lives as long as the call. What was
	 * written to it needn't be acknowledged yet, and to close it is still a reset
	 * (sockopt_lift_reset()); it may have reached TCP's end, which its next reader sees.
	 * PUMP_END_UNTAKEN: the other one, as it came.
	 */
	int fd[PUMP_SIDES];
	const uint8_t *rest;
	size_t rest_len;
};

/* Runs once per pump_pool_add() that returned 0, on the control loop; `result` lives as long as the
 * call. */
typedef void (*pump_done_fn)(void *owner, const struct pump_result *result);

struct pump_job {
	int fd[PUMP_SIDES]; /* see pump.h; non-blocking; the pool owns them on success */
	/* Of a socket that is watched (pump_pool_watch_socket()), and is still if the result has it
	 * and watch->watched. NULL: it isn't. Outlives the pump. */
	struct watch *watch[PUMP_SIDES];
	const void *early[PUMP_SIDES]; /* bytes already read from that side, copied by the call */
	size_t early_len[PUMP_SIDES];
	/* Blocks on one side at most, whose early bytes are blocks, PUMP_AHEAD_MAX at most. */
	enum pump_wire wire[PUMP_SIDES];
	/* Said on the side that speaks blocks before all else, in one segment with the first bytes
	 * where these have come; copied by the call, and counted nowhere. */
	const void *preface;
	size_t preface_len;
	/* The side that speaks blocks says TAKEN first, within PUMP_TAKEN_MS. */
	bool awaits_taken;
	/* A first word or end that comes while what was sent before isn't acknowledged: reset. Not
	 * on a side of blocks, where that may have been another stream's. */
	bool answers[PUMP_SIDES];
	/* What is read from that side takes from it, the heads of blocks as well; outlives the
	 * pump. NULL: no limit. */
	struct bucket *bucket[PUMP_SIDES];
	struct tap *tap; /* sees what is read; the pump holds it. NULL: nobody looks on */
	pump_done_fn done;
	void *owner;
};

#endif
