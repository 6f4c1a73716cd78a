/* SPDX-License-Identifier: MIT */
/* See the header. All waits are for an event that comes by itself, with a deadline far beyond it.
 */
#include "tcp_pair.h"

#include <linux/sockios.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define DEADLINE_MS 20000

int tcp_listen(struct in_addr host, struct sockaddr_in *ret_addr)
{
	socklen_t len = sizeof(*ret_addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	*ret_addr = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = host };
	assert_int_equal(bind(fd, (struct sockaddr *)ret_addr, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret_addr, &len), 0);
	return fd;
}

void tcp_pair(int ret_fd[2])
{
	struct sockaddr_in addr;
	int listener = tcp_listen((struct in_addr){ htonl(INADDR_LOOPBACK) }, &addr);

	ret_fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(ret_fd[0] >= 0);
	assert_int_equal(connect(ret_fd[0], (struct sockaddr *)&addr, sizeof(addr)), 0);
	ret_fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(ret_fd[1] >= 0);
	close(listener);
}

void tcp_reset(int fd)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	close(fd);
}

void tcp_wait_acknowledged(int fd)
{
	uint64_t start_ms = clock_now_ms();
	int queued;

	do {
		assert_int_equal(ioctl(fd, SIOCOUTQ, &queued), 0);
		assert_true(clock_now_ms() - start_ms < DEADLINE_MS);
		sched_yield();
	} while (queued > 0);
}

uint32_t tcp_wait_events(int fd, uint32_t events)
{
	uint64_t start_ms = clock_now_ms();
	uint32_t seen;

	do {
		struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
		int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

		assert_true(epoll_fd >= 0);
		assert_int_equal(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), 0);
		seen = epoll_wait(epoll_fd, &event, 1, 0) == 1 ? event.events : 0;
		close(epoll_fd);
		assert_true(clock_now_ms() - start_ms < DEADLINE_MS);
		sched_yield();
	} while ((seen & events) != events);
	return seen;
}
