/* SPDX-License-Identifier: MIT */
/*
 * One direction of a forwarded connection: what is read from one side and written to the other. A
 * worker runs it; only the byte count is read by other threads.
 */
#ifndef NET_PUMP_DIR_H
#define NET_PUMP_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/pump_blocks.h"
#include "net/pump_io.h"
#include "net/pump_out.h"

/* Indexed by the side that it is read from. */
struct pump_dir {
	struct pump_out out;
	uint32_t streak; /* bytes of large reads in a row: bulk is spliced */
	bool readable;   /* the source may have bytes */
	bool fin;        /* the source's end has arrived, behind what is still to be read: no error
			  * that follows takes anything of it away. TCP's FIN; of blocks END */
	bool tcp_fin;    /* TCP's FIN, which of blocks is no end */
	bool hup;        /* its end may have been told: a short read does not mean an empty queue */
	bool urgent; /* it has urgent data: a read stops at the mark, splice(2) never passes it */
	bool throttled;  /* its bucket is empty: nothing is read for a while */
	bool eof;        /* the source gives no more */
	bool awaits_ack; /* as pump_job's `answers`; nothing was read from the source yet */
	bool left;       /* behind END there may be more to read */
	bool said;       /* something of the stream was read from the source */
	bool done;       /* the end was passed on, or the destination is dead */
	struct pump_blocks blocks;
};

static inline enum pump_side pump_other_side(enum pump_side side)
{
	return side == PUMP_OUTER ? PUMP_INNER : PUMP_OUTER;
}

/* For the direction from `side`, as of calloc() but for `out`: copies what the job has
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

#endif
