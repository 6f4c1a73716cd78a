/* SPDX-License-Identifier: MIT */
/*
 * Sockets and names by a broker. The library (TEST_PRELOAD) looks at the environment before main(),
 * and seals the program: this one makes what is inherited, and starts itself again with it. The
 * broker is a thread of its own; what it calls of the library knows no broker's socket.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/test_fake_broker.h"

#define LISTEN_FD 7
#define BROKER_FD 8
#define FAKE_FD 9

static struct fake_broker broker;

static int call_with(
	int (*call)(int, const struct sockaddr *, socklen_t), int fd, uint32_t ipv4, uint16_t port)
{
	const struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(ipv4)
	};

	return call(fd, (const struct sockaddr *)&addr, sizeof addr);
}

static int new_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

static uint16_t named_port(int fd)
{
	struct sockaddr_in name = { 0 };
	socklen_t len = sizeof name;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(len, sizeof name);
	return ntohs(name.sin_port);
}

static uint16_t kernel_port(int fd)
{
	struct sockaddr_in name = { 0 };
	socklen_t len = sizeof name;

	assert_int_equal(syscall(SYS_getsockname, fd, &name, &len), 0);
	return ntohs(name.sin_port);
}

/* A listener by the broker. */
static int second_listener(void)
{
	int fd = new_socket();

	assert_int_equal(call_with(bind, fd, INADDR_ANY, FAKE_PORT), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void test_bind(void **state)
{
	int first = new_socket(), second, third = new_socket();

	assert_int_equal(call_with(bind, first, INADDR_ANY, FAKE_GATE), 0);
	assert_int_equal(kernel_port(first), kernel_port(LISTEN_FD));
	assert_int_equal(named_port(first), FAKE_GATE);
	assert_int_equal(broker.requests, 1);
	assert_int_equal(listen(first, 8), 0);
	second = second_listener();
	assert_int_not_equal(kernel_port(second), kernel_port(LISTEN_FD));
	assert_int_equal(named_port(second), FAKE_PORT);
	assert_int_equal(fcntl(second, F_GETFD), FD_CLOEXEC);
	assert_int_equal(call_with(bind, third, INADDR_ANY, FAKE_PORT + 1), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(broker.requests, 3);
	assert_int_equal(call_with(connect, second, FAKE_IPV4, 1), -1);
	assert_int_equal(errno, EINVAL);
	(void)close(first);
	(void)close(second);
	(void)close(third);
}

static int int_option(int fd, int level, int name)
{
	int value;
	socklen_t len = sizeof value;

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void test_connect(void **state)
{
	int gate = new_socket(), listener, fd = new_socket(), visitor, on = 1, ttl = 7;
	struct sockaddr_in peer = { 0 };
	socklen_t len = sizeof peer;
	uint16_t port;
	char byte;

	assert_int_equal(call_with(bind, gate, INADDR_ANY, FAKE_GATE), 0);
	listener = second_listener();
	port = kernel_port(listener);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl), 0);

	assert_int_equal(call_with(connect, fd, FAKE_IPV4 + 1, port), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &len), -1);
	assert_int_equal(errno, ENOTCONN);
	assert_int_equal(call_with(connect, fd, FAKE_IPV4, 1), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_int_equal(call_with(connect, fd, FAKE_IPV4, port), 0);
	assert_int_equal(call_with(connect, fd, FAKE_IPV4, port), -1);
	assert_int_equal(errno, EISCONN);

	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(int_option(fd, SOL_SOCKET, SO_ERROR), 0);
	assert_int_equal(int_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(int_option(fd, IPPROTO_IP, IP_TTL), 7);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
	assert_int_equal(peer.sin_addr.s_addr, htonl(FAKE_IPV4));
	assert_int_equal(peer.sin_port, htons(port));
	visitor = accept4(listener, NULL, NULL, 0);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	assert_int_equal(recv(visitor, &byte, 1, 0), 1);

	/* The number belongs to another socket now, of which nothing is known. */
	(void)close(fd);
	assert_int_equal(new_socket(), fd);
	assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &len), -1);
	assert_int_equal(errno, ENOTCONN);
	(void)close(fd);
	(void)close(visitor);
	(void)close(listener);
	(void)close(gate);
}

static void test_a_blocking_one_blocks(void **state)
{
	int gate = new_socket(), listener, fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(call_with(bind, gate, INADDR_ANY, FAKE_GATE), 0);
	listener = second_listener();
	assert_int_equal(call_with(connect, fd, FAKE_IPV4, kernel_port(listener)), 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	(void)close(fd);
	(void)close(listener);
	(void)close(gate);
}

static void test_names(void **state)
{
	const struct addrinfo hint = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;

	assert_int_equal(getaddrinfo(FAKE_NAME, NULL, &hint, &list), 0);
	assert_int_equal(((const struct sockaddr_in *)(void *)list->ai_addr)->sin_addr.s_addr,
		htonl(FAKE_IPV4));
	assert_non_null(list->ai_next);
	freeaddrinfo(list);
	assert_int_equal(getaddrinfo("refused.test", NULL, &hint, &list), EAI_NONAME);
}

/* The supervisor has died. The last test. */
static void test_gone(void **state)
{
	struct addrinfo *list = NULL;
	int fd = new_socket();

	fake_broker_die(&broker);
	assert_int_equal(call_with(connect, fd, FAKE_IPV4, 1), -1);
	assert_int_equal(errno, ECONNREFUSED);
	assert_int_equal(getaddrinfo(FAKE_NAME, NULL, NULL, &list), EAI_AGAIN);
	(void)close(fd);
}

static void inherit(void)
{
	const char *library = getenv("TEST_PRELOAD");
	int ends[2], fd = new_socket();

	if (!library || call_with(bind, fd, INADDR_LOOPBACK, 0) < 0 || listen(fd, 8) < 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	(void)dup2(fd, LISTEN_FD);
	(void)dup2(ends[0], BROKER_FD);
	(void)dup2(ends[1], FAKE_FD);
	setenv("WASMRUN_LISTEN_FD", "7", 1);
	setenv("WASMRUN_BROKER_FD", "8", 1);
	setenv("LD_PRELOAD", library, 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_a_blocking_one_blocks),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_gone),
	};

	if (!getenv("WASMRUN_BROKER_FD")) {
		inherit();
		execv("/proc/self/exe", argv);
		return EXIT_FAILURE;
	}
	fake_broker_start_at(&broker, BROKER_FD, FAKE_FD, fake_broker_serve);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
