/* SPDX-License-Identifier: MIT */
/*
 * A control connection on the loop: bytes in, bytes out, both bounded. It knows nothing of
 * messages; its owner looks at `in` whenever bytes have come and consumes what it has understood.
 *
 * A failed write never decides: the chan goes on reading to EOF or error, so that a last word of
 * the peer (an Error in front of a reset) is heard.
 */
#ifndef NET_CHAN_H
#define NET_CHAN_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"

#define CHAN_IN_MAX 4096    /* unread bytes: many messages of 257 bytes; reading stops there */
#define CHAN_OUT_MAX 262144 /* unsent bytes: a peer that reads nothing is given up */

struct chan;

/*
 * Bytes have come: look at c->in and consume what is understood, at least when it is full. May take
 * the descriptor or close the chan.
 */
typedef void (*chan_data_fn)(struct chan *c);
/* The peer's end: error 0 for EOF, else a negative errno. Called once, behind the last data; close
 * the chan from here or later. */
typedef void (*chan_end_fn)(struct chan *c, int error);

struct chan {
	uv_poll_t poll;
	int fd;
	struct buf in, out;
	int events; /* what `poll` asks for */
	bool ended, write_failed, closing;
	uint64_t bytes_in, bytes_out;
	chan_data_fn data;
	chan_end_fn end;
	void (*closed)(struct chan *c); /* the memory may go */
	void *owner;
};

/*
 * Takes over a connected descriptor and starts to read. data, end, closed, owner are set by the
 * caller before. Negative errno: nothing was taken, `closed` will not run.
 */
int chan_open(struct chan *c, uv_loop_t *loop, int fd);

/* Sends, or queues. -ENOBUFS when more than CHAN_OUT_MAX waits: the caller closes. A socket error
 * is not reported here. */
int chan_write(struct chan *c, const void *data, size_t len);

/* The same in two steps, for several messages in one segment: queue them, then flush. */
int chan_queue(struct chan *c, const void *data, size_t len);
void chan_flush(struct chan *c);

/*
 * Gives the descriptor away (for a pump); what is in c->in stays there until `closed`, which
 * follows, never from within. -1: bytes wait in `out`, nothing has changed.
 */
int chan_take_fd(struct chan *c);

/* Closes: what waits in `out` is tried once more. `reset`: with an RST. Idempotent; `closed`
 * follows, never from within. */
void chan_close(struct chan *c, bool reset);

#endif
