/* SPDX-License-Identifier: MIT */
/*
 * One attempt. It dials, then talks over `chan`, and either tells its outcome or begins again with
 * another way of saying it (enum attempt_try). Its events are:
 *
 *   the first turn of the loop  dials, so that no outcome comes from within attempt_start()
 *   the dial is done            attempt_pass(), or the failure is told
 *   the HTTP front, if there is one, lets it through    attempt_talk(), likewise
 *   the relay has said          the handshake eats it (attempt_step())
 *   the relay has hung up, or   attempt_next() decides whether another way is worth a try
 *   says nothing more in time
 *
 * `handles` counts what libuv still knows of it: the dial, the chan, the timer. The memory goes
 * with the last one, after attempt_free(), which may come at any time. A chan that has come through
 * the handshake is given to the owner with the outcome.
 */
#include "tunnel/attempt.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"
#include "front/front.h"
#include "net/chan.h"
#include "net/dial.h"
#include "proto/client_handshake.h"

#define LOG "tunnel"

/*
 * The relay has the same patience as we have, and each end may run out of it first: a close so late
 * means the same as our own deadline.
 */
#define LATE_CLOSE_MS (HANDSHAKE_TIMEOUT_MS - 500)

/* What is said on a connection, in the order in which it is tried. */
enum attempt_try {
	TRY_OPTIONS, /* JSON with our Options behind Hello */
	TRY_PLAIN,   /* JSON as stock says it */
	TRY_LINE,
};

struct attempt {
	struct attempt_config config;
	struct attempt_events events;
	enum attempt_try step;
	struct dial dial;
	bool dialing;
	struct passage *passage; /* through the front, between dial and chan */
	struct chan *chan;       /* owned, while talking */
	uv_timer_t timer;        /* the relay's next message is late */
	uint64_t waiting_ms;     /* since when */
	struct client_handshake hs;
	struct addr peer;
	struct failure failure; /* of the JSON dialect, while the line dialect is tried */
	unsigned handles;
	bool freed;
};

static void attempt_dial(struct attempt *a);

/* --- the end --- */

static void attempt_release(struct attempt *a)
{
	struct attempt_events events = a->events;

	assert(a->handles);
	if (--a->handles)
		return;
	assert(a->freed);
	free(a);
	events.gone(events.owner);
}

static void attempt_on_timer_closed(uv_handle_t *handle)
{
	attempt_release(container_of((uv_timer_t *)handle, struct attempt, timer));
}

static void attempt_on_chan_closed(struct chan *chan)
{
	struct attempt *a = chan->owner;

	free(chan);
	attempt_release(a);
}

static void attempt_hang_up(struct attempt *a)
{
	(void)uv_timer_stop(&a->timer);
	if (a->passage)
		passage_cancel(take_ptr(a->passage));
	if (a->chan)
		chan_close(take_ptr(a->chan), false);
}

static void attempt_fail(struct attempt *a, const struct failure *failure)
{
	a->events.done(a->events.owner, NULL, failure);
}

static void attempt_succeed(struct attempt *a)
{
	struct attempt_link link = {
		.chan = take_ptr(a->chan),
		.dialect = a->hs.dialect,
		.public_port = a->hs.public_port,
		.peer = a->peer,
	};

	(void)uv_timer_stop(&a->timer);
	/* The chan's closed callback is the new owner's; ours is not to come. The timer still
	 * counts. */
	assert(a->handles > 1);
	a->handles--;
	a->events.done(a->events.owner, &link, NULL);
}

/* --- the conversation --- */

/* Whether the relay has read our Options: with a secret they are said behind its challenge. */
static bool attempt_options_said(const struct attempt *a)
{
	return a->step == TRY_OPTIONS && (!a->config.auth || a->hs.heard);
}

/* Goes on with another way of saying it, or tells the failure. The connection is closed. */
static void attempt_next(struct attempt *a, enum handshake_failure reason)
{
	bool may_line = a->config.protocol == TUNNEL_AUTO && !a->config.auth;
	struct failure failure;

	failure_of_handshake(&failure, a->config.relay, a->config.option_prefix, &a->hs, reason);
	attempt_hang_up(a);
	if (a->step != TRY_LINE || a->config.protocol == TUNNEL_LINE)
		a->failure = failure;
	if (reason == HANDSHAKE_CLOSED && attempt_options_said(a)) {
		log_debug(LOG, "%s closed at our options, leaving them out", a->config.relay);
		a->step = TRY_PLAIN;
		attempt_dial(a);
	} else if (reason == HANDSHAKE_NOT_BORE && may_line && a->step != TRY_LINE) {
		log_debug(LOG, "%s does not speak JSON, trying lines", a->config.relay);
		a->step = TRY_LINE;
		attempt_dial(a);
	} else if (failure.kind == TUNNEL_NOT_BORE) {
		attempt_fail(a, &a->failure);
	} else {
		/* The relay has understood this dialect, whichever it is, so its answer counts. */
		attempt_fail(a, &failure);
	}
}

static void attempt_fail_system(struct attempt *a, int error)
{
	struct failure failure;

	attempt_hang_up(a);
	failure_of_system(&failure, error);
	attempt_fail(a, &failure);
}

static void attempt_on_late(uv_timer_t *timer)
{
	struct attempt *a = container_of(timer, struct attempt, timer);

	attempt_next(a, client_handshake_cut(&a->hs, true));
}

static void attempt_wait(struct attempt *a)
{
	a->waiting_ms = clock_now_ms();
	/* The loop's idea of now is that of its last wakeup. */
	uv_update_time(a->config.loop);
	(void)uv_timer_start(&a->timer, attempt_on_late, HANDSHAKE_TIMEOUT_MS, 0);
}

/* What the handshake has said of the bytes so far. */
static void attempt_step(struct attempt *a, int r)
{
	if (r < 0)
		attempt_fail_system(a, r);
	else if (r == HANDSHAKE_FAILED)
		attempt_next(a, a->hs.failure);
	else if (r == HANDSHAKE_DONE)
		attempt_succeed(a);
}

static void attempt_on_data(struct chan *chan)
{
	struct attempt *a = chan->owner;
	_cleanup_(buf_deinit) struct buf out = { 0 };
	size_t used = 0;
	int r;

	buf_init(&out, CHAN_OUT_MAX);
	r = client_handshake_feed(&a->hs, buf_head(&chan->in), buf_len(&chan->in), &used, &out);
	buf_consume(&chan->in, used);
	if (r >= 0 && buf_len(&out))
		r = chan_write(chan, buf_head(&out), buf_len(&out)) < 0 ? -ENOBUFS : r;
	if (r == HANDSHAKE_MORE && used)
		attempt_wait(a);
	attempt_step(a, r);
}

static void attempt_on_end(struct chan *chan, int error)
{
	struct attempt *a = chan->owner;
	bool late = clock_now_ms() - a->waiting_ms >= LATE_CLOSE_MS;

	(void)error;
	attempt_next(a, client_handshake_cut(&a->hs, late));
}

static int attempt_open_chan(struct attempt *a, int fd)
{
	struct chan *chan = calloc(1, sizeof(*chan));
	int r;

	if (!chan)
		return -ENOMEM;
	chan->data = attempt_on_data;
	chan->end = attempt_on_end;
	chan->closed = attempt_on_chan_closed;
	chan->owner = a;
	r = chan_open(chan, a->config.loop, fd);
	if (r < 0) {
		free(chan);
		return r;
	}
	a->handles++;
	a->chan = chan;
	return 0;
}

static void attempt_talk(struct attempt *a, int fd)
{
	_cleanup_(buf_deinit) struct buf out = { 0 };
	int r = attempt_open_chan(a, fd);

	buf_init(&out, CHAN_OUT_MAX);
	if (r < 0) {
		(void)fd_close(fd);
		attempt_fail_system(a, r);
		return;
	}
	a->hs = (struct client_handshake){
		.dialect = a->step == TRY_LINE ? DIALECT_LINE : DIALECT_BORE,
		.goal = CLIENT_TUNNEL,
		.port = a->config.port,
		.local_port = a->config.local_port,
		.auth = a->config.auth,
		.offer = a->step == TRY_OPTIONS ? &a->config.offer : NULL,
	};
	r = client_handshake_start(&a->hs, &out);
	if (r >= 0 && buf_len(&out))
		r = chan_write(a->chan, buf_head(&out), buf_len(&out)) < 0 ? -ENOBUFS : r;
	attempt_wait(a);
	attempt_step(a, r);
}

/* --- the connection --- */

static void attempt_dial_failed(struct attempt *a, int error, bool resolving)
{
	/* An answer that the relay has given to another way of saying it says more than this. */
	if (a->step == TRY_OPTIONS || a->failure.text[0] == '\0')
		failure_of_dial(
			&a->failure, a->config.relay, a->config.dialer->host, error, resolving);
	attempt_fail(a, &a->failure);
}

static void attempt_on_passed(void *owner, int fd, const char *why)
{
	struct attempt *a = owner;
	struct failure failure;

	a->passage = NULL;
	if (fd >= 0) {
		attempt_talk(a, fd);
		return;
	}
	failure_of_front(&failure, a->config.relay, a->config.option_prefix, why);
	attempt_fail(a, &failure);
}

/* It is connected, to the relay or the front before it. */
static void attempt_pass(struct attempt *a, int fd)
{
	int r;

	if (!a->config.front) {
		attempt_talk(a, fd);
		return;
	}
	r = passage_start(a->config.front, fd, attempt_on_passed, a, &a->passage);
	if (r == 0)
		return;
	(void)fd_close(fd);
	attempt_fail_system(a, r);
}

static void attempt_on_dialed(
	struct dial *dial, int fd, int error, bool resolving, const struct addr *peer)
{
	struct attempt *a = container_of(dial, struct attempt, dial);

	a->dialing = false;
	a->handles--;
	if (fd < 0) {
		attempt_dial_failed(a, error, resolving);
		return;
	}
	a->peer = *peer;
	attempt_pass(a, fd);
}

static void attempt_on_cancelled(struct dial *dial)
{
	attempt_release(container_of(dial, struct attempt, dial));
}

static void attempt_dial(struct attempt *a)
{
	struct dialer *dialer = a->config.dialer;
	int fd = -1, r;

	a->dial = (struct dial){ .done = attempt_on_dialed, .cancelled = attempt_on_cancelled };
	r = dial_start(&a->dial, dialer, &fd);
	if (r < 0) {
		attempt_dial_failed(a, r, false);
	} else if (r == 0) {
		a->dialing = true;
		a->handles++;
	} else {
		a->peer = dialer->addrs[dialer->preferred];
		attempt_pass(a, fd);
	}
}

static void attempt_on_begin(uv_timer_t *timer)
{
	attempt_dial(container_of(timer, struct attempt, timer));
}

int attempt_start(const struct attempt_config *config, const struct attempt_events *events,
	struct attempt **ret_attempt)
{
	struct attempt *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->config = *config;
	a->events = *events;
	a->step = config->protocol == TUNNEL_LINE ? TRY_LINE : TRY_OPTIONS;
	(void)uv_timer_init(config->loop, &a->timer);
	a->handles = 1;
	/* So that the outcome never comes from within this call. */
	(void)uv_timer_start(&a->timer, attempt_on_begin, 0, 0);
	*ret_attempt = a;
	return 0;
}

struct attempt *attempt_free(struct attempt *a)
{
	if (!a)
		return NULL;
	assert(!a->freed);
	a->freed = true;
	attempt_hang_up(a);
	if (a->dialing)
		dial_cancel(&a->dial);
	uv_close((uv_handle_t *)&a->timer, attempt_on_timer_closed);
	return NULL;
}
