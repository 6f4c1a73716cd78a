/* SPDX-License-Identifier: MIT */
/*
 * The relay as a whole: what it owns, and how it comes and goes.
 *
 *   NEW -> SERVING -> DRAINING -> DRAINED -> CLOSING
 *
 * relay_start() and relay_drain() make the steps that the owner decides; relay_close() may come in
 * any phase. Two steps wait for others: DRAINED until no visitor waits or is joined any more, and
 * the end of CLOSING until no session, endpoint or stream is left (`objects`). Whatever ends one of
 * those calls relay_settle(), which looks whether the step can be made now.
 *
 * The parts live in their own files: a connection on the control port is a session (greeting.c,
 * session.c), a public port an endpoint, a visitor a stream. Each calls the relay only to tell what
 * has happened (relay_tell()) and that it has gone.
 *
 * The handles are closed when `objects` is 0, and the memory goes in the close callback of the last
 * one: no callback of a part can find it gone.
 */
#include "relay/relay.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "base/lang.h"
#include "base/owner.h"
#include "base/log.h"
#include "relay/endpoint.h"
#include "relay/greeting.h"
#include "relay/handover.h"
#include "relay/parking.h"
#include "relay/relay_internal.h"
#include "relay/session.h"
#include "relay/stream.h"
#include "relay/takeover.h"

#define RELAY_PORTS 65536
#define RELAY_READY_SHARE 4 /* of the descriptors, warm connections may have one in so many */
#define RELAY_RELIEF 16     /* so many of them make room at once */

static void relay_free(struct relay *relay)
{
	limits_deinit(&relay->limits);
	pending_deinit(&relay->pending);
	ready_deinit(&relay->ready);
	relay->auth = auth_free(relay->auth);
	reserve_close(&relay->reserve);
	free(relay->endpoints);
	free(relay);
}

static void relay_freep(struct relay **relay)
{
	if (*relay)
		relay_free(*relay);
}

/* --- telling --- */

static void relay_log_event(const struct relay_event *event)
{
	enum log_level level =
		event->type == RELAY_VISITOR_OPENED || event->type == RELAY_VISITOR_CLOSED
			? LOG_LEVEL_DEBUG
			: LOG_LEVEL_INFO;
	char text[ADDR_TEXT_MAX] = "-";

	if (!log_enabled(level))
		return;
	if (event->addr)
		(void)addr_format(event->addr, text);
	log_write(level, "relay", "%s port=%u addr=%s%s%s%s", relay_event_name(event->type),
		event->port, text, event->why ? " why='" : "", event->why ? event->why : "",
		event->why ? "'" : "");
}

void relay_tell(struct relay *relay, const struct relay_event *event)
{
	relay_log_event(event);
	conn_log_write(relay->config.conn_log, event);
	if (relay->event)
		relay->event(relay->owner, event);
}

/* --- building --- */

/*
 * The loop has called back for all that one epoll_wait(2) has brought, and is about to wait again.
 * So the announcements of one turn go to a client in one segment, the log is written once, and
 * queued endpoints go on only when all that was to make room has made it.
 */
static void relay_on_turn_ends(void *owner)
{
	struct relay *relay = owner;

	endpoint_resume_queued(relay);
	session_flush_all(relay);
	handover_turn(relay->handover);
	conn_log_flush(relay->config.conn_log);
}

/* Descriptors are short: warm connections go first. */
static bool relay_on_shortage(struct reserve *reserve)
{
	return ready_relieve(&container_of(reserve, struct relay, reserve)->ready, RELAY_RELIEF) >
	       0;
}

/* None of these can fail. */
static void relay_open_handles(struct relay *relay)
{
	timeouts_init(
		&relay->handshakes, relay->loop, HANDSHAKE_TIMEOUT_MS, greeting_on_late, relay);
	timeouts_init(&relay->challenges, relay->loop, HANDSHAKE_CHALLENGE_WAIT_MS,
		greeting_on_challenge, relay);
	timeouts_init(&relay->claims, relay->loop, RELAY_CLAIM_MS, session_on_claim_over, relay);
	timeouts_init(
		&relay->heartbeats, relay->loop, RELAY_HEARTBEAT_MS, session_on_heartbeat, relay);
	timeouts_init(&relay->orphans, relay->loop, RELAY_ORPHAN_MS, endpoint_on_abandoned, relay);
	timeouts_init(&relay->sweeps, relay->loop, READY_SWEEP_MS, parking_on_sweep, relay);
	timeout_init(&relay->sweep);
	flow_set_init(&relay->streams, relay->loop, relay->pool, &stream_kind);
	(void)uv_timer_init(relay->loop, &relay->grace);
	relay->grace.data = relay;
	relay->handles = 8;
	pump_pool_set_turn_ends(relay->pool, relay_on_turn_ends, relay);
}

static int relay_build(struct relay *relay)
{
	const struct relay_config *config = &relay->config;
	struct rlimit nofile;
	int r;

	if (getrlimit(RLIMIT_NOFILE, &nofile) < 0)
		return -errno;
	relay->max_fds = nofile.rlim_cur;
	r = limits_init(&relay->limits, config->max_tunnels_per_addr, config->max_handshakes);
	if (r < 0)
		return r;
	r = pending_init(&relay->pending, config->max_pending);
	if (r < 0)
		return r;
	/* Those that visitors need are never parked. */
	r = ready_init(&relay->ready, RELAY_PORTS,
		(uint32_t)min_u64(config->max_ready, relay->max_fds / RELAY_READY_SHARE));
	if (r < 0)
		return r;
	r = ports_init(&relay->ports, relay->loop, &config->bind_tunnels, config->bind_tunnels_dual,
		config->min_port, config->max_port);
	if (r < 0)
		return r;
	relay->endpoints = calloc(RELAY_PORTS, sizeof(*relay->endpoints));
	if (!relay->endpoints)
		return -ENOMEM;
	if (config->secret && config->secret->set) {
		r = auth_new(config->secret, false, &relay->auth);
		if (r < 0)
			return r;
	}
	r = reserve_open(&relay->reserve);
	if (r < 0)
		return r;
	relay->reserve.relieve = relay_on_shortage;
	return 0;
}

int relay_new(uv_loop_t *loop, struct pump_pool *pool, const struct relay_config *config,
	relay_event_fn event, void *owner, struct relay **ret_relay)
{
	_cleanup_(relay_freep) struct relay *relay = calloc(1, sizeof(*relay));
	int r;

	if (!relay)
		return -ENOMEM;
	assert(config->max_handshakes && config->max_pending && config->max_conns);
	relay->loop = loop;
	relay->pool = pool;
	relay->config = *config;
	relay->event = event;
	relay->owner = owner;
	relay->reserve.fd = relay->listener.fd = -1;
	list_init(&relay->greeting);
	list_init(&relay->serving);
	list_init(&relay->unsent);
	list_init(&relay->queued);
	r = relay_build(relay);
	if (r < 0)
		return r;
	relay_open_handles(relay);
	*ret_relay = take_ptr(relay);
	return 0;
}

static void relay_on_accepted(struct listener *l, int fd, const struct addr *from)
{
	greeting_accept(l->owner, fd, from);
}

static void relay_on_listener_closed(struct listener *l)
{
	struct relay *relay = l->owner;

	relay->listener_open = false;
	relay_settle(relay);
}

/* Whether the control port's socket that the relay before has is the one that is wanted. */
static bool relay_wants_control(const struct relay *relay, int fd)
{
	const struct relay_config *config = &relay->config;
	struct addr wanted = config->bind_addr, has;

	if (addr_of_socket(fd, &has) < 0)
		return false;
	if (!addr_port(&wanted))
		addr_set_port(&wanted, addr_port(&has));
	return config->bind_dual ? addr_is_any(&has) && addr_port(&has) == addr_port(&wanted)
				 : addr_equal(&has, &wanted);
}

static int relay_open_control(struct relay *relay, struct takeover *before)
{
	const struct relay_config *config = &relay->config;
	struct listener *l = &relay->listener;
	/* With a secret the relay may have to speak first. Without one the client does, and the
	 * kernel keeps the connection until it has. */
	bool defer = !relay->auth;

	for (size_t i = 0; before && i < before->count; i++)
		if (before->items[i].control && relay_wants_control(relay, before->fds[i]))
			return listener_adopt(l, relay->loop, take_fd(&before->fds[i]), defer);
	return config->bind_dual
		       ? listener_open_any(l, relay->loop, addr_port(&config->bind_addr), defer)
		       : listener_open(l, relay->loop, &config->bind_addr, false, defer);
}

int relay_start(struct relay *relay, struct takeover *before, struct addr *ret_addr)
{
	struct listener *l = &relay->listener;
	int r;

	assert(relay->phase == RELAY_PHASE_NEW);
	l->reserve = &relay->reserve;
	l->accepted = relay_on_accepted;
	l->closed = relay_on_listener_closed;
	l->owner = relay;
	/* What the relay before had to finish has taken time. */
	uv_update_time(relay->loop);
	*ret_addr = relay->config.bind_addr;
	r = relay_open_control(relay, before);
	if (r < 0)
		return r;
	*ret_addr = l->addr;
	relay->listener_open = true;
	relay->ports.own = addr_port(&l->addr);
	relay->phase = RELAY_PHASE_SERVING;
	relay_tell(relay,
		&(struct relay_event){
			.type = RELAY_LISTENING, .addr = &l->addr, .port = addr_port(&l->addr) });
	for (size_t i = 0; before && i < before->count; i++)
		if (!before->items[i].control)
			endpoint_adopt(relay, &before->items[i], take_fd(&before->fds[i]));
	/* Not left to the end of the turn: the first turn comes with the first peer. */
	conn_log_flush(relay->config.conn_log);
	log_info("relay", "loopback peers are exempt from the limits per address");
	return 0;
}

/* --- a hand-over --- */

int relay_offer(struct relay *relay, const char *path)
{
	return handover_open(relay, path, &relay->handover);
}

void relay_hold(struct relay *relay)
{
	relay->holding = true;
}

void relay_hold_control(struct relay *relay)
{
	listener_pause(&relay->listener);
}

void relay_release(struct relay *relay)
{
	relay->holding = false;
	listener_resume(&relay->listener);
	list_for_each(pos, &relay->serving)
		endpoint_release(list_entry(pos, struct session, link)->endpoint);
	list_for_each(pos, &relay->orphans.queue)
		endpoint_release(list_entry(pos, struct endpoint, orphan.link));
}

void relay_handed_over(struct relay *relay)
{
	relay->handed_over = true;
	relay_tell(relay, &(struct relay_event){ .type = RELAY_HANDED_OVER });
	assert(relay->phase >= RELAY_PHASE_DRAINING);
}

/* --- ending --- */

static void relay_end_sessions(struct relay *relay, const char *why)
{
	while (!list_empty(&relay->greeting))
		session_end(list_entry(list_first(&relay->greeting), struct session, link), why);
	while (!list_empty(&relay->serving))
		session_end(list_entry(list_first(&relay->serving), struct session, link), why);
	endpoint_close_orphans(relay, why);
}

static void relay_let_go(struct relay *relay)
{
	void (*closed)(void *owner) = relay->closed;
	void *owner = relay->closed_owner;

	if (--relay->handles)
		return;
	relay_free(relay);
	closed(owner);
}

static void relay_on_handle_closed(uv_handle_t *handle)
{
	relay_let_go(handle->data);
}

static void relay_on_streams_closed(struct flow_set *streams)
{
	relay_let_go(container_of(streams, struct relay, streams));
}

static void relay_close_handles(struct relay *relay)
{
	struct timeouts *queues[] = { &relay->handshakes, &relay->challenges, &relay->claims,
		&relay->heartbeats, &relay->orphans, &relay->sweeps };

	if (uv_is_closing((uv_handle_t *)&relay->grace))
		return;
	timeout_disarm(&relay->sweep);
	for (size_t i = 0; i < ARRAY_LEN(queues); i++)
		timeouts_close(queues[i], relay_on_handle_closed);
	flow_set_close(&relay->streams, relay_on_streams_closed);
	uv_close((uv_handle_t *)&relay->grace, relay_on_handle_closed);
	pump_pool_set_turn_ends(relay->pool, NULL, NULL);
}

static void relay_set_drained(struct relay *relay)
{
	relay->phase = RELAY_PHASE_DRAINED;
	(void)uv_timer_stop(&relay->grace);
	listener_close(&relay->listener);
	relay_end_sessions(relay, "the relay is closing");
	conn_log_flush(relay->config.conn_log);
	relay->drained(relay->drained_owner);
}

void relay_settle(struct relay *relay)
{
	if (relay->phase == RELAY_PHASE_DRAINING && flow_set_idle(&relay->streams))
		relay_set_drained(relay);
	if (relay->phase == RELAY_PHASE_CLOSING && !relay->objects && !relay->listener_open)
		relay_close_handles(relay);
}

static void relay_on_grace_over(uv_timer_t *timer)
{
	stream_end_all(container_of(timer, struct relay, grace));
}

/* Whoever is still announced can't be claimed any more: the control port is the next relay's. */
static void relay_send_away(struct relay *relay)
{
	listener_close(&relay->listener);
	stream_drop_all_waiting(relay, "the relay has handed over to the next");
	list_for_each_safe(pos, &relay->serving)
		session_send_away(list_entry(pos, struct session, link));
}

void relay_drain(struct relay *relay, void (*drained)(void *owner), void *owner)
{
	if (relay->phase == RELAY_PHASE_DRAINING) {
		stream_end_all(relay);
		return;
	}
	if (relay->phase >= RELAY_PHASE_DRAINED)
		return;
	relay->phase = RELAY_PHASE_DRAINING;
	relay->drained = drained;
	relay->drained_owner = owner;
	relay_tell(relay, &(struct relay_event){ .type = RELAY_DRAINING });
	/*
	 * The control port stays open for the Accepts of those who wait, and the control
	 * connections stay too: a stock client ends its streams with them.
	 */
	list_for_each(pos, &relay->serving)
		endpoint_stop_listening(list_entry(pos, struct session, link)->endpoint);
	endpoint_close_orphans(relay, "the relay is closing");
	ready_drop_all(&relay->ready);
	if (relay->handed_over)
		relay_send_away(relay);
	else
		relay->handover = handover_close(relay->handover);
	(void)uv_timer_start(&relay->grace, relay_on_grace_over, relay->config.grace_ms, 0);
	relay_settle(relay);
}

void relay_close(struct relay *relay, void (*closed)(void *owner), void *owner)
{
	assert(relay->phase != RELAY_PHASE_CLOSING);
	relay->phase = RELAY_PHASE_CLOSING;
	relay->closed = closed;
	relay->closed_owner = owner;
	listener_close(&relay->listener);
	relay->handover = handover_close(relay->handover);
	stream_end_all(relay);
	relay_end_sessions(relay, "the relay is closing");
	relay_settle(relay);
}
