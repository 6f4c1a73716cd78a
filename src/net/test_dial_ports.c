/* SPDX-License-Identifier: MIT */
/*
 * Connecting where ports are few, in a network namespace with sixteen of them. On loopback
 * addresses the kernel reuses ports in TIME_WAIT by itself (tcp_tw_reuse 2), so that more
 * connections a minute than there are ports are tried with another address.
 */
#include "net/dial.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "base/fd.h"

#define ADDRESS "10.99.0.1"
#define PORTS "40000 40015"
#define CONNECTIONS 200

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	fd_close(fd);
}

/* A namespace of our own with one address on its loopback device. False: not allowed here. */
static bool enter_namespace(void)
{
	struct ifreq up = { .ifr_name = "lo" }, alias = { .ifr_name = "lo:1" };
	struct addr addr;
	int fd;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	up.ifr_flags = IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &up), 0);
	assert_int_equal(addr_parse_ip(ADDRESS, 0, &addr), 0);
	memcpy(&alias.ifr_addr, &addr.sa, sizeof(alias.ifr_addr));
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &alias), 0);
	fd_close(fd);
	write_file("/proc/sys/net/ipv4/ip_local_port_range", PORTS);
	return true;
}

static void test_ports_in_time_wait_are_taken_over(void **state)
{
	struct dialer dialer;
	struct dial dial;
	struct addr addr;
	uv_loop_t loop;
	socklen_t len = sizeof(int);
	int l, fd = -1, peer, keepalive = 0;
	char got;

	if (!enter_namespace()) {
		print_message("network namespaces are not allowed here\n");
		skip();
	}
	assert_int_equal(addr_parse_ip(ADDRESS, 5000, &addr), 0);
	l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(l, &addr.sa, addr_len(&addr)), 0);
	assert_int_equal(listen(l, 8), 0);
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(dialer_init(&dialer, &loop, ADDRESS, 5000), 0);
	for (int i = 0; i < CONNECTIONS; i++) {
		assert_int_equal(dial_start(&dial, &dialer, &fd), 1);
		assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, &len), 0);
		assert_int_equal(keepalive, 1);
		peer = accept4(l, NULL, NULL, SOCK_CLOEXEC);
		assert_true(peer >= 0);
		/* We close first, so TIME_WAIT is ours. */
		fd = fd_close(fd);
		assert_int_equal(recv(peer, &got, 1, 0), 0);
		fd_close(peer);
	}
	assert_int_equal(uv_loop_close(&loop), 0);
	fd_close(l);
}

/* An application that had ended seemed to be there, once for as many visitors as there are ports:
 * the kernel had given the socket the port that it was to connect to. */
static void test_nobody_is_not_ourselves(void **state)
{
	struct dialer dialer;
	struct dial dial;
	struct addr addr;
	uv_loop_t loop;
	int l, fd = -1;

	if (!enter_namespace()) {
		print_message("network namespaces are not allowed here\n");
		skip();
	}
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(dialer_init(&dialer, &loop, "127.0.0.1", 40004), 0);
	for (int i = 0; i < CONNECTIONS; i++)
		assert_int_equal(dial_start(&dial, &dialer, &fd), -ECONNREFUSED);
	assert_int_equal(addr_parse_ip("127.0.0.1", 40004, &addr), 0);
	l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(l, &addr.sa, addr_len(&addr)), 0);
	assert_int_equal(listen(l, 8), 0);
	assert_int_equal(dial_start(&dial, &dialer, &fd), 1);
	fd_close(fd);
	fd_close(l);
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* Without IPv6 the kernel says EADDRNOTAVAIL of ::1: that is no lack of ports, and not what is told
 * when nobody listens on localhost. */
static void test_localhost_without_ipv6(void **state)
{
	struct dialer dialer;
	struct dial dial;
	uv_loop_t loop;
	int fd = -1;

	if (!enter_namespace()) {
		print_message("network namespaces are not allowed here\n");
		skip();
	}
	write_file("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(dialer_init(&dialer, &loop, "localhost", 9), 0);
	assert_int_equal(dial_start(&dial, &dialer, &fd), -ECONNREFUSED);
	assert_int_equal(dialer.ports.crowded_ms, 0);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports_in_time_wait_are_taken_over),
		cmocka_unit_test(test_nobody_is_not_ourselves),
		cmocka_unit_test(test_localhost_without_ipv6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
