/* SPDX-License-Identifier: MIT */
/*
 * One forwarded connection: two sockets and what is on its way between them. A worker runs it; only
 * the byte counts are read by other threads. It knows neither threads nor epoll: the worker tells
 * it what a socket is ready for and runs it until it has nothing to do.
 *
 * The sockets come with sockopt_set_stream() and sockopt_set_reset() called by whoever made them:
 * if the process dies, nobody takes what was cut for whole.
 */
#ifndef NET_PUMP_H
#define NET_PUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/pump_dir.h"
#include "net/pump_pool.h"

struct pump_worker;

enum pump_next {
	PUMP_WAIT,     /* until a socket is ready */
	PUMP_MORE,     /* its turn is over, its work isn't */
	PUMP_FINISHED, /* `result` says why */
};

/* Which of its deadlines applies to a pump. All run from the last progress. */
enum pump_deadline {
	PUMP_DEADLINE_NONE,
	PUMP_DEADLINE_IDLE,
	PUMP_DEADLINE_HALF_CLOSED, /* and the idle one, if there is one */
	PUMP_DEADLINE_DELIVERY,    /* a side was reset; what had come from it is being delivered */
	PUMP_DEADLINE_TAKEN,       /* TAKEN is awaited; from the start, whatever moves */
};

struct pump {
	struct pump_dir dir[PUMP_SIDES];
	int fd[PUMP_SIDES];
	struct bucket *bucket[PUMP_SIDES]; /* see struct pump_job */
	struct tap *tap;                   /* likewise */
	struct watch *watch[PUMP_SIDES];   /* likewise, while a worker has it */
	bool failed[PUMP_SIDES];           /* reset or in error: nothing reaches it any more */
	bool shut[PUMP_SIDES];             /* our FIN was sent before the close */
	bool fins_acked[PUMP_SIDES];       /* both FINs are acknowledged: close(2) sends nothing */
	bool end_noted;                    /* pump_note_end() */
	bool ended;                 /* result.end is decided; the sockets may still be open */
	bool finished;              /* it is the pool's again; of a thread's pump under its lock */
	bool room_told[PUMP_SIDES]; /* the worker's: epoll tells when the side can be written to */
	struct pump_result result;
	uint8_t *rest;              /* of the result; owned */
	struct pump_worker *worker; /* who has it; the control loop's own */
	uint64_t started_ms;        /* 0: not yet */
	unsigned turns;             /* that it was given so far */
	struct list link;           /* of the worker or its thread, wherever it is */
	struct list abort_link;     /* of the thread's aborts, under its lock */
	struct list run_link;       /* of the worker's run queue */

	/* Of net/pump_deadlines.c. */
	struct list deadline_link, throttled_link;
	enum pump_deadline deadline;
	uint64_t progress_mark; /* changes while bytes move */
	uint64_t progress_ms;   /* when it changed, or the deadline did */
	/* Since when the side has left unanswered what the kernel asks it. */
	uint64_t silent_since_ms[PUMP_SIDES];

	pump_done_fn done;
	void *owner;
};

/* Copies the early bytes; takes the descriptors on success. NULL: out of memory. */
struct pump *pump_new(const struct pump_job *job);
struct pump *pump_free(struct pump *p);

/* The side has ended, in whatever way: if it is the first, result.first and quiet_ms are set. */
void pump_note_end(struct pump *p, enum pump_side side);

/* The bytes that are on the heap now. */
uint32_t pump_held(const struct pump *p);

/*
 * The side is dead: nothing more reaches it, but what it had sent is still read and delivered
 * before the other side is reset, its FIN included if there was one. `error` 0: the socket knows.
 */
void pump_fail(struct pump *p, enum pump_side side, int error, struct pump_io *io);

/* It speaks blocks, and has not yet said the TAKEN that is awaited. */
static inline bool pump_side_awaits_taken(const struct pump *p, enum pump_side side)
{
	return p->dir[side].blocks.reader.awaits_taken;
}

/* A socket's epoll events. */
void pump_ready(struct pump *p, enum pump_side side, uint32_t events, struct pump_io *io);
bool pump_can_run(const struct pump *p);
/* It has bytes for the side that this doesn't take now, or waits for the end of what it had:
 * EPOLLOUT is to be told. */
bool pump_awaits_room(const struct pump *p, enum pump_side side);
enum pump_next pump_run(struct pump *p, struct pump_io *io);

/* Passes the end on to the side by TCP's FIN. */
int pump_shut(struct pump *p, enum pump_side side);

/* Records how it ends, if that isn't known yet. */
void pump_set_end(struct pump *p, enum pump_end end);
/* Ends it if both directions are done and the kernel has no more need of us. Returns `ended`. */
bool pump_end_if_over(struct pump *p);

/* Whether it has ended so that the side's socket, which speaks blocks, serves another stream. */
bool pump_hands_on(const struct pump *p, enum pump_side side);

/* Closes the sockets, but for one that the result takes over, with a reset unless it was closed in
 * order, and frees all but the pump and the result's rest. */
void pump_close(struct pump *p, struct pump_io *io);

/* A direction waits for its bucket; and may ask it again. */
bool pump_is_throttled(const struct pump *p);
void pump_unthrottle(struct pump *p);

#endif
