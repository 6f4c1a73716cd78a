/* SPDX-License-Identifier: MIT */
/*
 * One connection on the control port, once it needs memory of its own. It lives by these events:
 *
 *   bytes               GREETING: greeting.c feeds them to the handshake, which leads to
 *                       session_become_stream() or session_want_port(). Later: Options, Refuse and
 *                       Heartbeat, one after the other; anything else ends the session.
 *   its deadline        GREETING: the handshake came to no end (greeting.c). CLAIMING: the client
 *                       has presented no token. SERVING: a heartbeat is due, or the client has
 *                       been silent for too long.
 *   a visitor           session_announce() queues the message; the end of the turn sends it.
 *   the peer's end      and whatever else ends it, on behalf of others too: a session that takes
 *                       the tunnel over, a handshake that needs the room. All call session_end().
 *
 * A session is in exactly one of relay->greeting (GREETING, CLAIMING) and relay->serving (SERVING),
 * or ENDED and in neither; session_set_state() alone moves it. It owns its chan and, while SERVING,
 * its endpoint. It is freed when the chan is closed, never within a call: so whoever has called
 * what may end it looks at `state` and goes on.
 */
#include "relay/session.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include "base/lang.h"
#include "base/log.h"
#include "net/sockopt.h"
#include "relay/endpoint.h"
#include "relay/greeting.h"
#include "relay/relay_internal.h"
#include "relay/stream.h"

static const char *const session_state_names[] = {
	[SESSION_GREETING] = "greeting",
	[SESSION_CLAIMING] = "claiming",
	[SESSION_SERVING] = "serving",
	[SESSION_ENDED] = "ended",
};
static_assert(ARRAY_LEN(session_state_names) == SESSION_STATES, "a name for each state");

static const bool session_edges[SESSION_STATES][SESSION_STATES] = {
	[SESSION_GREETING] = { [SESSION_CLAIMING] = true,
		[SESSION_SERVING] = true,
		[SESSION_ENDED] = true },
	[SESSION_CLAIMING] = { [SESSION_SERVING] = true, [SESSION_ENDED] = true },
	[SESSION_SERVING] = { [SESSION_ENDED] = true },
};

static void session_leave_lists(struct session *s)
{
	struct relay *relay = s->relay;

	timeout_disarm(&s->timeout);
	timeout_disarm(&s->challenge);
	list_remove(&s->link);
	if (s->state == SESSION_SERVING)
		relay->serving_count--;
	else
		relay->greeting_count--;
}

static void session_set_state(struct session *s, enum session_state new_state, const char *cause)
{
	struct relay *relay = s->relay;
	char text[ADDR_TEXT_MAX];

	assert(session_edges[s->state][new_state]);
	log_debug("relay", "'%s': %s -> %s (%s)", addr_format(&s->from, text),
		session_state_names[s->state], session_state_names[new_state], cause);
	if (new_state == SESSION_CLAIMING) {
		timeouts_arm(&relay->claims, &s->timeout);
	} else {
		session_leave_lists(s);
		if (new_state == SESSION_SERVING) {
			list_push_back(&relay->serving, &s->link);
			relay->serving_count++;
			timeouts_arm(&relay->heartbeats, &s->timeout);
		}
	}
	s->state = new_state;
}

/* --- the end --- */

static void session_on_chan_closed(struct chan *c)
{
	struct session *s = c->owner;
	struct relay *relay = s->relay;

	relay->objects--;
	free(s);
	relay_settle(relay);
}

void session_end(struct session *s, const char *why)
{
	struct endpoint *e = s->endpoint;
	/* It may still be a data connection, whose end must be a reset (greeting.c). Only an Error
	 * that was said must not be lost in one. */
	bool reset = s->state == SESSION_GREETING && !s->hs.told;

	if (s->state == SESSION_ENDED)
		return;
	s->endpoint = NULL;
	list_remove(&s->unsent);
	ready_close(&s->ready);
	session_set_state(s, SESSION_ENDED, why);
	chan_close(&s->chan, reset);
	if (e) {
		limits_give_tunnel(&s->relay->limits, &e->client);
		endpoint_close(e, why);
	}
}

static void session_end_unsaid(struct session *s, int error)
{
	session_end(s, error == -ENOBUFS ? "the client reads nothing" : strerror(-error));
}

static void session_say(struct session *s, const struct msg *msg)
{
	int r = msg_append(s->hs.dialect, ROLE_SERVER, msg, &s->chan.out);

	if (r < 0)
		session_end_unsaid(s, r);
	else
		chan_flush(&s->chan);
}

/* Tells the client why, and ends. */
static void session_say_error(struct session *s, const char *text)
{
	struct msg error = { .type = MSG_ERROR, .text_len = strlen(text) };

	memcpy(error.text, text, error.text_len);
	s->hs.told = true;
	session_say(s, &error);
	session_end(s, text);
}

static void session_refuse(struct session *s, const char *text)
{
	relay_tell(s->relay, &(struct relay_event){
				     .type = RELAY_TUNNEL_REFUSED,
				     .port = s->hs.port,
				     .addr = &s->from,
				     .why = text,
			     });
	session_say_error(s, text);
}

/* --- a tunnel --- */

/* The visitor's address as text. A zone (fe80::1%eth0) names an interface of this machine only. */
void session_describe_visitor(const struct uuid *id, const struct addr *from, struct msg *ret_msg)
{
	struct addr addr = *from;

	static_assert(ADDR_TEXT_MAX <= sizeof(ret_msg->text), "an address fits");
	if (addr.sa.sa_family == AF_INET6)
		addr.in6.sin6_scope_id = 0;
	*ret_msg = (struct msg){ .type = MSG_VISITOR, .id = *id };
	ret_msg->text_len = strlen(addr_format(&addr, ret_msg->text));
}

void session_announce(struct session *s, const struct uuid *id, const struct addr *from)
{
	struct msg msg = { .type = MSG_CONNECTION, .id = *id };

	if (s->offered && s->offer.visitor)
		session_describe_visitor(id, from, &msg);
	if (list_empty(&s->unsent))
		list_push_back(&s->relay->unsent, &s->unsent);
	/* Once a write has failed nobody hears of visitors, and the client's end is on its way. */
	if (!s->chan.write_failed && s->unsaid == 0)
		s->unsaid = msg_append(s->hs.dialect, ROLE_SERVER, &msg, &s->chan.out);
}

void session_flush_all(struct relay *relay)
{
	while (!list_empty(&relay->unsent)) {
		struct session *s = list_entry(list_first(&relay->unsent), struct session, unsent);

		list_remove(&s->unsent);
		if (s->unsaid < 0)
			session_end_unsaid(s, s->unsaid);
		else
			chan_flush(&s->chan);
	}
}

void session_on_heartbeat(struct timeouts *q, struct timeout *t)
{
	struct session *s = container_of(t, struct session, timeout);
	uint64_t now_ms = uv_now(s->relay->loop), silent_ms = now_ms - s->heard_ms,
		 max_age_ms = s->relay->config.max_tunnel_age_ms;

	/* One step of ours is subtracted: so the third beat that is missing is noticed when it is
	 * due, and not a step later. */
	if (s->offered && s->offer.beat_ms &&
		silent_ms > (uint64_t)RELAY_MISSED_BEATS * s->offer.beat_ms - RELAY_HEARTBEAT_MS) {
		session_end(s, "the client is silent");
		return;
	}
	if (max_age_ms && now_ms - s->endpoint->opened_ms >= max_age_ms) {
		s->relay->counts.tunnels_aged++;
		session_say_error(s, ERROR_TUNNEL_AGE);
		return;
	}
	timeouts_arm(q, t);
	session_say(s, &(struct msg){ .type = MSG_HEARTBEAT });
}

/* As many warm connections as both want, and the key to them. */
static void session_grant_ready(struct session *s, struct options *granted)
{
	struct relay *relay = s->relay;
	uint32_t max = (uint32_t)min_u64(s->offer.ready, relay->config.max_ready_per_tunnel);

	if (!max || !relay->config.max_ready || ready_open(&relay->ready, &s->ready, max) < 0)
		return;
	granted->ready = max;
	granted->has_key = true;
	granted->key = s->ready.entry.id;
}

/* Answers the client's Options with what is granted: all that we know. */
static void session_grant(struct session *s)
{
	struct msg msg = { .type = MSG_OPTIONS };

	msg.options.beat_ms = s->offer.beat_ms;
	msg.options.refuse = s->offer.refuse;
	msg.options.visitor = s->offer.visitor;
	msg.options.move = s->offer.move;
	if (s->offer.resume && endpoint_renew_token(s->endpoint) == 0) {
		msg.options.resume = true;
		msg.options.has_token = true;
		memcpy(msg.options.token, s->endpoint->token, OPTIONS_TOKEN_LEN);
	}
	session_grant_ready(s, &msg.options);
	session_say(s, &msg);
}

/* The session has its endpoint: says so, and becomes its control connection. */
static void session_serve(struct session *s, struct endpoint *e, enum relay_event_type type)
{
	s->endpoint = e;
	e->session = s;
	/* Heartbeats that nobody acknowledges end the connection, whatever the client is able to
	 * (tcp(7)). */
	(void)sockopt_set_int(s->chan.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, RELAY_USER_TIMEOUT_MS);
	session_set_state(s, SESSION_SERVING, relay_event_name(type));
	relay_tell(
		s->relay, &(struct relay_event){ .type = type, .port = e->port, .addr = &s->from });
	session_say(s, &(struct msg){ .type = MSG_HELLO, .port = e->port });
	if (s->offered && s->state == SESSION_SERVING)
		session_grant(s);
}

/*
 * Whether the client has closed the connection, also if we have not read that yet. The events of
 * one turn come in no particular order, so a client that was restarted may ask for its port before
 * the end of its old connection is read.
 */
static bool session_is_over(const struct session *s)
{
	struct tcp_info info;

	return sockopt_tcp_info(s->chan.fd, &info) && info.tcpi_state != TCP_ESTABLISHED;
}

bool session_is_silent(struct session *s)
{
	uint64_t now_ms = uv_now(s->relay->loop);
	struct tcp_info info;

	if (s->offer.beat_ms &&
		now_ms - s->heard_ms > RELAY_SILENT_BEATS * (uint64_t)s->offer.beat_ms)
		return true;
	/* A look that finds it alive is good for a while: no system call for each visitor. */
	if (now_ms - s->acked_ms < RELAY_SILENT_MS || !sockopt_tcp_info(s->chan.fd, &info))
		return false;
	s->acked_ms = now_ms - info.tcpi_last_ack_recv;
	/* It may be us who have been silent, on a machine that is busy; the kernel's timer is its
	 * own. */
	return info.tcpi_retransmits && now_ms - s->acked_ms >= RELAY_SILENT_MS;
}

static void session_open_tunnel(struct session *s)
{
	struct relay *relay = s->relay;
	struct endpoint *e = s->hs.port ? endpoint_find(relay, s->hs.port) : NULL;
	enum ports_refusal refusal;

	if (relay->phase != RELAY_PHASE_SERVING) {
		session_refuse(s, "the server is shutting down");
		return;
	}
	if (e && e->session && session_is_over(e->session))
		session_end(e->session, "closed by the client");
	if (!limits_take_tunnel(&relay->limits, &s->from)) {
		relay->counts.tunnels_over_limit++;
		session_refuse(s, ERROR_TOO_MANY_TUNNELS);
		return;
	}
	refusal = endpoint_open(relay, s->hs.port, &s->from, &e);
	if (refusal != PORTS_OK) {
		limits_give_tunnel(&relay->limits, &s->from);
		relay->counts.tunnels_refused++;
		session_refuse(s, ports_refusal_text(refusal));
		return;
	}
	relay->counts.tunnels_opened++;
	session_serve(s, e, RELAY_TUNNEL_OPENED);
}

/* Counts a tunnel for another address than before. False: that one has its share. */
static bool session_move_count(struct session *s, struct endpoint *e)
{
	struct addr_key old = addr_limit_key(&e->client), new = addr_limit_key(&s->from);

	if (memcmp(&old, &new, sizeof(old)) != 0) {
		if (!limits_take_tunnel(&s->relay->limits, &s->from))
			return false;
		limits_give_tunnel(&s->relay->limits, &e->client);
	}
	e->client = s->from;
	return true;
}

/* The same client has come back on another connection: its tunnel moves over with all who are in
 * it. */
static void session_take_over(struct session *s, struct endpoint *e)
{
	struct session *old = e->session;

	if (!session_move_count(s, e)) {
		s->relay->counts.tunnels_over_limit++;
		session_refuse(s, ERROR_TOO_MANY_TUNNELS);
		return;
	}
	/* A token is good once, also where the client asks for no new one. */
	endpoint_void_token(e);
	if (old) {
		old->endpoint = NULL;
		session_end(old, "taken over by a new connection of the client");
	} else {
		endpoint_end_orphan(e);
	}
	s->relay->counts.tunnels_resumed++;
	session_serve(s, e, RELAY_TUNNEL_RESUMED);
	if (s->state != SESSION_SERVING)
		return;
	stream_announce_waiting(e);
	endpoint_release(e);
}

void session_send_away(struct session *s)
{
	const struct endpoint *e = s->endpoint;
	bool goes = e->handed_over || !e->joined;

	if (e->handed_over && s->offered && s->offer.move)
		session_say(s, &(struct msg){ .type = MSG_MOVE });
	if (goes)
		session_end(s, "the relay has handed over to the next");
}

/* A Hello has come. */
void session_want_port(struct session *s)
{
	struct endpoint *holder = s->hs.port ? endpoint_find(s->relay, s->hs.port) : NULL;

	if (holder && holder->has_token && s->hs.dialect == DIALECT_BORE)
		session_set_state(s, SESSION_CLAIMING, "its port is in use");
	else
		session_open_tunnel(s);
}

/* The client has sent its Options, or has had its time for that. If the token fits, it gets its
 * tunnel back; if not, its port may have become free. */
static void session_claim(struct session *s)
{
	struct endpoint *holder = endpoint_find(s->relay, s->hs.port);

	if (holder && s->offered && s->offer.has_token &&
		endpoint_check_token(holder, s->offer.token))
		session_take_over(s, holder);
	else
		session_open_tunnel(s);
}

void session_on_claim_over(struct timeouts *q, struct timeout *t)
{
	session_claim(container_of(t, struct session, timeout));
}

static void session_take_options(struct session *s, const struct options *offer)
{
	if (s->offered) {
		session_end(s, "options twice");
		return;
	}
	s->offered = true;
	s->offer = *offer;
	if (s->state == SESSION_CLAIMING)
		session_claim(s);
	else
		session_grant(s);
}

/* One message behind the handshake. False: none is whole yet, or the session has ended. */
static bool session_take_message(struct session *s)
{
	struct buf *in = &s->chan.in;
	struct msg msg;
	size_t used;
	int r;

	r = msg_decode(s->hs.dialect, ROLE_CLIENT, buf_head(in), buf_len(in), &msg, &used);
	if (r == MSG_PARTIAL)
		return false;
	if (r < 0) {
		session_end(s, "the client sent garbage");
		return false;
	}
	buf_consume(in, used);
	if (msg.type == MSG_OPTIONS)
		session_take_options(s, &msg.options);
	else if (msg.type == MSG_REFUSE && s->state == SESSION_SERVING)
		stream_refuse(s, &msg.id, msg.text, msg.text_len);
	else if (msg.type != MSG_HEARTBEAT)
		session_end(s, "the client sent an unexpected message");
	return s->state != SESSION_ENDED;
}

/* --- what the greeting leads to --- */

void session_become_data(struct session *s)
{
	struct chan *c = &s->chan;
	int fd = chan_take_fd(c);

	session_set_state(s, SESSION_ENDED, "a data connection");
	if (fd >= 0)
		stream_take_data(
			s->relay, &s->hs, &s->preamble, fd, buf_head(&c->in), buf_len(&c->in));
	else
		chan_close(c, true);
}

void session_read(struct session *s)
{
	bool more = s->state != SESSION_ENDED;

	while (more && buf_len(&s->chan.in))
		more = s->state == SESSION_GREETING ? greeting_read(s) : session_take_message(s);
}

static void session_on_data(struct chan *c)
{
	struct session *s = c->owner;

	s->heard_ms = uv_now(s->relay->loop);
	session_read(s);
}

static void session_on_end(struct chan *c, int error)
{
	struct session *s = c->owner;

	if (s->state == SESSION_GREETING)
		s->relay->counts.handshakes_failed++;
	session_end(s, error ? strerror(-error) : "closed by the client");
}

/* --- a new connection --- */

/* Takes over what was begun without a chan. Negative errno: nothing was taken. */
int session_new(struct relay *relay, int fd, const struct preamble *preamble,
	const struct server_handshake *hs, struct session **ret_session)
{
	struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->relay = relay;
	s->hs = *hs;
	s->preamble = *preamble;
	s->from = preamble->from;
	s->heard_ms = uv_now(relay->loop);
	s->chan.owner = s;
	s->chan.data = session_on_data;
	s->chan.end = session_on_end;
	s->chan.closed = session_on_chan_closed;
	r = chan_open(&s->chan, relay->loop, fd);
	if (r < 0) {
		free(s);
		return r;
	}
	list_init(&s->unsent);
	timeout_init(&s->timeout);
	timeout_init(&s->challenge);
	list_push_back(&relay->greeting, &s->link);
	relay->greeting_count++;
	relay->objects++;
	timeouts_arm(&relay->handshakes, &s->timeout);
	*ret_session = s;
	return 0;
}
