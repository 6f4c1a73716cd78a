/* SPDX-License-Identifier: MIT */
/*
 * The end of a direction that delivers: what its destination takes now is written, what it doesn't
 * is kept, in order, and the stream's bytes are counted when they are written. It knows neither
 * source nor blocks, and tells the caller of what it can't do.
 *
 * What is stuck is on the heap (`held`) or in a pipe, never in both.
 */
#ifndef NET_PUMP_OUT_H
#define NET_PUMP_OUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/pipe_pool.h"
#include "net/pump_io.h"

struct pump_out {
	int fd;                 /* the destination; the pump's */
	enum pump_side side;    /* that the bytes come from */
	bool blocked;           /* it takes no more until EPOLLOUT */
	_Atomic uint64_t bytes; /* delivered, of the stream; written by the worker only */
	uint8_t *held;          /* owned; NULL: none */
	uint32_t held_start, held_end;
	struct pipe pipe; /* only during a turn, or while bytes are stuck in it */
	/* Of what is pending: the bytes at its start and its end that are none of the stream's. */
	uint32_t front, trail;
};

void pump_out_init(struct pump_out *o, int fd, enum pump_side side);

/* Room for `len` bytes in `held`, which the caller fills and counts. 0 or -ENOMEM. */
int pump_out_reserve(struct pump_out *o, uint32_t len);
/* The bytes that are on the heap now. */
uint32_t pump_out_held(const struct pump_out *o);
/* Gives them back, delivered or not. */
void pump_out_release_held(struct pump_out *o, struct pump_io *io);

/* Something is stuck: to be delivered before anything else. */
bool pump_out_pending(const struct pump_out *o);

/*
 * Delivers `len` bytes, or what is stuck, as far as the destination takes it. `more`: FIN or END
 * follows at once, and may share the last segment. 0; a positive errno of the destination, which is
 * dead; or -ENOMEM, when some could be neither delivered nor kept.
 */
int pump_out_send(
	struct pump_out *o, const uint8_t *data, uint32_t len, bool more, struct pump_io *io);
int pump_out_flush(struct pump_out *o, bool more, struct pump_io *io);

/* Drops what isn't delivered, and gives back heap and pipe. */
void pump_out_drop(struct pump_out *o, struct pump_io *io);

#endif
