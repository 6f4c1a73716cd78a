/* SPDX-License-Identifier: MIT */
/*
 * Connecting out. The invariant: at most one descriptor and one poll handle per dial, and no
 * callback of the owner before all handles are closed, so that the owner may free the dial from it.
 *
 * A look-up runs on libuv's thread pool and can't be ended once it runs; therefore it lives in
 * memory of its own, which a dial that no longer waits leaves behind.
 */
#include "net/dial.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "net/sockopt.h"

#define DIAL_BIND_TRIES 64 /* ports tried when the kernel finds none by itself */

struct dial_lookup {
	uv_getaddrinfo_t req;
	struct dial *dial; /* NULL: nobody waits any more */
};

static void dial_next(struct dial *d);

int dialer_init(struct dialer *dialer, uv_loop_t *loop, const char *host, uint16_t port)
{
	size_t len = strlen(host);

	if (!len || len >= ADDR_HOST_MAX || !port)
		return -EINVAL;
	*dialer = (struct dialer){ .loop = loop, .port = port };
	memcpy(dialer->host, host, len + 1);
	if (addr_parse_ip(host, port, &dialer->addrs[0]) == 0) {
		dialer->literal = true;
		dialer->count = 1;
	}
	return 0;
}

void dialer_forget(struct dialer *dialer)
{
	if (!dialer->literal)
		dialer->count = 0;
}

static bool dialer_known(const struct dialer *dialer)
{
	return dialer->literal ||
	       (dialer->count && clock_now_ms() - dialer->resolved_ms < DIAL_CACHE_MS);
}

static void dialer_learn(struct dialer *dialer, const struct addrinfo *info)
{
	dialer->count = 0;
	dialer->preferred = 0;
	for (; info && dialer->count < DIAL_ADDRS_MAX; info = info->ai_next) {
		struct addr *addr = &dialer->addrs[dialer->count];

		if (addr_from_sockaddr(info->ai_addr, addr) < 0)
			continue;
		addr_set_port(addr, dialer->port);
		dialer->count++;
	}
	dialer->resolved_ms = clock_now_ms();
}

/* --- one address --- */

static int open_socket(const struct addr *addr, int *ret_fd)
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

static int socket_error(int fd)
{
	socklen_t len = sizeof(int);
	int error = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? -errno : -error;
}

/* 1: connected; 0: under way; negative errno: the socket is of no use any more. */
static int connect_socket(int fd, const struct addr *addr)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	int r;

	if (connect(fd, &addr->sa, addr_len(addr)) == 0)
		return 1;
	if (errno != EINPROGRESS)
		return -errno;
	/*
	 * Over loopback the handshake is done before connect(2) returns, in the softirq of its own
	 * SYN, and yet it reports EINPROGRESS: ask once.
	 */
	if (poll(&pfd, 1, 0) != 1)
		return 0;
	if (!(pfd.revents & (POLLERR | POLLHUP)))
		return 1;
	r = socket_error(fd);
	return r < 0 ? r : -ECONNRESET; /* connected, and closed since */
}

/*
 * The kernel found no free local port for this destination: all are in use or in TIME_WAIT. To a
 * socket that was bound explicitly it gives even a port whose connection to the same place is in
 * TIME_WAIT, provided that TCP timestamps tell the two apart (tcp_twsk_unique(), RFC 6191) and that
 * both have SO_REUSEADDR.
 */
static int connect_bound(struct dialer *dialer, const struct addr *addr, int *ret_fd)
{
	struct addr local;
	int r = -EADDRNOTAVAIL;

	for (unsigned i = 0; i < DIAL_BIND_TRIES; i++) {
		_cleanup_(fd_closep) int fd = -1;

		memset(&local, 0, sizeof(local));
		local.sa.sa_family = addr->sa.sa_family;
		addr_set_port(&local, local_ports_next(&dialer->ports));
		/* On this machine that would be a connection to itself (RFC 9293, 3.5). */
		if (addr_port(&local) == dialer->port)
			continue;
		r = open_socket(addr, &fd);
		if (r < 0)
			return r;
		if (bind(fd, &local.sa, addr_len(&local)) < 0) {
			r = -errno;
			continue;
		}
		r = connect_socket(fd, addr);
		if (r >= 0) {
			*ret_fd = take_fd(&fd);
			return r;
		}
		if (r != -EADDRNOTAVAIL && r != -EADDRINUSE)
			return r;
	}
	return r;
}

static uint64_t thread_cpu_us(void)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* As connect_socket(); *ret_fd is set unless it failed. */
static int dial_addr(struct dialer *dialer, const struct addr *addr, int *ret_fd)
{
	_cleanup_(fd_closep) int fd = -1;
	uint64_t now_ms = clock_now_ms(), begin_us;
	int r;

	if (local_ports_crowded(&dialer->ports, now_ms)) {
		r = connect_bound(dialer, addr, ret_fd);
		if (r >= 0)
			return r;
	}
	r = open_socket(addr, &fd);
	if (r < 0)
		return r;
	begin_us = thread_cpu_us();
	r = connect_socket(fd, addr);
	local_ports_note(&dialer->ports, now_ms, thread_cpu_us() - begin_us, r == -EADDRNOTAVAIL);
	if (r == -EADDRNOTAVAIL)
		return connect_bound(dialer, addr, ret_fd);
	if (r >= 0)
		*ret_fd = take_fd(&fd);
	return r;
}

static struct addr *dial_current(struct dial *d)
{
	return &d->addrs[(d->first + d->tried) % d->count];
}

/*
 * What the first address says is told in the end: those that this machine has no way to come last
 * (RFC 6724), and would only say so.
 */
static void dial_note_error(struct dial *d, int error)
{
	if (!d->error)
		d->error = error;
}

/* Goes through the addresses until one connects (1) or is under way (0); d->fd then. */
static int dial_try(struct dial *d)
{
	int r;

	for (; d->tried < d->count; d->tried++) {
		r = dial_addr(d->dialer, dial_current(d), &d->fd);
		if (r >= 0)
			return r;
		dial_note_error(d, r);
	}
	return d->error;
}

/* --- the outcome --- */

static void dial_remember(struct dial *d)
{
	struct dialer *dialer = d->dialer;

	for (size_t i = 0; i < dialer->count; i++)
		if (addr_equal(&dialer->addrs[i], dial_current(d)))
			dialer->preferred = i;
}

/* All handles are closed. */
static void dial_finish(struct dial *d)
{
	struct addr peer;

	if (d->cancelling) {
		d->cancelled(d);
		return;
	}
	if (d->fd >= 0) {
		dial_remember(d);
		peer = *dial_current(d);
		d->done(d, take_fd(&d->fd), 0, false, &peer);
		return;
	}
	if (d->resolving) {
		d->done(d, -1, d->error, true, NULL);
		return;
	}
	dialer_forget(d->dialer);
	d->tried = d->count - 1;
	peer = *dial_current(d);
	d->done(d, -1, d->error, false, &peer);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct dial *d = container_of((uv_timer_t *)handle, struct dial, timer);

	d->timer_open = false;
	if (!d->poll_open)
		dial_finish(d);
}

static void dial_settle(struct dial *d)
{
	uv_close((uv_handle_t *)&d->timer, on_timer_closed);
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct dial *d = container_of((uv_poll_t *)handle, struct dial, poll);

	d->poll_open = false;
	if (!d->timer_open)
		dial_finish(d);
	else if (!uv_is_closing((uv_handle_t *)&d->timer))
		dial_next(d);
}

/* The address under way is out: the next one is tried when its handle is closed. */
static void dial_fail_addr(struct dial *d, int error)
{
	dial_note_error(d, error);
	d->tried++;
	uv_close((uv_handle_t *)&d->poll, on_poll_closed);
	d->fd = fd_close(d->fd);
	(void)uv_timer_stop(&d->timer);
}

static void on_connect_timeout(uv_timer_t *timer)
{
	dial_fail_addr(container_of(timer, struct dial, timer), -ETIMEDOUT);
}

static void on_connected(uv_poll_t *poll, int status, int events)
{
	struct dial *d = container_of(poll, struct dial, poll);
	int r = socket_error(d->fd);

	if (r == 0 && status < 0)
		r = status;
	if (r < 0) {
		dial_fail_addr(d, r);
		return;
	}
	uv_close((uv_handle_t *)&d->poll, on_poll_closed);
	dial_settle(d);
}

/* Waits for the connection that is under way on d->fd. */
static int dial_wait(struct dial *d)
{
	int r = uv_poll_init(d->dialer->loop, &d->poll, d->fd);

	if (r < 0)
		return r;
	d->poll_open = true;
	(void)uv_poll_start(&d->poll, UV_WRITABLE, on_connected);
	(void)uv_timer_start(&d->timer, on_connect_timeout, DIAL_CONNECT_TIMEOUT_MS, 0);
	return 0;
}

/* On the way through the addresses, with the timer open. */
static void dial_next(struct dial *d)
{
	int r = dial_try(d);

	if (r == 0) {
		r = dial_wait(d);
		if (r == 0)
			return;
	}
	if (r < 0) {
		dial_note_error(d, r);
		d->fd = fd_close(d->fd);
	}
	dial_settle(d);
}

/* --- names --- */

static void dial_use_known(struct dial *d)
{
	d->count = d->dialer->count;
	d->first = d->dialer->preferred;
	memcpy(d->addrs, d->dialer->addrs, d->count * sizeof(d->addrs[0]));
}

static void dial_resolved(struct dial *d, int status, const struct addrinfo *info)
{
	d->lookup = NULL;
	(void)uv_timer_stop(&d->timer);
	if (status == 0) {
		dialer_learn(d->dialer, info);
		if (!d->dialer->count)
			status = UV_EAI_NODATA;
	}
	if (status < 0) {
		d->error = status;
		dial_settle(d);
		return;
	}
	d->resolving = false;
	dial_use_known(d);
	dial_next(d);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *info)
{
	struct dial_lookup *lookup = container_of(req, struct dial_lookup, req);

	if (lookup->dial)
		dial_resolved(lookup->dial, status, info);
	uv_freeaddrinfo(info);
	free(lookup);
}

static void dial_leave_lookup(struct dial *d)
{
	if (!d->lookup)
		return;
	d->lookup->dial = NULL;
	(void)uv_cancel((uv_req_t *)&d->lookup->req); /* works only while it waits for a thread */
	d->lookup = NULL;
}

static void on_resolve_timeout(uv_timer_t *timer)
{
	struct dial *d = container_of(timer, struct dial, timer);

	dial_leave_lookup(d);
	d->error = UV_ETIMEDOUT;
	dial_settle(d);
}

static int dial_resolve(struct dial *d)
{
	/* No AI_ADDRCONFIG: on a machine with IPv4 alone it would take ::1 out of localhost. */
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct dial_lookup *lookup = calloc(1, sizeof(*lookup));
	int r;

	d->resolving = true;
	if (!lookup)
		return -ENOMEM;
	r = uv_getaddrinfo(
		d->dialer->loop, &lookup->req, on_resolved, d->dialer->host, NULL, &hints);
	if (r < 0) {
		free(lookup);
		return r;
	}
	lookup->dial = d;
	d->lookup = lookup;
	(void)uv_timer_start(&d->timer, on_resolve_timeout, DIAL_RESOLVE_TIMEOUT_MS, 0);
	return 0;
}

/* --- public --- */

int dial_start(struct dial *d, struct dialer *dialer, int *ret_fd)
{
	bool known = dialer_known(dialer);
	int r;

	d->dialer = dialer;
	d->fd = -1;
	d->lookup = NULL;
	d->error = 0;
	d->tried = 0;
	d->resolving = d->cancelling = d->poll_open = d->timer_open = false;
	if (known) {
		dial_use_known(d);
		r = dial_try(d);
		if (r < 0)
			dialer_forget(dialer);
		if (r == 1) {
			dial_remember(d);
			*ret_fd = take_fd(&d->fd);
		}
		if (r != 0)
			return r;
	}
	/* From here on there is a handle, so whatever comes is told by a callback. */
	(void)uv_timer_init(dialer->loop, &d->timer);
	d->timer_open = true;
	r = known ? dial_wait(d) : dial_resolve(d);
	if (r < 0) {
		d->error = r;
		d->fd = fd_close(d->fd);
		dial_settle(d);
	}
	return 0;
}

void dial_cancel(struct dial *d)
{
	if (d->cancelling)
		return;
	d->cancelling = true;
	dial_leave_lookup(d);
	if (d->poll_open && !uv_is_closing((uv_handle_t *)&d->poll))
		uv_close((uv_handle_t *)&d->poll, on_poll_closed);
	d->fd = fd_close(d->fd);
	if (!uv_is_closing((uv_handle_t *)&d->timer))
		dial_settle(d);
}
