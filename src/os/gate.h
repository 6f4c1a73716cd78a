/* SPDX-License-Identifier: MIT */
/*
 * The application's listening socket on 127.0.0.1, which outlives its instances. While nobody is
 * there or on the way to serve, the gate takes the connections itself and turns them away: with 503
 * where the visitor speaks HTTP, with a plain end otherwise.
 */
#ifndef OS_GATE_H
#define OS_GATE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"

#define GATE_VISITORS_MAX 64 /* being turned away at a time; more are closed without a word */
#define GATE_WORD_MS 2000    /* how long a visitor may take to speak, and to go */

struct gate {
	uv_poll_t poll;
	int fd; /* listening, non-blocking; owned */
	uint16_t port;
	struct list visitors;
	unsigned visitor_count;
	bool closing;
	void (*closed)(struct gate *gate);
	void *owner;
};

/* port 0: the kernel's choice. closed, owner are set by the caller before. Negative errno: nothing
 * is to be closed. */
int gate_open(struct gate *g, uv_loop_t *loop, uint16_t port);

void gate_turn_away(struct gate *g, bool on);

/* `closed` follows, never from within. */
void gate_close(struct gate *g);

#endif
