/* SPDX-License-Identifier: MIT */
/*
 * Each stays in the epoll set of the control loop's worker (net/watch.h), from its first wait on,
 * whether it waits or a pump has it, until a thread's pump takes it out. Edges tell once, so what
 * is not dealt with yet stays noted in watch.events. What comes on one
 * that waits is a Visitor frame, and blocks behind it. TAKEN is said before anything else is done
 * about him: a relay that doesn't get it announces him anew, and he must not have reached the
 * application then.
 *
 * Who owns what: the descriptor is the connection's while it waits, and until its visitor's flow
 * takes it. Then it is the pump's, which gives it back (warm_conn_wait()) or doesn't. Whoever
 * embeds the connection may deinit it within any event: the batch at hand forgets it.
 */
#include "tunnel/warm_conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "net/host.h"
#include "net/pump_pool.h"
#include "net/sockopt.h"
#include "proto/block.h"
#include "proto/msg.h"

static void warm_conn_lost(struct warm_conn *c, const char *why)
{
	c->set->events->lost(c, false, why);
}

static void warm_conn_misused(struct warm_conn *c, const char *why)
{
	c->set->events->lost(c, true, why);
}

/* --- waiting --- */

static void warm_conn_read(struct warm_conn *c);

/* What has come already is dealt with at once. */
static void warm_conn_listen(struct warm_conn *c)
{
	if (c->watch.events)
		warm_conn_read(c);
}

/* A child between fork and exec may hold the socket open: it is taken out of the set by hand. */
static void warm_conn_unwatch(struct warm_conn *c)
{
	if (c->fd >= 0)
		pump_pool_unwatch(c->set->pool, &c->watch, c->fd);
}

/* --- a visitor --- */

static bool warm_conn_say(struct warm_conn *c, enum block_type type)
{
	uint8_t head[BLOCK_HEAD_LEN];

	block_encode(type, 0, head);
	/* So little always fits, but into a connection that is dead. */
	return send(c->fd, head, sizeof(head), MSG_NOSIGNAL) == sizeof(head);
}

/* What he has sent is thrown away, so that close(2) doesn't answer it with a reset that overtakes
 * his end. */
void warm_conn_turn_away(struct warm_conn *c)
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

/* What came behind the frame is the caller's: a flow that waits for the application keeps it. */
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
	struct warm_set *s = c->set;
	struct addr from;
	bool known = host_parse_peer(msg->text, &from) == 0;

	timeout_disarm(&c->frame);
	c->waits = false;
	/* With a byte of his here, no relay gives him to anybody else: he is served to his reset.
	 */
	if (!warm_conn_say(c, BLOCK_TAKEN) && !early_len) {
		warm_conn_lost(c, "it was closed as a visitor came");
		return;
	}
	c->early = early;
	c->early_len = early_len;
	s->giving = c;
	s->events->visitor(c, &msg->id, known ? &from : NULL);
	if (s->giving)
		warm_conn_keep_early(c);
	s->giving = NULL;
}

/* Not yet a whole frame, so no more than MSG_WIRE_MAX. */
static void warm_conn_keep_part(struct warm_conn *c, const uint8_t *data, size_t len)
{
	bool first = buf_len(&c->in) == 0;

	buf_consume(&c->in, buf_len(&c->in));
	if (buf_append(&c->in, data, len) < 0) {
		warm_conn_lost(c, uv_strerror(-ENOMEM));
		return;
	}
	if (first)
		timeouts_arm(&c->set->frames, &c->frame);
	warm_conn_listen(c);
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

static void warm_conn_read(struct warm_conn *c)
{
	uint8_t data[WARM_READ_MAX];
	size_t had = buf_len(&c->in), room = sizeof(data) - had;
	uint32_t ended = c->watch.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	ssize_t n;

	if (had)
		memcpy(data, buf_head(&c->in), had);
	n = recv(c->fd, data + had, room, 0);
	/* Less than was asked for is all there was. */
	c->watch.events = ended | ((size_t)n == room ? EPOLLIN : 0U);
	if (n > 0)
		warm_conn_eat(c, data, had + (size_t)n, ended);
	else if (n == 0)
		warm_conn_lost(c, "the relay has closed it");
	else if (errno != EAGAIN)
		warm_conn_lost(c, uv_strerror(-errno));
}

static void warm_conn_on_ready(struct watch *watch)
{
	struct warm_conn *c = container_of(watch, struct warm_conn, watch);

	if (c->waits)
		warm_conn_read(c);
}

/* Nothing more comes from the relay, not even what waits to be read. */
static bool warm_conn_has_ended(const struct warm_conn *c)
{
	char byte;
	ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

void warm_conn_wait(struct warm_conn *c, int fd, const uint8_t *early, size_t early_len)
{
	int r = 0;

	c->fd = fd;
	c->waits = true;
	/* A pump on a thread has taken it out of the set. */
	if (!c->watch.watched)
		r = pump_pool_watch_socket(c->set->pool, &c->watch, fd);
	if (r < 0)
		warm_conn_lost(c, uv_strerror(r));
	else if (early && early_len)
		warm_conn_eat(c, early, early_len, warm_conn_has_ended(c));
	else
		warm_conn_listen(c);
}

void warm_conn_joined(struct warm_conn *c)
{
	buf_deinit(&c->in);
}

void warm_conn_init(struct warm_conn *c, struct warm_set *set)
{
	*c = (struct warm_conn){ .target.open = warm_target_open, .set = set, .fd = -1 };
	watch_init(&c->watch, warm_conn_on_ready);
	timeout_init(&c->frame);
	buf_init(&c->in, PUMP_AHEAD_MAX);
}

void warm_conn_deinit(struct warm_conn *c)
{
	struct warm_set *s = c->set;

	if (s->giving == c)
		s->giving = NULL;
	timeout_disarm(&c->frame);
	buf_deinit(&c->in);
	warm_conn_unwatch(c);
	if (c->fd >= 0)
		sockopt_lift_reset(c->fd);
	c->fd = fd_close(c->fd);
}

/* --- the set --- */

static void warm_on_frame_late(struct timeouts *q, struct timeout *t)
{
	warm_conn_misused(
		container_of(t, struct warm_conn, frame), "it did not finish to name a visitor");
}

void warm_set_init(struct warm_set *s, uv_loop_t *loop, struct pump_pool *pool,
	const struct warm_conn_events *events)
{
	*s = (struct warm_set){ .events = events, .pool = pool };
	timeouts_init(&s->frames, loop, WARM_FRAME_MS, warm_on_frame_late, s);
}

static void warm_set_on_frames_closed(uv_handle_t *handle)
{
	struct warm_set *s = container_of((uv_timer_t *)handle, struct warm_set, frames.timer);

	s->closed(s);
}

void warm_set_close(struct warm_set *s, void (*closed)(struct warm_set *s))
{
	s->closed = closed;
	timeouts_close(&s->frames, warm_set_on_frames_closed);
}
