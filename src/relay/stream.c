/* SPDX-License-Identifier: MIT */
/*
 * The invariant: a stream is either waiting (in relay->pending and relay->waiting, with a
 * descriptor of its own and a deadline) or joined (in relay->joined, its descriptor owned by the
 * pump). It holds a reference on its endpoint. From the moment that a visitor waits, our death is a
 * reset to him.
 */
#include "relay/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/lang.h"
#include "base/fd.h"
#include "base/log.h"
#include "net/sockopt.h"
#include "relay/endpoint.h"
#include "relay/relay_internal.h"
#include "relay/session.h"

#define STREAM_SPARE_FDS \
	8 /* left for the newcomer's data connection, control connections, the log */
#define REFUSE_TEXT_MAX 256 /* of a client's Refuse, escaped, in logs */

struct stream {
	struct endpoint *endpoint;
	struct pending_entry entry;
	struct timeout timeout;
	struct list link;
	struct pump *pump; /* NULL while it waits */
	int fd;            /* -1 when joined */
	struct addr from;
	uint64_t opened_ms;
};

static void stream_tell(const struct stream *s, enum relay_event_type type,
	const struct pump_result *result, const char *why)
{
	struct relay *relay = s->endpoint->relay;
	char id[UUID_TEXT_LEN + 1];

	uuid_format(&s->entry.id, id);
	relay_tell(relay, &(struct relay_event){
				  .type = type,
				  .port = s->endpoint->port,
				  .addr = &s->from,
				  .id = id,
				  .bytes_in = result ? result->bytes[PUMP_OUTER] : 0,
				  .bytes_out = result ? result->bytes[PUMP_INNER] : 0,
				  .duration_ms = uv_now(relay->loop) - s->opened_ms,
				  .why = why,
			  });
}

static void stream_free(struct stream *s)
{
	struct endpoint *e = s->endpoint;

	assert(s->fd < 0);
	free(s);
	e->relay->objects--;
	endpoint_unref(e);
}

/* Out of the table and the queues of those who wait; the caller gives it its next place. */
static void stream_unwait(struct stream *s)
{
	pending_remove(&s->endpoint->relay->pending, &s->entry);
	timeout_disarm(&s->timeout);
	list_remove(&s->link);
	endpoint_relieve(s->endpoint);
}

static void stream_drop(struct stream *s, const char *why)
{
	struct relay *relay = s->endpoint->relay;

	stream_unwait(s);
	sockopt_lift_reset(s->fd);
	s->fd = fd_close(s->fd);
	stream_tell(s, RELAY_VISITOR_CLOSED, NULL, why);
	stream_free(s);
	relay_settle(relay);
}

void stream_on_unclaimed(struct timeouts *q, struct timeout *t)
{
	struct relay *relay = q->owner;

	relay->counts.visitors_unclaimed++;
	stream_drop(container_of(t, struct stream, timeout), "not claimed in time");
}

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
		relay->pending.count + relay->joined_count >= config->max_conns) {
		relay->counts.visitors_over_conns++;
		return false;
	}
	return true;
}

void stream_arrive(struct endpoint *e, int fd, const struct addr *from)
{
	struct relay *relay = e->relay;
	struct stream *s;

	if (!stream_fits(e, fd)) {
		(void)fd_close(fd);
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s || pending_add(&relay->pending, &s->entry) < 0) {
		relay->counts.visitors_no_memory++;
		free(s);
		(void)fd_close(fd);
		return;
	}
	s->endpoint = e;
	s->fd = fd;
	sockopt_set_reset(fd);
	s->from = *from;
	s->opened_ms = uv_now(relay->loop);
	timeout_init(&s->timeout);
	list_push_back(&relay->waiting, &s->link);
	endpoint_ref(e);
	e->waiting++;
	relay->objects++;
	relay->counts.visitors++;
	timeouts_arm(&relay->unclaimed, &s->timeout);
	stream_tell(s, RELAY_VISITOR_OPENED, NULL, NULL);
	session_announce(e->session, &s->entry.id, &s->from);
}

static const char *end_text(const struct pump_result *result)
{
	static const char *const texts[] = {
		[PUMP_END_CLOSED] = "closed",
		[PUMP_END_HALF_CLOSED] = "half closed for too long",
		[PUMP_END_IDLE] = "idle for too long",
		[PUMP_END_ABORTED] = "ended by the relay",
		[PUMP_END_NO_MEMORY] = "out of memory",
	};

	if (result->end != PUMP_END_RESET)
		return texts[result->end];
	if (result->error == ETIMEDOUT)
		return result->side == PUMP_OUTER ? "the visitor has vanished"
						  : "the client has vanished";
	return result->side == PUMP_OUTER ? "reset by the visitor" : "reset by the client";
}

static void on_pump_done(void *owner, const struct pump_result *result)
{
	struct stream *s = owner;
	struct relay *relay = s->endpoint->relay;

	list_remove(&s->link);
	relay->joined_count--;
	s->endpoint->joined--;
	relay->counts.visitors_half_closed += result->end == PUMP_END_HALF_CLOSED;
	relay->counts.visitors_idle += result->end == PUMP_END_IDLE;
	stream_tell(s, RELAY_VISITOR_CLOSED, result, end_text(result));
	stream_free(s);
	relay_settle(relay);
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
	struct pump_job job = {
		.fd = { [PUMP_OUTER] = s->fd, [PUMP_INNER] = fd },
		.early = { [PUMP_INNER] = early },
		.early_len = { [PUMP_INNER] = early_len },
		.done = on_pump_done,
		.owner = s,
	};

	if (pump_pool_add(relay->pool, &job, &s->pump) < 0) {
		relay->counts.visitors_no_memory++;
		sockopt_set_reset(fd);
		(void)fd_close(fd);
		stream_drop(s, "out of memory");
		return;
	}
	stream_unwait(s);
	s->fd = -1; /* the pump's */
	list_push_back(&relay->joined, &s->link);
	relay->joined_count++;
	s->endpoint->joined++;
}

void stream_refuse(struct session *session, const struct uuid *id, const char *why, size_t why_len)
{
	struct relay *relay = session->relay;
	struct pending_entry *entry = pending_find(&relay->pending, id);
	char text[REFUSE_TEXT_MAX];
	struct stream *s;

	if (!entry)
		return;
	s = container_of(entry, struct stream, entry);
	if (s->endpoint != session->endpoint)
		return;
	relay->counts.visitors_refused++;
	stream_drop(s, log_escape(text, sizeof(text), why, why_len));
}

void stream_announce_waiting(struct endpoint *e)
{
	list_for_each(pos, &e->relay->waiting) {
		struct stream *s = list_entry(pos, struct stream, link);

		if (s->endpoint == e)
			session_announce(e->session, &s->entry.id, &s->from);
	}
}

static void drop_waiting(struct relay *relay, const struct endpoint *only)
{
	list_for_each_safe(pos, &relay->waiting) {
		struct stream *s = list_entry(pos, struct stream, link);

		if (!only || s->endpoint == only)
			stream_drop(s, only ? "the tunnel is closed" : "the relay is closing");
	}
}

void stream_drop_waiting(struct endpoint *e)
{
	if (e->waiting)
		drop_waiting(e->relay, e);
}

void stream_drop_all_waiting(struct relay *relay)
{
	drop_waiting(relay, NULL);
}

void stream_abort_all(struct relay *relay)
{
	list_for_each(pos, &relay->joined)
		pump_abort(relay->pool, list_entry(pos, struct stream, link)->pump);
}
