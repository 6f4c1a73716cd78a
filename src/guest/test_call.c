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
#include "guest/streams.h"
#include "guest/wasi.h"

#define SIZE 65536
#define LISTENER 3

/* Places in the guest's memory. */
enum { VEC = 0, DATA = 1024, RET = 4096, IN = 8192, OUT = 16384, NOWHERE = SIZE - 1 };

struct fixture {
	uint8_t memory[SIZE];
	struct streams streams;
	struct call call;
	uint32_t fd; /* the guest's number of a connected socket */
	int peer;    /* its other end */
	unsigned checked;
};

static struct fixture f;

/* The engine knows 7 and nothing else. */
static int check_fd(struct call *c, uint32_t fd, uint8_t *scratch)
{
	f.checked++;
	return fd == 7 ? 0 : WASI_EBADF;
}

static int setup(void **state)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int pair[2], listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	f = (struct fixture){ .checked = 0 };
	streams_init(&f.streams);
	if (bind(listener, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(listener, 8) < 0 ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	streams_set_listener(&f.streams, listener, LISTENER);
	f.peer = pair[1];
	f.call = (struct call){ .streams = &f.streams, .check_fd = check_fd };
	f.call.mem = (struct guest_mem){ .data = f.memory, .size = SIZE };
	return streams_add_visitor(&f.streams, pair[0], true, &f.fd);
}

static int teardown(void **state)
{
	close(f.peer);
	streams_deinit(&f.streams);
	return 0;
}

#define CALL(fn, ...) call_with(fn, (const uint32_t[CALL_ARGS_MAX]){ __VA_ARGS__ })

static int call_with(call_fn fn, const uint32_t *args)
{
	memcpy(f.call.arg, args, sizeof(f.call.arg));
	return fn(&f.call);
}

static void put_buffer(uint32_t address, uint32_t len)
{
	guest_store_u32(f.memory + VEC, address);
	guest_store_u32(f.memory + VEC + 4, len);
}

/* Connects to the listener. */
static int visit(void)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(getsockname(f.streams.listener.fd, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
	return fd;
}

static void test_bad_pointers_lose_nothing(void **state)
{
	assert_int_equal(write(f.peer, "abc", 3), 3);
	put_buffer(DATA, 3);
	assert_int_equal(CALL(call_fd_read, f.fd, VEC, 1, NOWHERE), -EFAULT);
	assert_int_equal(CALL(call_fd_read, f.fd, NOWHERE, 1, RET), -EFAULT);
	assert_int_equal(CALL(call_fd_read, f.fd, VEC, UINT32_MAX, RET), -EFAULT);
	assert_int_equal(CALL(call_sock_recv, f.fd, VEC, 1, 0, RET, NOWHERE), -EFAULT);
	assert_int_equal(CALL(call_sock_recv, f.fd, VEC, 1, 4, RET, RET), -EINVAL);
	put_buffer(SIZE - 2, 3);
	assert_int_equal(CALL(call_fd_read, f.fd, VEC, 1, RET), -EFAULT);
	put_buffer(DATA, 3);
	assert_int_equal(CALL(call_fd_read, f.fd, VEC, 1, RET), 0);
	assert_int_equal(guest_load_u32(f.memory + RET), 3);
	assert_memory_equal(f.memory + DATA, "abc", 3);
}

static void test_accept(void **state)
{
	int visitor = visit();

	assert_int_equal(CALL(call_sock_accept, LISTENER, 0, NOWHERE), -EFAULT);
	assert_int_equal(CALL(call_sock_accept, LISTENER, 1, RET), -EINVAL);
	assert_int_equal(CALL(call_sock_accept, LISTENER, 0, RET), 0);
	assert_true(guest_load_u32(f.memory + RET) > f.fd);
	assert_int_equal(CALL(call_fd_fdstat_set_flags, LISTENER, WASI_FDFLAG_NONBLOCK), 0);
	assert_int_equal(CALL(call_sock_accept, LISTENER, 0, RET), -EAGAIN);
	assert_int_equal(CALL(call_sock_accept, f.fd, 0, RET), -EINVAL);
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
	assert_int_equal(CALL(call_fd_fdstat_get, LISTENER, RET), 0);
	assert_int_equal(guest_load_u16(f.memory + RET + WASI_FDSTAT_FLAGS), 0);
	assert_int_equal(CALL(call_fd_filestat_get, LISTENER, RET), 0);
	f.call.deadline_ms = clock_now_ms() + 20;
	assert_int_equal(CALL(call_sock_accept, LISTENER, 0, RET), CALL_EXPIRED);
	assert_true(clock_now_ms() >= f.call.deadline_ms);
	assert_int_equal(CALL(call_fd_fdstat_set_flags, LISTENER, WASI_FDFLAG_NONBLOCK), 0);
	assert_int_equal(CALL(call_sock_accept, LISTENER, 0, RET), -EAGAIN);
	assert_int_equal(CALL(call_fd_fdstat_set_flags, LISTENER, 0), 0);
	assert_int_equal(CALL(call_fd_fdstat_get, LISTENER, RET), 0);
	assert_int_equal(guest_load_u16(f.memory + RET + WASI_FDSTAT_FLAGS), 0);
	assert_int_equal(CALL(call_sock_accept, LISTENER, 0, RET), CALL_EXPIRED);
}

/* Go takes no listener that blocks, and makes its standard streams non-blocking at its start. */
static void test_a_program_that_never_blocks(void **state)
{
	for (uint32_t fd = 0; fd < 3; fd++) {
		assert_int_equal(CALL(call_fd_fdstat_get, LISTENER, RET), 0);
		assert_int_equal(guest_load_u16(f.memory + RET + WASI_FDSTAT_FLAGS), 0);
		assert_int_equal(
			CALL(call_fd_fdstat_set_flags, fd, WASI_FDFLAG_NONBLOCK), CALL_FORWARD);
	}
	assert_int_equal(CALL(call_fd_fdstat_get, LISTENER, RET), 0);
	assert_int_equal(guest_load_u16(f.memory + RET + WASI_FDSTAT_FLAGS), WASI_FDFLAG_NONBLOCK);
	assert_int_equal(CALL(call_sock_accept, LISTENER, 0, RET), -EAGAIN);
}

/* A read of no bytes waited for some. Nothing is there, and nothing is asked for. */
static void test_no_bytes(void **state)
{
	static const call_fn fns[] = { call_fd_read, call_fd_write, call_sock_send };
	int pipe_ends[2];

	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
	f.streams.standard[0].fd = pipe_ends[0];
	f.call.deadline_ms = clock_now_ms() + 20;
	assert_int_equal(CALL(call_fd_fdstat_set_flags, f.fd, 0), 0);
	for (uint32_t count = 0; count <= 1; count++) {
		put_buffer(DATA, 0);
		for (size_t i = 0; i < ARRAY_LEN(fns); i++) {
			guest_store_u32(f.memory + RET, 77);
			assert_int_equal(CALL(fns[i], f.fd, VEC, count,
						 fns[i] == call_sock_send ? 0 : RET, RET),
				0);
			assert_int_equal(guest_load_u32(f.memory + RET), 0);
		}
		for (uint32_t flags = 0; flags <= WASI_RECV_WAITALL; flags++)
			assert_int_equal(
				CALL(call_sock_recv, f.fd, VEC, count, flags, RET, RET + 8), 0);
		assert_int_equal(CALL(call_fd_read, 0, VEC, count, RET), 0);
	}
	assert_int_equal(CALL(call_fd_read, LISTENER, VEC, 0, RET), -ENOTCONN);
	put_buffer(DATA, 1);
	assert_int_equal(CALL(call_fd_read, 0, VEC, 1, RET), CALL_EXPIRED);
	assert_int_equal(CALL(call_fd_read, f.fd, VEC, 1, RET), CALL_EXPIRED);
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
	assert_int_equal(CALL(call_fd_prestat, LISTENER, RET), -EBADF);
	assert_int_equal(CALL(call_clock_time_get, WASI_CLOCK_PROCESS_CPU, 0, RET), CALL_FORWARD);
	assert_int_equal(CALL(call_fd_renumber, 7, f.fd), -EOPNOTSUPP);
	assert_int_equal(CALL(call_fd_renumber, 7, 1), CALL_FORWARD);
}

static void test_closed_sockets(void **state)
{
	put_buffer(DATA, 1);
	assert_int_equal(CALL(call_fd_close, f.fd), 0);
	assert_int_equal(CALL(call_fd_close, f.fd), -EBADF);
	assert_int_equal(CALL(call_fd_write, f.fd, VEC, 1, RET), -EBADF);
	assert_int_equal(CALL(call_sock_shutdown, f.fd, WASI_SHUT_WR), -EBADF);
	assert_int_equal(CALL(call_fd_write, LISTENER, VEC, 1, RET), -ENOTCONN);
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
	put_subscription(1, WASI_EVENT_FD_READ, LISTENER, 0);
	put_subscription(2, WASI_EVENT_FD_READ, f.fd, 0);
	put_subscription(3, WASI_EVENT_FD_WRITE, f.fd, 0);
	assert_int_equal(CALL(call_poll_oneoff, IN, OUT, 4, RET), 0);
	assert_int_equal(guest_load_u32(f.memory + RET), 1);
	assert_event(0, 103, 0, 1);
	assert_int_equal(write(f.peer, "abc", 3), 3);
	assert_int_equal(CALL(call_poll_oneoff, IN, OUT, 3, RET), 0);
	assert_int_equal(guest_load_u32(f.memory + RET), 1);
	assert_event(0, 102, 0, 3);
	assert_int_equal(f.checked, 0);
}

/* While one instance replaces another they share the listener: who had been told of a connection
 * that the other one took then waited for the next, and all its visitors with it. */
static void test_poll_announces_for_another(void **state)
{
	int visitor = visit();

	put_subscription(0, WASI_EVENT_FD_READ, LISTENER, 0);
	assert_int_equal(CALL(call_poll_oneoff, IN, OUT, 1, RET), 0);
	close(accept(f.streams.listener.fd, NULL, NULL));
	assert_int_equal(CALL(call_sock_accept, LISTENER, 0, RET), -EAGAIN);
	f.call.deadline_ms = clock_now_ms() + 20;
	assert_int_equal(CALL(call_sock_accept, LISTENER, 0, RET), CALL_EXPIRED);
	close(visitor);
}

static void test_poll_answers_at_once(void **state)
{
	put_subscription(0, WASI_EVENT_FD_READ, 7, 0);
	put_subscription(1, WASI_EVENT_FD_READ, 8, 0);
	put_subscription(2, WASI_EVENT_FD_READ, f.fd, 0);
	put_subscription(3, WASI_EVENT_FD_WRITE, f.fd + 1, 0);
	put_subscription(4, WASI_EVENT_CLOCK, WASI_CLOCK_THREAD_CPU, 0);
	assert_int_equal(CALL(call_poll_oneoff, IN, OUT, 5, RET), 0);
	assert_int_equal(guest_load_u32(f.memory + RET), 4);
	assert_event(0, 100, 0, 1);
	assert_event(1, 101, WASI_EBADF, 0);
	assert_event(2, 103, WASI_EBADF, 0);
	assert_event(3, 104, WASI_ENOTSUP, 0);
	assert_int_equal(f.checked, 2);
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
		{ NOWHERE, OUT, 1, RET, -EFAULT },
		{ UINT32_MAX, OUT, 1, RET, -EFAULT },
		{ IN, NOWHERE, 1, RET, -EFAULT },
		{ IN, OUT, 1, NOWHERE, -EFAULT },
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
