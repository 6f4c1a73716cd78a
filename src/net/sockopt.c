/* SPDX-License-Identifier: MIT */
/* The socket options that all TCP sockets here share. Owns nothing. */
#include "net/sockopt.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/fd.h"

int sockopt_set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

void sockopt_set_local(int fd)
{
	(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", strlen("reno"));
}

int sockopt_take_error(int fd)
{
	socklen_t len = sizeof(int);
	int error = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? -errno : -error;
}

bool sockopt_tcp_info(int fd, struct tcp_info *ret_info)
{
	socklen_t len = sizeof(*ret_info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, ret_info, &len) == 0;
}

static uint64_t sockopt_count(int fd, unsigned long what)
{
	int count;

	return ioctl(fd, what, &count) == 0 && count > 0 ? (uint64_t)count : 0;
}

uint64_t sockopt_queued(int fd)
{
	return sockopt_count(fd, SIOCOUTQ);
}

uint64_t sockopt_unsent(int fd)
{
	return sockopt_count(fd, SIOCOUTQNSD);
}

void sockopt_set_stream(int fd, bool remote)
{
	(void)sockopt_set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	/* Before the first urgent byte comes: a second one makes the kernel drop it (tcp_urg()). */
	(void)sockopt_set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	if (!remote) {
		sockopt_set_local(fd);
		return;
	}
	(void)sockopt_set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	(void)sockopt_set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, SOCKOPT_KEEP_IDLE_S);
	(void)sockopt_set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, SOCKOPT_KEEP_INTERVAL_S);
	(void)sockopt_set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, SOCKOPT_KEEP_COUNT);
}

void sockopt_set_reset(int fd)
{
	const struct linger none = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

void sockopt_lift_reset(int fd)
{
	const struct linger off = { .l_onoff = 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
}

void sockopt_close_in_order(int fd)
{
	if (fd < 0)
		return;
	sockopt_lift_reset(fd);
	(void)fd_close(fd);
}
