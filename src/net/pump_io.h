/* SPDX-License-Identifier: MIT */
/* What a worker lends to the pump that it runs, and the counts that it keeps. */
#ifndef NET_PUMP_IO_H
#define NET_PUMP_IO_H

#include <stdatomic.h>
#include <stdint.h>

#include "net/pipe_pool.h"
#include "net/pump_pool.h"

/* A worker's read buffer, and so the most that a direction parks on the heap beside early bytes,
 * and that it has read behind an END. */
#define PUMP_BUFFER_BYTES PUMP_AHEAD_MAX

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

/* The counters have one writer, so an addition needs no locked instruction. */
static inline void pump_count(_Atomic uint64_t *counter, uint64_t n)
{
	uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, now + n, memory_order_relaxed);
}

#endif
