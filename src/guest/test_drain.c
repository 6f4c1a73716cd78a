/* SPDX-License-Identifier: MIT */
/* Draining: who is not asked any more, who is told the end, and who comes back. */
#include "guest/drain.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "guest/test_call_fixture.h"
#include "guest/wasi.h"

/* Places in the guest's memory. */
enum { VEC = 0, RET = 512, FLAGS = 520, DATA = 1024, IN = 2048, OUT = 3072 };

static int setup(void **state)
{
	call_fixture_open();
	call_fixture_listen();
	return drain_open();
}

static int teardown(void **state)
{
	call_fixture_close();
	drain_close();
	return 0;
}

/* A visitor whose connection the guest has accepted, as the number that is returned. */
static uint32_t visit(int *ret_visitor)
{
	*ret_visitor = call_fixture_connect();
	assert_int_equal(CALL(call_sock_accept, FIXTURE_LISTENER, WASI_FDFLAG_NONBLOCK, RET), 0);
	return guest_load_u32(f.memory + RET);
}

/* What the guest's read gives: the number of bytes, or the error. */
static int guest_read(uint32_t fd, uint32_t len)
{
	int r;

	call_fixture_put_vector(VEC, DATA, len);
	r = CALL(call_fd_read, fd, VEC, 1, RET);
	return r == 0 ? (int)guest_load_u32(f.memory + RET) : r;
}

static void guest_write(uint32_t fd)
{
	call_fixture_put_vector(VEC, DATA, 1);
	assert_int_equal(CALL(call_fd_write, fd, VEC, 1, RET), 0);
}

/* Polls for a descriptor's bytes, at most for ms: whether they came. */
static int guest_poll(uint32_t fd, uint64_t ms)
{
	uint8_t *at = f.memory + IN;
	int r;

	memset(at, 0, 2 * WASI_SUBSCRIPTION_SIZE);
	at[WASI_SUBSCRIPTION_TYPE] = WASI_EVENT_FD_READ;
	guest_store_u64(at + WASI_SUBSCRIPTION_USERDATA, 1);
	guest_store_u32(at + WASI_SUBSCRIPTION_FD, fd);
	at += WASI_SUBSCRIPTION_SIZE;
	guest_store_u32(at + WASI_SUBSCRIPTION_CLOCK, WASI_CLOCK_MONOTONIC);
	guest_store_u64(at + WASI_SUBSCRIPTION_CLOCK_TIMEOUT, ms * 1000000);
	r = CALL(call_poll_oneoff, IN, OUT, 2, RET);
	return r == 0 ? (int)guest_load_u64(f.memory + OUT + WASI_EVENT_USERDATA) : r;
}

/* As if the connection had been silent since long. */
static void make_idle(uint32_t fd)
{
	struct stream *s = streams_find(&f.streams, fd);

	assert_true(drain_check(&f.streams));
	f.streams.drain_ms -= DRAIN_IDLE_MS;
	if (s->moved_ms > DRAIN_IDLE_MS)
		s->moved_ms -= DRAIN_IDLE_MS;
}

static void assert_ended(int visitor)
{
	char byte;

	assert_int_equal(recv(visitor, &byte, 1, 0), 0);
	close(visitor);
}

static void test_without_visitors_it_is_over(void **state)
{
	int visitor = call_fixture_connect();

	raise(SIGUSR1);
	raise(SIGUSR1);
	assert_int_equal(guest_poll(FIXTURE_LISTENER, 60000), CALL_DRAINED);
	assert_int_equal(CALL(call_sock_accept, FIXTURE_LISTENER, 0, RET), CALL_DRAINED);
	/* The connection waits for who comes next. */
	assert_int_equal(accept(f.streams.listener.fd, NULL, NULL) >= 0, 1);
	close(visitor);
}

static void test_nobody_is_accepted(void **state)
{
	int visitor, late;
	uint32_t fd = visit(&visitor);

	raise(SIGUSR1);
	late = call_fixture_connect();
	assert_int_equal(CALL(call_fd_fdstat_set_flags, FIXTURE_LISTENER, WASI_FDFLAG_NONBLOCK), 0);
	assert_int_equal(CALL(call_sock_accept, FIXTURE_LISTENER, 0, RET), -EAGAIN);
	assert_int_equal(guest_poll(FIXTURE_LISTENER, 20), 0);
	assert_int_equal(write(visitor, "x", 1), 1);
	assert_int_equal(guest_poll(fd, 60000), 1);
	assert_int_equal(guest_read(fd, 8), 1);
	guest_write(fd);
	assert_int_equal(CALL(call_fd_close, fd), CALL_DRAINED);
	close(visitor);
	close(late);
}

static void *ask_later(void *arg)
{
	kill(getpid(), SIGUSR1);
	return NULL;
}

/* The signal wakes whoever waits already. */
static void test_the_signal_wakes(void **state)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, ask_later, NULL), 0);
	assert_int_equal(CALL(call_sock_accept, FIXTURE_LISTENER, 0, RET), CALL_DRAINED);
	pthread_join(thread, NULL);
}

static void test_idle_connections_are_told_the_end(void **state)
{
	int visitor;
	uint32_t fd = visit(&visitor);
	uint64_t start = clock_now_ms();

	raise(SIGUSR1);
	assert_int_equal(guest_read(fd, 8), -EAGAIN);
	assert_int_equal(guest_poll(fd, 60000), 1);
	assert_true(clock_now_ms() - start >= DRAIN_IDLE_MS);
	assert_int_equal(guest_read(fd, 8), 0);
	assert_int_equal(recv(visitor, f.memory, 1, MSG_DONTWAIT), -1);
	assert_int_equal(CALL(call_fd_close, fd), CALL_DRAINED);
	assert_int_equal(CALL(call_fd_close, fd), -EBADF);
	assert_ended(visitor);
}

static void test_busy_connections_are_not(void **state)
{
	int visitor;
	uint32_t fd = visit(&visitor);

	raise(SIGUSR1);
	/* The answer is still to come. */
	assert_int_equal(write(visitor, "x", 1), 1);
	assert_int_equal(guest_read(fd, 8), 1);
	make_idle(fd);
	assert_int_equal(guest_read(fd, 8), -EAGAIN);
	assert_int_equal(guest_poll(fd, 20), 0);
	/* It was begun, and the guest reads one byte to notice the visitor's end. */
	guest_write(fd);
	make_idle(fd);
	assert_int_equal(guest_read(fd, 1), -EAGAIN);
	assert_int_equal(guest_poll(fd, 20), 0);
	/* A look that takes nothing away is none. */
	assert_int_equal(write(visitor, "y", 1), 1);
	assert_int_equal(guest_poll(fd, 60000), 1);
	assert_int_equal(CALL(call_sock_recv, fd, VEC, 1, WASI_RECV_PEEK, RET, FLAGS), 0);
	assert_int_equal(guest_read(fd, 8), 1);
	guest_write(fd);
	make_idle(fd);
	/* Not before the last byte has arrived at the visitor. */
	assert_int_equal(guest_poll(fd, 60000), 1);
	assert_int_equal(guest_read(fd, 8), 0);
	close(visitor);
}

/* It arrived between the end that the guest was told and the guest's close. */
static void test_a_request_of_that_instant_comes_back(void **state)
{
	int visitor;
	uint32_t fd = visit(&visitor), again;

	raise(SIGUSR1);
	make_idle(fd);
	assert_int_equal(guest_read(fd, 8), 0);
	assert_int_equal(write(visitor, "abc", 3), 3);
	assert_int_equal(CALL(call_fd_close, fd), 0);
	assert_int_equal(guest_read(fd, 8), -EBADF);
	assert_int_equal(guest_poll(FIXTURE_LISTENER, 60000), 1);
	assert_int_equal(CALL(call_sock_accept, FIXTURE_LISTENER, 0, RET), 0);
	again = guest_load_u32(f.memory + RET);
	assert_int_equal(guest_poll(FIXTURE_LISTENER, 20), 0);
	assert_int_equal(guest_read(again, 8), 3);
	assert_memory_equal(f.memory + DATA, "abc", 3);
	guest_write(again);
	assert_int_equal(CALL(call_fd_close, again), CALL_DRAINED);
	close(visitor);
}

static void *leave(void *arg)
{
	int *visitor = arg;
	char byte;

	assert_int_equal(recv(*visitor, &byte, 1, 0), 0);
	assert_int_equal(send(*visitor, "late", 4, MSG_NOSIGNAL), 4);
	assert_int_equal(recv(*visitor, &byte, 1, 0), 0);
	close(*visitor);
	return NULL;
}

/* Bytes that come after the end are read away: the visitor sees an end, and no reset. */
static void test_the_end_waits_for_visitors(void **state)
{
	int visitor;
	uint32_t fd = visit(&visitor);
	pthread_t thread;

	raise(SIGUSR1);
	make_idle(fd);
	assert_int_equal(guest_read(fd, 8), 0);
	assert_int_equal(CALL(call_fd_close, fd), CALL_DRAINED);
	assert_int_equal(pthread_create(&thread, NULL, leave, &visitor), 0);
	drain_end(&f.streams);
	pthread_join(thread, NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_without_visitors_it_is_over),
		TEST(test_nobody_is_accepted),
		TEST(test_the_signal_wakes),
		TEST(test_idle_connections_are_told_the_end),
		TEST(test_busy_connections_are_not),
		TEST(test_a_request_of_that_instant_comes_back),
		TEST(test_the_end_waits_for_visitors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
