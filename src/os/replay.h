/* SPDX-License-Identifier: MIT */
/*
 * A recorded request that is sent to the application again, over a connection of its own: to the
 * application's port on this machine, as the tunnel's visitors come, and never through the relay.
 * The recorder sees it like theirs. It ends with the response, and with the time or the bytes that
 * it may have.
 */
#ifndef OS_REPLAY_H
#define OS_REPLAY_H

#include <stdint.h>
#include <uv.h>

#include "base/buf.h"

#define REPLAY_TIMEOUT_MS 30000
#define REPLAY_ANSWER_MAX (64U * 1024 * 1024) /* bytes of a response; it is cut behind them */

struct recorder;
struct replay;

struct replay_config {
	uv_loop_t *loop;
	struct recorder *recorder;
	uint16_t port;              /* of OS_APP_HOST */
	void (*ended)(void *owner); /* the last call, never from within replay_start() */
	void *owner;
};

/* `request` is whole, and taken over in any case; `of` is the exchange that it repeats. 0, and
 * *ret_id is the new one; or a negative errno, and `ended` will not be called. */
int replay_start(const struct replay_config *config, uint64_t of, struct buf *request,
	struct replay **ret_replay, uint64_t *ret_id);

/* Cuts it short; `ended` follows, never from within. */
void replay_cancel(struct replay *r);

#endif
