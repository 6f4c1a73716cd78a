/* SPDX-License-Identifier: MIT */
/*
 * The set of visitors. The invariant: every visitor is in `setup`, which is sorted by age because
 * all have the same time to set up, or in `open`.
 */
#include "tunnel/visitors.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "tunnel/visitor.h"

void visitors_init(struct visitors *vs)
{
	list_init(&vs->setup);
	list_init(&vs->open);
	vs->setup_count = vs->parts = 0;
	vs->conns_open = vs->conns_total = vs->bytes_in = vs->bytes_out = vs->turned_away = 0;
}

void visitors_add(
	struct visitors *vs, const struct uuid *id, const struct addr *from, const char *turn_away)
{
	bool crowd = vs->setup_count >= VISITORS_SETUP_MAX;
	const char *why = crowd ? "too many visitors at once" : "out of memory";
	struct visitor *v = crowd ? NULL : calloc(1, sizeof(*v));

	if (!v) {
		vs->turned_away++;
		if (episode_tells(&vs->crowds, why, clock_now_ms()))
			log_warn("tunnel",
				"%s: %u wait for their connections already; further ones are "
				"turned away",
				why, vs->setup_count);
		/* Where Refuse is not agreed on, the relay gives the visitor up by itself. */
		(void)vs->events.refuse(vs->events.owner, id, why);
		return;
	}
	if (vs->setup_count < VISITORS_SETUP_MAX / 2)
		(void)episode_end(&vs->crowds);
	v->set = vs;
	v->id = *id;
	if (from)
		v->from = *from;
	v->since_ms = clock_now_ms();
	v->fd[PUMP_OUTER] = v->fd[PUMP_INNER] = -1;
	v->turn_away = turn_away;
	list_push_back(&vs->setup, &v->link);
	vs->setup_count++;
	visitor_start(v);
}

void visitors_lost_relay(struct visitors *vs)
{
	list_for_each_safe(pos, &vs->setup) {
		struct visitor *v = list_entry(pos, struct visitor, link);

		if (!v->accepted)
			visitor_end(v, "the relay was lost");
	}
}

void visitors_end(struct visitors *vs)
{
	struct list *first;

	while ((first = list_first(&vs->setup)))
		visitor_end(list_entry(first, struct visitor, link), "the tunnel was stopped");
	list_for_each(pos, &vs->open)
		visitor_end(list_entry(pos, struct visitor, link), "the tunnel was stopped");
}

bool visitors_idle(const struct visitors *vs)
{
	return !vs->parts && list_empty(&vs->setup) && list_empty(&vs->open);
}

void visitors_bytes(const struct visitors *vs, uint64_t *ret_in, uint64_t *ret_out)
{
	uint64_t in = vs->bytes_in, out = vs->bytes_out, bytes[PUMP_SIDES];

	list_for_each(pos, &vs->open) {
		pump_bytes(list_entry(pos, struct visitor, link)->pump, bytes);
		in += bytes[PUMP_OUTER];
		out += bytes[PUMP_INNER];
	}
	*ret_in = in;
	*ret_out = out;
}

void visitors_each(const struct visitors *vs, tunnel_visit_fn fn, void *owner)
{
	uint64_t bytes[PUMP_SIDES], now = clock_now_ms();
	char id[UUID_TEXT_LEN + 1], from[ADDR_TEXT_MAX];

	list_for_each(pos, &vs->open) {
		const struct visitor *v = list_entry(pos, struct visitor, link);

		uuid_format(&v->id, id);
		pump_bytes(v->pump, bytes);
		fn(owner, &(struct tunnel_visit){
				  .id = id,
				  .from = visitor_from(v, from),
				  .opened = true,
				  .bytes_in = bytes[PUMP_OUTER],
				  .bytes_out = bytes[PUMP_INNER],
				  .duration_ms = now - v->since_ms,
			  });
	}
}

uint64_t visitors_deadline(const struct visitors *vs)
{
	const struct list *first = list_first(&vs->setup);

	if (!first)
		return VISITORS_NEVER;
	return list_entry(first, struct visitor, link)->since_ms + VISITORS_SETUP_TIMEOUT_MS;
}

void visitors_tick(struct visitors *vs, uint64_t now_ms)
{
	while (now_ms >= visitors_deadline(vs))
		visitor_end(list_entry(list_first(&vs->setup), struct visitor, link),
			"it took too long to connect both ends");
}
