/* SPDX-License-Identifier: MIT */
/*
 * One forwarded connection, step by step: dial the relay and the application at once; say Accept as
 * soon as the relay is there, which without a secret needs no answer; when both are ready, hand
 * them to a pump. Over loopback all of this happens in one call, without a handle of the loop.
 *
 * The invariant: each side's descriptor is in fd[], in the wire, or the pump's. The parts of the
 * set-up outlive a visitor that ends early: they are left behind with visitor == NULL, until libuv
 * lets go of them.
 */
#include "tunnel/visitor.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/owner.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/chan.h"
#include "net/sockopt.h"
#include "proto/client_handshake.h"

#define LOG "tunnel"

/* A connection under way. */
struct visitor_dial {
	struct dial dial;
	struct visitors *set;
	struct visitor *visitor; /* NULL: cancelled */
	enum pump_side side;
};

/* The data connection's handshake, where it needs an answer. */
struct visitor_wire {
	struct chan chan;
	struct client_handshake hs;
	struct visitors *set;
	struct visitor *visitor; /* NULL: closed */
};

static void visitor_connected(struct visitor *v, enum pump_side side, int fd);
static void visitor_dial_failed(struct visitor *v, enum pump_side side, int error);

/* --- parts --- */

static void visitors_part_gone(struct visitors *vs)
{
	assert(vs->parts);
	vs->parts--;
	if (visitors_idle(vs))
		vs->events.idle(vs->events.owner);
}

static void visitor_dial_free(struct visitor_dial *d)
{
	struct visitors *vs = d->set;

	free(d);
	visitors_part_gone(vs);
}

static void on_dial_cancelled(struct dial *dial)
{
	visitor_dial_free(container_of(dial, struct visitor_dial, dial));
}

static void on_dialed(struct dial *dial, int fd, int error, bool resolving, const struct addr *peer)
{
	struct visitor_dial *d = container_of(dial, struct visitor_dial, dial);
	struct visitor *v = d->visitor;
	enum pump_side side = d->side;

	(void)resolving;
	(void)peer;
	v->dial[side] = NULL;
	free(d);
	/* The visitor still counts, so the set isn't idle. */
	v->set->parts--;
	if (fd >= 0)
		visitor_connected(v, side, fd);
	else
		visitor_dial_failed(v, side, error);
}

/* 1: connected, *ret_fd; 0: on_dialed() follows; negative errno. */
static int visitor_dial(struct visitor *v, enum pump_side side, int *ret_fd)
{
	struct visitors *vs = v->set;
	struct visitor_dial *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->dial.done = on_dialed;
	d->dial.cancelled = on_dial_cancelled;
	d->set = vs;
	d->visitor = v;
	d->side = side;
	r = dial_start(&d->dial, side == PUMP_OUTER ? &vs->relay : &vs->local, ret_fd);
	if (r != 0) {
		free(d);
		return r;
	}
	vs->parts++;
	v->dial[side] = d;
	return 0;
}

static void on_wire_closed(struct chan *chan)
{
	struct visitor_wire *w = container_of(chan, struct visitor_wire, chan);
	struct visitors *vs = w->set;

	free(w);
	visitors_part_gone(vs);
}

/* --- the end --- */

static void visitor_free(struct visitor *v)
{
	struct visitors *vs = v->set;

	list_remove(&v->link);
	free(v);
	if (visitors_idle(vs))
		vs->events.idle(vs->events.owner);
}

const char *visitor_from(const struct visitor *v, char text[ADDR_TEXT_MAX])
{
	return v->from.sa.sa_family == AF_UNSPEC ? NULL : addr_format(&v->from, text);
}

static void visitor_tell(struct visitor *v, const char *why, const struct pump_result *result)
{
	struct visitors *vs = v->set;
	char id[UUID_TEXT_LEN + 1], from[ADDR_TEXT_MAX];
	struct tunnel_visit visit = {
		.id = id,
		.from = visitor_from(v, from),
		.opened = !why,
		.turned_away = why && !result ? vs->turned_away : 0,
		.duration_ms = clock_now_ms() - v->since_ms,
		.why = why,
	};

	uuid_format(&v->id, id);
	if (result) {
		visit.bytes_in = result->bytes[PUMP_OUTER];
		visit.bytes_out = result->bytes[PUMP_INNER];
	}
	if (why)
		log_debug(LOG, "visitor %s from %s closed: %s", id,
			visit.from ? visit.from : "an address that the relay doesn't tell", why);
	vs->events.visit(vs->events.owner, &visit);
}

/* The data connection is the visitor's stream now: if we die, it must not look like an empty one.
 */
static void visitor_take_stream(struct visitor *v, int fd)
{
	sockopt_set_reset(fd);
	v->accepted = true;
}

static void visitor_leave_parts(struct visitor *v)
{
	/* A reset would drop an Accept that is still on its way, and leave the visitor waiting. */
	if (v->accepted)
		sockopt_lift_reset(v->wire ? v->wire->chan.fd : v->fd[PUMP_OUTER]);
	for (int side = 0; side < PUMP_SIDES; side++) {
		v->fd[side] = fd_close(v->fd[side]);
		if (!v->dial[side])
			continue;
		v->dial[side]->visitor = NULL;
		dial_cancel(&take_ptr(v->dial[side])->dial);
	}
	if (v->wire) {
		v->wire->visitor = NULL;
		chan_close(&take_ptr(v->wire)->chan, false);
	}
}

void visitor_end(struct visitor *v, const char *why)
{
	if (v->pump) {
		pump_abort(v->set->pool, v->pump);
		return;
	}
	visitor_leave_parts(v);
	v->set->setup_count--;
	v->set->turned_away++;
	visitor_tell(v, why, NULL);
	visitor_free(v);
}

static const char *const pump_ends[] = {
	[PUMP_END_CLOSED] = "closed",
	[PUMP_END_HALF_CLOSED] = "half-close timeout",
	[PUMP_END_IDLE] = "idle timeout",
	[PUMP_END_ABORTED] = "the tunnel was stopped",
	[PUMP_END_NO_MEMORY] = "out of memory",
};

static void on_pump_done(void *owner, const struct pump_result *result)
{
	struct visitor *v = owner;
	struct visitors *vs = v->set;
	const char *why = pump_ends[result->end];

	if (result->end == PUMP_END_RESET && result->error == ETIMEDOUT)
		why = result->side == PUMP_OUTER ? "the relay has vanished"
						 : "the application has vanished";
	else if (result->end == PUMP_END_RESET)
		why = result->side == PUMP_OUTER ? "reset by the visitor or the relay"
						 : "reset by the application";
	vs->conns_open--;
	vs->bytes_in += result->bytes[PUMP_OUTER];
	vs->bytes_out += result->bytes[PUMP_INNER];
	visitor_tell(v, why, result);
	visitor_free(v);
}

/* --- both ends are there --- */

/* Takes the descriptor out of the wire; what has come behind the handshake is the stream's. */
static int visitor_join_wire(struct visitor *v, struct pump_job *job)
{
	struct chan *chan = &v->wire->chan;

	job->early[PUMP_OUTER] = buf_head(&chan->in);
	job->early_len[PUMP_OUTER] = buf_len(&chan->in);
	v->fd[PUMP_OUTER] = chan_take_fd(chan);
	if (v->fd[PUMP_OUTER] < 0)
		return -EAGAIN;
	v->wire->visitor = NULL;
	v->wire = NULL;
	return 0;
}

static void visitor_join(struct visitor *v)
{
	struct visitors *vs = v->set;
	/*
	 * What a relay says that hasn't read our Accept is its own: stock says an Error when that
	 * is 3 s late.
	 */
	struct pump_job job = {
		.answers = { [PUMP_OUTER] = true },
		.done = on_pump_done,
		.owner = v,
	};
	int r = 0;

	if (!v->accepted)
		return;
	if (v->turn_away) {
		visitor_end(v, v->turn_away);
		return;
	}
	if (v->fd[PUMP_INNER] < 0)
		return;
	if (v->wire)
		r = visitor_join_wire(v, &job);
	job.fd[PUMP_OUTER] = v->fd[PUMP_OUTER];
	job.fd[PUMP_INNER] = v->fd[PUMP_INNER];
	if (r == 0)
		r = pump_pool_add(vs->pool, &job, &v->pump);
	if (r < 0) {
		visitor_end(v, uv_strerror(r));
		return;
	}
	v->fd[PUMP_OUTER] = v->fd[PUMP_INNER] = -1;
	list_remove(&v->link);
	list_push_back(&vs->open, &v->link);
	vs->setup_count--;
	vs->conns_open++;
	vs->conns_total++;
	visitor_tell(v, NULL, NULL);
}

/* --- the relay's side --- */

static void visitor_note_success(struct visitor *v, enum pump_side side)
{
	struct episode *failures = &v->set->failures[side];

	if (episode_end(failures))
		log_info(LOG, "%s can be connected again%s",
			side == PUMP_OUTER ? "the relay" : "the local application",
			failures->untold ? "; further visitors had been turned away" : "");
}

/* The relay has let us connect, and ends it all the same. */
static void visitor_not_taken(struct visitor *v, const char *why)
{
	if (episode_tells(&v->set->failures[PUMP_OUTER], why, clock_now_ms()))
		log_warn(LOG,
			"the relay does not take a data connection: %s; visitors are turned away; "
			"is the relay overloaded?",
			why);
	visitor_end(v, "the relay did not take the data connection");
}

static void on_wire_data(struct chan *chan)
{
	struct visitor_wire *w = container_of(chan, struct visitor_wire, chan);
	struct visitor *v = w->visitor;
	_cleanup_(buf_deinit) struct buf out = { 0 };
	size_t used = 0;
	int r;

	if (!v)
		return;
	if (v->accepted) {
		/* Behind the handshake: the stream's, waits for the application. If the relay has
		 * read our answer. */
		if (sockopt_queued(chan->fd))
			visitor_not_taken(v, "it gave up before it had our answer");
		return;
	}
	buf_init(&out, MSG_WIRE_MAX * 2);
	r = client_handshake_feed(&w->hs, buf_head(&chan->in), buf_len(&chan->in), &used, &out);
	buf_consume(&chan->in, used);
	if (r >= 0 && buf_len(&out))
		r = chan_write(chan, buf_head(&out), buf_len(&out)) < 0 ? -ENOBUFS : r;
	if (r == HANDSHAKE_DONE) {
		visitor_take_stream(v, chan->fd);
		visitor_note_success(v, PUMP_OUTER);
		visitor_join(v);
	} else if (r != HANDSHAKE_MORE) {
		visitor_not_taken(
			v, r < 0 ? uv_strerror(r) : handshake_failure_text(w->hs.failure));
	}
}

/* An EOF may be all that a visitor has to say, and is read again by the pump. */
static void on_wire_end(struct chan *chan, int error)
{
	struct visitor *v = container_of(chan, struct visitor_wire, chan)->visitor;

	if (v && !v->accepted)
		visitor_not_taken(v, error ? uv_strerror(error) : "it hangs up");
	else if (v && error)
		visitor_end(v, "the relay closed the data connection");
}

static int visitor_open_wire(
	struct visitor *v, const struct client_handshake *hs, const struct buf *out)
{
	struct visitor_wire *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->hs = *hs;
	w->set = v->set;
	w->visitor = v;
	w->chan.data = on_wire_data;
	w->chan.end = on_wire_end;
	w->chan.closed = on_wire_closed;
	r = chan_open(&w->chan, v->set->loop, v->fd[PUMP_OUTER]);
	if (r < 0) {
		free(w);
		return r;
	}
	(void)take_fd(&v->fd[PUMP_OUTER]);
	v->set->parts++;
	v->wire = w;
	return buf_len(out) ? chan_write(&w->chan, buf_head(out), buf_len(out)) : 0;
}

/* The relay is there: says all that can be said without an answer, in one write. */
static int visitor_accept(struct visitor *v)
{
	struct client_handshake hs = {
		.dialect = v->set->dialect,
		.goal = CLIENT_STREAM,
		.id = v->id,
		.auth = v->set->auth,
	};
	_cleanup_(buf_deinit) struct buf out = { 0 };
	ssize_t n;
	int r;

	/* The three lines of the line dialect, at most. */
	buf_init(&out, 3 * MSG_WIRE_MAX);
	r = client_handshake_start(&hs, &out);
	if (r == HANDSHAKE_MORE)
		return visitor_open_wire(v, &hs, &out);
	if (r != HANDSHAKE_DONE)
		return r < 0 ? r : -EINVAL;
	/* The send buffer of a fresh connection takes a frame whole. */
	n = send(v->fd[PUMP_OUTER], buf_head(&out), buf_len(&out), MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	if ((size_t)n < buf_len(&out))
		return -EAGAIN;
	visitor_take_stream(v, v->fd[PUMP_OUTER]);
	return 0;
}

/* --- connections --- */

static void visitor_note_failure(struct visitor *v, enum pump_side side, int error)
{
	const struct dialer *to = side == PUMP_OUTER ? &v->set->relay : &v->set->local;
	const char *remedy = side == PUMP_INNER ? "is the application running there?"
						: "is the relay overloaded?";

	if (error == -EMFILE || error == -ENFILE)
		remedy = "raise the limit of open files (ulimit -n)";
	/* Visitors come as they like. */
	if (!episode_tells(&v->set->failures[side], uv_strerror(error), clock_now_ms()))
		return;
	log_warn(LOG, "could not connect to %s at %s port %u: %s; visitors are turned away; %s",
		side == PUMP_OUTER ? "the relay" : "the local application", to->host, to->port,
		uv_strerror(error), remedy);
}

/* Without the message for it, a visitor is turned away by taking it and hanging up. */
static void visitor_turn_away(struct visitor *v, const char *why)
{
	struct visitors *vs = v->set;

	if (v->accepted || vs->events.refuse(vs->events.owner, &v->id, why))
		visitor_end(v, why);
	else
		v->turn_away = why;
}

/*
 * A socket that tells what that of the application has told us already, and tells but once: that it
 * was connected, and reset since. A peer that closes with unread bytes makes it so (tests/kernel).
 */
static int visitor_stand_in(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	(void)send(pair[0], "", 1, MSG_NOSIGNAL);
	(void)fd_close(pair[1]);
	return pair[0];
}

static void visitor_dial_failed(struct visitor *v, enum pump_side side, int error)
{
	if (side == PUMP_INNER && error == -ECONNRESET) {
		v->fd[side] = visitor_stand_in();
		if (v->fd[side] >= 0) {
			visitor_join(v);
			return;
		}
		v->fd[side] = -1;
	}
	visitor_note_failure(v, side, error);
	if (side == PUMP_INNER) {
		visitor_turn_away(v, "the local application can't be reached");
		return;
	}
	if (!v->turn_away)
		(void)v->set->events.refuse(
			v->set->events.owner, &v->id, "no data connection to the relay");
	visitor_end(v, "no data connection to the relay");
}

static void visitor_connected(struct visitor *v, enum pump_side side, int fd)
{
	int r = 0;

	v->fd[side] = fd;
	if (side == PUMP_OUTER)
		r = visitor_accept(v);
	if (r < 0) {
		visitor_dial_failed(v, side, r);
		return;
	}
	if (side == PUMP_INNER || v->accepted)
		visitor_note_success(v, side);
	visitor_join(v);
}

void visitor_start(struct visitor *v)
{
	struct visitors *vs = v->set;
	int fd = -1, r;

	if (v->turn_away && vs->events.refuse(vs->events.owner, &v->id, v->turn_away)) {
		visitor_end(v, v->turn_away);
		return;
	}
	r = visitor_dial(v, PUMP_OUTER, &fd);
	if (r == 1) {
		v->fd[PUMP_OUTER] = fd;
		r = visitor_accept(v);
		if (v->accepted)
			visitor_note_success(v, PUMP_OUTER);
	}
	if (r < 0) {
		visitor_dial_failed(v, PUMP_OUTER, r);
		return;
	}
	if (v->turn_away) {
		visitor_join(v);
		return;
	}
	r = visitor_dial(v, PUMP_INNER, &fd);
	if (r == 1)
		visitor_connected(v, PUMP_INNER, fd);
	else if (r < 0)
		visitor_dial_failed(v, PUMP_INNER, r);
}
