/* SPDX-License-Identifier: MIT */
/* WasmEdge's addresses in both forms, and sockets whose pointers lead nowhere: nothing is lost. */
#include "guest/wasmedge.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lang.h"
#include "broker/test_fake_broker.h"
#include "guest/drain.h"
#include "guest/test_call_fixture.h"
#include "guest/wasi.h"

/* Places in the guest's memory. */
enum { ADDRESS = 0, VEC = 16, RET = 64, BYTES = 128, DATA = 512 };

static int setup(void **state)
{
	call_fixture_open();
	return 0;
}

static int teardown(void **state)
{
	call_fixture_close();
	return 0;
}

static void put_address(uint32_t at, uint32_t len)
{
	call_fixture_put_vector(ADDRESS, at, len);
}

/* 127.0.0.1, in the form of the given length. */
static void put_loopback(uint32_t len)
{
	static const uint8_t storage[] = { WASMEDGE_INET4, 0, 127, 0, 0, 1 };

	memcpy(f.memory + BYTES, len == 4 ? storage + 2 : storage, len == 4 ? 4 : sizeof(storage));
	put_address(BYTES, len);
}

static uint32_t open_socket(uint32_t type)
{
	assert_int_equal(CALL(wasmedge_sock_open, WASMEDGE_INET4, type, RET), 0);
	return guest_load_u32(f.memory + RET);
}

static void test_addresses_in(void **state)
{
	struct sockaddr_storage addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr;
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&addr;
	socklen_t len;

	for (uint32_t size = 4; size <= WASMEDGE_STORAGE_SIZE; size += 124) {
		put_loopback(size);
		assert_int_equal(wasmedge_addr_load(&f.call.mem, ADDRESS, 80, &addr, &len), 0);
		assert_int_equal(len, sizeof(*in4));
		assert_int_equal(in4->sin_port, htons(80));
		assert_int_equal(in4->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	}
	f.memory[BYTES] = WASMEDGE_INET6;
	assert_int_equal(wasmedge_addr_load(&f.call.mem, ADDRESS, UINT16_MAX, &addr, &len), 0);
	assert_int_equal(len, sizeof(*in6));
	assert_int_equal(in6->sin6_family, AF_INET6);
	assert_memory_equal(&in6->sin6_addr, f.memory + BYTES + 2, 16);
	put_address(BYTES, 16);
	assert_int_equal(wasmedge_addr_load(&f.call.mem, ADDRESS, 1, &addr, &len), 0);
	assert_memory_equal(&in6->sin6_addr, f.memory + BYTES, 16);
}

static void test_hostile_addresses(void **state)
{
	static const struct {
		uint32_t at, len, port;
		int result;
	} cases[] = {
		{ BYTES, 4, UINT16_MAX + 1, -EINVAL },
		{ BYTES, 0, 1, -EINVAL },
		{ BYTES, 5, 1, -EINVAL },
		{ BYTES, 127, 1, -EINVAL },
		{ BYTES, 128, 1, -EAFNOSUPPORT },
		{ BYTES, FIXTURE_SIZE, 1, -EFAULT },
		{ FIXTURE_SIZE - 3, 4, 1, -EFAULT },
		{ FIXTURE_SIZE - 15, 16, 1, -EFAULT },
		{ FIXTURE_SIZE - 127, 128, 1, -EFAULT },
		{ UINT32_MAX, 4, 1, -EFAULT },
		{ 0, UINT32_MAX, 1, -EFAULT },
	};
	struct sockaddr_storage addr;
	socklen_t len;

	f.memory[BYTES] = 3;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		put_address(cases[i].at, cases[i].len);
		assert_int_equal(
			wasmedge_addr_load(&f.call.mem, ADDRESS, cases[i].port, &addr, &len),
			cases[i].result);
	}
	assert_int_equal(
		wasmedge_addr_load(&f.call.mem, FIXTURE_SIZE - 7, 1, &addr, &len), -EFAULT);
}

static void test_addresses_out(void **state)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET,
		.sin_port = htons(80),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_storage addr = { .ss_family = AF_INET6 };
	struct wasmedge_place place = { .at = f.memory + DATA, .len = 4 };
	enum wasmedge_family family;
	uint16_t port;

	assert_int_equal(wasmedge_addr_store(&place, true, &addr, &family, &port), -ENOMEM);
	memcpy(&addr, &in4, sizeof(in4));
	assert_int_equal(wasmedge_addr_store(&place, true, &addr, &family, &port), 0);
	assert_int_equal(family, WASMEDGE_INET4);
	assert_int_equal(port, 80);
	assert_memory_equal(f.memory + DATA, &in4.sin_addr, 4);
	place.len = WASMEDGE_STORAGE_SIZE;
	assert_int_equal(wasmedge_addr_store(&place, true, &addr, &family, &port), 0);
	assert_int_equal(guest_load_u16(f.memory + DATA), WASMEDGE_INET4);
	assert_memory_equal(f.memory + DATA + 2, &in4.sin_addr, 4);
	assert_int_equal(wasmedge_addr_store(&place, false, &addr, &family, &port), 0);
	assert_memory_equal(f.memory + DATA, &in4.sin_addr, 4);
	addr.ss_family = AF_UNIX;
	assert_int_equal(wasmedge_addr_store(&place, false, &addr, &family, &port), -EAFNOSUPPORT);
}

/* Neither a datagram nor a connection is taken before it is known where it goes. */
static void test_bad_pointers_lose_nothing(void **state)
{
	uint32_t in = open_socket(WASMEDGE_DGRAM), out = open_socket(WASMEDGE_DGRAM), port;

	put_loopback(4);
	assert_int_equal(CALL(wasmedge_sock_bind, in, ADDRESS, 0), 0);
	put_loopback(128);
	assert_int_equal(CALL(wasmedge_sock_getlocaladdr_v2, in, ADDRESS, RET), 0);
	port = guest_load_u32(f.memory + RET);
	assert_int_not_equal(port, 0);
	guest_store_u32(f.memory + VEC, DATA);
	guest_store_u32(f.memory + VEC + 4, 3);
	assert_int_equal(
		CALL(wasmedge_sock_send_to, out, VEC, 1, ADDRESS, port, 0, FIXTURE_NOWHERE),
		-EFAULT);
	assert_int_equal(
		CALL(wasmedge_sock_send_to, out, VEC, 1, FIXTURE_NOWHERE, port, 0, RET), -EFAULT);
	assert_int_equal(CALL(wasmedge_sock_send_to, out, VEC, 1, ADDRESS, port, 1, RET), -EINVAL);
	memcpy(f.memory + DATA, "abc", 3);
	assert_int_equal(CALL(wasmedge_sock_send_to, out, VEC, 1, ADDRESS, port, 0, RET), 0);
	for (unsigned bad = 1; bad < 8; bad++) {
		uint32_t arg[8] = { in, VEC, 1, ADDRESS, 0, RET, RET, RET };

		if (bad == 2 || bad == 4)
			continue;
		arg[bad] = FIXTURE_NOWHERE;
		assert_int_equal(call_fixture_call(wasmedge_sock_recv_from_v2, arg), -EFAULT);
	}
	memset(f.memory + DATA, 0, 3);
	assert_int_equal(
		CALL(wasmedge_sock_recv_from_v2, in, VEC, 1, ADDRESS, 0, RET, RET + 4, RET + 8), 0);
	assert_memory_equal(f.memory + DATA, "abc", 3);
	assert_int_equal(guest_load_u32(f.memory + RET + 4), 3);
}

static void test_the_first_bound_socket_is_the_listener(void **state)
{
	int listener, ends[2];
	uint32_t first = open_socket(WASMEDGE_STREAM), second = open_socket(WASMEDGE_STREAM);
	char byte;

	call_fixture_listen();
	listener = f.streams.listener.fd;
	assert_int_equal(pipe(ends), 0);
	f.streams.status_fd = ends[1];
	put_loopback(4);
	assert_int_equal(CALL(wasmedge_sock_bind, 1, ADDRESS, 1), -ENOTSOCK);
	assert_int_equal(CALL(wasmedge_sock_bind, first, ADDRESS, 1), 0);
	assert_int_equal(streams_find(&f.streams, first)->fd, listener);
	assert_null(streams_find(&f.streams, FIXTURE_LISTENER));
	assert_int_equal(f.streams.step, STREAMS_BEGUN);
	assert_int_equal(CALL(wasmedge_sock_listen, first, 1), 0);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(CALL(wasmedge_sock_bind, second, ADDRESS, 0), 0);
	assert_int_equal(CALL(wasmedge_sock_connect, first, ADDRESS, 1), -EOPNOTSUPP);
	assert_int_equal(CALL(wasmedge_sock_accept, second, RET), -EINVAL);
	close(ends[0]);
	close(ends[1]);
}

static struct fake_broker broker;

static int setup_broker(void **state)
{
	call_fixture_open();
	fake_broker_start(&broker, fake_broker_serve);
	f.streams.broker_fd = broker.client.fd;
	return 0;
}

static int teardown_broker(void **state)
{
	call_fixture_close();
	fake_broker_stop(&broker);
	return 0;
}

static void put_ipv4(uint32_t ipv4)
{
	ipv4 = htonl(ipv4);
	memcpy(f.memory + BYTES, &ipv4, sizeof(ipv4));
	put_address(BYTES, sizeof(ipv4));
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in name = { 0 };
	socklen_t len = sizeof(name);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	return ntohs(name.sin_port);
}

/* The port and the first byte of an end's address; or the error. */
static int end_of(call_fn fn, uint32_t number, uint8_t *ret_byte)
{
	int r;

	memset(f.memory + DATA, 0, WASMEDGE_STORAGE_SIZE);
	put_address(DATA, WASMEDGE_STORAGE_SIZE);
	r = CALL(fn, number, ADDRESS, RET);
	*ret_byte = f.memory[DATA + 2];
	return r < 0 ? r : (int)guest_load_u32(f.memory + RET);
}

static void test_a_socket_that_is_nothing_yet(void **state)
{
	uint32_t number = open_socket(WASMEDGE_STREAM);
	uint8_t byte;

	assert_true(streams_find(&f.streams, number)->unmade);
	assert_int_equal(end_of(wasmedge_sock_getlocaladdr_v2, number, &byte), 0);
	assert_int_equal(guest_load_u16(f.memory + DATA), WASMEDGE_INET4);
	assert_int_equal(end_of(wasmedge_sock_getpeeraddr_v2, number, &byte), -ENOTCONN);
	call_fixture_put_vector(VEC, DATA, 3);
	assert_int_equal(CALL(call_sock_recv, number, VEC, 1, 0, RET, RET + 8), -ENOTCONN);
	assert_int_equal(CALL(call_sock_send, number, VEC, 1, 0, RET), -ENOTCONN);
	assert_int_equal(CALL(call_sock_shutdown, number, WASI_SHUT_WR), -ENOTCONN);
	assert_int_equal(CALL(wasmedge_sock_listen, number, 1), -EDESTADDRREQ);
	assert_int_equal(CALL(wasmedge_sock_open, WASMEDGE_INET4, WASMEDGE_DGRAM, RET), -EACCES);
}

static void test_the_broker_listens_and_connects(void **state)
{
	uint32_t first, second, third, out;
	struct stream *listener, *s;
	uint8_t byte;

	call_fixture_listen();
	first = open_socket(WASMEDGE_STREAM);
	second = open_socket(WASMEDGE_STREAM);
	third = open_socket(WASMEDGE_STREAM);
	put_ipv4(INADDR_ANY);
	/* The first is the listener that there is: the broker is only told. */
	assert_int_equal(CALL(wasmedge_sock_bind, first, ADDRESS, FAKE_GATE), 0);
	assert_true(streams_find(&f.streams, first)->shared);
	assert_int_equal(broker.requests, 1);
	assert_int_equal(end_of(wasmedge_sock_getlocaladdr_v2, first, &byte), FAKE_GATE);
	put_ipv4(INADDR_ANY);
	assert_int_equal(CALL(wasmedge_sock_bind, second, ADDRESS, FAKE_PORT), 0);
	assert_int_equal(CALL(wasmedge_sock_listen, second, 1), 0);
	assert_int_equal(end_of(wasmedge_sock_getlocaladdr_v2, second, &byte), FAKE_PORT);
	assert_int_equal(byte, 0);
	put_ipv4(INADDR_ANY);
	assert_int_equal(CALL(wasmedge_sock_bind, second, ADDRESS, FAKE_PORT), -EINVAL);
	assert_int_equal(CALL(wasmedge_sock_bind, third, ADDRESS, FAKE_PORT + 1), -EACCES);

	out = open_socket(WASMEDGE_STREAM);
	put_ipv4(FAKE_IPV4);
	listener = streams_find(&f.streams, second);
	assert_int_equal(CALL(wasmedge_sock_connect, out, ADDRESS, port_of(listener->fd)), 0);
	assert_int_equal(CALL(wasmedge_sock_connect, out, ADDRESS, 1), -EISCONN);
	assert_int_equal(CALL(wasmedge_sock_bind, out, ADDRESS, 1), -EINVAL);
	assert_int_equal(CALL(wasmedge_sock_accept, second, RET), 0);
	s = streams_find(&f.streams, out);
	assert_int_equal(fcntl(s->fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(end_of(wasmedge_sock_getpeeraddr_v2, out, &byte), port_of(listener->fd));
	assert_int_equal(byte, FAKE_IPV4 >> 24);

	/* What is refused can be tried again. */
	put_ipv4(FAKE_IPV4 + 1);
	assert_int_equal(CALL(wasmedge_sock_connect, third, ADDRESS, 1), -EACCES);
	put_ipv4(FAKE_IPV4);
	assert_int_equal(CALL(wasmedge_sock_connect, third, ADDRESS, 1), -ECONNREFUSED);
	assert_int_equal(CALL(wasmedge_sock_connect, third, ADDRESS, port_of(listener->fd)), 0);
}

/* One that is bound to any port is called as the kernel calls it. */
static void test_any_port(void **state)
{
	uint32_t number;
	uint8_t byte;

	call_fixture_listen();
	number = open_socket(WASMEDGE_STREAM);
	put_ipv4(INADDR_ANY);
	assert_int_equal(CALL(wasmedge_sock_bind, number, ADDRESS, 0), 0);
	assert_int_equal(end_of(wasmedge_sock_getlocaladdr_v2, number, &byte),
		port_of(streams_find(&f.streams, number)->fd));
	assert_int_equal(byte, 127);
}

static int get_option(int fd, int name)
{
	struct linger value = { 0 };
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, name, &value, &len), 0);
	return name == SO_LINGER ? value.l_linger : value.l_onoff;
}

/* Options that were set before there was a socket. */
static void test_options_are_carried(void **state)
{
	enum { RCVBUF = 6, KEEPALIVE = 7, LINGER = 9 };
	uint32_t number = open_socket(WASMEDGE_STREAM);
	int before = get_option(streams_find(&f.streams, number)->fd, SO_SNDBUF), fd;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(listen(listener, 1), 0);
	guest_store_u32(f.memory + DATA, 1);
	guest_store_u32(f.memory + DATA + 4, 7);
	assert_int_equal(CALL(wasmedge_sock_setsockopt, number, 0, KEEPALIVE, DATA, 4), 0);
	assert_int_equal(CALL(wasmedge_sock_setsockopt, number, 0, LINGER, DATA, 8), 0);
	guest_store_u32(f.memory + DATA, 1 << 14);
	assert_int_equal(CALL(wasmedge_sock_setsockopt, number, 0, RCVBUF, DATA, 4), 0);
	put_ipv4(FAKE_IPV4);
	assert_int_equal(CALL(wasmedge_sock_connect, number, ADDRESS, port_of(listener)), 0);
	fd = streams_find(&f.streams, number)->fd;
	assert_int_equal(get_option(fd, SO_KEEPALIVE), 1);
	assert_int_equal(get_option(fd, SO_LINGER), 7);
	assert_int_equal(get_option(fd, SO_RCVBUF), 1 << 15);
	assert_int_not_equal(get_option(fd, SO_SNDBUF), before);
	(void)close(listener);
}

/* sock_getaddrinfo() for one answer: the host's error, or WASI's code with CALL_CODE. */
static int lookup(const char *node)
{
	enum { HINT = 1024, LIST = 1100, INFO = 1200, SOCKADDR = 1300, TEXT = 1400 };

	memset(f.memory + HINT, 0, TEXT - HINT);
	memcpy(f.memory + TEXT, node, strlen(node) + 1);
	guest_store_u32(f.memory + LIST, INFO);
	guest_store_u32(f.memory + INFO + 12, SOCKADDR);
	guest_store_u32(f.memory + SOCKADDR + 8, DATA);
	return CALL(wasmedge_sock_getaddrinfo, TEXT, (uint32_t)strlen(node), TEXT, 0, HINT, LIST, 1,
		RET);
}

static void test_names_are_the_brokers(void **state)
{
	assert_int_equal(lookup(FAKE_NAME), 0);
	assert_int_equal(guest_load_u32(f.memory + RET), 1);
	assert_int_equal(f.memory[DATA + 2], FAKE_IPV4 >> 24);
	assert_int_equal(lookup("refused.test"), CALL_CODE + 84);
	assert_int_equal(lookup("localhost"), 0);
	assert_int_equal(broker.requests, 2);
}

/* The wall without a broker: it may be that which visitors come by, and nothing else. */
static void test_nobody_to_ask(void **state)
{
	uint32_t first, second;

	f.streams.broker_fd = -1;
	f.streams.walled = true;
	call_fixture_listen();
	first = open_socket(WASMEDGE_STREAM);
	second = open_socket(WASMEDGE_STREAM);
	assert_true(streams_find(&f.streams, second)->unmade);
	put_ipv4(INADDR_ANY);
	assert_int_equal(CALL(wasmedge_sock_bind, first, ADDRESS, 8080), 0);
	assert_true(streams_find(&f.streams, first)->shared);
	assert_int_equal(CALL(wasmedge_sock_bind, second, ADDRESS, 8081), -EACCES);
	put_ipv4(FAKE_IPV4);
	assert_int_equal(CALL(wasmedge_sock_connect, second, ADDRESS, 80), -EACCES);
	assert_int_equal(CALL(wasmedge_sock_open, WASMEDGE_INET4, WASMEDGE_DGRAM, RET), -EACCES);
	assert_int_equal(lookup(FAKE_NAME), CALL_CODE + 84);
	assert_int_equal(broker.requests, 0);
}

static int answer_silence(const struct broker_request *request, struct broker_answer *answer)
{
	return FAKE_SILENCE;
}

/* The guest's time ends while it waits for somebody else. */
static void test_deadline(void **state)
{
	uint32_t number = open_socket(WASMEDGE_STREAM);

	broker.answer = answer_silence;
	put_ipv4(FAKE_IPV4);
	f.call.deadline_ms = clock_now_ms() + 1;
	assert_int_equal(CALL(wasmedge_sock_connect, number, ADDRESS, 1), CALL_EXPIRED);
	assert_int_equal(lookup(FAKE_NAME), CALL_EXPIRED);
	/* The machine's resolver is asked where there is no broker; no answer can be sooner. */
	f.streams.broker_fd = -1;
	assert_int_equal(lookup("127.0.0.1"), CALL_EXPIRED);
	f.call.deadline_ms = 0;
	assert_int_equal(lookup("127.0.0.1"), 0);
	assert_int_equal(f.memory[DATA + 2], 127);
}

/* It comes while the guest waits, which has no visitor. */
static int answer_drain(const struct broker_request *request, struct broker_answer *answer)
{
	(void)kill(getpid(), SIGUSR1);
	return FAKE_SILENCE;
}

static int drain_connect(void)
{
	uint32_t number = open_socket(WASMEDGE_STREAM);

	put_ipv4(FAKE_IPV4);
	return CALL(wasmedge_sock_connect, number, ADDRESS, 1);
}

static int drain_bind(void)
{
	uint32_t number = open_socket(WASMEDGE_STREAM);

	put_ipv4(FAKE_IPV4);
	return CALL(wasmedge_sock_bind, number, ADDRESS, FAKE_PORT);
}

static int drain_lookup(void)
{
	return lookup(FAKE_NAME);
}

static void test_drain(void **state)
{
	static int (*const waits[])(void) = { drain_connect, drain_bind, drain_lookup };

	broker.answer = answer_drain;
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		assert_int_equal(drain_open(), 0);
		assert_int_equal(waits[i](), CALL_DRAINED);
		assert_int_equal(broker.requests, i + 1);
		f.streams.drain_ms = 0;
		drain_close();
	}
}

#define TEST_BROKER(fn) cmocka_unit_test_setup_teardown(fn, setup_broker, teardown_broker)
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_addresses_in),
		TEST(test_hostile_addresses),
		TEST(test_addresses_out),
		TEST(test_bad_pointers_lose_nothing),
		TEST(test_the_first_bound_socket_is_the_listener),
		TEST_BROKER(test_a_socket_that_is_nothing_yet),
		TEST_BROKER(test_nobody_to_ask),
		TEST_BROKER(test_the_broker_listens_and_connects),
		TEST_BROKER(test_any_port),
		TEST_BROKER(test_options_are_carried),
		TEST_BROKER(test_names_are_the_brokers),
		TEST_BROKER(test_deadline),
		TEST_BROKER(test_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
