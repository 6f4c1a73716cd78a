/* SPDX-License-Identifier: MIT */
/*
 * A forward has a listener, and each connection of it is a flow: its outer end is the one that was
 * accepted, its inner one is dialled. A removed forward goes when its listener is closed and its
 * last flow has ended.
 */
#include "os/forward.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "net/flow.h"
#include "net/listener.h"
#include "net/reserve.h"
#include "net/target.h"
#include "os/app_ports.h"
#include "os/conn_log.h"
#include "os/run_config.h"
#include "tunnel/episode.h"

#define LOG "forward"

struct forwards {
	struct forwards_config config;
	struct flow_set flows;
	struct reserve reserve;
	struct list all; /* of struct forward, oldest first; not the removed ones */
	size_t count;
	size_t refs; /* of forwards, the removed ones included */
	bool closing;
	void (*closed)(void *owner);
	void *owner;
};

struct forward {
	struct forwards *set;
	struct list link;
	struct listener listener;
	uint16_t app_port;
	struct dial_target target; /* the application's port */
	char unopened[FLOW_WHY_MAX];
	struct episode failures;
	unsigned refs; /* of the listener and of each flow */
	uint64_t conns_open, conns_total, bytes_in, bytes_out; /* bytes: of the ended ones */
};

struct forward_conn {
	struct flow flow;
	struct conn conn;
	struct forward *forward;
};

static struct forward_conn *forward_conn_of(const struct flow *f)
{
	return container_of(f, struct forward_conn, flow);
}

/* --- ends --- */

static void forwards_on_set_closed(struct flow_set *set)
{
	struct forwards *fs = container_of(set, struct forwards, flows);
	void (*closed)(void *owner) = fs->closed;
	void *owner = fs->owner;

	reserve_close(&fs->reserve);
	free(fs);
	closed(owner);
}

static void forwards_settle(struct forwards *fs)
{
	if (!fs->closing || fs->refs || !flow_set_idle(&fs->flows) || fs->flows.closed)
		return;
	flow_set_close(&fs->flows, forwards_on_set_closed);
}

static void forward_unref(struct forward *fw)
{
	struct forwards *fs = fw->set;

	if (--fw->refs)
		return;
	fs->refs--;
	free(fw);
	forwards_settle(fs);
}

static void forward_on_listener_closed(struct listener *l)
{
	forward_unref(container_of(l, struct forward, listener));
}

/* --- a connection --- */

static const char *forward_conn_name(const struct flow *f, char text[FLOW_NAME_MAX])
{
	(void)snprintf(text, FLOW_NAME_MAX, "%s", forward_conn_of(f)->conn.from);
	return text;
}

static void forward_on_reached(struct flow *f, enum pump_side side)
{
	struct episode *failures = &forward_conn_of(f)->forward->failures;

	if (side == PUMP_INNER && episode_end(failures))
		log_info(LOG, "%s leads to the application again", forward_conn_of(f)->conn.to);
}

static const char *forward_tell_failure(struct forward_conn *c, const char *why)
{
	if (episode_tells(&c->forward->failures, why, clock_now_ms()))
		log_warn(LOG, "visitors of %s are turned away: %s", c->conn.to, why);
	return why;
}

static const char *forward_on_failed(struct flow *f, enum pump_side side, int error)
{
	return forward_tell_failure(forward_conn_of(f),
		error == -EMFILE || error == -ENFILE ? "there are too many open files (ulimit -n)"
						     : "the application can't be reached");
}

static struct tap *forward_on_tap(struct flow *f)
{
	struct forward_conn *c = forward_conn_of(f);

	return conn_log_tap(c->forward->set->config.conns, &c->conn);
}

static void forward_on_opened(struct flow *f)
{
	struct forward_conn *c = forward_conn_of(f);

	c->forward->conns_open++;
	c->forward->conns_total++;
	conn_log_opened(c->forward->set->config.conns, &c->conn, f);
}

static void forward_on_closed(struct flow *f, const struct flow_result *result)
{
	struct forward_conn *c = forward_conn_of(f);
	struct forward *fw = c->forward;
	struct forwards *fs = fw->set;

	if (result->joined)
		fw->conns_open--;
	fw->bytes_in += result->bytes[PUMP_OUTER];
	fw->bytes_out += result->bytes[PUMP_INNER];
	log_debug(LOG, "visitor %s of %s closed: %s", c->conn.from, c->conn.to, result->why);
	conn_log_ended(fs->config.conns, &c->conn, result);
	free(c);
	list_for_each(pos, &fs->all)
		listener_resume(&list_entry(pos, struct forward, link)->listener);
	forward_unref(fw);
}

static void forwards_on_idle(struct flow_set *set)
{
	forwards_settle(container_of(set, struct forwards, flows));
}

static const struct flow_kind forward_kind = {
	.words = {
		.resetter = { [PUMP_OUTER] = "the visitor", [PUMP_INNER] = "the application" },
		.peer = { [PUMP_OUTER] = "the visitor", [PUMP_INNER] = "the application" },
		.late = "it took too long to connect to the application",
	},
	.name = forward_conn_name,
	.tap = forward_on_tap,
	.reached = forward_on_reached,
	.failed = forward_on_failed,
	.opened = forward_on_opened,
	.closed = forward_on_closed,
	.idle = forwards_on_idle,
};

/* Where the application's port is on this machine; 0: it has not opened it. The gate's is known by
 * the number that it has here, too: most applications have no other for it. */
static uint16_t forward_host_port(const struct forward *fw)
{
	const struct app_ports *ports = fw->set->config.ports;
	uint16_t gate = ports->gate.host_port, port = fw->app_port;

	port = port ? app_ports_find(ports, port) : gate;
	return !port && fw->app_port == gate ? gate : port;
}

/* Aims at where the application's port is now. False: nowhere. */
static bool forward_aim(struct forward *fw)
{
	uint16_t port = forward_host_port(fw);

	if (port && port != fw->target.dialer.port)
		(void)dial_target_init(&fw->target, fw->set->config.loop, OS_APP_HOST, port);
	return port != 0;
}

static bool forward_admits(struct listener *l)
{
	const struct forwards *fs = container_of(l, struct forward, listener)->set;

	return fs->flows.setup_count + fs->flows.open_count < FORWARDS_CONNS_MAX;
}

static void forward_accept(struct listener *l, int fd, const struct addr *from)
{
	struct forward *fw = container_of(l, struct forward, listener);
	struct flow_wish wish = {
		.fd = { [PUMP_OUTER] = fd },
		.target = { [PUMP_INNER] = &fw->target.target },
	};
	struct forward_conn *c = calloc(1, sizeof(*c));

	if (!c) {
		(void)fd_close(fd);
		return;
	}
	c->forward = fw;
	c->conn.kind = CONN_FORWARD;
	(void)addr_format(from, c->conn.from);
	(void)addr_format(&l->addr, c->conn.to);
	if (!forward_aim(fw))
		wish.turn_away = forward_tell_failure(c, fw->unopened);
	fw->refs++;
	if (flow_start(&c->flow, &fw->set->flows, &wish) == 0)
		return;
	fw->refs--;
	(void)fd_close(fd);
	free(c);
}

/* --- public --- */

int forwards_new(const struct forwards_config *config, struct forwards **ret_forwards)
{
	struct forwards *fs = calloc(1, sizeof(*fs));
	int r = fs ? reserve_open(&fs->reserve) : -ENOMEM;

	if (r < 0) {
		free(fs);
		return r;
	}
	fs->config = *config;
	list_init(&fs->all);
	flow_set_init(&fs->flows, config->loop, config->pool, &forward_kind);
	*ret_forwards = fs;
	return 0;
}

static struct forward *forwards_find(const struct forwards *fs, uint16_t port)
{
	list_for_each(pos, &fs->all) {
		struct forward *fw = list_entry(pos, struct forward, link);

		if (addr_port(&fw->listener.addr) == port)
			return fw;
	}
	return NULL;
}

static void forward_status(const struct forward *fw, struct forward_status *ret_status)
{
	uint64_t bytes[PUMP_SIDES];

	*ret_status = (struct forward_status){
		.addr = fw->listener.addr,
		.app_port = fw->app_port,
		.conns_open = fw->conns_open,
		.conns_total = fw->conns_total,
		.bytes_in = fw->bytes_in,
		.bytes_out = fw->bytes_out,
	};
	list_for_each(pos, &fw->set->flows.open) {
		const struct flow *f = list_entry(pos, struct flow, link);

		if (forward_conn_of(f)->forward != fw)
			continue;
		pump_bytes(f->pump, bytes);
		ret_status->bytes_in += bytes[PUMP_OUTER];
		ret_status->bytes_out += bytes[PUMP_INNER];
	}
}

static void forward_announce(const struct forward *fw)
{
	char text[ADDR_TEXT_MAX];

	addr_format(&fw->listener.addr, text);
	if (addr_is_loopback(&fw->listener.addr))
		log_debug(LOG, "%s leads to the application", text);
	else
		log_warn(LOG,
			"%s leads to the application: anyone who can reach this machine there can "
			"reach it, and there is no TLS",
			text);
}

int forwards_add(
	struct forwards *fs, const struct forward_spec *spec, struct forward_status *ret_status)
{
	struct forward *fw;
	int r;

	if (forwards_find(fs, addr_port(&spec->addr)))
		return FORWARD_EXISTS;
	if (fs->count == FORWARDS_MAX)
		return FORWARD_TOO_MANY;
	fw = calloc(1, sizeof(*fw));
	if (!fw)
		return -ENOMEM;
	fw->set = fs;
	fw->app_port = spec->app_port;
	(void)snprintf(fw->unopened, sizeof(fw->unopened), "the application has not opened port %u",
		spec->app_port);
	fw->listener.reserve = &fs->reserve;
	fw->listener.admits = forward_admits;
	fw->listener.accepted = forward_accept;
	fw->listener.closed = forward_on_listener_closed;
	r = listener_open(&fw->listener, fs->config.loop, &spec->addr, true, false);
	if (r < 0) {
		free(fw);
		return r;
	}
	fw->refs = 1;
	fs->refs++;
	fs->count++;
	list_push_back(&fs->all, &fw->link);
	forward_announce(fw);
	forward_status(fw, ret_status);
	return 0;
}

static void forward_end(struct forward *fw, const char *why)
{
	struct forwards *fs = fw->set;

	list_remove(&fw->link);
	fs->count--;
	fw->refs++;
	listener_close(&fw->listener);
	list_for_each_safe(pos, &fs->flows.setup) {
		struct flow *f = list_entry(pos, struct flow, link);

		if (forward_conn_of(f)->forward == fw)
			flow_close(f, why);
	}
	list_for_each(pos, &fs->flows.open) {
		struct flow *f = list_entry(pos, struct flow, link);

		if (forward_conn_of(f)->forward == fw)
			flow_close(f, why);
	}
	forward_unref(fw);
}

bool forwards_remove(struct forwards *fs, uint16_t port)
{
	struct forward *fw = forwards_find(fs, port);

	if (fw)
		forward_end(fw, "the forward was removed");
	return fw;
}

void forwards_each(const struct forwards *fs, forward_fn fn, void *owner)
{
	struct forward_status status;

	list_for_each(pos, &fs->all) {
		forward_status(list_entry(pos, struct forward, link), &status);
		fn(owner, &status);
	}
}

void forwards_close(struct forwards *fs, void (*closed)(void *owner), void *owner)
{
	struct list *first;

	fs->closing = true;
	fs->closed = closed;
	fs->owner = owner;
	while ((first = list_first(&fs->all)))
		forward_end(list_entry(first, struct forward, link), "wasmrun has ended");
	forwards_settle(fs);
}
