/* SPDX-License-Identifier: MIT */
/*
 * A stream is the flow of a visitor: its outer end is there from the start, and its inner one is a
 * warm connection of the client, or else the data connection that the client opens for it.
 *
 * A warm one that turns out not to be served by anybody gives the visitor back, if nobody has had a
 * byte of his: then he is announced in the old way. One whose stream is over in order is parked
 * again, if its session is there still; so a stream keeps no pointer to it, but the key.
 *
 * The invariant: a stream in set-up is in relay->pending, by the id that its client was told, and
 * counted in endpoint->waiting; an open one is counted in endpoint->joined. It holds a reference on
 * its endpoint.
 */
#include "relay/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "net/flow.h"
#include "net/sockopt.h"
#include "net/target.h"
#include "relay/endpoint.h"
#include "relay/parking.h"
#include "relay/relay_internal.h"
#include "relay/session.h"

#define STREAM_SPARE_FDS \
	8 /* left for the newcomer's data connection, control connections, the log */
#define STREAM_REFUSE_TEXT_MAX 256 /* of a client's Refuse, escaped, in logs */

/* For as long as the connection: what only a waiting visitor needs is the flow's set-up. */
struct stream {
	struct flow flow;
	struct endpoint *endpoint;
	struct pending_entry entry;
	struct addr from;
	bool warm, front; /* it has a warm connection, of the session with this key */
	struct uuid key;
};

static void stream_tell(
	const struct stream *s, enum relay_event_type type, const struct flow_result *result)
{
	struct relay *relay = s->endpoint->relay;
	char id[UUID_TEXT_LEN + 1];
	struct relay_event event = {
		.type = type,
		.port = s->endpoint->port,
		.addr = &s->from,
		.id = id,
	};

	uuid_format(&s->entry.id, id);
	if (result) {
		event.bytes_in = result->bytes[PUMP_OUTER];
		event.bytes_out = result->bytes[PUMP_INNER];
		event.duration_ms = result->duration_ms;
		event.why = result->why;
	}
	relay_tell(relay, &event);
}

/* --- the data connection, as a target --- */

static void stream_unwait(struct stream *s)
{
	pending_remove(&s->endpoint->relay->pending, &s->entry);
	endpoint_relieve(s->endpoint);
}

static void stream_on_cancel(void *holder)
{
	stream_unwait(holder);
}

/* It comes by itself, with stream_join(). */
static int stream_await(const struct target *t, struct flow *f, enum pump_side side, int *ret_fd)
{
	static const struct holder_ops ops = { .cancel = stream_on_cancel };

	flow_hold(f, side, &ops, container_of(f, struct stream, flow));
	return 0;
}

static const struct target stream_data_conn = { .open = stream_await };

/* --- the flow --- */

static const char *stream_name(const struct flow *f, char text[FLOW_NAME_MAX])
{
	uuid_format(&container_of(f, struct stream, flow)->entry.id, text);
	return text;
}

static void stream_on_opened(struct flow *f)
{
	container_of(f, struct stream, flow)->endpoint->joined++;
}

static int stream_wait(struct stream *s, int fd);

/*
 * Whether there is somebody to announce the visitor to whom nobody took, and he may wait: he was
 * let in as one who needn't, and his tunnel may be full by now. In all other limits he takes his
 * own place, and the descriptor of the connection that is gone.
 */
static bool stream_may_wait(const struct stream *s)
{
	const struct endpoint *e = s->endpoint;
	const struct relay *relay = e->relay;

	/* `why`: it was to end. */
	return !s->flow.why && e->session && !relay->handed_over &&
	       e->waiting < relay->config.max_pending_per_tunnel;
}

static bool stream_announce_untaken(struct stream *s, int fd)
{
	struct endpoint *e = s->endpoint;

	if (!stream_may_wait(s) || stream_wait(s, fd) < 0) {
		e->relay->counts.visitors_unclaimed++;
		sockopt_close_in_order(fd);
		return false;
	}
	session_announce(e->session, &s->entry.id, &s->from);
	return true;
}

static void stream_on_closed(struct flow *f, const struct flow_result *result)
{
	struct stream *s = container_of(f, struct stream, flow);
	struct endpoint *e = s->endpoint;
	struct relay_counts *counts = &e->relay->counts;

	if (result->joined)
		e->joined--;
	if (s->warm)
		parking_return(e->relay, &s->key, s->front, result);
	if (result->end == FLOW_END_UNTAKEN && stream_announce_untaken(s, result->fd[PUMP_OUTER]))
		return;
	counts->visitors_no_memory += result->end == FLOW_END_NO_MEMORY;
	counts->visitors_unclaimed += result->end == FLOW_END_LATE;
	counts->visitors_half_closed += result->end == FLOW_END_HALF_CLOSED;
	counts->visitors_idle += result->end == FLOW_END_IDLE;
	stream_tell(s, RELAY_VISITOR_CLOSED, result);
	free(s);
	if (result->joined && e->relay->handed_over && e->session)
		session_send_away(e->session);
	e->relay->objects--;
	endpoint_unref(e);
}

static void stream_on_idle(struct flow_set *set)
{
	relay_settle(container_of(set, struct relay, streams));
}

const struct flow_kind stream_kind = {
	.words = {
		.resetter = { [PUMP_OUTER] = "the visitor", [PUMP_INNER] = "the client" },
		.peer = { [PUMP_OUTER] = "the visitor", [PUMP_INNER] = "the client" },
		.late = "not claimed in time",
	},
	.name = stream_name,
	.opened = stream_on_opened,
	.closed = stream_on_closed,
	.idle = stream_on_idle,
};

/* --- public --- */

/*
 * Whether one more fits; counts the refusal. Descriptors are given out lowest number first, so that
 * of the newcomer tells how many are in use; each visitor who waits needs one more for its data
 * connection, or none of them would ever be served. Warm connections make room for it.
 */
static bool stream_fits(struct endpoint *e, int fd)
{
	struct relay *relay = e->relay;
	const struct relay_config *config = &relay->config;
	uint64_t needed = (uint64_t)fd + relay->pending.count + STREAM_SPARE_FDS + 1;

	if (needed > relay->max_fds)
		needed -= ready_relieve(&relay->ready, (uint32_t)(needed - relay->max_fds));
	if (needed > relay->max_fds) {
		reserve_note_shed(&relay->reserve);
		return false;
	}
	if (e->waiting + e->joined >= config->max_conns_per_tunnel ||
		relay->pending.count + relay->streams.open_count >= config->max_conns) {
		relay->counts.visitors_over_conns++;
		return false;
	}
	return true;
}

/* NULL: out of memory. */
static struct stream *stream_new(struct endpoint *e, const struct addr *from)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s || uuid_random(&s->entry.id) < 0) {
		free(s);
		return NULL;
	}
	s->endpoint = e;
	s->from = *from;
	endpoint_ref(e);
	e->relay->objects++;
	return s;
}

/* For a data connection. Negative errno: nothing was taken. */
static int stream_wait(struct stream *s, int fd)
{
	const struct flow_wish wish = {
		.fd = { [PUMP_OUTER] = fd },
		.has_reset = { [PUMP_OUTER] = true },
		.target = { [PUMP_INNER] = &stream_data_conn },
	};
	struct relay *relay = s->endpoint->relay;
	int r = pending_add(&relay->pending, &s->entry);

	if (r < 0)
		return r;
	s->warm = false;
	r = flow_start(&s->flow, &relay->streams, &wish);
	if (r < 0) {
		pending_remove(&relay->pending, &s->entry);
		return r;
	}
	s->endpoint->waiting++;
	return 0;
}

/* Both ends are there; `conn` comes with sockopt_set_reset(). Negative errno: nothing was taken;
 * else it may have ended already. */
static int stream_give(struct stream *s, int fd, const struct ready_conn *conn)
{
	uint8_t preface[MSG_WIRE_MAX];
	struct flow_wish wish = {
		.fd = { [PUMP_OUTER] = fd, [PUMP_INNER] = conn->fd },
		.has_reset = { [PUMP_OUTER] = true, [PUMP_INNER] = true },
		.wire = { [PUMP_INNER] = PUMP_WIRE_BLOCKS },
		.awaits_taken = true,
		.preface = preface,
	};
	struct msg msg;
	int r;

	s->key = s->endpoint->session->ready.entry.id;
	s->front = conn->front;
	session_describe_visitor(&s->entry.id, &s->from, &msg);
	r = msg_encode(DIALECT_BORE, ROLE_SERVER, &msg, preface, &wish.preface_len);
	return r < 0 ? r : flow_start(&s->flow, &s->endpoint->relay->streams, &wish);
}

static void stream_end_unstarted(struct stream *s)
{
	const struct flow_result none = {
		.end = FLOW_END_NO_MEMORY, .why = "out of memory", .fd = { -1, -1 }
	};

	stream_on_closed(&s->flow, &none);
}

void stream_arrive(struct endpoint *e, int fd, const struct addr *from)
{
	struct relay *relay = e->relay;
	struct ready_conn conn = { .fd = -1 };
	struct stream *s;
	bool warm;
	int r;

	if (!stream_fits(e, fd)) {
		sockopt_close_in_order(fd);
		return;
	}
	s = stream_new(e, from);
	if (!s) {
		relay->counts.visitors_no_memory++;
		sockopt_close_in_order(fd);
		return;
	}
	relay->counts.visitors++;
	stream_tell(s, RELAY_VISITOR_OPENED, NULL);
	warm = parking_take(e->session, &conn);
	s->warm = warm;
	/* From here on it may be gone. */
	r = warm ? stream_give(s, fd, &conn) : stream_wait(s, fd);
	if (r < 0) {
		sockopt_close_in_order(fd);
		sockopt_close_in_order(conn.fd);
		stream_end_unstarted(s);
	} else if (!warm) {
		session_announce(e->session, &s->entry.id, &s->from);
	}
}

/* --- data connections --- */

static void stream_hang_up(int fd)
{
	sockopt_set_reset(fd);
	(void)fd_close(fd);
}

static void stream_join(
	struct relay *relay, const struct uuid *id, int fd, const uint8_t *early, size_t early_len)
{
	struct pending_entry *entry = pending_find(&relay->pending, id);
	struct stream *s;

	if (!entry) {
		relay->counts.accepts_unknown++;
		stream_hang_up(fd);
		return;
	}
	s = container_of(entry, struct stream, entry);
	stream_unwait(s);
	flow_opened(&s->flow, PUMP_INNER, fd, early, early_len);
}

void stream_take_data(struct relay *relay, const struct server_handshake *hs,
	const struct preamble *preamble, int fd, const uint8_t *early, size_t early_len)
{
	if (hs->request == SERVER_READY)
		parking_enter(relay, &hs->id, preamble, fd, early_len > 0);
	else
		stream_join(relay, &hs->id, fd, early, early_len);
}

void stream_refuse(struct session *session, const struct uuid *id, const char *why, size_t why_len)
{
	struct relay *relay = session->relay;
	struct pending_entry *entry = pending_find(&relay->pending, id);
	char text[STREAM_REFUSE_TEXT_MAX];
	struct stream *s;

	if (!entry)
		return;
	s = container_of(entry, struct stream, entry);
	if (s->endpoint != session->endpoint)
		return;
	relay->counts.visitors_refused++;
	flow_close(&s->flow, log_escape(text, sizeof(text), why, why_len));
}

void stream_announce_waiting(struct endpoint *e)
{
	list_for_each(pos, &e->relay->streams.setup) {
		struct stream *s = list_entry(pos, struct stream, flow.link);

		if (s->endpoint == e)
			session_announce(e->session, &s->entry.id, &s->from);
	}
}

void stream_drop_waiting(struct endpoint *e)
{
	list_for_each_safe(pos, &e->relay->streams.setup) {
		struct stream *s = list_entry(pos, struct stream, flow.link);

		if (!e->waiting)
			return;
		if (s->endpoint == e)
			flow_close(&s->flow, "the tunnel is closed");
	}
}

void stream_drop_all_waiting(struct relay *relay, const char *why)
{
	list_for_each_safe(pos, &relay->streams.setup)
		flow_close(list_entry(pos, struct flow, link), why);
}

void stream_end_all(struct relay *relay)
{
	stream_drop_all_waiting(relay, "the relay is closing");
	list_for_each(pos, &relay->streams.open)
		flow_close(list_entry(pos, struct flow, link), "ended by the relay");
}
