/* SPDX-License-Identifier: MIT */
/*
 * A tap: a copy of what a connection's pump reads, for somebody who looks on. The pump's worker
 * puts each read into it; the control loop takes the copies out, in the order in which they were
 * put: within some milliseconds, so that under load it isn't woken for each. The pump never waits
 * for it, and nothing that it moves depends on it: what finds no room is left out, which the
 * offsets tell.
 *
 * A pump with a tap copies and doesn't splice, until the tap wants no more.
 */
#ifndef NET_TAP_H
#define NET_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "net/pump_pool.h"

#define TAP_ALL UINT64_MAX /* an offset behind whatever comes */

struct tap;
struct tap_hub;

/* What one read has brought. */
struct tap_chunk {
	struct tap_chunk *next; /* the hub's own */
	struct tap *tap;
	enum pump_side side; /* that it was read from */
	bool end;            /* the side's FIN, behind all that it has said; without bytes */
	uint64_t offset;     /* of the first byte among all that the side has said */
	uint64_t time_us;    /* monotonic */
	size_t len;
	uint8_t data[];
};

struct tap_hub_config {
	uv_loop_t *loop;
	/* Of the copies that wait, with what each takes up beside its bytes: of all taps together,
	 * and of one, so that bulk leaves room for the others. */
	size_t max_bytes, max_each;
	/* On the loop's thread; the chunk is borrowed for the call. May call tap_skip() and
	 * tap_release(). Not called for a tap that was released. */
	void (*took)(void *owner, const struct tap_chunk *chunk);
};

/* 0 or a negative errno. */
int tap_hub_new(const struct tap_hub_config *config, struct tap_hub **ret_hub);
/* When each tap was released, and no pump has one. `closed` is the last call, never from within. */
void tap_hub_close(struct tap_hub *hub, void (*closed)(void *owner), void *owner);

/* Takes out what there is, on the loop's thread: after the completion of a pump that is all that it
 * has put. Not from within took(). */
void tap_hub_drain(struct tap_hub *hub);

/* For one connection, of its owner; NULL: out of memory. */
struct tap *tap_new(struct tap_hub *hub, void *owner);
/* The owner hears no more of it. NULL is fine. Returns NULL. */
struct tap *tap_release(struct tap *tap);

/* What the side says before `offset` isn't wanted; TAP_ALL: nothing more. It only grows. Any bytes
 * before it may come all the same. */
void tap_skip(struct tap *tap, enum pump_side side, uint64_t offset);

/* --- for the pump, on its worker's thread; tap_hold() before --- */

struct tap *tap_hold(struct tap *tap);
struct tap *tap_drop(struct tap *tap); /* NULL is fine. Returns NULL. */
void tap_put(struct tap *tap, enum pump_side side, const void *data, size_t len);
void tap_put_end(struct tap *tap, enum pump_side side);
bool tap_wants(const struct tap *tap, enum pump_side side);

#endif
