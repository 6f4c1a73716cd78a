/* SPDX-License-Identifier: MIT */
/*
 * Who is left in TIME_WAIT, and how a port in it is used again: what net/dial builds on. Everything
 * happens in a network namespace of its own, on an address that isn't loopback to tcp_tw_reuse.
 */
#include "tcp_pair.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEST_HOST "192.0.2.1" /* RFC 5737 */
#define TEST_PORT 40000       /* the only ephemeral port of the namespace */

static struct in_addr host;

static void interface_up(int fd, const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_UP | IFF_RUNNING };

	strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
}

static void interface_address(int fd, const char *name)
{
	struct ifreq request = { 0 };
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = host };

	strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	memcpy(&request.ifr_addr, &addr, sizeof(addr));
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &request), 0);
}

static void write_sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, value, strlen(value)), (ssize_t)strlen(value));
	close(fd);
}

/* A fresh namespace, so a fresh table of connections, for each test. */
static void enter_namespace(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: no permission for a network namespace\n");
		skip();
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	host.s_addr = inet_addr(TEST_HOST);
	interface_up(fd, "lo");
	interface_address(fd, "lo:1");
	close(fd);
}

/* Sockets in TIME_WAIT in this namespace. */
static unsigned time_waits(void)
{
	FILE *f = fopen("/proc/thread-self/net/tcp", "re");
	unsigned count = 0;
	char line[256];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		count += strstr(line, " 06 ") != NULL;
	fclose(f);
	return count;
}

struct connection {
	struct sockaddr_in addr;
	int listener, near, far;
};

/* SO_REUSEADDR has to be on both the socket that leaves the port behind and the next one. */
static int new_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int one = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	return fd;
}

static void connection_open(struct connection *c)
{
	c->listener = tcp_listen(host, &c->addr);
	write_sysctl("/proc/sys/net/ipv4/ip_local_port_range", "40000 40000");
	c->near = new_socket();
	assert_int_equal(connect(c->near, (struct sockaddr *)&c->addr, sizeof(c->addr)), 0);
	c->far = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(c->far >= 0);
}

/* The near side closes first, the far side answers with its own FIN. */
static void connection_close_near_first(struct connection *c)
{
	char byte;

	assert_int_equal(shutdown(c->near, SHUT_WR), 0);
	assert_int_equal(recv(c->far, &byte, 1, 0), 0);
	close(c->far);
	tcp_wait_events(c->near, EPOLLHUP);
}

/*
 * The one that closes first stays in TIME_WAIT from the moment of the other's FIN, and closing the
 * socket with linger 0 afterwards changes nothing: the kernel has parted the two already.
 */
static void test_linger_0_behind_both_fins_changes_nothing(void **state)
{
	struct connection c;

	(void)state;
	enter_namespace();
	connection_open(&c);
	connection_close_near_first(&c);
	assert_int_equal(time_waits(), 1);
	tcp_reset(c.near);
	assert_int_equal(time_waits(), 1);
	close(c.listener);
}

/* Before the other's FIN it does avoid TIME_WAIT, but the other side sees a reset. */
static void test_linger_0_before_the_fin_resets(void **state)
{
	struct connection c;
	char byte;

	(void)state;
	enter_namespace();
	connection_open(&c);
	assert_int_equal(shutdown(c.near, SHUT_WR), 0);
	assert_int_equal(recv(c.far, &byte, 1, 0), 0);
	tcp_wait_acknowledged(c.near);
	tcp_reset(c.near);
	tcp_wait_events(c.far, EPOLLERR);
	assert_int_equal(time_waits(), 0);
	close(c.far);
	close(c.listener);
}

/*
 * With every ephemeral port in TIME_WAIT connect(2) finds none. But a port that was bound with
 * SO_REUSEADDR connects at once, even to the same address: the timestamps tell old from new.
 */
static void test_bound_port_is_reused_in_time_wait(void **state)
{
	struct sockaddr_in local = { .sin_family = AF_INET, .sin_port = htons(TEST_PORT) };
	struct connection c;
	int fd;

	(void)state;
	enter_namespace();
	connection_open(&c);
	connection_close_near_first(&c);
	close(c.near);
	assert_int_equal(time_waits(), 1);

	fd = new_socket();
	assert_int_equal(connect(fd, (struct sockaddr *)&c.addr, sizeof(c.addr)), -1);
	assert_int_equal(errno, EADDRNOTAVAIL);
	close(fd);

	fd = new_socket();
	local.sin_addr = host;
	assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof(local)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&c.addr, sizeof(c.addr)), 0);
	assert_int_equal(time_waits(), 0);
	close(fd);
	close(c.listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linger_0_behind_both_fins_changes_nothing),
		cmocka_unit_test(test_linger_0_before_the_fin_resets),
		cmocka_unit_test(test_bound_port_is_reused_in_time_wait),
	};

	return cmocka_run_group_tests_name("kernel/time_wait", tests, NULL, NULL);
}
