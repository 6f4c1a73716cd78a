/* SPDX-License-Identifier: MIT */
/* The two ends of a TCP connection of this process, and a stranger who gets in between. */
#include "net/stream_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/test_open_fds.h"
#include "net/addr.h"

int __real_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len);

#define STRANGERS_MAX 100

static int strangers[STRANGERS_MAX];
static int stranger_count; /* that connect ahead of each connect(2) */
static bool crowded;       /* so that there is no room left for ours */

int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	for (int i = 0; i < stranger_count; i++) {
		strangers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		/* There is room for a few, who are in at once. */
		if (__real_connect(strangers[i], addr, len) < 0)
			assert_int_equal(errno, EINPROGRESS);
	}
	if (!crowded)
		return __real_connect(fd, addr, len);
	errno = EINPROGRESS;
	return -1;
}

static struct addr peer_of(int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	struct addr addr;

	assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
	assert_int_equal(addr_from_sockaddr((struct sockaddr *)&peer, &addr), 0);
	return addr;
}

static void expect_pair(void)
{
	struct addr own[2], peer[2];
	char text[6] = "";
	int fds[2];

	assert_int_equal(stream_pair_open(fds), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(addr_of_socket(fds[i], &own[i]), 0);
		peer[i] = peer_of(fds[i]);
		assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		assert_true(addr_is_loopback(&own[i]));
	}
	assert_true(addr_equal(&own[0], &peer[1]));
	assert_true(addr_equal(&own[1], &peer[0]));
	for (int i = 0; i < 2; i++) {
		struct pollfd waits = { .fd = fds[!i], .events = POLLIN };

		assert_int_equal(send(fds[i], "hello", 5, 0), 5);
		assert_int_equal(poll(&waits, 1, 10000), 1);
		assert_int_equal(recv(fds[!i], text, 5, 0), 5);
		assert_string_equal(text, "hello");
	}
	(void)fd_close(fds[0]);
	(void)fd_close(fds[1]);
}

static void test_pair(void **state)
{
	expect_pair();
}

static void test_strangers_get_nothing(void **state)
{
	char byte;

	stranger_count = 8;
	expect_pair();
	for (int i = 0; i < stranger_count; i++) {
		struct pollfd waits = { .fd = strangers[i], .events = POLLIN };

		assert_int_equal(poll(&waits, 1, 10000), 1);
		assert_true(recv(strangers[i], &byte, 1, 0) <= 0);
		(void)fd_close(strangers[i]);
	}
	stranger_count = 0;
}

/* They keep us out. Nobody waits for that to end, and nothing stays behind. */
static void test_crowd_of_strangers(void **state)
{
	unsigned before = test_open_fds();
	int fds[2];

	stranger_count = STRANGERS_MAX;
	crowded = true;
	assert_int_equal(stream_pair_open(fds), -EAGAIN);
	for (int i = 0; i < stranger_count; i++)
		(void)fd_close(strangers[i]);
	stranger_count = 0;
	crowded = false;
	assert_int_equal(test_open_fds(), before);
	expect_pair();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pair),
		cmocka_unit_test(test_strangers_get_nothing),
		cmocka_unit_test(test_crowd_of_strangers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
