/* SPDX-License-Identifier: MIT */
/*
 * Warm connections. The life of one:
 *
 *	DIALLING -> WAITING -> SERVING -> BUSY
 *	               ^----------+--------'
 *
 * All that wait are in one epoll set, which is one handle to libuv, each with EPOLLONESHOT: once
 * something has come, the pump may have the socket as long as it likes, and one epoll_ctl() lets it
 * wait again. What comes on one that waits is a Visitor frame, and blocks behind it. TAKEN is said
 * before anything else is done about him: a relay that doesn't get it announces him anew, and he
 * must not have reached the application then.
 *
 * warm_fill() dials what is missing (demand.h), behind every change. Dials that fail, and
 * connections that the relay closes at once, are trouble: the next one is dialled alone, after a
 * backoff. The trouble is over when one is of use: it is given a visitor, or still waits after
 * WARM_YOUNG_MS.
 *
 * Our death is a reset (sockopt_set_reset()) from the beginning: behind RAW, TCP's ordinary end is
 * that of the stream.
 *
 * Who owns what: the descriptor is the connection's while it waits, and until its visitor's flow
 * takes it. Then it is the pump's, which gives it back or doesn't (warm_ended()). A connection
 * that was told of a visitor lives until that call; all others are freed here, and the batch of
 * events at hand forgets them.
 */
#include "tunnel/warm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "net/flow.h"
#include "net/host.h"
#include "net/sockopt.h"
#include "proto/block.h"

#define LOG "tunnel"

/* So often in a row it fails before a line is worth it: one may meet a relay that restarts. */
#define WARM_FAILURES_TOLD 3

struct warm_conn {
	struct target target;
	struct warm *warm;
	struct list link; /* in warm->conns[state] */
	enum warm_state state;
	unsigned session;
	int fd; /* owned, unless it is dialled or a pump has it: -1 */
	struct data_conn *dial;
	bool watched;      /* the epoll set knows it */
	bool served;       /* a visitor, at least once */
	uint64_t since_ms; /* of the state */
	struct timeout frame;
	struct buf in; /* the frame, as far as it has come; then the blocks for the flow */
	/* While it is given: what came behind the frame. */
	const uint8_t *early;
	size_t early_len;
	bool no_memory; /* for that */
};

static void warm_fill(struct warm *r);

/* --- a connection --- */

static struct warm_conn *warm_conn_new(struct warm *r)
{
	struct warm_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->warm = r;
	c->session = r->session;
	c->fd = -1;
	timeout_init(&c->frame);
	buf_init(&c->in, WARM_EARLY_MAX);
	c->state = WARM_DIALLING;
	c->since_ms = clock_now_ms();
	list_push_back(&r->conns[WARM_DIALLING], &c->link);
	r->count[WARM_DIALLING]++;
	return c;
}

static void warm_conn_set_state(struct warm_conn *c, enum warm_state state)
{
	struct warm *r = c->warm;

	list_remove(&c->link);
	r->count[c->state]--;
	c->state = state;
	c->since_ms = clock_now_ms();
	list_push_back(&r->conns[state], &c->link);
	r->count[state]++;
}

/* A child between fork and exec may hold the socket open: it is taken out of the set by hand. */
static void warm_conn_unwatch(struct warm_conn *c)
{
	if (c->watched && c->fd >= 0)
		(void)epoll_ctl(c->warm->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
	c->watched = false;
}

static void warm_conn_free(struct warm_conn *c)
{
	struct warm *r = c->warm;

	for (unsigned i = 0; i < r->batch_count; i++)
		if (r->batch[i] == c)
			r->batch[i] = NULL;
	if (r->giving == c)
		r->giving = NULL;
	if (c->dial)
		data_conn_cancel(c->dial);
	list_remove(&c->link);
	r->count[c->state]--;
	timeout_disarm(&c->frame);
	buf_deinit(&c->in);
	warm_conn_unwatch(c);
	/* The end of the visitor before may still be on its way, with much in front of it. */
	if (c->fd >= 0)
		sockopt_lift_reset(c->fd);
	(void)fd_close(c->fd);
	free(c);
}

/* --- trouble --- */

static void warm_end_trouble(struct warm *r)
{
	r->in_trouble = false;
	r->failures = 0;
	r->retry_ms = 0;
	backoff_reset(&r->backoff);
}

static void warm_trouble(struct warm *r, const char *why)
{
	uint64_t now = clock_now_ms();

	log_debug(LOG, "no connection ready at the relay: %s", why);
	/* Of several that fail together, the first one counts. */
	if (now < r->retry_ms)
		return;
	r->in_trouble = true;
	r->retry_ms = now + backoff_next_ms(&r->backoff);
	if (++r->failures < WARM_FAILURES_TOLD || r->told)
		return;
	r->told = true;
	log_warn(LOG,
		"no connection can be kept ready at the relay: %s; each visitor waits for one of "
		"his own, a round trip or two longer; is the relay's --max-ready reached?",
		why);
}

/* It has waited, and is gone. */
static void warm_conn_lost(struct warm_conn *c, const char *why)
{
	struct warm *r = c->warm;
	bool of_use = c->served || clock_now_ms() - c->since_ms >= WARM_YOUNG_MS;

	log_debug(LOG, "a connection that waited for visitors is gone: %s", why);
	warm_conn_free(c);
	if (!of_use)
		warm_trouble(r, why);
	warm_fill(r);
}

/* The relay says on it what has no place there. */
static void warm_conn_misused(struct warm_conn *c, const char *why)
{
	c->served = false;
	c->since_ms = clock_now_ms();
	warm_conn_lost(c, why);
}

static void warm_on_frame_late(struct timeouts *q, struct timeout *t)
{
	warm_conn_misused(
		container_of(t, struct warm_conn, frame), "it did not finish to name a visitor");
}

/* --- waiting --- */

static int warm_conn_watch(struct warm_conn *c)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT,
		.data.ptr = c,
	};
	int op = c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (epoll_ctl(c->warm->epoll_fd, op, c->fd, &event) < 0)
		return -errno;
	c->watched = true;
	return 0;
}

static void warm_conn_wait(struct warm_conn *c)
{
	int r = warm_conn_watch(c);

	if (r < 0)
		warm_conn_lost(c, uv_strerror(r));
}

/* --- a visitor --- */

static bool warm_conn_say(struct warm_conn *c, enum block_type type)
{
	uint8_t head[BLOCK_HEAD_LEN];

	block_encode(type, 0, head);
	/* So little always fits, but into a connection that is dead. */
	return send(c->fd, head, sizeof(head), MSG_NOSIGNAL) == sizeof(head);
}

/* He has no application: the connection ends with him. What he has sent is thrown away, so that
 * close(2) doesn't answer it with a reset that overtakes his end. */
static void warm_conn_turn_away(struct warm_conn *c)
{
	sockopt_lift_reset(c->fd);
	(void)warm_conn_say(c, BLOCK_END);
	(void)recv(c->fd, NULL, WARM_READ_MAX, MSG_TRUNC);
	warm_conn_unwatch(c);
	c->fd = fd_close(c->fd);
}

static void warm_holder_cancel(void *holder)
{
	warm_conn_turn_away(holder);
}

static int warm_holder_take(void *holder, const void **ret_early, size_t *ret_early_len)
{
	struct warm_conn *c = holder;

	if (c->no_memory)
		return -ENOMEM;
	*ret_early = c->early;
	*ret_early_len = c->early_len;
	return take_fd(&c->fd);
}

static int warm_target_open(
	const struct target *target, struct flow *f, enum pump_side side, int *ret_fd)
{
	static const struct holder_ops ops = {
		.cancel = warm_holder_cancel,
		.take = warm_holder_take,
	};

	flow_hold(f, side, &ops, container_of(target, struct warm_conn, target));
	*ret_fd = -1;
	return 1;
}

const struct target *warm_target(const struct warm_conn *c)
{
	return &c->target;
}

/* What came behind the frame lies on the stack: a flow that waits for the application keeps it. */
static void warm_conn_keep_early(struct warm_conn *c)
{
	if (c->fd < 0)
		return;
	buf_consume(&c->in, buf_len(&c->in));
	c->no_memory = buf_append(&c->in, c->early, c->early_len) < 0;
	c->early = buf_head(&c->in);
}

static void warm_conn_give(
	struct warm_conn *c, const struct msg *msg, const uint8_t *early, size_t early_len)
{
	struct warm *r = c->warm;
	struct addr from;
	bool known = host_parse_peer(msg->text, &from) == 0;

	timeout_disarm(&c->frame);
	/* With a byte of his here, no relay gives him to anybody else: he is served to his reset.
	 */
	if (!warm_conn_say(c, BLOCK_TAKEN) && !early_len) {
		warm_conn_lost(c, "it was closed as a visitor came");
		return;
	}
	warm_end_trouble(r);
	c->served = true;
	c->early = early;
	c->early_len = early_len;
	warm_conn_set_state(c, WARM_SERVING);
	r->giving = c;
	c->target.open = warm_target_open;
	r->events->visitor(r, c, &msg->id, known ? &from : NULL);
	if (r->giving)
		warm_conn_keep_early(c);
	r->giving = NULL;
}

/* Not yet a whole frame. */
static void warm_conn_keep_part(struct warm_conn *c, const uint8_t *data, size_t len)
{
	bool first = buf_len(&c->in) == 0;

	buf_consume(&c->in, buf_len(&c->in));
	if (buf_append(&c->in, data, len) < 0) {
		warm_conn_lost(c, uv_strerror(-ENOMEM));
		return;
	}
	if (first)
		timeouts_arm(&c->warm->frames, &c->frame);
	warm_conn_wait(c);
}

/* Bytes have come on one that waits, all that it has. */
static void warm_conn_eat(struct warm_conn *c, const uint8_t *data, size_t len, bool ended)
{
	char text[4 * MSG_MAX + 1], why[sizeof(text) + 32];
	struct msg msg;
	size_t used;
	int r = msg_begins_json(data[0])
			? msg_decode(DIALECT_BORE, ROLE_SERVER, data, len, &msg, &used)
			: -EBADMSG;

	if (r == MSG_COMPLETE && msg.type == MSG_ERROR) {
		(void)snprintf(why, sizeof(why), "it says '%s'",
			log_escape(text, sizeof(text), msg.text, msg.text_len));
		warm_conn_misused(c, why);
	} else if (r < 0 || (r == MSG_COMPLETE && msg.type != MSG_VISITOR)) {
		warm_conn_misused(c, "it says there what names no visitor");
	} else if (ended && (r == MSG_PARTIAL || used == len)) {
		/* We were stopped, and the relay has given up: he may be served elsewhere by now.
		 */
		warm_conn_lost(c, "its visitor was taken back");
	} else if (r == MSG_PARTIAL) {
		warm_conn_keep_part(c, data, len);
	} else {
		warm_conn_give(c, &msg, data + used, len - used);
	}
}

static void warm_conn_read(struct warm_conn *c, uint32_t events)
{
	uint8_t data[WARM_READ_MAX];
	size_t had = buf_len(&c->in);
	ssize_t n;

	if (had)
		memcpy(data, buf_head(&c->in), had);
	n = recv(c->fd, data + had, sizeof(data) - had, 0);
	if (n > 0)
		warm_conn_eat(
			c, data, had + (size_t)n, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	else if (n == 0)
		warm_conn_lost(c, "the relay has closed it");
	else if (errno == EAGAIN || errno == EINTR)
		warm_conn_wait(c);
	else
		warm_conn_lost(c, uv_strerror(-errno));
}

static void warm_on_poll(uv_poll_t *poll, int status, int uv_events)
{
	struct warm *r = container_of(poll, struct warm, poll);
	struct epoll_event events[WARM_BATCH_MAX];
	int n = epoll_wait(r->epoll_fd, events, WARM_BATCH_MAX, 0);

	(void)status;
	(void)uv_events;
	r->batch_count = n < 0 ? 0 : (unsigned)n;
	for (unsigned i = 0; i < r->batch_count; i++)
		r->batch[i] = events[i].data.ptr;
	for (unsigned i = 0; i < r->batch_count; i++)
		if (r->batch[i])
			warm_conn_read(r->batch[i], events[i].events);
	r->batch_count = 0;
}

static int warm_open_set(struct warm *r)
{
	int result;

	if (r->epoll_fd >= 0)
		return 0;
	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll_fd < 0)
		return -errno;
	result = uv_poll_init(r->timer.loop, &r->poll, r->epoll_fd);
	if (result < 0) {
		r->epoll_fd = fd_close(r->epoll_fd);
		return result;
	}
	r->handles++;
	(void)uv_poll_start(&r->poll, UV_READABLE, warm_on_poll);
	return 0;
}

/* --- dialling --- */

/* Nothing more comes from the relay, not even what waits to be read. */
static bool warm_conn_has_ended(const struct warm_conn *c)
{
	char byte;
	ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* It waits, for the first time or again. Some of what it waits for may be there. */
static void warm_conn_begin(struct warm_conn *c, const uint8_t *early, size_t early_len)
{
	warm_conn_set_state(c, WARM_WAITING);
	if (early_len)
		warm_conn_eat(c, early, early_len, warm_conn_has_ended(c));
	else
		warm_conn_wait(c);
}

static void warm_on_opened(void *owner)
{
	struct warm_conn *c = owner;
	struct warm *r = c->warm;
	const void *early = NULL;
	size_t early_len = 0;
	int fd = data_conn_take(c->dial, &early, &early_len);

	if (fd >= 0) {
		c->dial = NULL;
		c->fd = fd;
		sockopt_set_reset(fd);
		warm_conn_begin(c, early, early_len);
	} else {
		warm_conn_free(c);
		warm_trouble(r, uv_strerror(fd));
	}
	warm_fill(r);
}

static void warm_on_failed(void *owner, enum data_conn_failure what, int error, const char *why)
{
	struct warm_conn *c = owner;
	struct warm *r = c->warm;

	(void)what;
	(void)error;
	c->dial = NULL;
	warm_conn_free(c);
	warm_trouble(r, why);
	warm_fill(r);
}

/* False: it has failed at once. */
static bool warm_dial(struct warm *r)
{
	static const struct data_conn_events events = {
		.opened = warm_on_opened,
		.failed = warm_on_failed,
	};
	struct warm_conn *c = warm_conn_new(r);
	int result = c ? warm_open_set(r) : -ENOMEM;

	if (result == 0)
		result = data_conn_open(
			r->relay, CLIENT_READY, &r->key, &events, c, &c->dial, &c->fd);
	if (result == 1) {
		sockopt_set_reset(c->fd);
		warm_conn_set_state(c, WARM_WAITING);
		result = warm_conn_watch(c);
	}
	if (result >= 0)
		return true;
	if (c)
		warm_conn_free(c);
	warm_trouble(r, uv_strerror(result));
	return false;
}

/* Those that serve somebody for long won't be back soon. */
static void warm_age(struct warm *r, uint64_t now_ms)
{
	struct list *first;

	while ((first = list_first(&r->conns[WARM_SERVING]))) {
		struct warm_conn *c = list_entry(first, struct warm_conn, link);

		if (now_ms - c->since_ms < DEMAND_SPAN_MS)
			break;
		warm_conn_set_state(c, WARM_BUSY);
	}
}

static unsigned warm_missing(const struct warm *r, uint64_t now_ms)
{
	const struct demand_have have = {
		.idle = r->count[WARM_WAITING],
		.dialling = r->count[WARM_DIALLING],
		.returning = r->count[WARM_SERVING],
	};

	return demand_missing(
		&have, r->in_trouble ? 1 : demand_wanted(&r->demand, r->limit, now_ms), r->limit);
}

static void warm_on_timer(uv_timer_t *timer)
{
	warm_fill(container_of(timer, struct warm, timer));
}

static void warm_look_again(struct warm *r, uint64_t in_ms)
{
	uv_update_time(r->timer.loop);
	(void)uv_timer_start(&r->timer, warm_on_timer, in_ms, 0);
}

/* The trouble is over when one has waited long enough; looks again when that can be so. */
static void warm_prove(struct warm *r, uint64_t now_ms)
{
	struct list *first = list_first(&r->conns[WARM_WAITING]);
	uint64_t age;

	if (!r->in_trouble || !first)
		return;
	age = now_ms - list_entry(first, struct warm_conn, link)->since_ms;
	if (age >= WARM_YOUNG_MS)
		warm_end_trouble(r);
	else
		warm_look_again(r, WARM_YOUNG_MS - age);
}

static void warm_fill(struct warm *r)
{
	uint64_t now = clock_now_ms();
	unsigned begun = 0;

	if (!r->limit || r->frozen)
		return;
	warm_age(r, now);
	warm_prove(r, now);
	if (now < r->retry_ms) {
		warm_look_again(r, r->retry_ms - now);
		return;
	}
	while (r->count[WARM_DIALLING] < WARM_DIALS_MAX && warm_missing(r, now)) {
		/* On loopback each is there at once: the loop has others to serve. */
		if (begun++ == WARM_DIALS_MAX) {
			warm_look_again(r, 1);
			return;
		}
		if (!warm_dial(r)) {
			warm_look_again(r, r->retry_ms - now);
			return;
		}
	}
}

/* --- public --- */

void warm_init(
	struct warm *r, uv_loop_t *loop, struct data_relay *relay, const struct warm_events *events)
{
	*r = (struct warm){ .relay = relay, .events = events, .epoll_fd = -1, .handles = 2 };
	for (int state = 0; state < WARM_STATES; state++)
		list_init(&r->conns[state]);
	backoff_init(&r->backoff, NULL);
	timeouts_init(&r->frames, loop, WARM_FRAME_MS, warm_on_frame_late, r);
	(void)uv_timer_init(loop, &r->timer);
}

static void warm_release(struct warm *r)
{
	if (--r->handles == 0)
		r->closed(r);
}

static void warm_on_frames_closed(uv_handle_t *handle)
{
	warm_release(container_of((uv_timer_t *)handle, struct warm, frames.timer));
}

static void warm_on_timer_closed(uv_handle_t *handle)
{
	warm_release(container_of((uv_timer_t *)handle, struct warm, timer));
}

static void warm_on_poll_closed(uv_handle_t *handle)
{
	warm_release(container_of((uv_poll_t *)handle, struct warm, poll));
}

void warm_close(struct warm *r, void (*closed)(struct warm *r))
{
	r->closed = closed;
	timeouts_close(&r->frames, warm_on_frames_closed);
	uv_close((uv_handle_t *)&r->timer, warm_on_timer_closed);
	if (r->epoll_fd < 0)
		return;
	uv_close((uv_handle_t *)&r->poll, warm_on_poll_closed);
	r->epoll_fd = fd_close(r->epoll_fd);
}

static void warm_drop_all(struct warm *r, enum warm_state state)
{
	struct list *first;

	while ((first = list_first(&r->conns[state])))
		warm_conn_free(list_entry(first, struct warm_conn, link));
}

void warm_reset(struct warm *r)
{
	r->limit = 0;
	r->session++;
	r->told = false;
	warm_end_trouble(r);
	warm_drop_all(r, WARM_DIALLING);
	warm_drop_all(r, WARM_WAITING);
	(void)uv_timer_stop(&r->timer);
}

void warm_grant(struct warm *r, unsigned limit, const struct uuid *key)
{
	if (r->limit && !uuid_equal(&r->key, key))
		warm_reset(r);
	r->limit = (unsigned)min_u64(limit, DEMAND_MAX);
	r->key = *key;
	r->frozen = false;
	warm_fill(r);
}

void warm_freeze(struct warm *r)
{
	r->frozen = true;
	warm_drop_all(r, WARM_DIALLING);
}

void warm_note_visitor(struct warm *r)
{
	demand_note(&r->demand, clock_now_ms());
	warm_fill(r);
}

void warm_joined(struct warm_conn *c)
{
	buf_deinit(&c->in);
}

void warm_ended(struct warm_conn *c, int fd, const uint8_t *rest, size_t rest_len)
{
	struct warm *r = c->warm;

	buf_deinit(&c->in);
	c->fd = fd;
	if (fd < 0 || c->session != r->session || !r->limit)
		warm_conn_free(c);
	else
		warm_conn_begin(c, rest, rest_len);
	warm_fill(r);
}

void warm_refuse(struct warm_conn *c)
{
	warm_conn_turn_away(c);
	warm_ended(c, -1, NULL, 0);
}
