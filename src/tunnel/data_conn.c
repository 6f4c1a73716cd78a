/* SPDX-License-Identifier: MIT */
/*
 * Without a secret all that is to be said is an Accept, which goes out in one write and needs no
 * answer: the descriptor is the flow's end at once.
 *
 * With a secret the relay's challenge is awaited first, in a data_conn. That stays the holder of
 * the end behind its Accept as well, until the flow takes it for the pump: while the application is
 * still being connected, it hears whether the relay gives up.
 *
 * The invariant: from the Accept on, our death is a reset to the relay. It would take what has come
 * for the visitor's whole answer otherwise.
 */
#include "tunnel/data_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "front/front.h"
#include "net/chan.h"
#include "net/flow.h"
#include "net/sockopt.h"
#include "net/target.h"
#include "proto/client_handshake.h"
#include "tunnel/visitors.h"

/* The three lines of the line dialect, at most. */
#define DATA_CONN_OUT_MAX (3 * MSG_WIRE_MAX)

struct data_conn {
	struct chan chan;
	struct client_handshake hs;
	struct flow_set *set;
	struct flow *flow; /* NULL: closed, or taken */
	bool accepted;     /* the connection is the visitor's stream */
};

static void data_conn_on_closed(struct chan *chan)
{
	struct data_conn *c = container_of(chan, struct data_conn, chan);
	struct flow_set *set = c->set;

	free(c);
	flow_set_unref(set);
}

static void data_conn_cancel(void *holder)
{
	struct data_conn *c = holder;

	c->flow = NULL;
	/* A reset would drop an Accept that is still on its way, and leave the visitor waiting. */
	if (c->accepted)
		sockopt_lift_reset(c->chan.fd);
	chan_close(&c->chan, false);
}

static int data_conn_take(void *holder, const void **ret_early, size_t *ret_early_len)
{
	struct data_conn *c = holder;
	int fd = chan_take_fd(&c->chan);

	if (fd < 0)
		return -EAGAIN;
	c->flow = NULL;
	*ret_early = buf_head(&c->chan.in);
	*ret_early_len = buf_len(&c->chan.in);
	return fd;
}

/* The relay has let us connect, and ends it all the same. */
static void data_conn_not_taken(struct data_conn *c, const char *why)
{
	struct visitors *vs = container_of(c->set, struct visitors, flows);

	if (episode_tells(&vs->failures[PUMP_OUTER], why, clock_now_ms()))
		log_warn("tunnel",
			"the relay does not take a data connection: %s; visitors are turned away; "
			"is the relay overloaded?",
			why);
	flow_close(c->flow, "the relay did not take the data connection");
}

static void data_conn_on_data(struct chan *chan)
{
	struct data_conn *c = container_of(chan, struct data_conn, chan);
	_cleanup_(buf_deinit) struct buf out = { 0 };
	size_t used = 0;
	int r;

	if (!c->flow)
		return;
	if (c->accepted) {
		/* What comes behind the handshake is the stream's, and waits for the application,
		 * if the relay has read our answer. */
		if (sockopt_queued(chan->fd))
			data_conn_not_taken(c, "it gave up before it had our answer");
		return;
	}
	buf_init(&out, DATA_CONN_OUT_MAX);
	r = client_handshake_feed(&c->hs, buf_head(&chan->in), buf_len(&chan->in), &used, &out);
	buf_consume(&chan->in, used);
	if (r >= 0 && buf_len(&out))
		r = chan_write(chan, buf_head(&out), buf_len(&out)) < 0 ? -ENOBUFS : r;
	if (r == HANDSHAKE_DONE) {
		c->accepted = true;
		sockopt_set_reset(chan->fd);
		flow_opened(c->flow, PUMP_OUTER, -1, NULL, 0);
	} else if (r != HANDSHAKE_MORE) {
		data_conn_not_taken(
			c, r < 0 ? uv_strerror(r) : handshake_failure_text(c->hs.failure));
	}
}

static void data_conn_on_end(struct chan *chan, int error)
{
	struct data_conn *c = container_of(chan, struct data_conn, chan);

	if (!c->flow)
		return;
	/* Behind the Accept, an EOF may be all that a visitor has to say; the pump reads it again.
	 */
	if (!c->accepted)
		data_conn_not_taken(c, error ? uv_strerror(error) : "it hangs up");
	else if (error)
		flow_close(c->flow, "the relay closed the data connection");
}

/* The handshake awaits an answer to `out`. As dial_target->greet(). */
static int data_conn_open(struct visitors *vs, struct flow *f, const struct client_handshake *hs,
	const struct buf *out, int *fd)
{
	static const struct holder_ops ops = { .cancel = data_conn_cancel, .take = data_conn_take };
	struct data_conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->hs = *hs;
	c->set = &vs->flows;
	c->chan.data = data_conn_on_data;
	c->chan.end = data_conn_on_end;
	c->chan.closed = data_conn_on_closed;
	r = chan_open(&c->chan, vs->loop, *fd);
	if (r < 0) {
		free(c);
		return r;
	}
	(void)take_fd(fd);
	flow_set_ref(c->set);
	r = buf_len(out) ? chan_write(&c->chan, buf_head(out), buf_len(out)) : 0;
	if (r < 0) {
		chan_close(&c->chan, true);
		return r;
	}
	c->flow = f;
	flow_hold(f, PUMP_OUTER, &ops, c);
	return 0;
}

/* On a connection to the relay. As dial_target->greet(). */
static int data_conn_accept(struct visitors *vs, struct flow *f, int *fd)
{
	struct client_handshake hs = {
		.dialect = vs->dialect,
		.goal = CLIENT_STREAM,
		.id = *visitors_id(f),
		.auth = vs->auth,
	};
	_cleanup_(buf_deinit) struct buf out = { 0 };
	ssize_t n;
	int r;

	buf_init(&out, DATA_CONN_OUT_MAX);
	r = client_handshake_start(&hs, &out);
	if (r == HANDSHAKE_MORE)
		return data_conn_open(vs, f, &hs, &out, fd);
	if (r != HANDSHAKE_DONE)
		return r < 0 ? r : -EINVAL;
	/* The send buffer of a fresh connection takes a frame whole. */
	n = send(*fd, buf_head(&out), buf_len(&out), MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	return (size_t)n < buf_len(&out) ? -EAGAIN : 1;
}

/* --- through a front --- */

/* A flow's passage through the front; its holder. */
struct data_passage {
	struct passage *passage;
	struct flow *flow;
};

static void data_passage_cancel(void *holder)
{
	struct data_passage *p = holder;

	passage_cancel(p->passage);
	free(p);
}

static void data_passage_on_done(void *owner, int fd, const char *why)
{
	struct data_passage *p = owner;
	struct flow *f = p->flow;
	struct visitors *vs = container_of(f->set, struct visitors, flows);
	int end = fd, r;

	free(p);
	if (fd < 0) {
		flow_hold(f, PUMP_OUTER, NULL, NULL);
		if (episode_tells(&vs->failures[PUMP_OUTER], why, clock_now_ms()))
			log_warn("tunnel",
				"no way through the front for a data connection: %s; visitors are "
				"turned away",
				why);
		(void)vs->events.refuse(
			vs->events.owner, visitors_id(f), "no way through the front");
		flow_close(f, "the front did not let the data connection through");
		return;
	}
	r = data_conn_accept(vs, f, &end);
	if (r == 1) {
		flow_opened(f, PUMP_OUTER, end, NULL, 0);
	} else if (r < 0) {
		(void)fd_close(end);
		flow_failed(f, PUMP_OUTER, r);
	}
}

int data_conn_greet(struct dial_target *t, struct flow *f, enum pump_side side, int *fd)
{
	static const struct holder_ops ops = { .cancel = data_passage_cancel };
	struct visitors *vs = container_of(t, struct visitors, relay);
	struct data_passage *p;
	int r;

	if (!vs->front)
		return data_conn_accept(vs, f, fd);
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->flow = f;
	r = passage_start(vs->front, *fd, data_passage_on_done, p, &p->passage);
	if (r < 0) {
		free(p);
		return r;
	}
	(void)take_fd(fd);
	flow_hold(f, side, &ops, p);
	return 0;
}
