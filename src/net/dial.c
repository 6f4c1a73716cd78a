/* SPDX-License-Identifier: MIT */
/*
 * Connecting out. The addresses stand in the order in which they are tried; dial_proceed() begins
 * the next one and, as long as one fails at once, the one behind it. It runs when a try has failed
 * and when the timer says that the last one has been silent for too long. A try that waits has a
 * poll handle, a descriptor and a deadline; the one timer of a dial stands at the earliest thing to
 * do. The first connection settles the dial: all other tries are closed with it.
 *
 * The invariant: a try has a descriptor exactly while it is under way, and the owner hears nothing
 * before all handles are closed, so that it may free the dial from the callback.
 *
 * A look-up runs on libuv's thread pool and can't be ended once it runs; therefore it lives in
 * memory of its own, which a dial that no longer waits leaves behind.
 */
#include "net/dial.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "net/connect.h"

struct dial_lookup {
	uv_getaddrinfo_t req;
	struct dial *dial; /* NULL: nobody waits any more */
};

/* One address that doesn't answer at once. */
struct dial_try {
	struct dial *dial;
	uv_poll_t poll;
	int fd;               /* -1: it was never begun, or is over */
	uint64_t deadline_ms; /* monotonic */
};

static void dial_proceed(struct dial *d);

/* "localhost" and what ends in ".localhost", as one label or with the root's dot behind it. */
static bool is_localhost(const char *host)
{
	static const char name[] = "localhost";
	size_t len = strlen(host), own = sizeof(name) - 1;

	if (len && host[len - 1] == '.')
		len--;
	return len >= own && strncasecmp(host + len - own, name, own) == 0 &&
	       (len == own || host[len - own - 1] == '.');
}

int dialer_init(struct dialer *dialer, uv_loop_t *loop, const char *host, uint16_t port)
{
	size_t len = strlen(host);

	if (!len || len >= ADDR_HOST_MAX || !port)
		return -EINVAL;
	*dialer = (struct dialer){ .loop = loop, .port = port };
	memcpy(dialer->host, host, len + 1);
	if (addr_parse_ip(host, port, &dialer->addrs[0]) == 0) {
		dialer->fixed = true;
		dialer->count = 1;
	} else if (is_localhost(host)) {
		(void)addr_parse_ip("::1", port, &dialer->addrs[0]);
		(void)addr_parse_ip("127.0.0.1", port, &dialer->addrs[1]);
		dialer->fixed = true;
		dialer->count = 2;
	}
	return 0;
}

void dialer_forget(struct dialer *dialer)
{
	if (!dialer->fixed)
		dialer->count = 0;
}

static bool dialer_known(const struct dialer *dialer)
{
	return dialer->fixed ||
	       (dialer->count && clock_now_ms() - dialer->resolved_ms < DIAL_CACHE_MS);
}

static void dialer_prefer(struct dialer *dialer, const struct addr *addr)
{
	for (size_t i = 0; i < dialer->count; i++)
		if (addr_equal(&dialer->addrs[i], addr))
			dialer->preferred = i;
}

/* The address that worked last stays the preferred one as long as the name has it. */
static void dialer_learn(struct dialer *dialer, const struct addrinfo *info)
{
	bool worked = dialer->count > 0;
	struct addr last = dialer->addrs[dialer->preferred];

	dialer->count = 0;
	dialer->preferred = 0;
	for (; info && dialer->count < DIAL_ADDRS_MAX; info = info->ai_next) {
		struct addr *addr = &dialer->addrs[dialer->count];

		if (addr_from_sockaddr(info->ai_addr, addr) < 0)
			continue;
		addr_set_port(addr, dialer->port);
		dialer->count++;
	}
	addr_interleave(dialer->addrs, dialer->count);
	if (worked)
		dialer_prefer(dialer, &last);
	dialer->resolved_ms = clock_now_ms();
}

/* --- the addresses, one after the other --- */

/* How much an address's error says of the destination, see dial_fn. */
static unsigned error_weight(int error)
{
	switch (error) {
	case -ENETUNREACH:
	case -EAFNOSUPPORT:
		return 0;
	case -ETIMEDOUT:
	case -EHOSTUNREACH:
		return 1;
	case -ECONNRESET: /* it was connected */
		return 3;
	default:
		return 2;
	}
}

static void dial_note_error(struct dial *d, size_t at, int error)
{
	unsigned known = error_weight(d->error), weight = error_weight(error);

	if (d->error && (weight < known || (weight == known && at > d->peer)))
		return;
	d->error = error;
	d->peer = at;
}

/* Begins addresses until one connects (1) or is under way (0): that is the last of d->begun, with
 * *ret_fd. Negative errno: there are no further ones. */
static int dial_begin(struct dial *d, int *ret_fd)
{
	int r;

	while (d->begun < d->count) {
		r = connect_addr(&d->dialer->ports, &d->addrs[d->begun++], ret_fd);
		if (r >= 0)
			return r;
		dial_note_error(d, d->begun - 1, r);
	}
	return d->error;
}

/* --- the outcome --- */

/* All handles are closed. */
static void dial_finish(struct dial *d)
{
	struct addr peer = d->addrs[d->peer];

	free(take_ptr(d->tries));
	if (d->cancelling) {
		d->cancelled(d);
	} else if (d->fd >= 0) {
		dialer_prefer(d->dialer, &peer);
		d->done(d, take_fd(&d->fd), 0, false, &peer);
	} else if (d->resolving) {
		d->done(d, -1, d->error, true, NULL);
	} else {
		dialer_forget(d->dialer);
		d->done(d, -1, d->error, false, &peer);
	}
}

static void dial_release(struct dial *d)
{
	if (--d->handles == 0)
		dial_finish(d);
}

static void on_timer_closed(uv_handle_t *handle)
{
	dial_release(container_of((uv_timer_t *)handle, struct dial, timer));
}

static void on_poll_closed(uv_handle_t *handle)
{
	dial_release(container_of((uv_poll_t *)handle, struct dial_try, poll)->dial);
}

static void try_close(struct dial_try *t)
{
	if (t->fd < 0)
		return;
	uv_close((uv_handle_t *)&t->poll, on_poll_closed);
	t->fd = fd_close(t->fd);
	t->dial->under_way--;
}

/* It is decided, or nobody wants to know any more. */
static void dial_settle(struct dial *d)
{
	if (uv_is_closing((uv_handle_t *)&d->timer))
		return;
	for (size_t i = 0; d->tries && i < d->count; i++)
		try_close(&d->tries[i]);
	uv_close((uv_handle_t *)&d->timer, on_timer_closed);
}

static void dial_win(struct dial *d, size_t at, int fd)
{
	d->fd = fd;
	d->peer = at;
	dial_settle(d);
}

/* --- addresses under way --- */

static void on_connected(uv_poll_t *poll, int status, int events)
{
	struct dial_try *t = container_of(poll, struct dial_try, poll);
	struct dial *d = t->dial;
	size_t at = (size_t)(t - d->tries);
	int r = connect_error(t->fd), fd;

	if (r == 0 && status < 0)
		r = status;
	if (r < 0) {
		dial_note_error(d, at, r);
		try_close(t);
		dial_proceed(d);
		return;
	}
	/* Not the descriptor, but libuv's view of it ends here. */
	fd = take_fd(&t->fd);
	d->under_way--;
	uv_close((uv_handle_t *)&t->poll, on_poll_closed);
	dial_win(d, at, fd);
}

static void on_time(uv_timer_t *timer)
{
	struct dial *d = container_of(timer, struct dial, timer);
	uint64_t now_ms = clock_now_ms();

	for (size_t i = 0; i < d->begun; i++) {
		if (d->tries[i].fd < 0 || d->tries[i].deadline_ms > now_ms)
			continue;
		dial_note_error(d, i, -ETIMEDOUT);
		try_close(&d->tries[i]);
	}
	dial_proceed(d);
}

/* At the next address, or at the earliest deadline. */
static void dial_arm(struct dial *d)
{
	uint64_t now_ms = clock_now_ms();
	uint64_t at_ms = d->begun < d->count ? d->next_ms : UINT64_MAX;

	for (size_t i = 0; i < d->begun; i++)
		if (d->tries[i].fd >= 0)
			at_ms = min_u64(at_ms, d->tries[i].deadline_ms);
	/* The loop's idea of now is that of its last wakeup. */
	uv_update_time(d->dialer->loop);
	(void)uv_timer_start(&d->timer, on_time, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

/* The address begun last is under way with `fd`, which is closed where that can't be waited for. */
static int dial_watch(struct dial *d, int fd)
{
	struct dial_try *t;
	int r = 0;

	if (!d->tries) {
		d->tries = calloc(d->count, sizeof(*d->tries));
		for (size_t i = 0; d->tries && i < d->count; i++)
			d->tries[i] = (struct dial_try){ .dial = d, .fd = -1 };
	}
	t = d->tries ? &d->tries[d->begun - 1] : NULL;
	r = t ? uv_poll_init(d->dialer->loop, &t->poll, fd) : -ENOMEM;
	if (r < 0) {
		dial_note_error(d, d->begun - 1, r);
		(void)fd_close(fd);
		return r;
	}
	(void)uv_poll_start(&t->poll, UV_WRITABLE, on_connected);
	t->fd = fd;
	d->next_ms = clock_now_ms() + DIAL_STAGGER_MS;
	t->deadline_ms = clock_now_ms() + DIAL_CONNECT_TIMEOUT_MS;
	d->handles++;
	d->under_way++;
	return 0;
}

/* Begins the next address, where there is one. */
static void dial_proceed(struct dial *d)
{
	int fd = -1, r = -EAGAIN;

	while (r < 0 && d->begun < d->count) {
		r = dial_begin(d, &fd);
		if (r == 0)
			r = dial_watch(d, fd);
	}
	if (r == 1)
		dial_win(d, d->begun - 1, fd);
	else if (d->under_way)
		dial_arm(d);
	else
		dial_settle(d);
}

/* --- names --- */

/* The address that worked last comes first, and those behind it in their order. */
static void dial_use_known(struct dial *d)
{
	const struct dialer *dialer = d->dialer;

	d->count = dialer->count;
	for (size_t i = 0; i < d->count; i++)
		d->addrs[i] = dialer->addrs[(dialer->preferred + i) % d->count];
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
	dial_proceed(d);
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
	/* No AI_ADDRCONFIG: without an address but loopback's it would hide those of /etc/hosts. */
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
	int fd = -1, r;

	d->dialer = dialer;
	d->fd = -1;
	d->lookup = NULL;
	d->tries = NULL;
	d->error = 0;
	d->peer = d->begun = d->under_way = 0;
	d->resolving = d->cancelling = false;
	if (known) {
		dial_use_known(d);
		r = dial_begin(d, &fd);
		if (r < 0) {
			dialer_forget(dialer);
			return r;
		}
		if (r == 1) {
			d->peer = d->begun - 1;
			dialer_prefer(dialer, &d->addrs[d->peer]);
			*ret_fd = fd;
			return 1;
		}
	}
	/* From here on there is a handle, so whatever comes is told by a callback. */
	(void)uv_timer_init(dialer->loop, &d->timer);
	d->handles = 1;
	if (known) {
		if (dial_watch(d, fd) == 0)
			dial_arm(d);
		else
			dial_proceed(d);
		return 0;
	}
	r = dial_resolve(d);
	if (r < 0) {
		d->error = r;
		dial_settle(d);
	}
	return 0;
}

void dial_cancel(struct dial *d)
{
	d->cancelling = true;
	dial_leave_lookup(d);
	d->fd = fd_close(d->fd);
	dial_settle(d);
}
