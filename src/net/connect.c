/* SPDX-License-Identifier: MIT */
/*
 * Connecting to one address. A socket has one connect(2): what fails is closed here, and the next
 * attempt gets a socket of its own.
 */
#include "net/connect.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/owner.h"
#include "base/fd.h"
#include "net/addr.h"
#include "net/local_ports.h"
#include "net/sockopt.h"

#define BIND_TRIES 64 /* ports tried when the kernel finds none by itself */

static int connect_open_socket(const struct addr *addr, int *ret_fd)
{
	bool remote = !addr_is_loopback(addr);
	int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	sockopt_set_stream(fd, remote);
	/*
	 * So that connect_bound() may take this port over when this connection is in TIME_WAIT; the
	 * port of a local one is in its way, too.
	 */
	(void)sockopt_set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	*ret_fd = fd;
	return 0;
}

/*
 * Where nobody listens on a port that the kernel also gives to outgoing connections, it may give
 * this very port to the socket, which then connects to itself (RFC 9293, 3.5). That counts as
 * refused. It ends in a reset, because in TIME_WAIT it would keep the application from listening
 * there.
 */
static bool connect_is_own_end(struct local_ports *ports, int fd, const struct addr *addr)
{
	struct addr own;

	if (!local_ports_may_be(ports, addr_port(addr)))
		return false;
	if (addr_of_socket(fd, &own) < 0 || !addr_equal(&own, addr))
		return false;
	sockopt_set_reset(fd);
	return true;
}

/* 1: connected; 0: under way; negative errno: the socket is of no use any more. */
static int connect_socket(struct local_ports *ports, int fd, const struct addr *addr)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	int r;

	if (connect(fd, &addr->sa, addr_len(addr)) == 0)
		return connect_is_own_end(ports, fd, addr) ? -ECONNREFUSED : 1;
	if (errno != EINPROGRESS)
		return -errno;
	/*
	 * Over loopback the handshake is done before connect(2) returns, in the softirq of its own
	 * SYN, and yet it reports EINPROGRESS: ask once.
	 */
	if (poll(&pfd, 1, 0) != 1)
		return 0;
	if (!(pfd.revents & (POLLERR | POLLHUP)))
		return connect_is_own_end(ports, fd, addr) ? -ECONNREFUSED : 1;
	r = sockopt_take_error(fd);
	return r < 0 ? r : -ECONNRESET; /* connected, and closed since */
}

/*
 * The kernel found no free local port for this destination: all are in use or in TIME_WAIT. To a
 * socket that was bound explicitly it gives even a port whose connection to the same place is in
 * TIME_WAIT, provided that TCP timestamps tell the two apart (tcp_twsk_unique(), RFC 6191) and that
 * both have SO_REUSEADDR.
 */
static int connect_bound(struct local_ports *ports, const struct addr *addr, int *ret_fd)
{
	struct addr local;
	int r = -EADDRNOTAVAIL;

	for (unsigned i = 0; i < BIND_TRIES; i++) {
		_cleanup_(fd_closep) int fd = -1;

		memset(&local, 0, sizeof(local));
		local.sa.sa_family = addr->sa.sa_family;
		addr_set_port(&local, local_ports_next(ports));
		/* On this machine that would be a connection to itself (RFC 9293, 3.5). */
		if (addr_port(&local) == addr_port(addr))
			continue;
		r = connect_open_socket(addr, &fd);
		if (r < 0)
			return r;
		if (bind(fd, &local.sa, addr_len(&local)) < 0) {
			r = -errno;
			continue;
		}
		r = connect_socket(ports, fd, addr);
		if (r >= 0) {
			*ret_fd = take_fd(&fd);
			return r;
		}
		if (r != -EADDRNOTAVAIL && r != -EADDRINUSE)
			return r;
	}
	return r;
}

/*
 * How long a search for a port takes: by the clock that costs no system call and tells of whatever
 * else keeps the machine busy as well, and where that has said "long", by the thread's CPU time.
 */
static uint64_t connect_clock_us(bool suspect)
{
	struct timespec ts = { 0 };

	if (!suspect)
		return clock_now_us();
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/*
 * EADDRNOTAVAIL has a second meaning: this machine has no address to come from, as where IPv6 is
 * off and ::1 is dialled. No port helps there. A datagram socket asks the routes alone, because UDP
 * has ports of its own.
 */
static bool connect_has_way(const struct addr *addr)
{
	_cleanup_(fd_closep) int fd = socket(addr->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 || connect(fd, &addr->sa, addr_len(addr)) == 0 || errno != EADDRNOTAVAIL;
}

int connect_addr(struct local_ports *ports, const struct addr *addr, int *ret_fd)
{
	_cleanup_(fd_closep) int fd = -1;
	uint64_t now_ms = clock_now_ms(), begin_us;
	bool suspect;
	int r;

	if (local_ports_crowded(ports, now_ms)) {
		r = connect_bound(ports, addr, ret_fd);
		if (r >= 0)
			return r;
	}
	r = connect_open_socket(addr, &fd);
	if (r < 0)
		return r;
	suspect = local_ports_suspect(ports);
	begin_us = connect_clock_us(suspect);
	r = connect_socket(ports, fd, addr);
	if (r == -EADDRNOTAVAIL && !connect_has_way(addr))
		return -ENETUNREACH;
	local_ports_note(ports, now_ms, connect_clock_us(suspect) - begin_us, r == -EADDRNOTAVAIL);
	if (r == -EADDRNOTAVAIL)
		return connect_bound(ports, addr, ret_fd);
	if (r >= 0)
		*ret_fd = take_fd(&fd);
	return r;
}
