/* SPDX-License-Identifier: MIT */
/*
 * A tunnel joins the machine, which decides, with the parts that act: at most one attempt, the
 * control connection, the visitors. It lives by these events:
 *
 *   an attempt is over       tunnel_up(), or tunnel_attempt_failed()
 *   the relay speaks         heard, a visitor, options; or its connection is lost
 *   the timer                a beat, whatever machine_tick() says is due, the end of draining
 *   the network has changed  an attempt that waits is made now
 *   the owner's calls        start, stop, hurry, drain, close
 *
 * Each tells the machine, which answers with tunnel_on_changed(), the entry actions of the new
 * state: there is a control connection exactly while Connected, and an attempt only while
 * Connecting or Reconnecting. One timer serves all deadlines but those of the visitors, who have
 * theirs, and tunnel_arm() stands behind every event that may have made one.
 *
 * All parts are the tunnel's. `pending` counts what libuv still knows of them; the memory goes when
 * tunnel_close() was called, that is 0, and the visitors are idle.
 */
#include "tunnel/tunnel.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/log.h"
#include "front/front.h"
#include "net/addr_monitor.h"
#include "net/dial.h"
#include "net/host.h"
#include "proto/auth.h"
#include "tunnel/attempt.h"
#include "tunnel/control.h"
#include "tunnel/visitors.h"

#define LOG "tunnel"
#define NEVER UINT64_MAX
#define TUNNEL_READY_SHARE 4

const char *const tunnel_protocol_names[] = {
	[TUNNEL_AUTO] = "auto",
	[TUNNEL_BORE] = "bore",
	[TUNNEL_LINE] = "line",
	NULL,
};

struct tunnel {
	uv_loop_t *loop;
	char relay[HOST_RELAY_MAX]; /* for messages */
	struct front *front;        /* owned; NULL: none stands before the relay */
	const char *option_prefix;
	enum tunnel_protocol protocol;
	struct auth *auth; /* owned; NULL: no secret */
	struct tunnel_events events;

	struct machine machine;
	struct dialer dialer; /* to the relay */
	struct attempt *attempt;
	struct control control;
	struct visitors visitors;
	struct addr_monitor monitor; /* of this machine's addresses */

	bool has_token; /* to present at the next attempt */
	uint8_t token[OPTIONS_TOKEN_LEN];
	enum tunnel_failure failure;
	char error[FAILURE_TEXT_MAX]; /* empty: none */
	uint64_t since_ms;            /* wall clock of the last change of state */
	uint64_t reconnects;

	uv_timer_t timer;
	uint64_t armed_ms; /* when it fires, NEVER: it doesn't run */
	uint64_t drain_ms; /* when draining ends; NEVER */
	bool draining, closing;
	void (*drained)(void *owner);
	void *drained_owner;
	void (*closed)(void *owner);
	void *closed_owner;
	/* The timer, the visitors', attempts and control connections that libuv still knows of. */
	unsigned pending;
};

/* --- the one timer --- */

static void tunnel_on_timer(uv_timer_t *timer);

static uint64_t tunnel_deadline(const struct tunnel *t)
{
	return min_u64(min_u64(machine_deadline(&t->machine), t->control.beat_at_ms), t->drain_ms);
}

/* A deadline that has moved away leaves the timer where it is: it fires for nothing and is set
 * anew, which costs less than setting it with every word of the relay. */
static void tunnel_arm(struct tunnel *t)
{
	uint64_t deadline = tunnel_deadline(t), now = clock_now_ms();

	if (t->closing || deadline >= t->armed_ms)
		return;
	t->armed_ms = deadline;
	uv_update_time(t->loop);
	(void)uv_timer_start(&t->timer, tunnel_on_timer, deadline > now ? deadline - now : 0, 0);
}

/* --- the end --- */

static void tunnel_free(struct tunnel *t)
{
	void (*closed)(void *owner) = t->closed;
	void *owner = t->closed_owner;

	(void)auth_free(t->auth);
	free(t);
	closed(owner);
}

static void tunnel_release(struct tunnel *t)
{
	assert(t->pending);
	if (--t->pending == 0 && flow_set_idle(&t->visitors.flows)) {
		assert(t->closing);
		tunnel_free(t);
	}
}

static void tunnel_on_part_gone(void *owner)
{
	tunnel_release(owner);
}

static void tunnel_on_timer_closed(uv_handle_t *handle)
{
	tunnel_release(container_of((uv_timer_t *)handle, struct tunnel, timer));
}

static void tunnel_on_visitors_closed(struct visitors *vs)
{
	tunnel_release(container_of(vs, struct tunnel, visitors));
}

static void tunnel_on_visitors_idle(void *owner)
{
	struct tunnel *t = owner;

	if (t->closing) {
		if (!t->pending)
			tunnel_free(t);
		return;
	}
	if (t->draining) {
		t->drain_ms = 0;
		tunnel_arm(t);
	}
}

/* --- failures --- */

static void tunnel_set_error(struct tunnel *t, enum tunnel_failure failure, const char *text)
{
	t->failure = failure;
	(void)snprintf(t->error, sizeof(t->error), "%s", text);
}

static void tunnel_lost(struct tunnel *t, const char *why)
{
	char text[FAILURE_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "lost the connection to %s: %s", t->relay, why);
	tunnel_set_error(t, TUNNEL_LOST, text);
	if (t->draining)
		machine_stop(&t->machine, text);
	else
		machine_lost(&t->machine, clock_now_ms(), text);
	tunnel_arm(t);
}

static void tunnel_silent(struct tunnel *t, uint64_t now_ms)
{
	char why[64];

	(void)snprintf(why, sizeof(why), "no word from it for %.1f s",
		(double)(now_ms - t->machine.heard_ms) / 1000);
	tunnel_lost(t, why);
}

static void tunnel_time_up(struct tunnel *t)
{
	enum tunnel_failure failure =
		t->machine.state == TUNNEL_RECONNECTING ? TUNNEL_LOST : t->failure;
	char text[FAILURE_TEXT_MAX];

	(void)snprintf(text, sizeof(text), "gave up after %llu s: %.*s",
		(unsigned long long)(t->machine.config.reconnect_timeout_ms / 1000),
		FAILURE_TEXT_MAX / 2, t->error);
	tunnel_set_error(t, failure, text);
	machine_give_up(&t->machine, text);
}

/* --- the control connection --- */

static void tunnel_on_heard(void *owner)
{
	struct tunnel *t = owner;

	machine_heard(&t->machine, clock_now_ms());
}

static void tunnel_on_visitor(void *owner, const struct uuid *id, const struct addr *from)
{
	struct tunnel *t = owner;

	visitors_add(&t->visitors, id, from);
}

/* A visitor needs descriptors, too: at most so much of what the process may have waits for one,
 * whatever the relay grants. */
static uint32_t tunnel_max_ready(void)
{
	struct rlimit nofile = { 0 };

	(void)getrlimit(RLIMIT_NOFILE, &nofile);
	return (uint32_t)min_u64(DEMAND_MAX, nofile.rlim_cur / TUNNEL_READY_SHARE);
}

static void tunnel_on_options(void *owner, const struct options *granted)
{
	struct tunnel *t = owner;

	t->has_token = granted->resume && granted->has_token;
	if (t->has_token)
		memcpy(t->token, granted->token, sizeof(t->token));
	log_debug(LOG, "%s grants resume=%d beat=%u refuse=%d visitor=%d ready=%u", t->relay,
		t->has_token, granted->beat_ms, granted->refuse, granted->visitor, granted->ready);
	if (!t->draining)
		visitors_ready(&t->visitors,
			granted->has_key ? (unsigned)min_u64(granted->ready, tunnel_max_ready())
					 : 0,
			&granted->key);
	tunnel_arm(t);
}

static void tunnel_on_moved(void *owner)
{
	struct tunnel *t = owner;

	if (t->draining) {
		machine_stop(&t->machine, "the relay hands over to the next");
	} else {
		visitors_leave_relay(&t->visitors);
		machine_moved(&t->machine, clock_now_ms(), "the relay hands over to the next");
	}
	tunnel_arm(t);
}

static void tunnel_on_lost(void *owner, const char *why)
{
	tunnel_lost(owner, why);
}

/* --- attempts --- */

static void tunnel_attempt_failed(struct tunnel *t, const struct failure *failure)
{
	tunnel_set_error(t, failure->kind, failure->text);
	machine_attempt_failed(&t->machine, clock_now_ms(), failure->verdict, t->error);
	tunnel_arm(t);
}

/* Data connections go to the address that announces the visitors: another address of the relay's
 * name may be another relay. */
static void tunnel_aim_visitors(struct tunnel *t, const struct attempt_link *link)
{
	char ip[ADDR_TEXT_MAX];
	int r = visitors_aim(&t->visitors, addr_format_ip(&link->peer, ip), addr_port(&link->peer),
		link->dialect);

	assert(r == 0);
	(void)r;
}

static void tunnel_up(struct tunnel *t, struct attempt_link *link)
{
	t->pending++;
	control_open(&t->control, link);
	tunnel_aim_visitors(t, link);
	t->has_token = false;
	t->failure = TUNNEL_OK;
	t->error[0] = '\0';
	if (t->machine.state == TUNNEL_RECONNECTING)
		t->reconnects++;
	machine_up(&t->machine, clock_now_ms(), link->public_port);
	control_read(&t->control);
	tunnel_arm(t);
}

static void tunnel_on_attempt_done(
	void *owner, struct attempt_link *link, const struct failure *failure)
{
	struct tunnel *t = owner;

	t->attempt = attempt_free(t->attempt);
	if (link)
		tunnel_up(t, link);
	else
		tunnel_attempt_failed(t, failure);
}

/* A relay speaks the dialect that it spoke before, so after the first success AUTO tries no other.
 */
static enum tunnel_protocol tunnel_protocol(const struct tunnel *t)
{
	if (t->protocol != TUNNEL_AUTO || t->machine.state != TUNNEL_RECONNECTING)
		return t->protocol;
	return t->control.dialect == DIALECT_LINE ? TUNNEL_LINE : TUNNEL_BORE;
}

static void tunnel_attempt(struct tunnel *t)
{
	struct attempt_events events = {
		.done = tunnel_on_attempt_done,
		.gone = tunnel_on_part_gone,
		.owner = t,
	};
	struct attempt_config config = {
		.loop = t->loop,
		.dialer = &t->dialer,
		.front = t->front,
		.relay = t->relay,
		.option_prefix = t->option_prefix,
		.auth = t->auth,
		.protocol = tunnel_protocol(t),
		.port = machine_port(&t->machine, clock_now_ms()),
		.local_port = t->visitors.local.dialer.port,
		.offer = { .resume = true,
			.beat_ms = OPTIONS_BEAT_MS,
			.refuse = true,
			.visitor = true,
			.ready = tunnel_max_ready(),
			/* Without reconnecting it would only be an end. */
			.move = t->machine.config.reconnect },
	};
	struct failure failure;
	int r;

	/* A token is good for the port that it came with, and no other. */
	config.offer.has_token = t->has_token && config.port;
	if (config.offer.has_token)
		memcpy(config.offer.token, t->token, sizeof(t->token));
	dialer_forget(&t->dialer);
	r = attempt_start(&config, &events, &t->attempt);
	if (r == 0) {
		t->pending++;
		return;
	}
	failure_of_system(&failure, r);
	tunnel_attempt_failed(t, &failure);
}

/* --- the machine --- */

/* The entry actions. */
static void tunnel_on_changed(
	void *owner, enum tunnel_state old, enum tunnel_state new_state, const char *cause)
{
	struct tunnel *t = owner;

	if (new_state != TUNNEL_CONNECTED) {
		control_close(&t->control);
		visitors_lost_relay(&t->visitors);
	}
	if (new_state != TUNNEL_CONNECTING && new_state != TUNNEL_RECONNECTING)
		t->attempt = attempt_free(t->attempt);
	if (old != new_state)
		t->since_ms = clock_wall_ms();
	if (!t->closing)
		t->events.state(t->events.owner, old, new_state, cause);
}

static void tunnel_end_drain(struct tunnel *t)
{
	t->draining = false;
	t->drain_ms = NEVER;
	visitors_end(&t->visitors);
	machine_stop(&t->machine, "drained");
	t->drained(t->drained_owner);
}

static void tunnel_on_timer(uv_timer_t *timer)
{
	struct tunnel *t = container_of(timer, struct tunnel, timer);
	uint64_t now = clock_now_ms();

	t->armed_ms = NEVER;
	control_tick(&t->control, now);
	switch (machine_tick(&t->machine, now)) {
	case MACHINE_NOTHING:
		break;
	case MACHINE_ATTEMPT:
		tunnel_attempt(t);
		break;
	case MACHINE_SILENT:
		tunnel_silent(t, now);
		break;
	case MACHINE_TIME_UP:
		tunnel_time_up(t);
		break;
	}
	if (t->draining && now >= t->drain_ms)
		tunnel_end_drain(t);
	tunnel_arm(t);
}

/* --- public --- */

static bool tunnel_on_refuse(void *owner, const struct uuid *id, const char *why)
{
	struct tunnel *t = owner;

	return control_refuse(&t->control, id, why);
}

static void tunnel_on_visit(void *owner, const struct tunnel_visit *visit)
{
	struct tunnel *t = owner;

	if (t->events.visit)
		t->events.visit(t->events.owner, visit);
}

static struct tap *tunnel_on_tap(void *owner, const struct tunnel_visit *visit)
{
	struct tunnel *t = owner;

	return t->events.tap ? t->events.tap(t->events.owner, visit) : NULL;
}

static int tunnel_open_front(struct tunnel *t, const struct tunnel_config *config)
{
	char why[TLS_WHY_MAX], shown[256];
	int r = front_new(t->loop, &config->relay, config->tls_ca, &t->front, why);

	if (r != -EINVAL)
		return r;
	log_error(LOG, "can't take the CA certificates of '%s': %s; name a readable file in PEM",
		config->tls_ca
			? log_escape(shown, sizeof(shown), config->tls_ca, strlen(config->tls_ca))
			: "the system",
		why);
	return -ENOTSUP;
}

static int tunnel_init_ends(struct tunnel *t, const struct tunnel_config *config)
{
	const struct host *relay = &config->relay;
	int r = dialer_init(&t->dialer, t->loop, relay->name, relay->port);

	if (r == 0)
		r = dial_target_init(
			&t->visitors.local, t->loop, config->local_host, config->local_port);
	if (r == 0 && config->secret)
		r = auth_new(config->secret, config->protocol == TUNNEL_LINE, &t->auth);
	if (r == 0 && relay->scheme)
		r = tunnel_open_front(t, config);
	(void)host_format_relay(relay, t->relay);
	return r;
}

static void tunnel_init_parts(
	struct tunnel *t, struct pump_pool *pool, const struct tunnel_config *config)
{
	struct machine_config machine = {
		.name = t->relay,
		.reconnect = config->reconnect,
		.retry = config->retry,
		.reconnect_timeout_ms = config->reconnect_timeout_ms,
		.port = config->port,
	};
	struct control_events control = {
		.heard = tunnel_on_heard,
		.visitor = tunnel_on_visitor,
		.options = tunnel_on_options,
		.moved = tunnel_on_moved,
		.lost = tunnel_on_lost,
		.gone = tunnel_on_part_gone,
		.owner = t,
	};

	machine_init(&t->machine, &machine, NULL, tunnel_on_changed, t);
	control_init(&t->control, &control);
	t->visitors.events = (struct visitors_events){
		.refuse = tunnel_on_refuse,
		.visit = tunnel_on_visit,
		.tap = tunnel_on_tap,
		.idle = tunnel_on_visitors_idle,
		.owner = t,
	};
	visitors_init(&t->visitors, t->loop, pool);
}

static void tunnel_on_network_changed(void *owner)
{
	log_debug(LOG, "the addresses or routes of this machine have changed");
	tunnel_hurry(owner);
}

static void tunnel_on_monitor_closed(struct addr_monitor *monitor)
{
	tunnel_release(container_of(monitor, struct tunnel, monitor));
}

static void tunnel_monitor_network(struct tunnel *t)
{
	int r;

	t->monitor.fd = -1;
	t->monitor.changed = tunnel_on_network_changed;
	t->monitor.closed = tunnel_on_monitor_closed;
	t->monitor.owner = t;
	r = addr_monitor_open(&t->monitor, t->loop);
	if (r == 0)
		t->pending++;
	else
		log_debug(LOG, "can't monitor the network: %s", uv_strerror(r));
}

int tunnel_new(uv_loop_t *loop, struct pump_pool *pool, const struct tunnel_config *config,
	const struct tunnel_events *events, struct tunnel **ret_tunnel)
{
	struct tunnel *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->loop = loop;
	t->option_prefix = config->option_prefix;
	t->protocol = config->protocol;
	t->events = *events;
	t->armed_ms = t->drain_ms = NEVER;
	t->since_ms = clock_wall_ms();
	r = tunnel_init_ends(t, config);
	if (r < 0) {
		(void)auth_free(t->auth);
		free(t);
		return r;
	}
	t->visitors.relay.auth = t->auth;
	t->visitors.relay.front = t->front;
	tunnel_init_parts(t, pool, config);
	(void)uv_timer_init(loop, &t->timer);
	t->pending = t->front ? 3 : 2;
	tunnel_monitor_network(t);
	if (t->auth && config->protocol == TUNNEL_LINE)
		log_warn(LOG, "the line dialect sends the secret to %s in clear", t->relay);
	*ret_tunnel = t;
	return 0;
}

void tunnel_start(struct tunnel *t)
{
	machine_start(&t->machine, clock_now_ms());
	tunnel_arm(t);
}

void tunnel_stop(struct tunnel *t)
{
	t->has_token = false;
	t->failure = TUNNEL_OK;
	t->error[0] = '\0';
	machine_stop(&t->machine, "stopped");
	visitors_end(&t->visitors);
}

void tunnel_hurry(struct tunnel *t)
{
	dialer_forget(&t->dialer);
	machine_hurry(&t->machine, clock_now_ms());
	tunnel_arm(t);
}

static uint64_t tunnel_next_attempt_ms(const struct tunnel *t)
{
	uint64_t due = t->machine.attempt_ms, now = clock_now_ms();

	return due == MACHINE_NEVER ? 0 : clock_wall_ms() + (due > now ? due - now : 0);
}

void tunnel_status(const struct tunnel *t, struct tunnel_status *ret_status)
{
	enum tunnel_state state = t->machine.state;
	bool public = state == TUNNEL_CONNECTED || state == TUNNEL_RECONNECTING;

	*ret_status = (struct tunnel_status){
		.state = state,
		.public_port = public ? t->machine.public_port : 0,
		.failure = t->failure,
		.error = t->error[0] ? t->error : NULL,
		.since_ms = t->since_ms,
		.next_attempt_ms = tunnel_next_attempt_ms(t),
		.reconnects = t->reconnects,
		.conns_open = t->visitors.flows.open_count,
		.conns_total = t->visitors.conns_total,
		.turned_away = t->visitors.turned_away,
		.relay_addrs = t->dialer.addrs,
		.relay_addr_count = t->dialer.count,
		.resumes = t->has_token,
		.secure_wire = t->control.dialect == DIALECT_BORE,
	};
	visitors_bytes(&t->visitors, &ret_status->bytes_in, &ret_status->bytes_out);
}

void tunnel_drain(struct tunnel *t, uint64_t grace_ms, void (*drained)(void *owner), void *owner)
{
	t->drained = drained;
	t->drained_owner = owner;
	t->draining = true;
	visitors_drain(&t->visitors, "the tunnel is being closed");
	/* While Connected the control connection stays, so that visitors are told to go away. */
	if (t->machine.state != TUNNEL_CONNECTED)
		machine_stop(&t->machine, "draining");
	t->drain_ms = flow_set_idle(&t->visitors.flows) ? 0 : clock_now_ms() + grace_ms;
	tunnel_arm(t);
}

void tunnel_close(struct tunnel *t, void (*closed)(void *owner), void *owner)
{
	assert(!t->closing);
	t->closing = true;
	t->closed = closed;
	t->closed_owner = owner;
	uv_close((uv_handle_t *)&t->timer, tunnel_on_timer_closed);
	addr_monitor_close(&t->monitor);
	t->draining = false;
	if (t->machine.state != TUNNEL_FAILED)
		machine_stop(&t->machine, "closed");
	visitors_end(&t->visitors);
	visitors_close(&t->visitors, tunnel_on_visitors_closed);
	if (t->front)
		front_close(t->front, tunnel_on_part_gone, t);
}
