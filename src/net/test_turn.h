/* SPDX-License-Identifier: MIT */
/*
 * For tests that run a loop until a callback has told something.
 *
 * UV_RUN_ONCE isn't for that: before libuv 1.45 it calls the timers first and then waits for an
 * event. What a timer has told there, because the machine was too slow to call it at the end of the
 * turn before, is seen when that wait is over, which may be never.
 */
#ifndef NET_TEST_TURN_H
#define NET_TEST_TURN_H

#include <poll.h>
#include <signal.h>
#include <time.h>
#include <uv.h>

/* For a condition that no event of the loop tells of. */
#define TEST_TURN_MS 100

/*
 * Waits for an event or a timer, for TEST_TURN_MS at most, and then calls back what is due. Not by
 * poll(2), in which the tests of the pump call back themselves (net/test_pump_inline_calls.c).
 */
static inline void test_turn(uv_loop_t *loop)
{
	struct pollfd events = { .fd = uv_backend_fd(loop), .events = POLLIN };
	struct timespec wait = { 0 };
	int ms;

	uv_update_time(loop);
	ms = uv_backend_timeout(loop);
	wait.tv_nsec = (ms < 0 || ms > TEST_TURN_MS ? TEST_TURN_MS : ms) * 1000000L;
	(void)ppoll(&events, 1, &wait, NULL);
	(void)uv_run(loop, UV_RUN_NOWAIT);
}

#endif
