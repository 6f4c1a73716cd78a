/* SPDX-License-Identifier: MIT */
/*
 * A visitor is a flow with a name. Each of them is told to the owner when it is open and when it
 * has ended, and counted as one of three: open, closed, or turned away, which is whoever was never
 * joined with the application.
 *
 * The invariant: no two that are there have the same id, by which users and programs end one of
 * them. It is the relay's, and the relay may say one twice: on purpose, or when it announces a
 * visitor again whom it doesn't know to be taken. The second gets an id of ours then; the relay
 * still hears its own.
 */
#include "tunnel/visitors.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/log.h"

#define LOG "tunnel"

/* For as long as the connection. */
struct visitor {
	struct flow flow;
	struct uuid id;         /* in visitors->ids */
	struct uuid relay_id;   /* nearly always the same */
	struct addr from;       /* AF_UNSPEC: not known */
	struct warm_conn *warm; /* that he came over; NULL: he was announced */
	void *note;             /* of whoever is told of it */
};

static struct visitors *visitors_of(const struct flow *f)
{
	return container_of(f->set, struct visitors, flows);
}

static const struct uuid *visitor_relay_id(const struct flow *f)
{
	return &container_of(f, struct visitor, flow)->relay_id;
}

/* --- ids --- */

static int visitor_compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct uuid));
}

/* Negative errno. */
static int visitor_enter(struct visitors *vs, struct visitor *v)
{
	v->id = v->relay_id;
	if (tfind(&v->id, &vs->ids, visitor_compare_ids)) {
		int r = uuid_random(&v->id);

		if (r < 0)
			return r;
	}
	return tsearch(&v->id, &vs->ids, visitor_compare_ids) ? 0 : -ENOMEM;
}

static void visitor_free(struct visitors *vs, struct visitor *v)
{
	(void)tdelete(&v->id, &vs->ids, visitor_compare_ids);
	free(v);
}

/* --- telling --- */

/* "ip:port" in `text`, or NULL. */
static const char *visitor_from(const struct visitor *v, char text[ADDR_TEXT_MAX])
{
	return v->from.sa.sa_family == AF_UNSPEC ? NULL : addr_format(&v->from, text);
}

static const char *visitor_name(const struct flow *f, char text[FLOW_NAME_MAX])
{
	uuid_format(&container_of(f, struct visitor, flow)->id, text);
	return text;
}

/* The texts are the caller's. */
static struct tunnel_visit visit_of(
	struct flow *f, char id[UUID_TEXT_LEN + 1], char from[ADDR_TEXT_MAX])
{
	struct visitor *v = container_of(f, struct visitor, flow);

	uuid_format(&v->id, id);
	return (struct tunnel_visit){ .id = id, .from = visitor_from(v, from), .note = &v->note };
}

static struct tap *visitor_tap(struct flow *f)
{
	struct visitors *vs = visitors_of(f);
	char id[UUID_TEXT_LEN + 1], from[ADDR_TEXT_MAX];
	const struct tunnel_visit visit = visit_of(f, id, from);

	/* The tap is the owner's: nothing in it points to the visit. */
	/* cppcheck-suppress returnDanglingLifetime */
	return vs->events.tap(vs->events.owner, &visit);
}

static void visitor_on_opened(struct flow *f)
{
	struct visitors *vs = visitors_of(f);
	struct visitor *v = container_of(f, struct visitor, flow);
	char id[UUID_TEXT_LEN + 1], from[ADDR_TEXT_MAX];
	struct tunnel_visit visit = visit_of(f, id, from);

	if (v->warm)
		warm_conn_joined(v->warm);
	vs->conns_total++;
	visit.opened = true;
	visit.duration_ms = clock_now_ms() - f->since_ms;
	visit.flow = f;
	vs->events.visit(vs->events.owner, &visit);
}

/*
 * A front closes what is quiet for longer than it likes, and to whoever is cut that looks like any
 * other end. Two that come from its side after the same silence are no chance.
 */
static void visitors_look_for_idle_limit(struct visitors *vs, const struct flow_result *result)
{
	uint64_t quiet = result->quiet_ms, last = vs->quiet_ms;

	if (!vs->relay.front || !result->joined || result->first != PUMP_OUTER ||
		quiet < VISITORS_QUIET_MIN_MS)
		return;
	vs->quiet_ms = quiet;
	if (quiet > last + VISITORS_QUIET_SAME_MS || last > quiet + VISITORS_QUIET_SAME_MS ||
		vs->quiet_told)
		return;
	vs->quiet_told = true;
	log_warn(LOG,
		"the front seems to close what is quiet for %llu s: visitors' connections end "
		"then; raise its time-out (nginx: proxy_read_timeout)",
		(unsigned long long)(quiet + 500) / 1000);
}

static void visitor_on_closed(struct flow *f, const struct flow_result *result)
{
	struct visitors *vs = visitors_of(f);
	struct visitor *v = container_of(f, struct visitor, flow);
	struct warm_conn *warm = v->warm;
	char id[UUID_TEXT_LEN + 1], from[ADDR_TEXT_MAX];
	struct tunnel_visit visit = visit_of(f, id, from);

	if (!result->joined)
		visit.turned_away = ++vs->turned_away;
	vs->bytes_in += visit.bytes_in = result->bytes[PUMP_OUTER];
	vs->bytes_out += visit.bytes_out = result->bytes[PUMP_INNER];
	visit.duration_ms = result->duration_ms;
	/* Blocks tell an end from a cut. */
	if (!v->warm || result->end == FLOW_END_RESET)
		visitors_look_for_idle_limit(vs, result);
	visit.why = result->why;
	log_debug(LOG, "visitor %s from %s closed: %s", id,
		visit.from ? visit.from : "an address that the relay doesn't tell", visit.why);
	vs->events.visit(vs->events.owner, &visit);
	visitor_free(vs, v);
	if (warm)
		warm_ended(warm, visit.bytes_in + visit.bytes_out, result->fd[PUMP_OUTER],
			result->rest, result->rest_len);
}

/* --- the ends --- */

static bool visitor_refuse(struct flow *f, const char *why)
{
	struct visitors *vs = visitors_of(f);

	/* Only who was announced can be refused. */
	return !container_of(f, struct visitor, flow)->warm &&
	       vs->events.refuse(vs->events.owner, visitor_relay_id(f), why);
}

static void visitor_on_reached(struct flow *f, enum pump_side side)
{
	struct episode *failures = &visitors_of(f)->failures[side];

	if (episode_end(failures))
		log_info(LOG, "%s can be connected again%s",
			side == PUMP_OUTER ? "the relay" : "the local application",
			failures->untold ? "; further visitors had been turned away" : "");
}

static const char *visitor_on_failed(struct flow *f, enum pump_side side, int error)
{
	struct visitors *vs = visitors_of(f);
	const struct dialer *to = side == PUMP_OUTER ? &vs->relay.dialer : &vs->local.dialer;
	const char *remedy = side == PUMP_INNER ? "is the application running there?"
						: "is the relay overloaded?";

	if (error == -EMFILE || error == -ENFILE)
		remedy = "raise the limit of open files (ulimit -n)";
	/* Visitors come as they like. */
	if (episode_tells(&vs->failures[side], uv_strerror(error), clock_now_ms()))
		log_warn(LOG,
			"could not connect to %s at %s port %u: %s; visitors are turned away; %s",
			side == PUMP_OUTER ? "the relay" : "the local application", to->host,
			to->port, uv_strerror(error), remedy);
	return side == PUMP_OUTER ? "no data connection to the relay"
				  : "the local application can't be reached";
}

static void visitors_on_idle(struct flow_set *set)
{
	struct visitors *vs = container_of(set, struct visitors, flows);

	assert(!vs->ids);
	vs->events.idle(vs->events.owner);
}

static const struct flow_kind visitor_kind = {
	.words = {
		.resetter = { [PUMP_OUTER] = "the visitor or the relay", [PUMP_INNER] = "the application" },
		.peer = { [PUMP_OUTER] = "the relay", [PUMP_INNER] = "the application" },
		.late = "it took too long to connect both ends",
	},
	/* What a relay says that hasn't read our Accept is its own: stock says an Error when that
	 * is 3 s late. */
	.answers = { [PUMP_OUTER] = true },
	.name = visitor_name,
	.refuse = visitor_refuse,
	.tap = visitor_tap,
	.reached = visitor_on_reached,
	.failed = visitor_on_failed,
	.opened = visitor_on_opened,
	.closed = visitor_on_closed,
	.idle = visitors_on_idle,
};

/* --- the data connection of one who is announced --- */

static void visitor_on_said(void *owner)
{
	flow_opened(owner, PUMP_OUTER, -1, NULL, 0);
}

static void visitor_on_no_data_conn(
	void *owner, enum data_conn_failure what, int error, const char *why)
{
	struct flow *f = owner;
	struct visitors *vs = visitors_of(f);
	bool tells = (what == DATA_CONN_NO_WAY || what == DATA_CONN_NOT_TAKEN) &&
		     episode_tells(&vs->failures[PUMP_OUTER], why, clock_now_ms());

	flow_hold(f, PUMP_OUTER, NULL, NULL);
	switch (what) {
	case DATA_CONN_UNREACHED:
		flow_failed(f, PUMP_OUTER, error);
		break;
	case DATA_CONN_NO_WAY:
		if (tells)
			log_warn(LOG,
				"no way through the front for a data connection: %s; visitors are "
				"turned away",
				why);
		(void)visitor_refuse(f, "no way through the front");
		flow_close(f, "the front did not let the data connection through");
		break;
	case DATA_CONN_NOT_TAKEN:
		if (tells)
			log_warn(LOG,
				"the relay does not take a data connection: %s; visitors are "
				"turned away; is the relay overloaded?",
				why);
		flow_close(f, "the relay did not take the data connection");
		break;
	case DATA_CONN_LOST:
		flow_close(f, "the relay closed the data connection");
		break;
	}
}

static void visitor_cancel_data_conn(void *holder)
{
	data_conn_cancel(holder);
}

static int visitor_take_data_conn(void *holder, const void **ret_early, size_t *ret_early_len)
{
	return data_conn_take(holder, ret_early, ret_early_len);
}

static int visitor_open_data_conn(
	const struct target *target, struct flow *f, enum pump_side side, int *ret_fd)
{
	static const struct data_conn_events events = {
		.opened = visitor_on_said,
		.failed = visitor_on_no_data_conn,
	};
	static const struct holder_ops ops = {
		.cancel = visitor_cancel_data_conn,
		.take = visitor_take_data_conn,
	};
	struct visitors *vs = container_of(target, struct visitors, data_conn);
	struct data_conn *c;
	int r = data_conn_open(
		&vs->relay, CLIENT_STREAM, visitor_relay_id(f), &events, f, &c, ret_fd);

	if (r == 0)
		flow_hold(f, side, &ops, c);
	return r;
}

/* --- the beginning --- */

/* NULL: out of memory. */
static struct visitor *visitor_new(
	struct visitors *vs, const struct uuid *id, const struct addr *from, struct warm_conn *warm)
{
	struct visitor *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->relay_id = *id;
	v->warm = warm;
	if (from)
		v->from = *from;
	if (visitor_enter(vs, v) < 0) {
		free(v);
		return NULL;
	}
	return v;
}

/* `warm` NULL: he is announced, and gets a data connection. */
static void visitors_begin(
	struct visitors *vs, const struct uuid *id, const struct addr *from, struct warm_conn *warm)
{
	const struct flow_wish wish = {
		.target = { [PUMP_OUTER] = warm ? &warm->target : &vs->data_conn,
			[PUMP_INNER] = &vs->local.target },
		.watch = { [PUMP_OUTER] = warm ? &warm->watch : NULL },
		.wire = { [PUMP_OUTER] = warm ? PUMP_WIRE_BLOCKS : PUMP_WIRE_RAW },
		.turn_away = vs->turn_away,
	};
	uint64_t waiting = vs->flows.setup_count;
	bool crowd = waiting >= VISITORS_SETUP_MAX;
	const char *why = crowd ? "too many visitors at once" : "out of memory";
	struct visitor *v = crowd ? NULL : visitor_new(vs, id, from, warm);

	if (v) {
		if (waiting < VISITORS_SETUP_MAX / 2)
			(void)episode_end(&vs->crowds);
		if (flow_start(&v->flow, &vs->flows, &wish) == 0)
			return;
		visitor_free(vs, v);
	}
	vs->turned_away++;
	if (episode_tells(&vs->crowds, why, clock_now_ms()))
		log_warn(LOG,
			"%s: %llu wait for their connections already; further ones are "
			"turned away",
			why, (unsigned long long)waiting);
	/* Where Refuse is not agreed on, the relay gives the visitor up by itself. */
	if (warm)
		warm_refuse(warm);
	else
		(void)vs->events.refuse(vs->events.owner, id, why);
}

static void visitors_on_warm(
	struct warm *r, struct warm_conn *c, const struct uuid *id, const struct addr *from)
{
	struct visitors *vs = container_of(r, struct visitors, warm);

	visitors_begin(vs, id, from, c);
	warm_note_visitor(r);
}

static void visitors_on_part_closed(struct visitors *vs)
{
	if (--vs->parts == 0)
		vs->closed(vs);
}

static void visitors_on_flows_closed(struct flow_set *flows)
{
	visitors_on_part_closed(container_of(flows, struct visitors, flows));
}

static void visitors_on_warm_closed(struct warm *r)
{
	visitors_on_part_closed(container_of(r, struct visitors, warm));
}

/* --- public --- */

void visitors_init(struct visitors *vs, uv_loop_t *loop, struct pump_pool *pool)
{
	static const struct warm_events events = { .visitor = visitors_on_warm };

	flow_set_init(&vs->flows, loop, pool, &visitor_kind);
	vs->relay.loop = loop;
	vs->relay.set = &vs->flows;
	vs->data_conn.open = visitor_open_data_conn;
	warm_init(&vs->warm, loop, &vs->relay, &events);
}

int visitors_aim(struct visitors *vs, const char *host, uint16_t port, enum dialect dialect)
{
	vs->relay.dialect = dialect;
	return dialer_init(&vs->relay.dialer, vs->relay.loop, host, port);
}

void visitors_ready(struct visitors *vs, unsigned limit, const struct uuid *key)
{
	warm_grant(&vs->warm, limit, key);
}

void visitors_add(struct visitors *vs, const struct uuid *id, const struct addr *from)
{
	visitors_begin(vs, id, from, NULL);
	warm_note_visitor(&vs->warm);
}

void visitors_drain(struct visitors *vs, const char *turn_away)
{
	vs->turn_away = turn_away;
	warm_freeze(&vs->warm);
}

void visitors_leave_relay(struct visitors *vs)
{
	warm_leave(&vs->warm);
}

void visitors_lost_relay(struct visitors *vs)
{
	warm_reset(&vs->warm);
	list_for_each_safe(pos, &vs->flows.setup) {
		struct flow *f = list_entry(pos, struct flow, link);

		if (!flow_has(f, PUMP_OUTER))
			flow_close(f, "the relay was lost");
	}
}

void visitors_end(struct visitors *vs)
{
	static const char why[] = "the tunnel was stopped";
	struct list *first;

	vs->turn_away = NULL;
	warm_stop(&vs->warm);
	while ((first = list_first(&vs->flows.setup)))
		flow_close(list_entry(first, struct flow, link), why);
	list_for_each(pos, &vs->flows.open)
		flow_close(list_entry(pos, struct flow, link), why);
}

void visitors_close(struct visitors *vs, void (*closed)(struct visitors *vs))
{
	vs->closed = closed;
	vs->parts = 2;
	flow_set_close(&vs->flows, visitors_on_flows_closed);
	warm_close(&vs->warm, visitors_on_warm_closed);
}

void visitors_bytes(const struct visitors *vs, uint64_t *ret_in, uint64_t *ret_out)
{
	uint64_t in = vs->bytes_in, out = vs->bytes_out, bytes[PUMP_SIDES];

	list_for_each(pos, &vs->flows.open) {
		pump_bytes(list_entry(pos, struct flow, link)->pump, bytes);
		in += bytes[PUMP_OUTER];
		out += bytes[PUMP_INNER];
	}
	*ret_in = in;
	*ret_out = out;
}
