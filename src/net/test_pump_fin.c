/* SPDX-License-Identifier: MIT */
/* Errors behind a FIN, readers that pause, peers that vanish: what may end a stream, and what not.
 */
#include "net/test_pump_fixture.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/lang.h"
#include "base/fd.h"

/* With buffers of 64 KiB, which the kernel doubles: more than the reader's, less than all on the
 * way. */
#define STUCK_BYTES 200000U

/* Beyond the 5 s that a reset leaves for what came before it. */
#define LONG_PAUSE_MS 5500

/* The end that the test writes to for bytes from `side`, and the one where they come out. */
static int *source_of(struct link *l, enum pump_side side)
{
	return side == PUMP_OUTER ? &l->visitor : &l->app;
}

static int sink_of(const struct link *l, enum pump_side side)
{
	return side == PUMP_OUTER ? l->app : l->visitor;
}

static void assert_end(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static void run_reset_behind_fin(enum pump_mode mode, enum pump_side side, uint64_t pause_ms)
{
	struct link *l = link_begin(pool_of(.mode = mode, .vanished_timeout_ms = 600), 65536);

	assert_true(stream_write(*source_of(l, side), 5, STUCK_BYTES));
	wait_acknowledged(*source_of(l, side));
	assert_int_equal(shutdown(*source_of(l, side), SHUT_WR), 0);
	wait_acknowledged(*source_of(l, side));
	reset_fd(source_of(l, side));
	link_pause(l, pause_ms);
	assert_true(stream_read(sink_of(l, side), 5, STUCK_BYTES));
	assert_end(sink_of(l, side));
	/* The other direction is dead, which it learns once it has all. */
	link_await_reset(l, side);
	assert_int_equal(l->result.bytes[side], STUCK_BYTES);
	link_end(l);
}

/*
 * A download was cut because the application, done with it, was reset later on. It had said all;
 * the reset concerns only what would still be written to it.
 */
static void test_reset_behind_fin_cuts_nothing(void **state)
{
	run_reset_behind_fin(test_mode(state), PUMP_INNER, 1);
	run_reset_behind_fin(test_mode(state), PUMP_OUTER, 1);
}

/* However long the reader pauses. */
static void test_reset_behind_fin_waits_for_a_paused_reader(void **state)
{
	run_reset_behind_fin(test_mode(state), PUMP_INNER, LONG_PAUSE_MS);
}

/*
 * An early answer: the application says it all and closes while the visitor still sends, to which
 * its kernel answers with a reset, found by a write. The answer arrives, and its end.
 */
static void test_answer_before_the_question_is_over(void **state)
{
	for (int round = 0; round < 50; round++) {
		struct link *l = link_begin(
			pool_of(.mode = test_mode(state), .vanished_timeout_ms = 600), 65536);
		struct talker question = {
			.fd = l->visitor, .seed = 1, .len = (size_t)1 << 40, .write = true
		};

		assert_true(stream_write(l->app, 5, STUCK_BYTES));
		assert_int_equal(shutdown(l->app, SHUT_WR), 0);
		wait_acknowledged(l->app);
		l->app = fd_close(l->app);
		talker_start(&question);
		assert_true(stream_read(l->visitor, 5, STUCK_BYTES));
		assert_end(l->visitor);
		link_wait(l);
		assert_false(talker_join(&question));
		assert_int_equal(l->result.bytes[PUMP_INNER], STUCK_BYTES);
		link_end(l);
	}
}

/* The timer of half-closed streams is for those that are forgotten, not for a reader that pauses.
 */
static void test_half_close_timeout_spares_what_is_undelivered(void **state)
{
	struct link *l =
		link_begin(pool_of(.mode = test_mode(state), .half_close_timeout_ms = 100), 65536);

	assert_true(stream_write(l->app, 5, STUCK_BYTES));
	assert_int_equal(shutdown(l->app, SHUT_WR), 0);
	link_pause(l, 500);
	assert_true(stream_read(l->visitor, 5, STUCK_BYTES));
	assert_end(l->visitor);
	/* Delivered, and forgotten. */
	link_await_end(l, PUMP_END_HALF_CLOSED);
	link_end(l);
}

/*
 * Where the operator gives a limit for it: a visitor who asked, ended his side and never read the
 * answer kept his place for ever, whatever --idle-timeout said. Nor is that limit lifted where one
 * side has ended and all is delivered.
 */
static void test_idle_timeout_holds_for_what_is_half_closed(void **state)
{
	const uint32_t sizes[] = { STUCK_BYTES, 1 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct link *l =
			link_begin(pool_of(.mode = test_mode(state),
					   .half_close_timeout_ms = FIXTURE_DEADLINE_MS * 10,
					   .idle_timeout_ms = 300),
				65536);

		assert_true(stream_write(l->app, 5, sizes[i]));
		assert_int_equal(shutdown(l->app, SHUT_WR), 0);
		link_await_end(l, PUMP_END_IDLE);
		assert_true(l->duration_ms >= 300);
		link_end(l);
	}
}

/*
 * Both sides have ended and a reader pauses: a socket that is closed then is given up by the kernel
 * after three minutes, with what is in it. So it stays open until the reader has had it, and his
 * end is passed on meanwhile.
 */
static void test_closed_on_both_sides_waits_for_a_paused_reader(void **state)
{
	struct link *l =
		link_begin(pool_of(.mode = test_mode(state), .vanished_timeout_ms = 600), 65536);

	assert_true(stream_write(l->app, 5, STUCK_BYTES));
	assert_int_equal(shutdown(l->app, SHUT_WR), 0);
	assert_int_equal(shutdown(l->visitor, SHUT_WR), 0);
	assert_end(l->app);
	link_pause(l, 300);
	assert_true(stream_read(l->visitor, 5, STUCK_BYTES));
	assert_end(l->visitor);
	link_await_end(l, PUMP_END_CLOSED);
	assert_int_equal(l->result.bytes[PUMP_INNER], STUCK_BYTES);
	link_end(l);
}

/* A peer that vanishes with bytes on their way to it is noticed by what it leaves unanswered. */
static void run_vanished(enum pump_mode mode, enum pump_side side, bool paused)
{
	struct link *l = link_begin(pool_of(.mode = mode, .vanished_timeout_ms = 500), 65536);
	char byte;

	if (paused) {
		assert_true(stream_write(sink_of(l, side), 5, STUCK_BYTES));
		link_pause(l, 100);
	}
	vanish_fd(*source_of(l, side));
	assert_int_equal(send(sink_of(l, side), "x", 1, 0), 1);
	link_await_reset(l, side);
	assert_int_equal(l->result.error, ETIMEDOUT);
	assert_true(l->duration_ms >= 500);
	assert_int_equal(recv(sink_of(l, side), &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	link_end(l);
}

static void test_vanished_peer_is_noticed(void **state)
{
	run_vanished(test_mode(state), PUMP_OUTER, false);
	run_vanished(test_mode(state), PUMP_INNER, true);
}

/* One that merely pauses answers, and is left in peace: here for ten times the limit. */
static void test_paused_reader_has_not_vanished(void **state)
{
	struct link *l =
		link_begin(pool_of(.mode = test_mode(state), .vanished_timeout_ms = 200), 65536);

	assert_true(stream_write(l->app, 5, STUCK_BYTES));
	link_pause(l, 2000);
	assert_true(stream_read(l->visitor, 5, STUCK_BYTES));
	link_close(l);
	link_wait(l);
	link_end(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_in_modes(test_reset_behind_fin_cuts_nothing),
		test_in_one_mode(test_reset_behind_fin_waits_for_a_paused_reader),
		test_in_modes(test_answer_before_the_question_is_over),
		test_in_modes(test_half_close_timeout_spares_what_is_undelivered),
		test_in_one_mode(test_idle_timeout_holds_for_what_is_half_closed),
		test_in_modes(test_closed_on_both_sides_waits_for_a_paused_reader),
		test_in_one_mode(test_vanished_peer_is_noticed),
		test_in_one_mode(test_paused_reader_has_not_vanished),
	};

	return cmocka_run_group_tests_name("net/pump_fin", tests, NULL, NULL);
}
