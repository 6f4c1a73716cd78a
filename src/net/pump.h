/* SPDX-License-Identifier: MIT */
/*
 * One forwarded connection: two sockets and what is on its way between them. A worker runs it; only
 * the byte counts are read by other threads. It knows neither threads nor epoll: the worker tells
 * it what a socket is ready for and runs it until it has nothing to do.
 *
 * The sockets come with TCP_NODELAY and keepalive set by whoever made them.
 */
#ifndef NET_PUMP_H
#define NET_PUMP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "net/pipe_pool.h"
#include "net/pump_pool.h"

/* A worker's read buffer, and so the most that a direction parks on the heap beside early bytes. */
#define PUMP_BUFFER_BYTES (64U * 1024U)

struct pump_worker;

/* What is on its way from one side to the other. Indexed by the side that it is read from. */
struct pump_dir {
	_Atomic uint64_t bytes; /* delivered; written by the worker only */
	uint8_t *held;          /* read but not delivered, owned; NULL unless the reader is slow */
	uint32_t held_start, held_end;
	struct pipe pipe; /* only during a turn, or while bytes are stuck in it */
	uint32_t streak;  /* bytes of large reads in a row: bulk is spliced */
	bool readable;    /* the source may have bytes */
	bool hup;         /* the source said RDHUP, HUP or ERR: read on until the end shows */
	bool blocked;     /* the destination takes no more until EPOLLOUT */
	bool eof;         /* the source gives no more */
	bool done;        /* the end was passed on, or the destination is dead */
};

enum pump_next {
	PUMP_WAIT,     /* until a socket is ready */
	PUMP_MORE,     /* its turn is over, its work isn't */
	PUMP_FINISHED, /* `result` says why */
};

/* What a pump waits for with a deadline, most urgent last. */
enum pump_watch {
	PUMP_WATCH_NONE,
	PUMP_WATCH_IDLE,
	PUMP_WATCH_HALF_CLOSED,
	PUMP_WATCH_DRAIN, /* a side failed; what had been read from it is being delivered */
};

struct pump {
	struct pump_dir dir[PUMP_SIDES];
	int fd[PUMP_SIDES];
	bool failed[PUMP_SIDES]; /* reset or in error: nothing reaches it any more */
	bool ended;              /* result.end is decided */
	bool finished;           /* the worker is done with it; under the worker's lock */
	struct pump_result result;

	struct pump_worker *worker;
	struct list link;       /* of the worker: incoming, open, finished or done */
	struct list abort_link; /* of the worker's aborts, under its lock */
	struct list run_link;   /* of its run queue */
	struct list watch_link; /* of one of its watch lists */
	enum pump_watch watch;
	uint64_t watch_mark;     /* what was seen last; as long as it changes there is progress */
	uint64_t watch_since_ms; /* when it changed */

	uint64_t start_ms;
	pump_done_fn done;
	void *owner;
};

/* What a worker lends to the pump that it runs, and the counts that it keeps. */
struct pump_io {
	uint8_t *buffer; /* PUMP_BUFFER_BYTES */
	struct pipe_cache pipes;
	enum pump_mode mode;
	uint64_t half_close_timeout_ms, idle_timeout_ms;
	uint64_t held_bytes; /* on the heap, all pumps of the worker */
	_Atomic uint64_t bytes[PUMP_SIDES];
	_Atomic uint64_t spliced_bytes;
};

/* Copies the early bytes; takes the descriptors on success. NULL: out of memory. */
struct pump *pump_new(const struct pump_job *job, uint64_t now_ms);
struct pump *pump_free(struct pump *p);

/* The bytes that are on the heap now. */
uint32_t pump_held(const struct pump *p);

/* A socket's epoll events. */
void pump_ready(struct pump *p, enum pump_side side, uint32_t events, struct pump_io *io);
bool pump_can_run(const struct pump *p);
enum pump_next pump_run(struct pump *p, struct pump_io *io);

/* Records how it ends, if that isn't known yet. */
void pump_set_end(struct pump *p, enum pump_end end);

/* Closes both sockets, with a reset where the end calls for it, and frees all but the pump. */
void pump_close(struct pump *p, struct pump_io *io);

/* Which deadline applies now. */
enum pump_watch pump_wants_watch(const struct pump *p, const struct pump_io *io);

/* Looks at a watched pump: PUMP_FINISHED when it is over, by its deadline or all delivered. */
enum pump_next pump_check_watch(struct pump *p, const struct pump_io *io, uint64_t now_ms);

#endif
