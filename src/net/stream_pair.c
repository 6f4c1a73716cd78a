/* SPDX-License-Identifier: MIT */
/*
 * There is no socketpair(2) of TCP, so it takes a listener, which lives as long as the call. Its
 * port can be found by anybody who can connect over loopback, hence the look at who was accepted.
 */
#include "net/stream_pair.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/owner.h"
#include "net/addr.h"
#include "net/sockopt.h"

#define STREAM_PAIR_BACKLOG 16
#define STREAM_PAIR_TRIES 64 /* of strangers that are passed over */
/* The kernel makes the connection by itself, mostly before connect(2) returns, and else as soon as
 * a processor has a moment: no process is waited for. */
#define STREAM_PAIR_WAIT_MS 100

static int stream_pair_listen(struct addr *ret_addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	(void)addr_parse_ip("127.0.0.1", 0, ret_addr);
	if (bind(fd, &ret_addr->sa, addr_len(ret_addr)) < 0 || listen(fd, STREAM_PAIR_BACKLOG) < 0)
		r = -errno;
	else
		r = addr_of_socket(fd, ret_addr);
	if (r < 0)
		(void)fd_close(fd);
	return r < 0 ? r : fd;
}

/* Of whoever waits, the one that comes from `from`. */
static int stream_pair_accept(int listener, const struct addr *from)
{
	struct pollfd waits = { .fd = listener, .events = POLLIN };

	for (int i = 0; i < STREAM_PAIR_TRIES; i++) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		struct addr addr;
		int fd = accept4(
			listener, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED)
			return -errno;
		if (fd < 0 && poll(&waits, 1, STREAM_PAIR_WAIT_MS) == 0)
			return -EAGAIN;
		if (fd >= 0 && addr_from_sockaddr((struct sockaddr *)&peer, &addr) == 0 &&
			addr_equal(&addr, from))
			return fd;
		(void)fd_close(fd);
	}
	return -EAGAIN;
}

int stream_pair_open(int ret_fds[2])
{
	_cleanup_(fd_closep) int listener = -1, ours = -1;
	struct addr to, from;
	int r = listener = stream_pair_listen(&to);

	if (r < 0)
		return r;
	ours = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (ours < 0)
		return -errno;
	sockopt_set_local(ours);
	if (connect(ours, &to.sa, addr_len(&to)) < 0 && errno != EINPROGRESS)
		return -errno;
	r = addr_of_socket(ours, &from);
	if (r == 0)
		r = stream_pair_accept(listener, &from);
	if (r < 0)
		return r;
	sockopt_set_stream(r, false);
	ret_fds[0] = take_fd(&ours);
	ret_fds[1] = r;
	return 0;
}
