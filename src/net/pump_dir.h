/* SPDX-License-Identifier: MIT */
/*
 * One direction of a forwarded connection: what is read from one side and written to the other. A
 * worker runs it; only the byte count is read by other threads.
 */
#ifndef NET_PUMP_DIR_H
#define NET_PUMP_DIR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/pipe_pool.h"
#include "net/pump_blocks.h"
#include "net/pump_pool.h"

/* A worker's read buffer, and so the most that a direction parks on the heap beside early bytes,
 * and that it has read behind an END. */
#define PUMP_BUFFER_BYTES PUMP_AHEAD_MAX

/* Indexed by the side that it is read from. */
struct pump_dir {
	_Atomic uint64_t bytes; /* delivered; written by the worker only */
	uint8_t *held;          /* read but not delivered, owned; NULL unless the reader is slow */
	uint32_t held_start, held_end;
	struct pipe pipe; /* only during a turn, or while bytes are stuck in it */
	uint32_t streak;  /* bytes of large reads in a row: bulk is spliced */
	bool readable;    /* the source may have bytes */
	bool fin;         /* the source's end has arrived, behind what is still to be read: no error
			   * that follows takes anything of it away. TCP's FIN; of blocks END */
	bool tcp_fin;     /* TCP's FIN, which of blocks is no end */
	bool hup;     /* its end may have been told: a short read does not mean an empty queue */
	bool urgent;  /* it has urgent data: a read stops at the mark, splice(2) never passes it */
	bool blocked; /* the destination takes no more until EPOLLOUT */
	bool throttled;  /* its bucket is empty: nothing is read for a while */
	bool eof;        /* the source gives no more */
	bool awaits_ack; /* as pump_job's `answers`; nothing was read from the source yet */
	bool said;       /* something of the stream was read from the source */
	bool done;       /* the end was passed on, or the destination is dead */
	struct pump_blocks blocks;
};

/* What a worker lends to the pump that it runs, and the counts that it keeps. */
struct pump_io {
	uint8_t *buffer; /* PUMP_BUFFER_BYTES */
	struct pipe_cache pipes;
	enum pump_mode mode;
	uint32_t turn_bytes; /* what a direction may move before the next one has its turn */
	uint64_t half_close_timeout_ms, idle_timeout_ms, vanished_timeout_ms; /* 0: none */
	_Atomic uint64_t held_bytes; /* on the heap now, all pumps of the worker */
	_Atomic uint64_t bytes[PUMP_SIDES];
	_Atomic uint64_t spliced_bytes;
};

static inline enum pump_side pump_other_side(enum pump_side side)
{
	return side == PUMP_OUTER ? PUMP_INNER : PUMP_OUTER;
}

/* For the direction from `side`, as of calloc() but for `pipe`, PIPE_NONE: copies what the job has
 * for it. 0 or -ENOMEM. */
int pump_dir_init(struct pump_dir *d, const struct pump_job *job, enum pump_side side);

/* TCP's FIN has arrived. */
void pump_dir_note_fin(struct pump_dir *d);

/* Whether a turn would do anything. */
bool pump_dir_can_run(const struct pump_dir *d);

/* One turn of the direction from `side`. A side that fails is reported with pump_fail(). */
void pump_dir_run(struct pump *p, enum pump_side side, struct pump_io *io);

/* Hands over what is read and not decoded, to be freed; NULL: nothing. */
uint8_t *pump_dir_take_wire(struct pump_dir *d, struct pump_io *io);

/* It has moved so much in large reads that it is to be spliced. */
bool pump_dir_is_bulk(const struct pump_dir *d);

/* Drops what isn't delivered, and gives back heap and pipe. */
void pump_dir_drop(struct pump_dir *d, struct pump_io *io);

#endif
