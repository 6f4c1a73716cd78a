/* SPDX-License-Identifier: MIT */
/*
 * A stream is the flow of a visitor: its outer end is there from the start, and its inner one is
 * the data connection that a client opens for it.
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

static void stream_on_closed(struct flow *f, const struct flow_result *result)
{
	struct stream *s = container_of(f, struct stream, flow);
	struct endpoint *e = s->endpoint;
	struct relay_counts *counts = &e->relay->counts;

	if (result->joined)
		e->joined--;
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
 * connection, or none of them would ever be served.
 */
static bool stream_fits(struct endpoint *e, int fd)
{
	struct relay *relay = e->relay;
	const struct relay_config *config = &relay->config;

	if ((uint64_t)fd + relay->pending.count + STREAM_SPARE_FDS >= relay->max_fds) {
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

/* NULL: out of memory, and nothing was taken. */
static struct stream *stream_new(struct endpoint *e, int fd, const struct addr *from)
{
	const struct flow_wish wish = {
		.fd = { [PUMP_OUTER] = fd },
		.target = { [PUMP_INNER] = &stream_data_conn },
	};
	struct relay *relay = e->relay;
	struct stream *s = calloc(1, sizeof(*s));

	if (!s || pending_add(&relay->pending, &s->entry) < 0) {
		free(s);
		return NULL;
	}
	s->endpoint = e;
	s->from = *from;
	if (flow_start(&s->flow, &relay->streams, &wish) < 0) {
		pending_remove(&relay->pending, &s->entry);
		free(s);
		return NULL;
	}
	endpoint_ref(e);
	e->waiting++;
	relay->objects++;
	return s;
}

void stream_arrive(struct endpoint *e, int fd, const struct addr *from)
{
	struct relay *relay = e->relay;
	struct stream *s;

	if (!stream_fits(e, fd)) {
		(void)fd_close(fd);
		return;
	}
	s = stream_new(e, fd, from);
	if (!s) {
		relay->counts.visitors_no_memory++;
		(void)fd_close(fd);
		return;
	}
	relay->counts.visitors++;
	stream_tell(s, RELAY_VISITOR_OPENED, NULL);
	session_announce(e->session, &s->entry.id, &s->from);
}

void stream_join(
	struct relay *relay, const struct uuid *id, int fd, const uint8_t *early, size_t early_len)
{
	struct pending_entry *entry = pending_find(&relay->pending, id);
	struct stream *s;

	if (!entry) {
		relay->counts.accepts_unknown++;
		sockopt_set_reset(fd);
		(void)fd_close(fd);
		return;
	}
	s = container_of(entry, struct stream, entry);
	stream_unwait(s);
	flow_opened(&s->flow, PUMP_INNER, fd, early, early_len);
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
