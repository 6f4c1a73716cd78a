/* SPDX-License-Identifier: MIT */
/* The calls, on real sockets and with hostile arguments: what they refuse must not have happened.
 */
#include "guest/call.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lang.h"
#include "guest/test_call_fixture.h"
#include "guest/wasi.h"

/* Places in the guest's memory. */
enum { VEC = 0, DATA = 1024, RET = 4096, IN = 8192, OUT = 16384 };

static uint32_t socket_fd; /* the guest's number of a connected socket */
static int peer;           /* its other end */
static unsigned checked;   /* questions to the engine */

/* The engine knows 7 and nothing else. */
static int check_fd(struct call *c, uint32_t fd, uint8_t *scratch)
{
	checked++;
	return fd == 7 ? 0 : WASI_EBADF;
}

static int setup(void **state)
{
	int pair[2];

	checked = 0;
	call_fixture_open();
	call_fixture_listen();
	f.call.check_fd = check_fd;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	peer = pair[1];
	return streams_add_visitor(&f.streams, pair[0], true, &socket_fd);
}

static int teardown(void **state)
{
	close(peer);
	call_fixture_close();
	return 0;
}

static void put_buffer(uint32_t address, uint32_t len)
{
	call_fixture_put_vector(VEC, address, len);
}

static void test_bad_pointers_lose_nothing(void **state)
{
	assert_int_equal(write(peer, "abc", 3), 3);
	put_buffer(DATA, 3);
	assert_int_equal(CALL(call_fd_read, socket_fd, VEC, 1, FIXTURE_NOWHERE), -EFAULT);
	assert_int_equal(CALL(call_fd_read, socket_fd, FIXTURE_NOWHERE, 1, RET), -EFAULT);
	assert_int_equal(CALL(call_fd_read, socket_fd, VEC, UINT32_MAX, RET), -EFAULT);
	assert_int_equal(CALL(call_sock_recv, socket_fd, VEC, 1, 0, RET, FIXTURE_NOWHERE), -EFAULT);
	assert_int_equal(CALL(call_sock_recv, socket_fd, VEC, 1, 4, RET, RET), -EINVAL);
	put_buffer(FIXTURE_SIZE - 2, 3);
	assert_int_equal(CALL(call_fd_read, socket_fd, VEC, 1, RET), -EFAULT);
	put_buffer(DATA, 3);
	assert_int_equal(CALL(call_fd_read, socket_fd, VEC, 1, RET), 0);
	assert_int_equal(guest_load_u32(f.memory + RET), 3);
	assert_memory_equal(f.memory + DATA, "abc", 3);
}

static void test_accept(void **state)
{
	int visitor = call_fixture_connect();

	assert_int_equal(CALL(call_sock_accept, FIXTURE_LISTENER, 0, FIXTURE_NOWHERE), -EFAULT);
	assert_int_equal(CALL(call_sock_accept, FIXTURE_LISTENER, 1, RET), -EINVAL);
	assert_int_equal(CALL(call_sock_accept, FIXTURE_LISTENER, 0, RET), 0);
	assert_true(guest_load_u32(f.memory + RET) > socket_fd);
	assert_int_equal(CALL(call_fd_fdstat_set_flags, FIXTURE_LISTENER, WASI_FDFLAG_NONBLOCK), 0);
	assert_int_equal(CALL(call_sock_accept, FIXTURE_LISTENER, 0, RET), -EAGAIN);
	assert_int_equal(CALL(call_sock_accept, socket_fd, 0, RET), -EINVAL);
	assert_int_equal(CALL(call_sock_accept, 0, 0, RET), -ENOTSOCK);
	assert_int_equal(CALL(call_sock_accept, 7, 0, RET), CALL_FORWARD);
	assert_int_equal(CALL(call_sock_accept, UINT32_MAX, 0, RET), -EBADF);
	close(visitor);
}

/* A program that had only asked what descriptor 3 is was told EAGAIN by its accept, and crashed in
 * a circle. The listener blocks, here up to the guest's deadline, until the program says otherwise.
 */
static void test_accept_waits(void **state)
{
	assert_int_equal(CALL(call_fd_fdstat_get, FIXTURE_LISTENER, RET), 0);
	assert_int_equal(guest_load_u16(f.memory + RET + WASI_FDSTAT_FLAGS), 0);
	assert_int_equal(CALL(call_fd_filestat_get, FIXTURE_LISTENER, RET), 0);
	f.call.deadline_ms = clock_now_ms() + 20;
	assert_int_equal(CALL(call_sock_accept, FIXTURE_LISTENER, 0, RET), CALL_EXPIRED);
	assert_true(clock_now_ms() >= f.call.deadline_ms);
	assert_int_equal(CALL(call_fd_fdstat_set_flags, FIXTURE_LISTENER, WASI_FDFLAG_NONBLOCK), 0);
	assert_int_equal(CALL(call_sock_accept, FIXTURE_LISTENER, 0, RET), -EAGAIN);
	assert_int_equal(CALL(call_fd_fdstat_set_flags, FIXTURE_LISTENER, 0), 0);
	assert_int_equal(CALL(call_fd_fdstat_get, FIXTURE_LISTENER, RET), 0);
	assert_int_equal(guest_load_u16(f.memory + RET + WASI_FDSTAT_FLAGS), 0);
	assert_int_equal(CALL(call_sock_accept, FIXTURE_LISTENER, 0, RET), CALL_EXPIRED);
}

/* Go takes no listener that blocks, and makes its standard streams non-blocking at its start. */
static void test_a_program_that_never_blocks(void **state)
{
	for (uint32_t fd = 0; fd < 3; fd++) {
		assert_int_equal(CALL(call_fd_fdstat_get, FIXTURE_LISTENER, RET), 0);
		assert_int_equal(guest_load_u16(f.memory + RET + WASI_FDSTAT_FLAGS), 0);
		assert_int_equal(
			CALL(call_fd_fdstat_set_flags, fd, WASI_FDFLAG_NONBLOCK), CALL_FORWARD);
	}
	assert_int_equal(CALL(call_fd_fdstat_get, FIXTURE_LISTENER, RET), 0);
	assert_int_equal(guest_load_u16(f.memory + RET + WASI_FDSTAT_FLAGS), WASI_FDFLAG_NONBLOCK);
	assert_int_equal(CALL(call_sock_accept, FIXTURE_LISTENER, 0, RET), -EAGAIN);
}

/* A read of no bytes waited for some. Nothing is there, and nothing is asked for. */
static void test_no_bytes(void **state)
{
	static const call_fn fns[] = { call_fd_read, call_fd_write, call_sock_send };
	int pipe_ends[2];

	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
	f.streams.standard[0].fd = pipe_ends[0];
	f.call.deadline_ms = clock_now_ms() + 20;
	assert_int_equal(CALL(call_fd_fdstat_set_flags, socket_fd, 0), 0);
	for (uint32_t count = 0; count <= 1; count++) {
		put_buffer(DATA, 0);
		for (size_t i = 0; i < ARRAY_LEN(fns); i++) {
			guest_store_u32(f.memory + RET, 77);
			assert_int_equal(CALL(fns[i], socket_fd, VEC, count,
						 fns[i] == call_sock_send ? 0 : RET, RET),
				0);
			assert_int_equal(guest_load_u32(f.memory + RET), 0);
		}
		for (uint32_t flags = 0; flags <= WASI_RECV_WAITALL; flags++)
			assert_int_equal(
				CALL(call_sock_recv, socket_fd, VEC, count, flags, RET, RET + 8),
				0);
		assert_int_equal(CALL(call_fd_read, 0, VEC, count, RET), 0);
	}
	assert_int_equal(CALL(call_fd_read, FIXTURE_LISTENER, VEC, 0, RET), -ENOTCONN);
	put_buffer(DATA, 1);
	assert_int_equal(CALL(call_fd_read, 0, VEC, 1, RET), CALL_EXPIRED);
	assert_int_equal(CALL(call_fd_read, socket_fd, VEC, 1, RET), CALL_EXPIRED);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

static const struct call_entry *entry_of(call_fn fn)
{
	for (size_t i = 0; i < call_table_len; i++)
		if (call_table[i].fn == fn)
			return &call_table[i];
	return NULL;
}

/* An fd_renumber() that the engine refused lost all that the program printed from then on. */
static void test_the_engine_says_yes_first(void **state)
{
	assert_int_equal(CALL(call_fd_renumber, 77, 1), CALL_FORWARD);
	assert_int_equal(CALL(call_fd_close, 1), CALL_FORWARD);
	put_buffer(DATA, 0);
	assert_int_equal(CALL(call_fd_write, 1, VEC, 1, RET), 0);
	assert_int_equal(CALL(call_fd_renumber, 1, 9), CALL_FORWARD);
	entry_of(call_fd_renumber)->after(&f.call);
	assert_int_equal(CALL(call_fd_write, 1, VEC, 1, RET), CALL_FORWARD);
	assert_int_equal(CALL(call_fd_write, 9, VEC, 1, RET), 0);
	assert_int_equal(CALL(call_fd_close, 9), CALL_FORWARD);
	entry_of(call_fd_close)->after(&f.call);
	assert_int_equal(CALL(call_fd_write, 9, VEC, 1, RET), CALL_FORWARD);
}

static void test_exit(void **state)
{
	assert_int_equal(CALL(call_proc_exit, 0xdeadbeef), CALL_EXITED);
	assert_true(f.streams.exited);
	assert_int_equal(f.streams.exit_code, 0xdeadbeef);
}

static void test_the_engine_answers_for_files(void **state)
{
	assert_int_equal(CALL(call_fd_read, 7, VEC, 1, RET), CALL_FORWARD);
	assert_int_equal(CALL(call_fd_write, 7, VEC, 1, RET), CALL_FORWARD);
	assert_int_equal(CALL(call_fd_close, 7), CALL_FORWARD);
	assert_int_equal(CALL(call_fd_fdstat_get, 0, RET), CALL_FORWARD);
	assert_int_equal(CALL(call_fd_prestat, 4, RET), CALL_FORWARD);
	assert_int_equal(CALL(call_fd_prestat, FIXTURE_LISTENER, RET), -EBADF);
	assert_int_equal(CALL(call_clock_time_get, WASI_CLOCK_PROCESS_CPU, 0, RET), CALL_FORWARD);
	assert_int_equal(CALL(call_fd_renumber, 7, socket_fd), -EOPNOTSUPP);
	assert_int_equal(CALL(call_fd_renumber, 7, 1), CALL_FORWARD);
}

static void test_closed_sockets(void **state)
{
	put_buffer(DATA, 1);
	assert_int_equal(CALL(call_fd_close, socket_fd), 0);
	assert_int_equal(CALL(call_fd_close, socket_fd), -EBADF);
	assert_int_equal(CALL(call_fd_write, socket_fd, VEC, 1, RET), -EBADF);
	assert_int_equal(CALL(call_sock_shutdown, socket_fd, WASI_SHUT_WR), -EBADF);
	assert_int_equal(CALL(call_fd_write, FIXTURE_LISTENER, VEC, 1, RET), -ENOTCONN);
}

static void put_subscription(unsigned i, uint8_t type, uint32_t fd_or_clock, uint64_t timeout)
{
	uint8_t *at = f.memory + IN + (size_t)i * WASI_SUBSCRIPTION_SIZE;

	memset(at, 0, WASI_SUBSCRIPTION_SIZE);
	guest_store_u64(at + WASI_SUBSCRIPTION_USERDATA, 100 + i);
	at[WASI_SUBSCRIPTION_TYPE] = type;
	guest_store_u32(at + WASI_SUBSCRIPTION_FD, fd_or_clock);
	guest_store_u64(at + WASI_SUBSCRIPTION_CLOCK_TIMEOUT, timeout);
}

static void assert_event(unsigned i, uint64_t userdata, uint16_t error, uint64_t nbytes)
{
	const uint8_t *at = f.memory + OUT + (size_t)i * WASI_EVENT_SIZE;

	assert_true(guest_load_u64(at + WASI_EVENT_USERDATA) == userdata);
	assert_int_equal(guest_load_u16(at + WASI_EVENT_ERROR), error);
	assert_true(guest_load_u64(at + WASI_EVENT_NBYTES) == nbytes);
}

static void test_poll(void **state)
{
	put_subscription(0, WASI_EVENT_CLOCK, WASI_CLOCK_MONOTONIC, UINT64_MAX);
	put_subscription(1, WASI_EVENT_FD_READ, FIXTURE_LISTENER, 0);
	put_subscription(2, WASI_EVENT_FD_READ, socket_fd, 0);
	put_subscription(3, WASI_EVENT_FD_WRITE, socket_fd, 0);
	assert_int_equal(CALL(call_poll_oneoff, IN, OUT, 4, RET), 0);
	assert_int_equal(guest_load_u32(f.memory + RET), 1);
	assert_event(0, 103, 0, 1);
	assert_int_equal(write(peer, "abc", 3), 3);
	assert_int_equal(CALL(call_poll_oneoff, IN, OUT, 3, RET), 0);
	assert_int_equal(guest_load_u32(f.memory + RET), 1);
	assert_event(0, 102, 0, 3);
	assert_int_equal(checked, 0);
}

/* While one instance replaces another they share the listener: who had been told of a connection
 * that the other one took then waited for the next, and all its visitors with it. */
static void test_poll_announces_for_another(void **state)
{
	int visitor = call_fixture_connect();

	put_subscription(0, WASI_EVENT_FD_READ, FIXTURE_LISTENER, 0);
	assert_int_equal(CALL(call_poll_oneoff, IN, OUT, 1, RET), 0);
	close(accept(f.streams.listener.fd, NULL, NULL));
	assert_int_equal(CALL(call_sock_accept, FIXTURE_LISTENER, 0, RET), -EAGAIN);
	f.call.deadline_ms = clock_now_ms() + 20;
	assert_int_equal(CALL(call_sock_accept, FIXTURE_LISTENER, 0, RET), CALL_EXPIRED);
	close(visitor);
}

static void test_poll_answers_at_once(void **state)
{
	put_subscription(0, WASI_EVENT_FD_READ, 7, 0);
	put_subscription(1, WASI_EVENT_FD_READ, 8, 0);
	put_subscription(2, WASI_EVENT_FD_READ, socket_fd, 0);
	put_subscription(3, WASI_EVENT_FD_WRITE, socket_fd + 1, 0);
	put_subscription(4, WASI_EVENT_CLOCK, WASI_CLOCK_THREAD_CPU, 0);
	assert_int_equal(CALL(call_poll_oneoff, IN, OUT, 5, RET), 0);
	assert_int_equal(guest_load_u32(f.memory + RET), 4);
	assert_event(0, 100, 0, 1);
	assert_event(1, 101, WASI_EBADF, 0);
	assert_event(2, 103, WASI_EBADF, 0);
	assert_event(3, 104, WASI_ENOTSUP, 0);
	assert_int_equal(checked, 2);
}

static void test_poll_clocks(void **state)
{
	uint64_t start = clock_now_ms();

	put_subscription(0, WASI_EVENT_CLOCK, WASI_CLOCK_REALTIME, UINT64_MAX);
	put_subscription(1, WASI_EVENT_CLOCK, WASI_CLOCK_MONOTONIC, 20 * 1000 * 1000);
	assert_int_equal(CALL(call_poll_oneoff, IN, OUT, 2, RET), 0);
	assert_int_equal(guest_load_u32(f.memory + RET), 1);
	assert_event(0, 101, 0, 0);
	assert_true(clock_now_ms() - start >= 19);
	/* Absolute, and long over. */
	put_subscription(1, WASI_EVENT_CLOCK, WASI_CLOCK_REALTIME, 1);
	guest_store_u16(f.memory + IN + WASI_SUBSCRIPTION_SIZE + WASI_SUBSCRIPTION_CLOCK_FLAGS,
		WASI_SUB_CLOCK_ABSTIME);
	assert_int_equal(CALL(call_poll_oneoff, IN, OUT, 2, RET), 0);
	assert_event(0, 101, 0, 0);
	/* Nothing that ever comes but the deadline. */
	f.call.deadline_ms = clock_now_ms() + 20;
	assert_int_equal(CALL(call_poll_oneoff, IN, OUT, 1, RET), CALL_EXPIRED);
}

static void test_hostile_poll(void **state)
{
	static const struct {
		uint32_t in, out, n, ret;
		int result;
	} cases[] = {
		{ IN, OUT, 0, RET, -EINVAL },
		{ IN, OUT, UINT32_MAX, RET, -EINVAL },
		{ IN, OUT, 1u << 31, RET, -EINVAL },
		{ IN, OUT, 2000, RET, -EFAULT },
		{ FIXTURE_NOWHERE, OUT, 1, RET, -EFAULT },
		{ UINT32_MAX, OUT, 1, RET, -EFAULT },
		{ IN, FIXTURE_NOWHERE, 1, RET, -EFAULT },
		{ IN, OUT, 1, FIXTURE_NOWHERE, -EFAULT },
	};

	put_subscription(0, WASI_EVENT_FD_READ, 7, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(
			CALL(call_poll_oneoff, cases[i].in, cases[i].out, cases[i].n, cases[i].ret),
			cases[i].result);
	put_subscription(0, 3, 7, 0);
	assert_int_equal(CALL(call_poll_oneoff, IN, OUT, 1, RET), -EINVAL);
	put_subscription(0, WASI_EVENT_CLOCK, 4, 0);
	assert_int_equal(CALL(call_poll_oneoff, IN, OUT, 1, RET), -EINVAL);
	/* Events over the subscriptions. */
	put_subscription(0, WASI_EVENT_FD_READ, 7, 0);
	put_subscription(1, WASI_EVENT_FD_READ, 7, 0);
	assert_int_equal(CALL(call_poll_oneoff, IN, IN, 2, RET), 0);
	assert_int_equal(guest_load_u32(f.memory + RET), 2);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bad_pointers_lose_nothing),
		TEST(test_accept),
		TEST(test_accept_waits),
		TEST(test_a_program_that_never_blocks),
		TEST(test_no_bytes),
		TEST(test_the_engine_says_yes_first),
		TEST(test_exit),
		TEST(test_the_engine_answers_for_files),
		TEST(test_closed_sockets),
		TEST(test_poll),
		TEST(test_poll_announces_for_another),
		TEST(test_poll_answers_at_once),
		TEST(test_poll_clocks),
		TEST(test_hostile_poll),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
