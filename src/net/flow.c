/* SPDX-License-Identifier: MIT */
/*
 * How a flow lives:
 *
 *	NEW -> OPENING -> OPEN -> ABORTING
 *	              \-> TURNED_AWAY
 *
 * and from each of them but NEW to ENDED.
 *
 * flow_start() opens both ends, the outer one first. An end is there at once, as mostly on
 * loopback, or flow_opened() or flow_failed() tells of it later. With both ends there the flow is
 * joined: they go to a pump with the bytes that came early, the set-up's memory is freed, and
 * nothing more is heard before the pump's completion.
 *
 * What ends it: the pump's completion; an end that fails; the deadline; flow_close(). A failed
 * outer end closes the flow. A failed inner one turns it away: whoever is behind the outer end gets
 * an ordinary end there or, while that isn't there yet, is told by the owner's `refuse`. An owner
 * who can't tell must wait for the outer end only to close it.
 *
 * The invariant: in set-up an end has a descriptor here, or a holder, or neither: it was given up.
 * While the outer descriptor is here, our death is a reset to whoever is there, so that nobody
 * takes a connection that wasn't served for one that was empty.
 *
 * flow_end() is the only place where a flow ends. Every function from which it can be reached says
 * so in its header: the flow may be gone, and with the last flow the set and its owner.
 */
#include "net/flow.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "net/sockopt.h"
#include "net/target.h"

/* An end in set-up. */
struct flow_side {
	bool there;
	int fd;            /* owned; -1: none, or the holder has it */
	const void *early; /* while the flow is being joined: what was read from it */
	size_t early_len;
	const struct holder_ops *ops;
	void *holder; /* NULL: none */
};

struct flow_setup {
	struct flow *flow;
	struct timeout deadline;
	struct flow_side side[PUMP_SIDES];
	/* As of the wish. */
	enum pump_wire wire[PUMP_SIDES];
	bool has_reset[PUMP_SIDES];
	struct watch *watch[PUMP_SIDES];
	bool awaits_taken;
	const void *preface;
	size_t preface_len;
};

static const char *const flow_state_names[] = {
	[FLOW_NEW] = "new",
	[FLOW_OPENING] = "opening",
	[FLOW_TURNED_AWAY] = "turned away",
	[FLOW_OPEN] = "open",
	[FLOW_ABORTING] = "aborting",
	[FLOW_ENDED] = "ended",
};
static_assert(ARRAY_LEN(flow_state_names) == FLOW_STATES, "a name for each state");

static const bool flow_edges[FLOW_STATES][FLOW_STATES] = {
	[FLOW_NEW] = { [FLOW_OPENING] = true },
	[FLOW_OPENING] = { [FLOW_TURNED_AWAY] = true, [FLOW_OPEN] = true, [FLOW_ENDED] = true },
	[FLOW_TURNED_AWAY] = { [FLOW_ENDED] = true },
	[FLOW_OPEN] = { [FLOW_ABORTING] = true, [FLOW_ENDED] = true },
	[FLOW_ABORTING] = { [FLOW_ENDED] = true },
};

static void flow_set_state(struct flow *f, enum flow_state new_state, const char *cause)
{
	struct flow_set *set = f->set;
	char name[FLOW_NAME_MAX];

	assert(flow_edges[f->state][new_state]);
	log_debug("flow", "'%s': %s -> %s (%s)", set->kind->name(f, name),
		flow_state_names[f->state], flow_state_names[new_state], cause);
	switch (new_state) {
	case FLOW_OPENING:
		list_push_back(&set->setup, &f->link);
		set->setup_count++;
		timeouts_arm(&set->deadlines, &f->setup->deadline);
		break;
	case FLOW_OPEN:
		list_remove(&f->link);
		set->setup_count--;
		list_push_back(&set->open, &f->link);
		set->open_count++;
		break;
	case FLOW_ENDED:
		list_remove(&f->link);
		if (f->state == FLOW_OPEN || f->state == FLOW_ABORTING)
			set->open_count--;
		else
			set->setup_count--;
		break;
	default:
		break;
	}
	f->state = new_state;
}

/* --- the set --- */

static void flow_on_late(struct timeouts *q, struct timeout *t);

void flow_set_init(
	struct flow_set *set, uv_loop_t *loop, struct pump_pool *pool, const struct flow_kind *kind)
{
	*set = (struct flow_set){ .kind = kind, .pool = pool };
	list_init(&set->setup);
	list_init(&set->open);
	timeouts_init(&set->deadlines, loop, FLOW_SETUP_MS, flow_on_late, set);
}

static void flow_set_on_closed(uv_handle_t *handle)
{
	struct flow_set *set = container_of((uv_timer_t *)handle, struct flow_set, deadlines.timer);

	set->closed(set);
}

void flow_set_close(struct flow_set *set, void (*closed)(struct flow_set *set))
{
	set->closed = closed;
	timeouts_close(&set->deadlines, flow_set_on_closed);
}

static void flow_set_settle(struct flow_set *set)
{
	if (flow_set_idle(set) && set->kind->idle)
		set->kind->idle(set);
}

bool flow_set_idle(const struct flow_set *set)
{
	return !set->refs && list_empty(&set->setup) && list_empty(&set->open);
}

void flow_set_ref(struct flow_set *set)
{
	set->refs++;
}

void flow_set_unref(struct flow_set *set)
{
	assert(set->refs);
	set->refs--;
	flow_set_settle(set);
}

/* --- the end --- */

static void flow_end(struct flow *f, struct flow_result *result)
{
	struct flow_set *set = f->set;

	result->duration_ms = clock_now_ms() - f->since_ms;
	flow_set_state(f, FLOW_ENDED, result->why);
	set->kind->closed(f, result);
	flow_set_settle(set);
}

/* `why` NULL: the words for that end. */
static void flow_end_setup(struct flow *f, enum flow_end end, const char *why)
{
	struct flow_setup *setup = take_ptr(f->setup);
	struct flow_result result = { .end = end, .why = why, .fd = { -1, -1 } };
	char text[FLOW_WHY_MAX];

	timeout_disarm(&setup->deadline);
	for (int side = 0; side < PUMP_SIDES; side++) {
		struct flow_side *s = &setup->side[side];

		if (s->holder)
			s->ops->cancel(s->holder);
		/* A reset would drop what was said there last and is still on its way: an Accept,
		 * without which the visitor is left waiting at the relay, or of blocks the END of
		 * the stream before. */
		if (s->fd >= 0 && (setup->wire[side] == PUMP_WIRE_BLOCKS ||
					  (side == PUMP_OUTER && !f->set->kind->resets)))
			sockopt_lift_reset(s->fd);
		if (s->fd >= 0 && setup->watch[side])
			pump_pool_unwatch(f->set->pool, setup->watch[side], s->fd);
		(void)fd_close(s->fd);
	}
	free(setup);
	if (!why)
		result.why = flow_end_text(&f->set->kind->words, end, PUMP_OUTER, text);
	flow_end(f, &result);
}

static void flow_on_late(struct timeouts *q, struct timeout *t)
{
	flow_end_setup(container_of(t, struct flow_setup, deadline)->flow, FLOW_END_LATE, NULL);
}

void flow_close(struct flow *f, const char *why)
{
	switch (f->state) {
	case FLOW_OPENING:
	case FLOW_TURNED_AWAY:
		flow_end_setup(f, FLOW_END_STOPPED, why);
		break;
	case FLOW_OPEN:
		f->why = why;
		flow_set_state(f, FLOW_ABORTING, why);
		pump_abort(f->set->pool, f->pump);
		break;
	default:
		break;
	}
}

static void flow_on_pumped(void *owner, const struct pump_result *pumped)
{
	struct flow *f = owner;
	struct flow_result result = {
		.end = flow_end_of(pumped),
		.joined = true,
		.first = pumped->first,
		.quiet_ms = pumped->quiet_ms,
		.untaken = pumped->untaken,
		.taken = pumped->taken,
		.fd = { pumped->fd[PUMP_OUTER], pumped->fd[PUMP_INNER] },
		.rest = pumped->rest,
		.rest_len = pumped->rest_len,
	};
	char text[FLOW_WHY_MAX];

	memcpy(result.bytes, pumped->bytes, sizeof(result.bytes));
	if (result.end == FLOW_END_STOPPED && f->why)
		result.why = f->why;
	else
		result.why = flow_end_text(&f->set->kind->words, result.end, pumped->side, text);
	flow_end(f, &result);
}

/* --- both ends are there --- */

/* Gets the end from its holder, where it has one. */
static int flow_take(struct flow_side *s)
{
	int r = s->holder ? s->ops->take(s->holder, &s->early, &s->early_len) : s->fd;

	if (r < 0)
		return r;
	s->holder = NULL;
	s->fd = r;
	return 0;
}

/* From here on our death is a reset to whoever is there. */
static void flow_set_reset(const struct flow *f, enum pump_side side)
{
	if (!f->setup->has_reset[side])
		sockopt_set_reset(f->setup->side[side].fd);
}

static void flow_join(struct flow *f)
{
	const struct flow_kind *kind = f->set->kind;
	struct pump_job job = { .done = flow_on_pumped,
		.owner = f,
		.awaits_taken = f->setup->awaits_taken,
		.preface = f->setup->preface,
		.preface_len = f->setup->preface_len };
	struct pump *pump = NULL;
	int r = 0;

	for (int side = 0; side < PUMP_SIDES && r == 0; side++) {
		struct flow_side *s = &f->setup->side[side];

		r = flow_take(s);
		if (r == 0 && side == PUMP_INNER)
			flow_set_reset(f, PUMP_INNER);
		job.fd[side] = s->fd;
		job.early[side] = s->early;
		job.early_len[side] = s->early_len;
		job.wire[side] = f->setup->wire[side];
		job.watch[side] = f->setup->watch[side];
		job.answers[side] = kind->answers[side];
		job.bucket[side] = f->set->bucket[side];
	}
	if (r == 0 && kind->tap)
		job.tap = kind->tap(f);
	if (r == 0)
		r = pump_pool_add(f->set->pool, &job, &pump);
	if (r < 0) {
		/* Whoever is there must not take this for the end of a stream that was whole; of
		 * blocks no end of TCP's is. */
		if (f->setup->side[PUMP_INNER].fd >= 0)
			sockopt_set_reset(f->setup->side[PUMP_INNER].fd);
		flow_end_setup(f, FLOW_END_NO_MEMORY, NULL);
		return;
	}
	timeout_disarm(&f->setup->deadline);
	free(f->setup);
	f->pump = pump;
	flow_set_state(f, FLOW_OPEN, "both ends are there");
	kind->opened(f);
}

/* --- the ends --- */

static bool flow_refuse(struct flow *f, const char *why)
{
	return f->set->kind->refuse && f->set->kind->refuse(f, why);
}

/* False: the flow is gone. */
static bool flow_turn_away(struct flow *f, const char *why)
{
	if (flow_has(f, PUMP_OUTER) || flow_refuse(f, why)) {
		flow_close(f, why);
		return false;
	}
	f->why = why;
	flow_set_state(f, FLOW_TURNED_AWAY, why);
	return true;
}

bool flow_has(const struct flow *f, enum pump_side side)
{
	return f->setup->side[side].there;
}

static bool flow_has_both(const struct flow *f)
{
	return flow_has(f, PUMP_OUTER) && flow_has(f, PUMP_INNER);
}

void flow_hold(struct flow *f, enum pump_side side, const struct holder_ops *ops, void *holder)
{
	f->setup->side[side].ops = ops;
	f->setup->side[side].holder = holder;
}

static void flow_place(
	struct flow *f, enum pump_side side, int fd, const void *early, size_t early_len)
{
	struct flow_side *s = &f->setup->side[side];

	if (fd >= 0)
		*s = (struct flow_side){ .fd = fd, .early = early, .early_len = early_len };
	s->there = true;
	assert(!early_len || flow_has_both(f));
	if (fd >= 0 && side == PUMP_OUTER)
		flow_set_reset(f, PUMP_OUTER);
	if (f->state == FLOW_TURNED_AWAY)
		flow_close(f, f->why);
	else if (flow_has_both(f))
		flow_join(f);
}

void flow_opened(struct flow *f, enum pump_side side, int fd, const void *early, size_t early_len)
{
	if (f->set->kind->reached)
		f->set->kind->reached(f, side);
	flow_place(f, side, fd, early, early_len);
}

void flow_failed(struct flow *f, enum pump_side side, int error)
{
	const char *why;

	f->setup->side[side].holder = NULL;
	why = f->set->kind->failed(f, side, error);
	if (side == PUMP_INNER) {
		(void)flow_turn_away(f, why);
		return;
	}
	if (f->state != FLOW_TURNED_AWAY)
		(void)flow_refuse(f, why);
	flow_close(f, why);
}

/* False: that end can't be had. */
static bool flow_open_side(struct flow *f, enum pump_side side, const struct flow_wish *wish)
{
	const struct target *target = wish->target[side];
	int fd = -1, r;

	if (!target) {
		flow_place(f, side, wish->fd[side], NULL, 0);
		return true;
	}
	r = target->open(target, f, side, &fd);
	if (r < 0)
		flow_failed(f, side, r);
	else if (r == 1)
		flow_opened(f, side, fd, NULL, 0);
	return r >= 0;
}

/* --- the start --- */

int flow_start(struct flow *f, struct flow_set *set, const struct flow_wish *wish)
{
	struct flow_setup *setup = calloc(1, sizeof(*setup));

	if (!setup)
		return -ENOMEM;
	setup->flow = f;
	memcpy(setup->wire, wish->wire, sizeof(setup->wire));
	memcpy(setup->watch, wish->watch, sizeof(setup->watch));
	memcpy(setup->has_reset, wish->has_reset, sizeof(setup->has_reset));
	setup->awaits_taken = wish->awaits_taken;
	setup->preface = wish->preface;
	setup->preface_len = wish->preface_len;
	/* Both are ours from here on, also where the flow ends with the outer end alone. */
	for (int side = 0; side < PUMP_SIDES; side++)
		setup->side[side].fd = wish->target[side] ? -1 : wish->fd[side];
	timeout_init(&setup->deadline);
	*f = (struct flow){ .set = set, .setup = setup, .since_ms = clock_now_ms() };
	list_init(&f->link);
	flow_set_state(f, FLOW_OPENING, "started");
	if (wish->turn_away && !flow_turn_away(f, wish->turn_away))
		return 0;
	/* Without its outer end, or turned away with it, the flow is gone. */
	if (flow_open_side(f, PUMP_OUTER, wish) && !wish->turn_away)
		(void)flow_open_side(f, PUMP_INNER, wish);
	return 0;
}
