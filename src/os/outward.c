/* SPDX-License-Identifier: MIT */
/*
 * A connection is a flow whose outer end is our half of the pair. What only its set-up needs is
 * apart (struct outward_setup): the dial's target, the application's half, and whoever waits for
 * the answer. The answer is given by what comes first: the destination is reached, the set-up
 * fails, or OUTWARD_PATIENCE_MS are over.
 *
 * While outward_connect() runs nothing is told: `starting` keeps the outcome for its return value.
 */
#include "os/outward.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/owner.h"
#include "net/addr.h"
#include "net/bucket.h"
#include "net/dialer.h"
#include "net/flow.h"
#include "net/stream_pair.h"
#include "net/target.h"
#include "os/app_ports.h"
#include "os/conn_log.h"
#include "os/network.h"
#include "policy/reserved.h"

struct outward {
	struct outward_config config;
	struct flow_set flows;
	struct bucket bandwidth[PUMP_SIDES];
	struct timeouts patience;
	struct network_follower follower;
	struct dialer_lane *lane; /* of the names that it asks for */
	uint64_t last_id;
	bool closing;
	unsigned parts; /* not yet closed */
	void (*closed)(void *owner);
	void *owner;
};

struct outward_setup {
	struct outward_conn *conn;
	struct dial_target target;
	struct timeout patience;
	struct outward_asker *asker; /* NULL: it was told, or is gone */
	int fd;                      /* the application's end, until it is told */
	bool starting;
	int error;              /* negative errno of a set-up that failed */
	char why[CONN_WHY_MAX]; /* and what the log says of it */
};

struct outward_conn {
	struct flow flow;
	struct outward_setup *setup; /* NULL: it is open */
	struct conn conn;
	uint64_t id; /* for the debug log */
	bool own;    /* to a port of its own, which no rule is asked for */
	bool named;  /* `reached` is an address of the name that was asked for */
	struct destination to;
	struct addr reached; /* AF_UNSPEC: none yet */
};

static const char not_allowed[] = "the policy no longer allows it";

static struct outward_conn *conn_of(struct flow *f)
{
	return container_of(f, struct outward_conn, flow);
}

static struct outward *outward_of(const struct outward_conn *c)
{
	return container_of(c->flow.set, struct outward, flows);
}

/* --- telling --- */

/* The application hears how it is, if it hasn't yet. */
static void setup_answer(struct outward_setup *s, int error)
{
	struct outward_asker *asker = s->asker;

	timeout_disarm(&s->patience);
	if (s->starting || !asker)
		return;
	s->asker = NULL;
	asker->conn = NULL;
	asker->answered(asker, error, error ? -1 : take_fd(&s->fd));
}

static void on_impatient(struct timeouts *q, struct timeout *t)
{
	setup_answer(container_of(t, struct outward_setup, patience), 0);
}

/* --- the flow --- */

static const char *conn_name(const struct flow *f, char text[FLOW_NAME_MAX])
{
	const struct outward_conn *c = container_of(f, const struct outward_conn, flow);

	snprintf(text, FLOW_NAME_MAX, "outward %" PRIu64, c->id);
	return text;
}

static void conn_on_reached(struct flow *f, enum pump_side side)
{
	struct outward_conn *c = conn_of(f);
	const struct dialer *dialer = &c->setup->target.dialer;

	c->reached = dialer->addrs[dialer->preferred];
	setup_answer(c->setup, 0);
}

static void setup_explain(struct outward_setup *s, int error)
{
	snprintf(s->why, sizeof s->why, "not connected: %s", uv_strerror(error));
}

static const char *conn_on_failed(struct flow *f, enum pump_side side, int error)
{
	struct outward_setup *s = conn_of(f)->setup;

	/* A name without addresses: connect(2) has no error for that. */
	s->error = error <= UV_EAI_ADDRFAMILY ? -EHOSTUNREACH : error;
	/* conn_admits() has said more. */
	if (error != -EACCES || !*s->why)
		setup_explain(s, error);
	return s->why;
}

static void setup_free(struct outward_conn *c)
{
	struct outward_setup *s = take_ptr(c->setup);

	(void)fd_close(s->fd);
	free(s);
}

static void conn_on_opened(struct flow *f)
{
	struct outward_conn *c = conn_of(f);

	conn_log_opened(outward_of(c)->config.log, &c->conn, f);
	/* outward_connect() is still to take the application's end. */
	if (!c->setup->starting)
		setup_free(c);
}

static void conn_on_closed(struct flow *f, const struct flow_result *result)
{
	struct outward_conn *c = conn_of(f);
	struct outward_setup *s = c->setup;

	if (s && !s->error)
		s->error = result->end == FLOW_END_LATE ? -ETIMEDOUT : -ECONNABORTED;
	conn_log_ended(outward_of(c)->config.log, &c->conn, result);
	if (s) {
		setup_answer(s, -s->error);
		if (s->starting) {
			s->conn = NULL;
			free(c);
			return;
		}
		setup_free(c);
	}
	free(c);
}

static void outward_on_part_closed(struct outward *o)
{
	void (*closed)(void *owner) = o->closed;
	void *owner = o->owner;

	if (--o->parts > 0)
		return;
	for (int side = 0; side < PUMP_SIDES; side++)
		bucket_deinit(&o->bandwidth[side]);
	o->lane = dialer_lane_free(o->lane);
	free(o);
	closed(owner);
}

static void on_set_closed(struct flow_set *set)
{
	outward_on_part_closed(container_of(set, struct outward, flows));
}

static void on_patience_closed(uv_handle_t *handle)
{
	outward_on_part_closed(handle->data);
}

static void on_idle(struct flow_set *set)
{
	struct outward *o = container_of(set, struct outward, flows);

	if (!o->closing || o->parts)
		return;
	o->parts = 2;
	flow_set_close(&o->flows, on_set_closed);
	timeouts_close(&o->patience, on_patience_closed);
}

static const struct flow_kind outward_kind = {
	.words = {
		.resetter = { [PUMP_OUTER] = "the application", [PUMP_INNER] = "the destination" },
		.peer = { [PUMP_OUTER] = "the application", [PUMP_INNER] = "the destination" },
		.late = "not connected in time (connection_timeout_secs)",
	},
	.resets = true,
	.name = conn_name,
	.reached = conn_on_reached,
	.failed = conn_on_failed,
	.opened = conn_on_opened,
	.closed = conn_on_closed,
	.idle = on_idle,
};

/* --- the policy --- */

/* An address is about to be dialled. That of a name is judged for the first time; and what was
 * asked for by its address once more, as another run may have opened its page there meanwhile. */
static int conn_admits(struct dialer *dialer, const struct addr *addr)
{
	struct dial_target *target = container_of(dialer, struct dial_target, dialer);
	struct outward_setup *s = container_of(target, struct outward_setup, target);
	struct outward_conn *c = s->conn;
	struct network *network = outward_of(c)->config.network;
	struct network_verdict verdict;
	struct ipaddr ip = network_ipaddr(addr);
	bool allowed = c->named ? network_judge_resolved(network, &c->to, &ip, &verdict)
				: network_allows(network, &c->to, NULL, &verdict);

	if (!allowed)
		snprintf(s->why, sizeof s->why, "%.*s", CONN_WHY_MAX - 1, verdict.why);
	return allowed ? 0 : -EACCES;
}

static bool conn_may_stay(const struct outward *o, const struct outward_conn *c)
{
	struct network_verdict verdict;
	struct ipaddr ip;

	if (c->own)
		return true;
	if (c->named && c->reached.sa.sa_family) {
		ip = network_ipaddr(&c->reached);
		return network_allows(o->config.network, &c->to, &ip, &verdict);
	}
	return network_allows(o->config.network, &c->to, NULL, &verdict);
}

static void on_policy_changed(struct network_follower *follower)
{
	struct outward *o = container_of(follower, struct outward, follower);
	struct list *const lists[] = { &o->flows.setup, &o->flows.open };
	const struct network_limits *limits = network_limits(o->config.network);

	timeouts_set_delay(&o->flows.deadlines, limits->connection_timeout_secs * 1000);
	for (int side = 0; side < PUMP_SIDES; side++)
		bucket_set_rate(&o->bandwidth[side], limits->max_bandwidth_mbps * 1000000 / 8);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		list_for_each_safe(link, lists[i]) {
			struct outward_conn *c = conn_of(list_entry(link, struct flow, link));

			if (conn_may_stay(o, c))
				continue;
			if (c->setup)
				c->setup->error = -EACCES;
			flow_close(&c->flow, not_allowed);
		}
	}
}

/* --- the wish --- */

/* With loopback where connect(2) would take it for that. */
static struct destination normal_destination(const struct destination *to)
{
	static const uint8_t v4[4] = { 127, 0, 0, 1 }, v6[16] = { [15] = 1 };
	struct destination d = *to;

	if (!*d.name && reserved_is_unspecified(&d.addr))
		d.addr = ipaddr_is_v4(&d.addr) ? ipaddr_from_v4(v4) : ipaddr_from_v6(v6);
	return d;
}

static bool is_local(const struct destination *d)
{
	return *d->name ? hostname_is_localhost(d->name) : reserved_is_loopback(&d->addr);
}

/* Whether it may be, and by what. */
static int conn_judge(struct outward *o, struct outward_conn *c)
{
	const struct network_limits *limits = network_limits(o->config.network);
	struct network_verdict verdict = { .allowed = true };
	char why[96];

	c->own = is_local(&c->to) && app_ports_find(o->config.ports, c->to.port);
	if (!c->own)
		(void)network_judge(o->config.network, &c->to, &verdict);
	snprintf(c->conn.rule, sizeof c->conn.rule, "%s", verdict.rule);
	if (!verdict.allowed) {
		conn_log_refused(o->config.log, &c->conn, verdict.why);
		return is_local(&c->to) ? -ECONNREFUSED : -EACCES;
	}
	if (outward_count(o) < limits->max_connections)
		return 0;
	snprintf(why, sizeof why, "%" PRIu64 " connections are open: raise max_connections",
		limits->max_connections);
	network_note_refusal(o->config.network, "connect to", c->conn.to, why);
	conn_log_refused(o->config.log, &c->conn, why);
	return -ENOBUFS;
}

/* What is dialled for it. */
static int setup_aim(struct outward_setup *s, struct outward *o)
{
	struct outward_conn *c = s->conn;
	char host[IPADDR_TEXT_MAX] = "127.0.0.1";
	uint16_t port = c->to.port;
	int r;

	if (c->own)
		port = app_ports_find(o->config.ports, port);
	else if (!*c->to.name)
		(void)ipaddr_format(&c->to.addr, host);
	c->named = !c->own && *c->to.name;
	r = dial_target_init(&s->target, o->config.loop, c->named ? c->to.name : host, port);
	s->target.dialer.admits = c->own ? NULL : conn_admits;
	s->target.dialer.lane = o->lane;
	s->target.dialer.connect_timeout_ms =
		network_limits(o->config.network)->connection_timeout_secs * 1000;
	return r;
}

/* Starts the flow. `s` is the caller's again, whatever has become of the connection. */
static int setup_start(struct outward_setup *s, struct outward *o)
{
	struct flow_wish wish = { .target[PUMP_INNER] = &s->target.target, .fd = { -1, -1 } };
	struct outward_conn *c = s->conn;
	int pair[2], r = setup_aim(s, o);

	if (r < 0)
		return r;
	r = stream_pair_open(pair);
	if (r < 0)
		return r;
	s->fd = pair[0];
	wish.fd[PUMP_OUTER] = pair[1];
	s->starting = true;
	r = flow_start(&c->flow, &o->flows, &wish);
	s->starting = false;
	if (r < 0)
		(void)fd_close(pair[1]);
	return r;
}

static struct outward_setup *setup_new(struct outward *o, const struct destination *to)
{
	struct outward_setup *s = calloc(1, sizeof *s);
	struct outward_conn *c = calloc(1, sizeof *c);

	if (!s || !c) {
		free(s);
		free(c);
		return NULL;
	}
	*s = (struct outward_setup){ .conn = c, .fd = -1 };
	timeout_init(&s->patience);
	c->setup = s;
	c->to = normal_destination(to);
	c->id = ++o->last_id;
	c->conn.kind = CONN_OUTWARD;
	(void)destination_format(&c->to, c->conn.to);
	return s;
}

int outward_connect(
	struct outward *o, const struct destination *to, struct outward_asker *asker, int *ret_fd)
{
	struct outward_setup *s = setup_new(o, to);
	struct outward_conn *c;
	int r;

	if (!s)
		return -ENOMEM;
	c = s->conn;
	r = conn_judge(o, c);
	if (r == 0) {
		r = setup_start(s, o);
		if (r < 0) {
			setup_explain(s, r);
			conn_log_refused(o->config.log, &c->conn, s->why);
		}
	}
	if (r < 0) {
		setup_free(c);
		free(c);
		return r;
	}
	if (!s->conn) { /* it was told already, and is gone */
		r = s->error;
		(void)fd_close(s->fd);
		free(s);
		return r;
	}
	if (c->flow.state == FLOW_OPEN) {
		*ret_fd = take_fd(&s->fd);
		setup_free(c);
		return 1;
	}
	s->asker = asker;
	asker->conn = c;
	timeouts_arm(&o->patience, &s->patience);
	return 0;
}

void outward_forget(struct outward_asker *asker)
{
	struct outward_conn *c = take_ptr(asker->conn);

	if (!c)
		return;
	timeout_disarm(&c->setup->patience);
	c->setup->asker = NULL;
	flow_close(&c->flow, "the application gave it up");
}

uint64_t outward_count(const struct outward *o)
{
	return o->flows.setup_count + o->flows.open_count;
}

/* --- its life --- */

int outward_new(const struct outward_config *config, struct outward **ret_outward)
{
	struct outward *o = calloc(1, sizeof *o);

	if (o)
		o->lane = dialer_lane_new();
	if (!o || !o->lane) {
		free(o);
		return -ENOMEM;
	}
	o->config = *config;
	flow_set_init(&o->flows, config->loop, config->pool, &outward_kind);
	for (int side = 0; side < PUMP_SIDES; side++) {
		bucket_init(&o->bandwidth[side]);
		o->flows.bucket[side] = &o->bandwidth[side];
	}
	timeouts_init(&o->patience, config->loop, OUTWARD_PATIENCE_MS, on_impatient, o);
	o->follower.changed = on_policy_changed;
	network_follow(config->network, &o->follower);
	on_policy_changed(&o->follower);
	*ret_outward = o;
	return 0;
}

void outward_close(struct outward *o, void (*closed)(void *owner), void *owner)
{
	struct list *const lists[] = { &o->flows.setup, &o->flows.open };

	o->closing = true;
	o->closed = closed;
	o->owner = owner;
	list_remove(&o->follower.link);
	/* What ends here may be the last one. */
	flow_set_ref(&o->flows);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		list_for_each_safe(link, lists[i])
			flow_close(list_entry(link, struct flow, link), "wasmrun ends");
	flow_set_unref(&o->flows);
}
