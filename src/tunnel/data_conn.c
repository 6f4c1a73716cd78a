/* SPDX-License-Identifier: MIT */
/*
 * How a data connection comes to be:
 *
 *	dialled -> through the front -> the relay's challenge -> said
 *
 * each only where it is needed. Without a secret all that is to be said is one frame, which goes
 * out in one write and needs no answer: on loopback the descriptor is there at once.
 *
 * With a secret the relay's challenge is awaited first, on a chan. Behind what was said to that it
 * goes on to read, until it is taken: while the application is still being connected, it hears
 * whether the relay gives up.
 *
 * The invariants. From an Accept on, our death is a reset to the relay: it would take what has come
 * for the visitor's whole answer otherwise. `handles` counts what libuv knows of it, the dial and
 * the chan; the memory goes when that is 0 and the owner has let go, and the reference on the set
 * with it.
 */
#include "tunnel/data_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/lang.h"
#include "base/owner.h"
#include "front/front.h"
#include "net/chan.h"
#include "net/dial.h"
#include "net/flow.h"
#include "net/sockopt.h"

/* The three lines of the line dialect, at most. */
#define DATA_CONN_OUT_MAX (3 * MSG_WIRE_MAX)

struct data_conn {
	struct data_relay *relay;
	const struct data_conn_events *events;
	void *owner; /* NULL: nobody waits for it any more */
	struct client_handshake hs;
	struct dial dial;
	bool dialling;
	struct passage *passage; /* NULL: none is under way */
	struct chan chan;
	bool talking; /* the chan has the descriptor */
	bool said;    /* all that was to be said is said */
	int fd;       /* owned; -1: none, or the chan has it */
	unsigned handles;
};

/* --- the end --- */

static void data_conn_settle(struct data_conn *c)
{
	struct flow_set *set = c->relay->set;

	if (c->owner || c->handles)
		return;
	free(c);
	flow_set_unref(set);
}

static void data_conn_release(struct data_conn *c)
{
	c->handles--;
	data_conn_settle(c);
}

static void data_conn_on_chan_closed(struct chan *chan)
{
	data_conn_release(container_of(chan, struct data_conn, chan));
}

static void data_conn_on_cancelled(struct dial *dial)
{
	data_conn_release(container_of(dial, struct data_conn, dial));
}

void data_conn_cancel(struct data_conn *c)
{
	int fd = c->talking ? c->chan.fd : c->fd;

	/* A reset would drop an Accept that is still on its way, and leave the visitor waiting. */
	if (c->said && fd >= 0)
		sockopt_lift_reset(fd);
	if (c->dialling)
		dial_cancel(&c->dial);
	if (c->passage)
		passage_cancel(take_ptr(c->passage));
	if (c->talking)
		chan_close(&c->chan, false);
	c->fd = fd_close(c->fd);
	c->owner = NULL;
	data_conn_settle(c);
}

static void data_conn_fail(
	struct data_conn *c, enum data_conn_failure what, int error, const char *why)
{
	const struct data_conn_events *events = c->events;
	struct flow_set *set = c->relay->set;
	void *owner = c->owner;

	/* It keeps the set until the owner has heard. */
	flow_set_ref(set);
	data_conn_cancel(c);
	events->failed(owner, what, error, why);
	flow_set_unref(set);
}

int data_conn_take(struct data_conn *c, const void **ret_early, size_t *ret_early_len)
{
	int fd = c->talking ? chan_take_fd(&c->chan) : take_fd(&c->fd);

	if (fd < 0)
		return -EAGAIN;
	*ret_early = c->talking ? buf_head(&c->chan.in) : NULL;
	*ret_early_len = c->talking ? buf_len(&c->chan.in) : 0;
	c->owner = NULL;
	data_conn_settle(c);
	return fd;
}

/* --- the conversation --- */

static void data_conn_done(struct data_conn *c)
{
	c->said = true;
	if (c->hs.goal == CLIENT_STREAM)
		sockopt_set_reset(c->talking ? c->chan.fd : c->fd);
	c->events->opened(c->owner);
}

static void data_conn_on_data(struct chan *chan)
{
	struct data_conn *c = container_of(chan, struct data_conn, chan);
	_cleanup_(buf_deinit) struct buf out = { 0 };
	size_t used = 0;
	int r;

	if (!c->owner)
		return;
	if (c->said) {
		/* What comes behind the handshake is the stream's, and waits for the application,
		 * if the relay has read our answer. */
		if (sockopt_queued(chan->fd))
			data_conn_fail(
				c, DATA_CONN_NOT_TAKEN, 0, "it gave up before it had our answer");
		return;
	}
	buf_init(&out, DATA_CONN_OUT_MAX);
	r = client_handshake_feed(&c->hs, buf_head(&chan->in), buf_len(&chan->in), &used, &out);
	buf_consume(&chan->in, used);
	if (r >= 0 && buf_len(&out))
		r = chan_write(chan, buf_head(&out), buf_len(&out)) < 0 ? -ENOBUFS : r;
	if (r == HANDSHAKE_DONE)
		data_conn_done(c);
	else if (r != HANDSHAKE_MORE)
		data_conn_fail(c, DATA_CONN_NOT_TAKEN, 0,
			r < 0 ? uv_strerror(r) : handshake_failure_text(c->hs.failure));
}

static void data_conn_on_end(struct chan *chan, int error)
{
	struct data_conn *c = container_of(chan, struct data_conn, chan);

	if (!c->owner)
		return;
	/* Behind an Accept, an EOF may be all that a visitor has to say; the pump reads it again.
	 */
	if (!c->said)
		data_conn_fail(
			c, DATA_CONN_NOT_TAKEN, 0, error ? uv_strerror(error) : "it hangs up");
	else if (error)
		data_conn_fail(c, DATA_CONN_LOST, 0, uv_strerror(error));
}

/* The handshake awaits an answer to `out`. */
static int data_conn_talk(struct data_conn *c, const struct buf *out)
{
	int r;

	c->chan.data = data_conn_on_data;
	c->chan.end = data_conn_on_end;
	c->chan.closed = data_conn_on_chan_closed;
	r = chan_open(&c->chan, c->relay->loop, c->fd);
	if (r < 0)
		return r;
	c->fd = -1;
	c->talking = true;
	c->handles++;
	return buf_len(out) ? chan_write(&c->chan, buf_head(out), buf_len(out)) : 0;
}

/* The wire begins on c->fd. 1: all is said; 0: the chan goes on; or negative errno. */
static int data_conn_greet(struct data_conn *c)
{
	_cleanup_(buf_deinit) struct buf out = { 0 };
	ssize_t n;
	int r;

	buf_init(&out, DATA_CONN_OUT_MAX);
	r = client_handshake_start(&c->hs, &out);
	if (r == HANDSHAKE_MORE)
		return data_conn_talk(c, &out);
	if (r != HANDSHAKE_DONE)
		return r < 0 ? r : -EINVAL;
	/* The send buffer of a fresh connection takes a frame whole. */
	n = send(c->fd, buf_head(&out), buf_len(&out), MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	return (size_t)n < buf_len(&out) ? -EAGAIN : 1;
}

/* --- the way there --- */

static void data_conn_go_on(struct data_conn *c, int r)
{
	if (r < 0)
		data_conn_fail(c, DATA_CONN_UNREACHED, r, uv_strerror(r));
	else if (r == 1)
		data_conn_done(c);
}

static void data_conn_on_passed(void *owner, int fd, const char *why)
{
	struct data_conn *c = owner;

	c->passage = NULL;
	if (fd < 0) {
		data_conn_fail(c, DATA_CONN_NO_WAY, 0, why);
		return;
	}
	c->fd = fd;
	data_conn_go_on(c, data_conn_greet(c));
}

/* c->fd is connected, to the relay or the front before it. As data_conn_greet(). */
static int data_conn_pass(struct data_conn *c)
{
	int r;

	if (!c->relay->front)
		return data_conn_greet(c);
	r = passage_start(c->relay->front, c->fd, data_conn_on_passed, c, &c->passage);
	if (r == 0)
		c->fd = -1;
	return r;
}

static void data_conn_on_dialled(
	struct dial *dial, int fd, int error, bool resolving, const struct addr *peer)
{
	struct data_conn *c = container_of(dial, struct data_conn, dial);

	c->dialling = false;
	c->handles--;
	c->fd = fd;
	data_conn_go_on(c, fd < 0 ? error : data_conn_pass(c));
}

int data_conn_open(struct data_relay *relay, enum client_goal goal, const struct uuid *id,
	const struct data_conn_events *events, void *owner, struct data_conn **ret_conn,
	int *ret_fd)
{
	struct data_conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->relay = relay;
	c->events = events;
	c->owner = owner;
	c->fd = -1;
	c->hs = (struct client_handshake){
		.dialect = relay->dialect, .goal = goal, .id = *id, .auth = relay->auth
	};
	c->dial.done = data_conn_on_dialled;
	c->dial.cancelled = data_conn_on_cancelled;
	flow_set_ref(relay->set);
	r = dial_start(&c->dial, &relay->dialer, &c->fd);
	if (r == 0) {
		c->dialling = true;
		c->handles++;
	} else if (r == 1) {
		r = data_conn_pass(c);
	}
	if (r == 0) {
		*ret_conn = c;
		return 0;
	}
	if (r == 1)
		*ret_fd = take_fd(&c->fd);
	data_conn_cancel(c);
	return r;
}
