/* SPDX-License-Identifier: MIT */
/*
 * The exposure owns one tunnel at a time. The local end of that is the supervisor's port, never
 * another, and `wanted` are the settings that it was made with.
 *
 * What comes, and what it leads to:
 *   start        joins a tunnel that is under way where the settings fit, and is refused where
 *                they don't. Else a new tunnel takes the old one's place
 *   stop, hurry  go on to the tunnel
 *   its events   go on to the owner, until he closes. The first success of a start begins the time
 *                of --expire
 *   the timer    stops the tunnel at the end of that
 *   close        closes the tunnel and the timer
 *
 * A tunnel takes some turns of the loop to close, and the next one runs already meanwhile. So the
 * exposure counts who can still call it: each tunnel that isn't gone, and the timer. The close of
 * that ends in a later turn, which is why `closed` never comes from within. With the last one the
 * memory goes, and `closed` is called.
 */
#include "os/exposure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "base/secret.h"
#include "net/host.h"
#include "net/pump_pool.h"
#include "os/run_config.h"
#include "os/supervisor.h"
#include "proto/handshake.h"

#define RECONNECT_TIMEOUT_MS (3600U * 1000)

/* The settings of one start, complete. */
struct exposure_wish {
	struct host server; /* with its port */
	uint16_t port;      /* public */
	enum tunnel_protocol protocol;
	struct secret secret; /* owned */
};

struct exposure {
	uv_loop_t *loop;
	struct pump_pool *pool;
	const struct os_run_config *config;
	const struct supervisor *supervisor;
	struct exposure_events events;

	struct tunnel *tunnel; /* NULL before the first start */
	struct exposure_wish wanted;
	unsigned refs; /* tunnels that are not yet gone, and the timer */
	char server[HOST_RELAY_MAX], public_url[sizeof("http://") - 1 + HOST_TEXT_MAX];
	bool closing;
	uv_timer_t timer;    /* of --expire */
	uint64_t expires_ms; /* wall clock; 0: the timer doesn't run */
	void (*closed)(void *owner);
	void *closed_owner;
};

static void exposure_wish_clear(struct exposure_wish *wish)
{
	secret_clear(&wish->secret);
}

static bool exposure_is_active(const struct exposure *e)
{
	struct tunnel_status status;

	if (!e->tunnel)
		return false;
	tunnel_status(e->tunnel, &status);
	return status.state == TUNNEL_CONNECTING || status.state == TUNNEL_CONNECTED ||
	       status.state == TUNNEL_RECONNECTING;
}

static bool exposure_has_application(const struct supervisor *supervisor)
{
	struct supervisor_status status;

	supervisor_status(supervisor, &status);
	if (status.state == SUPERVISOR_STOPPING)
		return status.starts_again;
	return status.state != SUPERVISOR_STOPPED && status.state != SUPERVISOR_FAILED;
}

static bool exposure_same_secret(const struct secret *a, const struct secret *b)
{
	return a->set == b->set && a->len == b->len &&
	       (a->len == 0 || memcmp(a->text, b->text, a->len) == 0);
}

static struct host exposure_server(const char *text)
{
	struct host server = host_of(HOST_RELAY, text);

	if (!server.port)
		server.port = CONTROL_PORT;
	return server;
}

/*
 * The settings, and from the configuration what they leave open. The configuration's secret is for
 * its own server alone. A call of the API may name another server, and that would see the secret in
 * the line dialect, or could pass on the answer to a challenge in the other.
 */
static int exposure_complete(const struct exposure *e, const struct exposure_settings *settings,
	struct exposure_wish *ret_wish)
{
	const struct os_run_config *config = e->config;
	const char *server = settings->server ? settings->server : config->tunnel_server;
	const struct secret *secret = settings->secret;
	const struct host own = exposure_server(config->tunnel_server);

	ret_wish->server = exposure_server(server);
	ret_wish->port = settings->port_set ? settings->port : (uint16_t)config->tunnel_port;
	ret_wish->protocol = settings->protocol_set ? settings->protocol
						    : (enum tunnel_protocol)config->tunnel_protocol;
	if (!secret && host_equal(&ret_wish->server, &own))
		secret = &config->tunnel_secret;
	if (!secret || !secret->set)
		return 0;
	return secret_set(&ret_wish->secret, secret->text, secret->len);
}

/* Whether the active tunnel is what `wish` asks for. What `settings` leaves open fits anything. */
static bool exposure_fits(const struct exposure *e, const struct exposure_settings *settings,
	const struct exposure_wish *wish)
{
	const struct exposure_wish *now = &e->wanted;
	struct tunnel_status status;

	tunnel_status(e->tunnel, &status);
	if (settings->server && !host_equal(&wish->server, &now->server))
		return false;
	if (settings->port_set && wish->port != now->port &&
		(!wish->port || wish->port != status.public_port))
		return false;
	if (settings->protocol_set && wish->protocol != now->protocol)
		return false;
	return !settings->secret || exposure_same_secret(&wish->secret, &now->secret);
}

static void exposure_unref(struct exposure *e)
{
	void (*closed)(void *owner) = e->closed;
	void *owner = e->closed_owner;

	if (--e->refs)
		return;
	exposure_wish_clear(&e->wanted);
	free(e);
	closed(owner);
}

static void exposure_on_tunnel_closed(void *owner)
{
	exposure_unref(owner);
}

static void exposure_on_timer_closed(uv_handle_t *handle)
{
	exposure_unref(container_of((uv_timer_t *)handle, struct exposure, timer));
}

static void exposure_on_expired(uv_timer_t *timer)
{
	log_info("os", "the public address has expired (--expire)");
	exposure_stop(container_of(timer, struct exposure, timer));
}

static void exposure_expire(struct exposure *e, enum tunnel_state old, enum tunnel_state new_state)
{
	uint64_t ms = e->config->expire_ms;

	if (new_state == TUNNEL_CONNECTED && old == TUNNEL_CONNECTING && ms) {
		e->expires_ms = clock_wall_ms() + ms;
		(void)uv_timer_start(&e->timer, exposure_on_expired, ms, 0);
	} else if (new_state == TUNNEL_DISCONNECTED || new_state == TUNNEL_FAILED) {
		e->expires_ms = 0;
		(void)uv_timer_stop(&e->timer);
	}
}

static void exposure_on_state(
	void *owner, enum tunnel_state old, enum tunnel_state new_state, const char *cause)
{
	struct exposure *e = owner;

	if (e->closing)
		return;
	exposure_expire(e, old, new_state);
	e->events.state(e->events.owner, old, new_state, cause);
}

static void exposure_on_visit(void *owner, const struct tunnel_visit *visit)
{
	struct exposure *e = owner;

	e->events.visit(e->events.owner, visit);
}

static struct tap *exposure_on_tap(void *owner, const struct tunnel_visit *visit)
{
	struct exposure *e = owner;

	return e->events.tap(e->events.owner, visit);
}

/* Replaces the tunnel by one with the settings of `wish`, which is taken over. */
static int exposure_replace(struct exposure *e, struct exposure_wish *wish)
{
	const struct tunnel_events events = {
		.state = exposure_on_state,
		.visit = exposure_on_visit,
		.tap = exposure_on_tap,
		.owner = e,
	};
	struct supervisor_status app;
	struct tunnel *tunnel;
	int r;

	supervisor_status(e->supervisor, &app);
	r = tunnel_new(e->loop, e->pool,
		&(struct tunnel_config){
			.relay = wish->server,
			.tls_ca = e->config->tunnel_tls_ca,
			.local_host = OS_APP_HOST,
			.local_port = app.port,
			.port = wish->port,
			.secret = wish->secret.set ? &wish->secret : NULL,
			.protocol = wish->protocol,
			.reconnect = true,
			.retry = e->config->tunnel_retry,
			.reconnect_timeout_ms = RECONNECT_TIMEOUT_MS,
			.option_prefix = "tunnel-",
		},
		&events, &tunnel);
	if (r < 0)
		return r;
	if (e->tunnel)
		tunnel_close(e->tunnel, exposure_on_tunnel_closed, e);
	e->tunnel = tunnel;
	e->refs++;
	exposure_wish_clear(&e->wanted);
	e->wanted = *wish;
	wish->secret = (struct secret){ 0 };
	return 0;
}

int exposure_new(uv_loop_t *loop, struct pump_pool *pool, const struct os_run_config *config,
	const struct supervisor *supervisor, const struct exposure_events *events,
	struct exposure **ret_exposure)
{
	struct exposure *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->loop = loop;
	e->pool = pool;
	e->config = config;
	e->supervisor = supervisor;
	e->events = *events;
	e->refs = 1;
	(void)uv_timer_init(loop, &e->timer);
	*ret_exposure = e;
	return 0;
}

int exposure_start(struct exposure *e, const struct exposure_settings *settings)
{
	static const struct exposure_settings none;
	_cleanup_(exposure_wish_clear) struct exposure_wish wish = { 0 };
	int r;

	if (!settings)
		settings = &none;
	r = exposure_complete(e, settings, &wish);
	if (r != 0)
		return r;
	if (exposure_is_active(e)) {
		if (!exposure_fits(e, settings, &wish))
			return EXPOSURE_OTHER_SETTINGS;
	} else {
		if (!exposure_has_application(e->supervisor))
			return EXPOSURE_NO_APPLICATION;
		r = exposure_replace(e, &wish);
		if (r != 0)
			return r;
	}
	tunnel_start(e->tunnel);
	return 0;
}

void exposure_stop(struct exposure *e)
{
	if (e->tunnel)
		tunnel_stop(e->tunnel);
}

void exposure_hurry(struct exposure *e)
{
	if (e->tunnel)
		tunnel_hurry(e->tunnel);
}

void exposure_status(struct exposure *e, struct exposure_status *ret_status)
{
	struct supervisor_status app;
	char public_host[HOST_TEXT_MAX];
	uint16_t port;

	*ret_status = (struct exposure_status){ .tunnel.state = TUNNEL_NOT_STARTED };
	supervisor_status(e->supervisor, &app);
	ret_status->local_port = app.port;
	if (!e->tunnel) {
		ret_status->server = e->config->tunnel_server;
		ret_status->protocol = (enum tunnel_protocol)e->config->tunnel_protocol;
		ret_status->has_secret = e->config->tunnel_secret.set;
		return;
	}
	tunnel_status(e->tunnel, &ret_status->tunnel);
	ret_status->server = host_format_relay(&e->wanted.server, e->server);
	ret_status->expires_ms = e->expires_ms;
	ret_status->protocol = e->wanted.protocol;
	ret_status->has_secret = e->wanted.secret.set;
	port = ret_status->tunnel.public_port;
	if (!port)
		return;
	ret_status->protocol = ret_status->tunnel.secure_wire ? TUNNEL_BORE : TUNNEL_LINE;
	(void)snprintf(e->public_url, sizeof(e->public_url), "http://%s",
		host_format(e->wanted.server.name, port, public_host));
	ret_status->public_url = e->public_url;
}

void exposure_pump_stats(const struct exposure *e, struct pump_stats *ret_stats)
{
	pump_pool_stats(e->pool, ret_stats);
}

void exposure_close(struct exposure *e, void (*closed)(void *owner), void *owner)
{
	e->closing = true;
	e->closed = closed;
	e->closed_owner = owner;
	if (e->tunnel)
		tunnel_close(take_ptr(e->tunnel), exposure_on_tunnel_closed, e);
	uv_close((uv_handle_t *)&e->timer, exposure_on_timer_closed);
}
