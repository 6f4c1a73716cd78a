/* SPDX-License-Identifier: MIT */
/*
 * For the tests of the pump: a loop with a pool, TCP connections through it, and peers
 * (net/test_talker.h). Nothing here waits without a deadline.
 *
 * With TEST_TAPPED in the environment each connection has a tap, which nothing may notice. With
 * TEST_INLINE=TURNS each begins on the loop, and goes to a thread in the middle of whatever it does
 * then, which nothing may notice either (test_pump_inline_calls.c). With
 * TEST_BLOCKS two pumps stand back to back, as in relay and client, and speak blocks with each
 * other: what holds for one pump holds for the pair.
 */
#ifndef NET_TEST_PUMP_FIXTURE_H
#define NET_TEST_PUMP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <uv.h>

#include "net/pump_pool.h"
#include "net/test_talker.h"

/* Ten times and more of what is expected, even under a sanitizer. */
#define FIXTURE_DEADLINE_MS 60000

struct tap;
struct tap_hub;

struct fixture {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct pump_pool *pool;
	struct tap_hub *hub; /* NULL: nobody looks on */
	bool closed;
};

/* A connection through the pool. The test has the peers' ends of both. */
struct link {
	struct fixture *fixture;
	int visitor, app;        /* the test's ends, blocking, with a time limit */
	int pump_fd[PUMP_SIDES]; /* the pump's ends until link_add() */
	int buffer_bytes;        /* of each socket */
	bool answers;            /* the visitor's side is to answer what was sent to it before */
	struct tap *tap;         /* NULL: none */
	/* With blocks the one that has the visitor, and the one that has the application; without
	 * the first one alone. */
	struct pump *pump, *far_pump;
	unsigned pumps;         /* not done */
	int parked[PUMP_SIDES]; /* between the two, of the one that is done */
	bool ended;             /* one is done: `result` is told */
	bool done;              /* none is left */
	/* With blocks: of the pump that ended first, but for the bytes. */
	struct pump_result result;
	uint64_t duration_ms; /* from link_add() to the completion */
	uint64_t added_ms;    /* monotonic */
};

/* How many pumps a connection has: 1, with blocks 2. */
unsigned fixture_pumps(void);

struct fixture *fixture_new(const struct pump_pool_config *wanted);
/* Closes the pool and the loop; what the pool asserts at its end is part of every test. */
void fixture_free(struct fixture *f);
/* Begins to close the pool; fixture_free() waits for its end. */
void fixture_close_pool(struct fixture *f);

/* Whether this thread is to run the loop while it waits; a turn of it, if so. */
bool fixture_serves(void);
void fixture_serve(void);

/* A connection over loopback: the peer's end is blocking, the pump's is not. */
void test_tcp_pair(int buffer_bytes, int *ret_peer, int *ret_pump);

/*
 * Connections over loopback. buffer_bytes 0: the system's buffers. Small ones hold two segments,
 * and where the reader has to wait for a core the kernel drops what doesn't fit, which its sender
 * repeats 200 ms later: 16 KiB each time, so no test sends more than a megabyte through them.
 */
void link_open(struct fixture *f, struct link *l, int buffer_bytes);
void link_add(struct link *l, const char *early_outer, const char *early_inner);
/* Runs the loop until the completion. */
void link_wait(struct link *l);
/* Runs the loop until the pump has moved so many bytes from that side. */
void link_wait_bytes(struct link *l, enum pump_side side, uint64_t bytes);
/* Runs the loop for so long, in which nothing may end it: for what a deadline must not do. */
void link_pause(struct link *l, uint64_t ms);
void link_close(struct link *l);

/* A pool of one worker with one connection through it, for a test that needs no more. */
#define pool_of(...) (&(const struct pump_pool_config){ .workers = 1, __VA_ARGS__ })
struct link *link_begin(const struct pump_pool_config *config, int buffer_bytes);
/* Runs the loop until the completion, which tells of this end; of a reset by this side. */
void link_await_end(struct link *l, enum pump_end end);
void link_await_reset(struct link *l, enum pump_side side);
/* Closes what is open, and the pool. */
void link_end(struct link *l);

/* Runs the test once in each mode; `state` is a mode that *state points to. */
extern const enum pump_mode test_modes[3];
#define test_in_modes(f)                                                            \
	{ #f " (auto)", f, NULL, NULL, (void *)(uintptr_t)&test_modes[0] },         \
		{ #f " (copy)", f, NULL, NULL, (void *)(uintptr_t)&test_modes[1] }, \
	{                                                                           \
#f " (splice)", f, NULL, NULL, (void *)(uintptr_t)&test_modes[2]    \
	}
/* In PUMP_AUTO alone, for a test that takes seconds. */
#define test_in_one_mode(f)                                          \
	{                                                            \
#f, f, NULL, NULL, (void *)(uintptr_t)&test_modes[0] \
	}
#define test_mode(state) (*(const enum pump_mode *)*(state))

#endif
