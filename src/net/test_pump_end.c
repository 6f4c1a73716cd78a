/* SPDX-License-Identifier: MIT */
/* The ends: resets with bytes under way, timeouts, aborts. */
#include "net/test_pump_fixture.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include "base/fd.h"

#define APP_BYTES (4U * 1024U * 1024U)

/* With buffers of 64 KiB, which the kernel doubles: more than the reader's, less than all on the
 * way. */
#define STUCK_BYTES 200000U

static int socket_error(int fd)
{
	int error;
	socklen_t len = sizeof(error);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	return error;
}

static void assert_reset(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

/* The application answers, never reads, and closes: its kernel makes a reset of that. */
static void test_close_with_unread_input_loses_nothing(void **state)
{
	struct link *l = link_begin(pool_of(.mode = test_mode(state)), 0);
	struct talker reader = { .fd = l->visitor, .seed = 5, .len = APP_BYTES };

	assert_true(stream_write(l->visitor, 1, 1000));
	link_wait_bytes(l, PUMP_OUTER, 1000);
	talker_start(&reader);
	assert_true(stream_write(l->app, 5, APP_BYTES));
	wait_acknowledged(l->app);
	l->app = fd_close(l->app);
	link_wait(l);
	assert_true(talker_join(&reader));
	assert_reset(l->visitor);
	assert_int_equal(l->result.end, PUMP_END_RESET);
	assert_int_equal(l->result.side, PUMP_INNER);
	assert_int_equal(l->result.error, ECONNRESET);
	assert_int_equal(l->result.bytes[PUMP_INNER], APP_BYTES);
	link_end(l);
}

/* The reset comes while nobody reads: what is in the pump's hands waits for the reader. */
static void test_reset_behind_stopped_reader(void **state)
{
	struct link *l = link_begin(pool_of(.mode = test_mode(state)), 65536);
	const uint32_t len = STUCK_BYTES;

	assert_true(stream_write(l->app, 5, len));
	wait_acknowledged(l->app);
	reset_fd(&l->app);
	assert_true(stream_read(l->visitor, 5, len));
	assert_reset(l->visitor);
	link_await_reset(l, PUMP_INNER);
	assert_int_equal(l->result.bytes[PUMP_INNER], len);
	link_end(l);
}

/* A reader that never comes back doesn't keep the rest for ever. */
static void test_reset_with_no_reader_ends(void **state)
{
	struct link *l = link_begin(pool_of(.mode = test_mode(state)), 65536);

	assert_true(stream_write(l->app, 5, STUCK_BYTES));
	wait_acknowledged(l->app);
	reset_fd(&l->app);
	link_await_end(l, PUMP_END_RESET);
	assert_true(l->duration_ms >= 5000);
	link_end(l);
}

/*
 * The reset finds the visitor's socket full, and nothing will ever happen there again: the deadline
 * must not wait for an event of it.
 */
static void test_reset_behind_full_reader_ends(void **state)
{
	struct link *l = link_begin(pool_of(.mode = test_mode(state)), 65536);
	static const char data[4096];
	struct pollfd room = { .events = POLLOUT };

	room.fd = l->app;
	/* Until everything on the way is full. */
	while (poll(&room, 1, 200) == 1)
		assert_true(send(l->app, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL) > 0);
	reset_fd(&l->app);
	link_await_reset(l, PUMP_INNER);
	link_end(l);
}

/* The visitor goes away in the middle of an answer: the application hears of it as a reset. */
static void test_reset_by_reader(void **state)
{
	struct link *l = link_begin(pool_of(.mode = test_mode(state)), 0);
	struct talker writer = { .fd = l->app, .seed = 5, .len = (size_t)1 << 40, .write = true };

	talker_start(&writer);
	assert_true(stream_read(l->visitor, 5, 1000000));
	reset_fd(&l->visitor);
	link_wait(l);
	assert_false(talker_join(&writer));
	assert_int_equal(l->result.end, PUMP_END_RESET);
	assert_int_equal(l->result.side, PUMP_OUTER);
	link_end(l);
}

/* A side that has sent its FIN can still be reset, while nothing is read from it any more. */
static void test_reset_after_half_close(void **state)
{
	struct link *l =
		link_begin(pool_of(.mode = test_mode(state), .vanished_timeout_ms = 600), 0);
	char byte;

	assert_int_equal(shutdown(l->visitor, SHUT_WR), 0);
	assert_int_equal(recv(l->app, &byte, 1, 0), 0);
	assert_false(l->done);
	reset_fd(&l->visitor);
	link_await_reset(l, PUMP_OUTER);
	link_end(l);
}

/* An answer that our timer cuts must not look whole. */
static void test_half_close_timeout_resets(void **state)
{
	struct link *l =
		link_begin(pool_of(.mode = test_mode(state), .half_close_timeout_ms = 100), 0);
	char byte;

	assert_int_equal(shutdown(l->visitor, SHUT_WR), 0);
	link_await_end(l, PUMP_END_HALF_CLOSED);
	assert_true(l->duration_ms >= 100);
	assert_reset(l->visitor);
	/* Its FIN has come before, and hides the error from who reads. */
	assert_int_equal(recv(l->app, &byte, 1, 0), 0);
	assert_int_equal(socket_error(l->app), EPIPE);
	link_end(l);
}

static void test_idle_timeout(void **state)
{
	struct link *l = link_begin(pool_of(.mode = test_mode(state), .idle_timeout_ms = 100), 0);

	link_await_end(l, PUMP_END_IDLE);
	assert_true(l->duration_ms >= 100);
	assert_reset(l->visitor);
	assert_reset(l->app);
	link_end(l);
}

static void test_abort(void **state)
{
	struct link *l = link_begin(pool_of(.mode = test_mode(state)), 0);
	struct talker writer = { .fd = l->app, .seed = 5, .len = (size_t)1 << 40, .write = true };

	talker_start(&writer);
	link_wait_bytes(l, PUMP_INNER, 100000);
	pump_abort(l->fixture->pool, l->pump);
	pump_abort(l->fixture->pool, l->pump);
	link_wait(l);
	assert_false(talker_join(&writer));
	assert_int_equal(l->result.end, PUMP_END_ABORTED);
	link_end(l);
}

/*
 * A relay said "timed out" while our Accept was lost on its way, and the application received that
 * as a visitor's bytes. What comes before all that we had sent is acknowledged answers nothing.
 */
static void test_word_that_is_no_answer(void **state)
{
	const struct pump_pool_config config = { .workers = 1, .mode = test_mode(state) };
	struct fixture *f = fixture_new(&config);

	for (int lost = 0; lost < 2; lost++) {
		struct pollfd writable = { .events = POLLOUT };
		char byte = 0;
		struct link l;

		link_open(f, &l, 4096);
		l.answers = true;
		/* More than the window, which stays shut: the peer reads nothing. */
		writable.fd = l.pump_fd[PUMP_OUTER];
		while (lost && poll(&writable, 1, 100) == 1)
			(void)send(writable.fd, &l, sizeof(l), MSG_NOSIGNAL);
		assert_int_equal(send(l.visitor, "x", 1, MSG_NOSIGNAL), 1);
		link_add(&l, NULL, NULL);
		if (lost) {
			link_wait(&l);
			assert_int_equal(l.result.end, PUMP_END_RESET);
			assert_int_equal(l.result.side, PUMP_OUTER);
			assert_int_equal(recv(l.app, &byte, 1, 0), -1);
			assert_int_equal(errno, ECONNRESET);
		} else {
			link_wait_bytes(&l, PUMP_OUTER, 1);
			assert_int_equal(recv(l.app, &byte, 1, 0), 1);
			assert_int_equal(byte, 'x');
			reset_fd(&l.visitor);
			link_wait(&l);
		}
		link_close(&l);
	}
	fixture_free(f);
}

/* The worker may not have seen it yet, and may already be done with it: both in a row, many times.
 */
static void test_abort_races(void **state)
{
	const struct pump_pool_config config = { .workers = 2, .mode = test_mode(state) };
	struct fixture *f = fixture_new(&config);

	for (int round = 0; round < 200; round++) {
		struct link l;

		link_open(f, &l, 0);
		link_add(&l, NULL, NULL);
		if (round % 2) {
			link_close(&l);
			for (int i = 0; i < round; i++)
				sched_yield();
		}
		/* Served by the loop, it has ended by now. */
		if (!l.done)
			pump_abort(f->pool, l.pump);
		link_wait(&l);
		link_close(&l);
	}
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_in_modes(test_close_with_unread_input_loses_nothing),
		test_in_modes(test_reset_behind_stopped_reader),
		test_in_one_mode(test_reset_with_no_reader_ends),
		test_in_one_mode(test_reset_behind_full_reader_ends),
		test_in_modes(test_reset_by_reader),
		test_in_modes(test_reset_after_half_close),
		test_in_modes(test_half_close_timeout_resets),
		test_in_modes(test_idle_timeout),
		test_in_modes(test_abort),
		test_in_modes(test_abort_races),
		test_in_modes(test_word_that_is_no_answer),
	};

	return cmocka_run_group_tests_name("net/pump_end", tests, NULL, NULL);
}
