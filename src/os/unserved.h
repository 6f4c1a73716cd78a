/* SPDX-License-Identifier: MIT */
/*
 * The visitors whom nobody serves: each is answered with 503 where he speaks HTTP, with a plain end
 * otherwise, and may go on sending for a while without losing that answer (net/lingering.h).
 */
#ifndef OS_UNSERVED_H
#define OS_UNSERVED_H

#include <stdbool.h>
#include <uv.h>

#include "net/lingering.h"
#include "net/timeouts.h"

#define UNSERVED_MAX 64       /* who were not answered yet; the oldest makes room for another */
#define UNSERVED_WORD_MS 5000 /* how long a visitor may take to say what he speaks */

/* Embedded in its owner. */
struct unserved {
	uv_loop_t *loop;
	struct timeouts waiting; /* of who were not answered yet, oldest first */
	unsigned count;          /* of all that still have a handle open */
	struct lingering lingering;
	uv_poll_t linger_poll;
	uv_timer_t linger_turn;
	bool lingers;                /* without memory nobody does, and linger_poll is not open */
	unsigned handles;            /* of those three, not yet closed */
	void (*closed)(void *owner); /* NULL: it is not being closed */
	void *owner;
};

void unserved_init(struct unserved *u, uv_loop_t *loop);

/* Takes the connection over. Without memory it is closed. */
void unserved_add(struct unserved *u, int fd);

/* `closed` follows, never from within. */
void unserved_close(struct unserved *u, void (*closed)(void *owner), void *owner);

#endif
