/* SPDX-License-Identifier: MIT */
/*
 * The pool. The life of a connection in it:
 *
 *	DIALLING -> WAITING -> SERVING -> BUSY
 *	               ^----------+--------'
 *	               '--> LEFT --> SERVING
 *
 * warm_fill() dials what is missing (demand.h), behind every change. Dials that fail, and
 * connections that the relay closes at once, are trouble: the next one is dialled alone, after a
 * backoff, as a probe. The trouble is over when a probe is of use: it is given a visitor, or still
 * waits after WARM_YOUNG_MS. Those that were there before prove nothing: the relay may have as many
 * as it takes. A connection that is lost with its visitor is no trouble, since visitors leave as
 * they like; but a relay may do that on purpose, so all dials have a budget (dial_budget.h). Who
 * comes when nothing waits is announced.
 *
 * Our death is a reset (sockopt_set_reset()) to the relay from the beginning: behind RAW, TCP's
 * ordinary end is that of the stream.
 *
 * Who owns what: all connections are the pool's. One that was given a visitor is freed by
 * warm_ended() alone; any other one where it fails, or with its session.
 */
#include "tunnel/warm.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/log.h"
#include "net/sockopt.h"

#define LOG "tunnel"

/* So often in a row it fails before a line is worth it: one may meet a relay that restarts. */
#define WARM_FAILURES_TOLD 3

struct warm_member {
	struct warm_conn conn;
	struct warm *warm;
	struct list link; /* in warm->conns[state] */
	enum warm_state state;
	uint64_t since_ms; /* of the state */
	unsigned session;
	struct data_conn *dial; /* WARM_DIALLING */
	struct timeout late;    /* likewise, and WARM_LEFT */
	bool served;            /* a visitor, at least once */
};

static const bool warm_edges[WARM_STATES][WARM_STATES] = {
	[WARM_DIALLING] = { [WARM_WAITING] = true },
	[WARM_WAITING] = { [WARM_SERVING] = true, [WARM_LEFT] = true },
	[WARM_SERVING] = { [WARM_BUSY] = true, [WARM_WAITING] = true },
	[WARM_BUSY] = { [WARM_WAITING] = true },
	[WARM_LEFT] = { [WARM_SERVING] = true },
};

static void warm_fill(struct warm *w);

static struct warm_member *member_of(struct warm_conn *c)
{
	return container_of(c, struct warm_member, conn);
}

/* --- a member --- */

static void member_enter(struct warm_member *m, enum warm_state state)
{
	m->state = state;
	m->since_ms = clock_now_ms();
	list_push_back(&m->warm->conns[state], &m->link);
	m->warm->count[state]++;
}

static void member_leave(struct warm_member *m)
{
	list_remove(&m->link);
	m->warm->count[m->state]--;
}

static void member_set_state(struct warm_member *m, enum warm_state state)
{
	assert(warm_edges[m->state][state]);
	member_leave(m);
	member_enter(m, state);
}

static struct warm_member *member_new(struct warm *w)
{
	struct warm_member *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->warm = w;
	m->session = w->session;
	timeout_init(&m->late);
	warm_conn_init(&m->conn, &w->set);
	member_enter(m, WARM_DIALLING);
	return m;
}

static void member_free(struct warm_member *m)
{
	timeout_disarm(&m->late);
	if (m->dial)
		data_conn_cancel(m->dial);
	if (m->warm->probe == m)
		m->warm->probe = NULL;
	member_leave(m);
	warm_conn_deinit(&m->conn);
	free(m);
}

/* It waits, for the first time or again; it may be gone on return. */
static void member_wait(struct warm_member *m, int fd, const uint8_t *early, size_t early_len)
{
	timeout_disarm(&m->late);
	member_set_state(m, WARM_WAITING);
	warm_conn_wait(&m->conn, fd, early, early_len);
}

/* --- trouble --- */

static void warm_end_trouble(struct warm *w)
{
	w->in_trouble = false;
	w->probe = NULL;
	w->failures = 0;
	w->retry_ms = 0;
	backoff_reset(&w->backoff);
}

static void warm_trouble(struct warm *w, const char *why)
{
	uint64_t now = clock_now_ms();

	log_debug(LOG, "no connection ready at the relay: %s", why);
	/* Of several that fail together, the first one counts. */
	if (now < w->retry_ms)
		return;
	w->in_trouble = true;
	w->retry_ms = now + backoff_next_ms(&w->backoff);
	if (++w->failures < WARM_FAILURES_TOLD || w->told || w->count[WARM_WAITING])
		return;
	w->told = true;
	log_warn(LOG,
		"no connection can be kept ready at the relay: %s; each visitor waits for one of "
		"his own, a round trip or two longer; is the relay's --max-ready-total reached?",
		why);
}

/* --- what comes of those that wait --- */

static void warm_on_lost(struct warm_conn *c, bool misused, const char *why)
{
	struct warm_member *m = member_of(c);
	struct warm *w = m->warm;
	bool of_use = m->served || clock_now_ms() - m->since_ms >= WARM_YOUNG_MS;
	bool probe = m == w->probe, left = m->state == WARM_LEFT;

	log_debug(LOG, "a connection that waited for visitors is gone: %s", why);
	member_free(m);
	if (left)
		return;
	if (misused || !of_use)
		warm_trouble(w, why);
	else if (probe)
		warm_end_trouble(w);
	warm_fill(w);
}

static void warm_on_visitor(struct warm_conn *c, const struct uuid *id, const struct addr *from)
{
	struct warm_member *m = member_of(c);
	struct warm *w = m->warm;

	if (m == w->probe)
		warm_end_trouble(w);
	m->served = true;
	timeout_disarm(&m->late);
	member_set_state(m, WARM_SERVING);
	w->events->visitor(w, c, id, from);
}

/* --- dialling --- */

/* It came to nothing. */
static void member_fail(struct warm_member *m, const char *why)
{
	struct warm *w = m->warm;

	member_free(m);
	warm_trouble(w, why);
	warm_fill(w);
}

static void warm_on_opened(void *owner)
{
	struct warm_member *m = owner;
	struct warm *w = m->warm;
	const void *early = NULL;
	size_t early_len = 0;
	int fd = data_conn_take(m->dial, &early, &early_len);

	if (fd < 0) {
		member_fail(m, uv_strerror(fd));
		return;
	}
	m->dial = NULL;
	sockopt_set_reset(fd);
	member_wait(m, fd, early, early_len);
	warm_fill(w);
}

static void warm_on_failed(void *owner, enum data_conn_failure what, int error, const char *why)
{
	struct warm_member *m = owner;

	m->dial = NULL;
	member_fail(m, why);
}

static void warm_on_late(struct timeouts *q, struct timeout *t)
{
	struct warm_member *m = container_of(t, struct warm_member, late);

	if (m->state == WARM_LEFT)
		member_free(m);
	else
		member_fail(m, "it takes too long to open");
}

static void warm_dial(struct warm *w)
{
	static const struct data_conn_events events = {
		.opened = warm_on_opened,
		.failed = warm_on_failed,
	};
	struct warm_member *m = member_new(w);
	int fd = -1, result = m ? 0 : -ENOMEM;

	if (w->in_trouble)
		w->probe = m;
	if (result == 0)
		result = data_conn_open(w->relay, CLIENT_READY, &w->key, &events, m, &m->dial, &fd);
	if (result == 0)
		timeouts_arm(&w->dials, &m->late);
	if (result == 1) {
		sockopt_set_reset(fd);
		member_wait(m, fd, NULL, 0);
	}
	if (result >= 0)
		return;
	if (m)
		member_free(m);
	warm_trouble(w, uv_strerror(result));
}

/* Those that serve somebody for long won't be back soon. */
static void warm_age(struct warm *w, uint64_t now_ms)
{
	struct list *first;

	while ((first = list_first(&w->conns[WARM_SERVING]))) {
		struct warm_member *m = list_entry(first, struct warm_member, link);

		if (now_ms - m->since_ms < DEMAND_SPAN_MS)
			break;
		member_set_state(m, WARM_BUSY);
	}
}

static unsigned warm_missing(const struct warm *w, uint64_t now_ms)
{
	const struct demand_have have = {
		.idle = w->count[WARM_WAITING],
		.dialling = w->count[WARM_DIALLING],
		.returning = w->count[WARM_SERVING],
	};

	return demand_missing(&have, demand_wanted(&w->demand, w->limit, now_ms), w->limit);
}

static void warm_on_timer(uv_timer_t *timer)
{
	warm_fill(container_of(timer, struct warm, timer));
}

static void warm_look_again(struct warm *w, uint64_t in_ms)
{
	uv_update_time(w->timer.loop);
	(void)uv_timer_start(&w->timer, warm_on_timer, in_ms, 0);
}

/* Whether the probe has waited long enough; looks again when that can be so. */
static bool warm_is_proven(struct warm *w)
{
	uint64_t age = clock_now_ms() - w->probe->since_ms;

	if (w->probe->state != WARM_WAITING)
		return false;
	if (age < WARM_YOUNG_MS) {
		warm_look_again(w, WARM_YOUNG_MS - age);
		return false;
	}
	warm_end_trouble(w);
	return true;
}

static void warm_fill(struct warm *w)
{
	uint64_t now = clock_now_ms();
	unsigned begun = 0;

	if (!w->limit || w->frozen)
		return;
	warm_age(w, now);
	while (w->count[WARM_DIALLING] < WARM_DIALS_MAX && warm_missing(w, now)) {
		if (w->probe && !warm_is_proven(w))
			return;
		if (now < w->retry_ms) {
			warm_look_again(w, w->retry_ms - now);
			return;
		}
		/* On loopback each is there at once: the loop has others to serve. */
		if (begun++ == WARM_DIALS_MAX) {
			warm_look_again(w, 1);
			return;
		}
		if (!dial_budget_spend(&w->budget, now)) {
			warm_look_again(w, dial_budget_wait_ms(&w->budget));
			return;
		}
		warm_dial(w);
	}
}

/* --- public --- */

void warm_init(
	struct warm *w, uv_loop_t *loop, struct data_relay *relay, const struct warm_events *events)
{
	static const struct warm_conn_events conn_events = {
		.visitor = warm_on_visitor,
		.lost = warm_on_lost,
	};

	*w = (struct warm){ .relay = relay, .events = events, .handles = 3 };
	for (int state = 0; state < WARM_STATES; state++)
		list_init(&w->conns[state]);
	backoff_init(&w->backoff, NULL);
	warm_set_init(&w->set, loop, relay->set->pool, &conn_events);
	timeouts_init(&w->dials, loop, WARM_DIAL_MS, warm_on_late, w);
	(void)uv_timer_init(loop, &w->timer);
}

static void warm_release(struct warm *w)
{
	if (--w->handles == 0)
		w->closed(w);
}

static void warm_on_timer_closed(uv_handle_t *handle)
{
	warm_release(container_of((uv_timer_t *)handle, struct warm, timer));
}

static void warm_on_dials_closed(uv_handle_t *handle)
{
	warm_release(container_of((uv_timer_t *)handle, struct warm, dials.timer));
}

static void warm_on_set_closed(struct warm_set *set)
{
	warm_release(container_of(set, struct warm, set));
}

void warm_close(struct warm *w, void (*closed)(struct warm *w))
{
	w->closed = closed;
	warm_set_close(&w->set, warm_on_set_closed);
	timeouts_close(&w->dials, warm_on_dials_closed);
	uv_close((uv_handle_t *)&w->timer, warm_on_timer_closed);
}

static void warm_drop_all(struct warm *w, enum warm_state state)
{
	struct list *first;

	while ((first = list_first(&w->conns[state])))
		member_free(list_entry(first, struct warm_member, link));
}

void warm_reset(struct warm *w)
{
	w->limit = 0;
	w->session++;
	w->told = false;
	warm_end_trouble(w);
	warm_drop_all(w, WARM_DIALLING);
	warm_drop_all(w, WARM_WAITING);
	(void)uv_timer_stop(&w->timer);
}

void warm_leave(struct warm *w)
{
	struct list *first;

	while ((first = list_first(&w->conns[WARM_WAITING]))) {
		struct warm_member *m = list_entry(first, struct warm_member, link);

		member_set_state(m, WARM_LEFT);
		timeouts_arm(&w->dials, &m->late);
	}
}

void warm_stop(struct warm *w)
{
	warm_reset(w);
	warm_drop_all(w, WARM_LEFT);
}

void warm_grant(struct warm *w, unsigned limit, const struct uuid *key)
{
	if (w->limit && !uuid_equal(&w->key, key))
		warm_reset(w);
	w->limit = (unsigned)min_u64(limit, DEMAND_MAX);
	w->key = *key;
	w->frozen = false;
	warm_fill(w);
}

void warm_freeze(struct warm *w)
{
	w->frozen = true;
	warm_drop_all(w, WARM_DIALLING);
}

void warm_note_visitor(struct warm *w)
{
	demand_note(&w->demand, clock_now_ms());
	warm_fill(w);
}

void warm_ended(struct warm_conn *c, uint64_t moved, int fd, const uint8_t *rest, size_t rest_len)
{
	struct warm_member *m = member_of(c);
	struct warm *w = m->warm;

	if (fd >= 0 || moved >= DIAL_BUDGET_BYTES)
		dial_budget_earn(&w->budget);
	if (fd >= 0 && m->session == w->session && w->limit) {
		member_wait(m, fd, rest, rest_len);
	} else {
		c->fd = fd;
		member_free(m);
	}
	warm_fill(w);
}

void warm_refuse(struct warm_conn *c)
{
	warm_conn_turn_away(c);
	warm_ended(c, 0, -1, NULL, 0);
}
