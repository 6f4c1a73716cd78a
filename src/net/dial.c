/* SPDX-License-Identifier: MIT */
/*
 * One attempt at a destination. It lives by these events, in this order:
 *
 *   the addresses are told     (or the question fails, or DIAL_RESOLVE_TIMEOUT_MS is over)
 *   a socket becomes writable  its address has connected, or failed
 *   the timer                  an address has been silent for too long: it is given up, or the
 *                              next one is begun beside it
 *   the last handle is closed  the outcome is told
 *
 * Addresses that are known are tried within dial_start() already, and only what can't be decided
 * there takes a handle. dial_proceed() begins the next address and, as long as one fails at once,
 * the one behind it. The first connection settles the dial: all other tries are closed with it.
 *
 * A try has a descriptor exactly while it is under way, and a poll handle and a deadline with it;
 * the one timer of a dial stands at the earliest thing to do. The owner hears nothing before all
 * handles are closed, so that it may free the dial from the callback.
 */
#include "net/dial.h"

#include <errno.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "net/connect.h"
#include "net/sockopt.h"

/* One address that doesn't answer at once. */
struct dial_try {
	struct dial *dial;
	uv_poll_t poll;
	int fd;               /* -1: it was never begun, or is over */
	uint64_t deadline_ms; /* monotonic */
};

static void dial_proceed(struct dial *d);

/* --- the addresses, one after the other --- */

/* How much an address's error says of the destination, see dial_fn. */
static unsigned dial_error_weight(int error)
{
	switch (error) {
	case -ENETUNREACH:
	case -EACCES: /* dialer->admits, or a firewall */
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
	unsigned known = dial_error_weight(d->error), weight = dial_error_weight(error);

	if (d->error && (weight < known || (weight == known && at > d->peer)))
		return;
	d->error = error;
	d->peer = at;
}

static int dial_connect(struct dialer *dialer, const struct addr *addr, int *ret_fd)
{
	int r = dialer->admits ? dialer->admits(dialer, addr) : 0;

	return r < 0 ? r : connect_addr(&dialer->ports, addr, ret_fd);
}

/* Begins addresses until one connects (1) or is under way (0): that is the last of d->begun, with
 * *ret_fd. Negative errno: there are no further ones. */
static int dial_begin(struct dial *d, int *ret_fd)
{
	int r;

	while (d->begun < d->count) {
		r = dial_connect(d->dialer, &d->addrs[d->begun++], ret_fd);
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
		dialer_distrust(d->dialer, d->answer);
		d->done(d, -1, d->error, false, &peer);
	}
}

static void dial_release(struct dial *d)
{
	if (--d->handles == 0)
		dial_finish(d);
}

static void dial_on_timer_closed(uv_handle_t *handle)
{
	dial_release(container_of((uv_timer_t *)handle, struct dial, timer));
}

static void dial_on_poll_closed(uv_handle_t *handle)
{
	dial_release(container_of((uv_poll_t *)handle, struct dial_try, poll)->dial);
}

static void dial_try_close(struct dial_try *t)
{
	if (t->fd < 0)
		return;
	uv_close((uv_handle_t *)&t->poll, dial_on_poll_closed);
	t->fd = fd_close(t->fd);
	t->dial->under_way--;
}

/* It is decided, or nobody wants to know any more. */
static void dial_settle(struct dial *d)
{
	if (uv_is_closing((uv_handle_t *)&d->timer))
		return;
	for (size_t i = 0; d->tries && i < d->count; i++)
		dial_try_close(&d->tries[i]);
	uv_close((uv_handle_t *)&d->timer, dial_on_timer_closed);
}

static void dial_win(struct dial *d, size_t at, int fd)
{
	d->fd = fd;
	d->peer = at;
	dial_settle(d);
}

/* --- addresses under way --- */

static void dial_on_connected(uv_poll_t *poll, int status, int events)
{
	struct dial_try *t = container_of(poll, struct dial_try, poll);
	struct dial *d = t->dial;
	size_t at = (size_t)(t - d->tries);
	int r = sockopt_take_error(t->fd), fd;

	if (r == 0 && status < 0)
		r = status;
	if (r < 0) {
		dial_note_error(d, at, r);
		dial_try_close(t);
		dial_proceed(d);
		return;
	}
	/* Not the descriptor, but libuv's view of it ends here. */
	fd = take_fd(&t->fd);
	d->under_way--;
	uv_close((uv_handle_t *)&t->poll, dial_on_poll_closed);
	dial_win(d, at, fd);
}

static void dial_on_time(uv_timer_t *timer)
{
	struct dial *d = container_of(timer, struct dial, timer);
	uint64_t now_ms = clock_now_ms();

	for (size_t i = 0; i < d->begun; i++) {
		if (d->tries[i].fd < 0 || d->tries[i].deadline_ms > now_ms)
			continue;
		dial_note_error(d, i, -ETIMEDOUT);
		dial_try_close(&d->tries[i]);
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
	(void)uv_timer_start(&d->timer, dial_on_time, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

/* The address begun last is under way with `fd`, which is closed where that can't be waited for. */
static int dial_await(struct dial *d, int fd)
{
	uint64_t timeout_ms = d->dialer->connect_timeout_ms;
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
	(void)uv_poll_start(&t->poll, UV_WRITABLE, dial_on_connected);
	t->fd = fd;
	d->next_ms = clock_now_ms() + DIAL_STAGGER_MS;
	t->deadline_ms = clock_now_ms() + (timeout_ms ? timeout_ms : DIAL_CONNECT_TIMEOUT_MS);
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
			r = dial_await(d, fd);
	}
	if (r == 1)
		dial_win(d, d->begun - 1, fd);
	else if (d->under_way)
		dial_arm(d);
	else
		dial_settle(d);
}

/* --- names --- */

static size_t dial_take_addresses(struct dial *d)
{
	d->count = dialer_known(d->dialer, d->addrs);
	d->answer = d->dialer->answers;
	return d->count;
}

static void dial_on_resolved(struct dialer_wait *w, int status)
{
	struct dial *d = container_of(w, struct dial, wait);

	(void)uv_timer_stop(&d->timer);
	if (status < 0) {
		d->error = status;
		dial_settle(d);
		return;
	}
	d->resolving = false;
	(void)dial_take_addresses(d);
	dial_proceed(d);
}

static void dial_on_resolve_timeout(uv_timer_t *timer)
{
	struct dial *d = container_of(timer, struct dial, timer);

	dialer_leave(d->dialer, &d->wait);
	d->error = UV_ETIMEDOUT;
	dial_settle(d);
}

static void dial_resolve(struct dial *d)
{
	int r;

	d->resolving = true;
	d->wait.resolved = dial_on_resolved;
	r = dialer_ask(d->dialer, &d->wait);
	if (r < 0) {
		d->error = r;
		dial_settle(d);
		return;
	}
	(void)uv_timer_start(&d->timer, dial_on_resolve_timeout, DIAL_RESOLVE_TIMEOUT_MS, 0);
}

/* --- public --- */

int dial_start(struct dial *d, struct dialer *dialer, int *ret_fd)
{
	int fd = -1, r;

	d->dialer = dialer;
	d->fd = -1;
	list_init(&d->wait.link);
	d->tries = NULL;
	d->error = 0;
	d->peer = d->begun = d->under_way = 0;
	d->resolving = d->cancelling = false;
	if (dial_take_addresses(d)) {
		r = dial_begin(d, &fd);
		if (r < 0) {
			dialer_distrust(dialer, d->answer);
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
	if (!d->count)
		dial_resolve(d);
	else if (dial_await(d, fd) == 0)
		dial_arm(d);
	else
		dial_proceed(d);
	return 0;
}

void dial_cancel(struct dial *d)
{
	d->cancelling = true;
	dialer_leave(d->dialer, &d->wait);
	d->fd = fd_close(d->fd);
	dial_settle(d);
}
