/* SPDX-License-Identifier: MIT */
/*
 * Accepting in batches. An open listener waits for exactly one of three things:
 *
 *   its watch         a connection has come; without a pool a poll handle tells of it
 *   its retry timer   connections wait that can't be accepted, nor even be shed, for want of
 *                     descriptors: others have had time to close some
 *   its owner         which has said by `admits` that it has no room, and calls listener_resume()
 *
 * In the last two nobody watches, because what is level-triggered would spin on
 * connections that are left in the kernel's queue. That queue's length (LISTENER_BACKLOG) is the
 * bound then: when it is full, the kernel completes no further handshakes, and the peers send their
 * SYNs again.
 *
 * `accepted` and `admits` may close the listener, so l->fd is looked at again before each accept.
 * The memory is the owner's again with `closed`, when libuv has let go of both handles.
 *
 * On Linux an accepted socket starts as a copy of the listening one, so sockopt_set_stream() is
 * called once, on the listener (tests/kernel and test_listener.c hold the kernel to it). That
 * saves five calls a connection.
 */
#include "net/listener.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "net/pump_pool.h"
#include "net/reserve.h"
#include "net/sockopt.h"

#define LISTENER_DEFER_S \
	3 /* a peer that says nothing is accepted all the same after about this time */
#define LISTENER_FULL_TURNS 8 /* before more are accepted per turn */
#define LISTENER_RETRY_MS \
	50 /* no descriptors, and the reserve is gone: time for others to close some */

/* What accept(2) reports of a connection that has already failed: the next one may be fine. */
static bool listener_is_passing(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPERM: /* a firewall rule */
	case EPROTO:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
		return true;
	default:
		return false;
	}
}

static void listener_on_readable(uv_poll_t *poll, int status, int events);

/* Negative errno: for want of memory. */
static int listener_listen(struct listener *l)
{
	if (l->pool)
		return pump_pool_watch(l->pool, &l->watch, l->fd);
	return uv_poll_start(&l->poll, UV_READABLE, listener_on_readable);
}

static void listener_deafen(struct listener *l)
{
	if (l->pool)
		pump_pool_unwatch(l->pool, &l->watch, l->fd);
	else
		(void)uv_poll_stop(&l->poll);
}

static void listener_on_retry(uv_timer_t *timer);

static void listener_retry(struct listener *l)
{
	(void)uv_timer_start(&l->retry, listener_on_retry, LISTENER_RETRY_MS, 0);
}

static void listener_go_on(struct listener *l)
{
	if (listener_listen(l) < 0)
		listener_retry(l);
}

static void listener_on_retry(uv_timer_t *timer)
{
	listener_go_on(container_of(timer, struct listener, retry));
}

/* accept(2) failed for want of descriptors or memory. False: the batch ends. */
static bool listener_shed(struct listener *l)
{
	if (l->reserve && reserve_shed(l->reserve, l->fd))
		return true;
	listener_deafen(l);
	listener_retry(l);
	return false;
}

/* False: the connection stays in the kernel's queue. */
static bool listener_admits(struct listener *l)
{
	if (!l->admits || l->admits(l))
		return true;
	listener_deafen(l);
	l->paused = true;
	return false;
}

/*
 * A failed accept(2) is dear, since the kernel makes a socket before it looks at the queue and then
 * throws it away. So a quiet port takes one connection per turn and learns from the next turn
 * whether there is more; one that is always busy takes more of them.
 */
static void listener_learn(struct listener *l, unsigned accepted)
{
	if (accepted < l->batch) {
		l->batch = accepted ? accepted : 1;
		l->full = 0;
	} else if (++l->full == LISTENER_FULL_TURNS) {
		l->batch = l->batch < LISTENER_BATCH / 2 ? l->batch * 2 : LISTENER_BATCH;
		l->full = 0;
	}
}

/* Takes one connection off the queue. False: the turn is over. */
static bool listener_accept(struct listener *l)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr from;
	int fd = accept4(l->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return errno != EAGAIN && (listener_is_passing(errno) || listener_shed(l));
	if (l->reserve)
		reserve_recovered(l->reserve);
	if (addr_from_sockaddr((struct sockaddr *)&ss, &from) < 0) {
		(void)fd_close(fd);
		return true;
	}
	if (!l->local && addr_is_loopback(&from))
		sockopt_set_local(fd);
	l->accepted(l, fd, &from);
	return true;
}

static void listener_take(struct listener *l)
{
	unsigned n = 0;

	while (n < l->batch && l->fd >= 0 && listener_admits(l) && listener_accept(l))
		n++;
	listener_learn(l, n);
}

static void listener_on_readable(uv_poll_t *poll, int status, int events)
{
	listener_take(container_of(poll, struct listener, poll));
}

static void listener_on_watched(struct watch *watch)
{
	listener_take(container_of(watch, struct listener, watch));
}

/* Not bound yet. */
static int listener_make(const struct addr *addr, int *ret_fd)
{
	_cleanup_(fd_closep) int fd =
		socket(addr->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || sockopt_set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Bound to `addr`, which becomes the address that it has. */
static int listener_make_bound(struct addr *addr, int *ret_fd)
{
	_cleanup_(fd_closep) int fd = -1;
	int r = listener_make(addr, &fd);

	if (r == 0 && bind(fd, &addr->sa, addr_len(addr)) < 0)
		r = -errno;
	if (r == 0)
		r = addr_of_socket(fd, addr);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

/*
 * By shutdown(2), whoever shares the socket ends it for all. The kernel then gives a port that it
 * has chosen to the next process that asks, and what we connect to would be that one; a port that
 * was asked for stays with the socket (SOCK_BINDPORT_LOCK). So it is asked for once it is known:
 * with SO_REUSEADDR two may have it, as long as neither listens.
 */
int listener_socket(struct addr *addr, int backlog, int *ret_fd)
{
	_cleanup_(fd_closep) int chosen = -1, fd = -1;
	int r = addr_port(addr) ? 0 : listener_make_bound(addr, &chosen);

	if (r == 0)
		r = listener_make_bound(addr, &fd);
	if (r == 0 && listen(fd, backlog) < 0)
		r = -errno;
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

bool listener_listens(int fd)
{
	socklen_t len = sizeof(int);
	int on = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

static int listener_bind(const struct addr *addr, bool dual, bool defer, int *ret_fd)
{
	_cleanup_(fd_closep) int fd = -1;
	bool v6 = addr->sa.sa_family == AF_INET6;
	int r = listener_make(addr, &fd);

	if (r < 0)
		return r;
	if ((v6 && sockopt_set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, !dual) < 0) ||
		(defer && sockopt_set_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, LISTENER_DEFER_S) < 0))
		return -errno;
	sockopt_set_stream(fd, true);
	if (addr_is_loopback(addr))
		sockopt_set_local(fd);
	if (bind(fd, &addr->sa, addr_len(addr)) < 0 || listen(fd, LISTENER_BACKLOG) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int listener_watch(struct listener *l, uv_loop_t *loop, int owned)
{
	_cleanup_(fd_closep) int fd = owned;
	struct addr bound;
	int r = addr_of_socket(fd, &bound);

	if (r < 0)
		return r;
	r = uv_poll_init(loop, &l->poll, fd);
	if (r < 0)
		return r;
	(void)uv_timer_init(loop, &l->retry);
	l->poll.data = l->retry.data = l;
	l->handles = 2;
	l->local = addr_is_loopback(&bound);
	l->paused = false;
	l->batch = 1;
	l->full = 0;
	l->addr = bound;
	l->fd = take_fd(&fd);
	watch_init(&l->watch, listener_on_watched);
	listener_go_on(l);
	return 0;
}

int listener_open(
	struct listener *l, uv_loop_t *loop, const struct addr *addr, bool dual, bool defer)
{
	int fd = -1, r;

	l->fd = -1;
	r = listener_bind(addr, dual, defer, &fd);
	return r < 0 ? r : listener_watch(l, loop, fd);
}

int listener_adopt(struct listener *l, uv_loop_t *loop, int fd, bool defer)
{
	l->fd = -1;
	(void)sockopt_set_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, defer ? LISTENER_DEFER_S : 0);
	return listener_watch(l, loop, fd);
}

int listener_open_any(struct listener *l, uv_loop_t *loop, uint16_t port, bool defer)
{
	struct addr any6 = { .in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT } };
	struct addr any4 = { .in4 = { .sin_family = AF_INET } };
	int r;

	addr_set_port(&any6, port);
	addr_set_port(&any4, port);
	r = listener_open(l, loop, &any6, true, defer);
	/* No IPv6 in the kernel, or switched off with net.ipv6.conf.all.disable_ipv6. */
	if (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL)
		r = listener_open(l, loop, &any4, false, defer);
	return r;
}

void listener_pause(struct listener *l)
{
	if (l->fd < 0)
		return;
	listener_deafen(l);
	(void)uv_timer_stop(&l->retry);
	l->paused = true;
}

void listener_resume(struct listener *l)
{
	if (l->fd < 0 || !l->paused)
		return;
	l->paused = false;
	listener_go_on(l);
}

static void listener_on_handle_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;

	if (!--l->handles)
		l->closed(l);
}

void listener_close(struct listener *l)
{
	if (l->fd < 0)
		return;
	listener_deafen(l);
	uv_close((uv_handle_t *)&l->poll, listener_on_handle_closed);
	uv_close((uv_handle_t *)&l->retry, listener_on_handle_closed);
	l->fd = fd_close(l->fd);
}
