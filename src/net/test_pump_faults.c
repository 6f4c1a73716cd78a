/* SPDX-License-Identifier: MIT */
/* What the kernel and the heap do rarely, made to happen: the linker puts us in front of them. */
#include "net/test_pump_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/owner.h"
#include "base/fd.h"
#include "net/pump.h"
#include "net/sockopt.h"
#include "net/test_turn.h"

#define QUESTION_BYTES 300000U

static int reset_in_splice = -1; /* a peer to reset in the middle of the next splice to a socket */
static bool swallowed;           /* that was done, and its error is gone */
static int urgent_in_splice =
	-1; /* a peer that ends with urgent data before the next from a socket */
/* Asked by whatever thread comes along. */
static atomic_size_t malloc_refuses; /* blocks of that size */
static atomic_bool end_untold;       /* of a FIN epoll only says that there is something to read */
static atomic_bool
	mod_refuses; /* epoll doesn't tell of anything that it wasn't asked for at first */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
ssize_t __real_splice(
	int from, off_t *from_off, int to, off_t *to_off, size_t len, unsigned int flags);
ssize_t __wrap_splice(
	int from, off_t *from_off, int to, off_t *to_off, size_t len, unsigned int flags);
int __real_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event);

int __wrap_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
{
	if (!mod_refuses || op != EPOLL_CTL_MOD)
		return __real_epoll_ctl(epoll_fd, op, fd, event);
	errno = ENOMEM;
	return -1;
}

int __real_epoll_wait(int epoll_fd, struct epoll_event *events, int count, int timeout_ms);
int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int count, int timeout_ms);

int __wrap_epoll_wait(int epoll_fd, struct epoll_event *events, int count, int timeout_ms)
{
	int n = __real_epoll_wait(epoll_fd, events, count, timeout_ms);

	for (int i = 0; i < n && end_untold; i++)
		events[i].events &= ~(uint32_t)EPOLLRDHUP;
	return n;
}

void *__wrap_malloc(size_t size)
{
	return malloc_refuses && size == malloc_refuses ? NULL : __real_malloc(size);
}

/* On the worker's thread, where nothing may be asserted: what is missing fails the test. */
static void end_urgently(int fd)
{
	(void)!send(fd, "!", 1, MSG_OOB);
	(void)!send(fd, "def", 3, 0);
	(void)shutdown(fd, SHUT_WR);
}

/*
 * As the kernel's own, when a reset comes in its middle (tests/kernel/test_splice.c): it returns
 * what it had moved, and the error is gone.
 */
ssize_t __wrap_splice(
	int from, off_t *from_off, int to, off_t *to_off, size_t len, unsigned int flags)
{
	int type, error;
	socklen_t size = sizeof(type);
	ssize_t n;

	if (urgent_in_splice >= 0 && getsockopt(from, SOL_SOCKET, SO_TYPE, &type, &size) == 0)
		end_urgently(take_fd(&urgent_in_splice));
	if (reset_in_splice < 0 || len < QUESTION_BYTES / 4 ||
		getsockopt(to, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return __real_splice(from, from_off, to, to_off, len, flags);
	n = __real_splice(from, from_off, to, to_off, len / 2, flags);
	if (n > 0) {
		reset_fd(&reset_in_splice);
		size = sizeof(error);
		swallowed = getsockopt(to, SOL_SOCKET, SO_ERROR, &error, &size) == 0 &&
			    error == ECONNRESET;
	}
	return n;
}

/*
 * An application's reset reached the visitor as a clean end: the splice that it interrupted had
 * taken the error for itself, and the next read from the application said 0.
 */
static void test_reset_in_the_middle_of_a_splice_is_no_end(void **state)
{
	const struct pump_pool_config config = { .workers = 1, .mode = PUMP_SPLICE };
	struct fixture *f = fixture_new(&config);
	struct link l;
	char byte;

	(void)state;
	link_open(f, &l, 0);
	assert_int_equal(send(l.app, "answ", 4, 0), 4);
	assert_true(stream_write(l.visitor, 1, QUESTION_BYTES));
	reset_in_splice = l.app;
	link_add(&l, NULL, NULL);
	link_wait(&l);
	assert_true(swallowed);
	for (int i = 0; i < 4; i++)
		assert_int_equal(recv(l.visitor, &byte, 1, 0), 1);
	assert_int_equal(recv(l.visitor, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(l.result.end, PUMP_END_RESET);
	assert_int_equal(l.result.side, PUMP_INNER);
	l.app = -1;
	link_close(&l);
	fixture_free(f);
}

/*
 * Bulk that ended with urgent data lost it, and all behind it, when both came in the middle of a
 * turn: the splice in front of the mark said 0, which was passed on as the end.
 */
static void test_urgent_mark_is_no_end(void **state)
{
	const struct pump_pool_config config = { .workers = 1, .mode = PUMP_SPLICE };
	struct fixture *f = fixture_new(&config);
	struct link l;
	char data[8];

	(void)state;
	link_open(f, &l, 0);
	assert_int_equal(send(l.app, "abc", 3, 0), 3);
	urgent_in_splice = l.app;
	link_add(&l, NULL, NULL);
	assert_int_equal(recv(l.visitor, data, 7, MSG_WAITALL), 7);
	assert_memory_equal(data, "abc!def", 7);
	assert_int_equal(recv(l.visitor, data, 1, 0), 0);
	link_close(&l);
	link_wait(&l);
	fixture_free(f);
}

/* Without memory for a visitor's early bytes the whole process ended, by an assertion. */
static void test_no_memory_for_early_bytes(void **state)
{
	static const char early[12345];
	struct pump_job job = { .fd = { -1, -1 } };

	(void)state;
	for (int side = 0; side < PUMP_SIDES; side++) {
		job.early[side] = early;
		job.early_len[side] = sizeof(early) - (size_t)side;
	}
	for (size_t i = 0; i < PUMP_SIDES; i++) {
		malloc_refuses = job.early_len[i];
		assert_null(pump_new(&job));
	}
	malloc_refuses = 0;
	pump_free(pump_new(&job));
}

static void on_pumped(void *owner, const struct pump_result *result)
{
	*(enum pump_end *)owner = result->end;
}

/*
 * A stream that ends for want of memory resets its visitor. On the side of blocks the END of the
 * stream before may still be on its way, and an ordinary end is as much of a reset.
 */
static void test_no_memory_leaves_blocks_an_ordinary_end(void **state)
{
	static char end[4 + 12345] = "\2";
	struct fixture *f = fixture_new(pool_of(.mode = PUMP_COPY));
	enum pump_end ended = PUMP_END_CLOSED;
	struct pump_job job = {
		.wire = { [PUMP_INNER] = PUMP_WIRE_BLOCKS },
		.done = on_pumped,
		.owner = &ended,
	};
	struct link l;
	char byte;

	(void)state;
	link_open(f, &l, 0);
	for (int side = 0; side < PUMP_SIDES; side++)
		job.fd[side] = take_fd(&l.pump_fd[side]);
	assert_int_equal(send(l.app, end, sizeof(end), 0), sizeof(end));
	malloc_refuses = sizeof(end) - 4;
	assert_int_equal(pump_pool_add(f->pool, &job, NULL), 0);
	while (ended == PUMP_END_CLOSED)
		test_turn(&f->loop);
	malloc_refuses = 0;
	assert_int_equal(ended, PUMP_END_NO_MEMORY);
	assert_int_equal(recv(l.app, &byte, 1, 0), 0);
	/* He had his FIN before (tcp_reset()). */
	assert_int_equal(sockopt_take_error(l.visitor), -EPIPE);
	l.app = fd_close(l.app);
	l.visitor = fd_close(l.visitor);
	fixture_free(f);
}

/*
 * A visitor without a word more cost the connection: RAW was said before his FIN. The kernel moves
 * what is to be read before it says that it was the last (tcp_data_queue()), and whoever asks
 * between the two hears of a byte.
 */
static void test_end_is_nothing_to_splice(void **state)
{
	struct fixture *f = fixture_new(pool_of(.mode = PUMP_SPLICE));
	enum pump_end ended = PUMP_END_ABORTED;
	struct pump_job job = {
		.wire = { [PUMP_INNER] = PUMP_WIRE_BLOCKS },
		.done = on_pumped,
		.owner = &ended,
	};
	struct link l;
	char end[4];

	(void)state;
	link_open(f, &l, 0);
	for (int side = 0; side < PUMP_SIDES; side++)
		job.fd[side] = take_fd(&l.pump_fd[side]);
	end_untold = true;
	assert_int_equal(shutdown(l.visitor, SHUT_WR), 0);
	assert_int_equal(pump_pool_add(f->pool, &job, NULL), 0);
	assert_int_equal(recv(l.app, end, sizeof(end), MSG_WAITALL), sizeof(end));
	assert_memory_equal(end, "\2\0\0\0", sizeof(end));
	assert_int_equal(send(l.app, end, sizeof(end), 0), sizeof(end));
	while (ended == PUMP_END_ABORTED)
		test_turn(&f->loop);
	end_untold = false;
	assert_int_equal(ended, PUMP_END_CLOSED);
	link_close(&l);
	fixture_free(f);
}

/*
 * A slow reader whose socket couldn't be watched for room was never served again: the connection
 * was marked as ended, but nobody ended it.
 */
static void test_no_memory_to_wait_for_room(void **state)
{
	static char answer[QUESTION_BYTES];
	struct fixture *f = fixture_new(pool_of(.inline_turns = *(const unsigned *)*state));
	struct link l;

	memset(answer, 'a', sizeof(answer) - 1);
	link_open(f, &l, 4096);
	mod_refuses = true;
	link_add(&l, NULL, answer);
	link_wait(&l);
	mod_refuses = false;
	assert_int_equal(l.result.end, PUMP_END_NO_MEMORY);
	link_close(&l);
	fixture_free(f);
}

static const unsigned no_turns, many_turns = 1000;

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset_in_the_middle_of_a_splice_is_no_end),
		cmocka_unit_test(test_urgent_mark_is_no_end),
		cmocka_unit_test(test_no_memory_for_early_bytes),
		cmocka_unit_test(test_no_memory_leaves_blocks_an_ordinary_end),
		cmocka_unit_test(test_end_is_nothing_to_splice),
		cmocka_unit_test_prestate(test_no_memory_to_wait_for_room, (void *)&no_turns),
		cmocka_unit_test_prestate(test_no_memory_to_wait_for_room, (void *)&many_turns),
	};

	return cmocka_run_group_tests_name("net/pump_faults", tests, NULL, NULL);
}
