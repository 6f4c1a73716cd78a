/* SPDX-License-Identifier: MIT */
/*
 * The pool. The life of a connection in it:
 *
 *	DIALLING -> WAITING -> SERVING -> BUSY
 *	               ^----------+--------'
 *
 * warm_fill() dials what is missing (demand.h), behind every change. Dials that fail, and
 * connections that the relay closes at once, are trouble: the next one is dialled alone, after a
 * backoff, as a probe. The trouble is over when a probe is of use: it is given a visitor, or still
 * waits after WARM_YOUNG_MS. Those that were there before prove nothing: the relay may have as many
 * as it takes. A connection that is lost with its visitor is no trouble, since visitors leave as
 *they like; but a relay may do that on purpose, so all dials have a budget (dial_budget.h). Who
 *comes when nothing waits is announced.
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
	struct timeout late;    /* likewise */
	bool served;            /* a visitor, at least once */
};

static const bool warm_edges[WARM_STATES][WARM_STATES] = {
	[WARM_DIALLING] = { [WARM_WAITING] = true },
	[WARM_WAITING] = { [WARM_SERVING] = true },
	[WARM_SERVING] = { [WARM_BUSY] = true, [WARM_WAITING] = true },
	[WARM_BUSY] = { [WARM_WAITING] = true },
};

static void warm_fill(struct warm *r);

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

static struct warm_member *member_new(struct warm *r)
{
	struct warm_member *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->warm = r;
	m->session = r->session;
	timeout_init(&m->late);
	warm_conn_init(&m->conn, &r->set);
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

static void warm_end_trouble(struct warm *r)
{
	r->in_trouble = false;
	r->probe = NULL;
	r->failures = 0;
	r->retry_ms = 0;
	backoff_reset(&r->backoff);
}

static void warm_trouble(struct warm *r, const char *why)
{
	uint64_t now = clock_now_ms();

	log_debug(LOG, "no connection ready at the relay: %s", why);
	/* Of several that fail together, the first one counts. */
	if (now < r->retry_ms)
		return;
	r->in_trouble = true;
	r->retry_ms = now + backoff_next_ms(&r->backoff);
	if (++r->failures < WARM_FAILURES_TOLD || r->told || r->count[WARM_WAITING])
		return;
	r->told = true;
	log_warn(LOG,
		"no connection can be kept ready at the relay: %s; each visitor waits for one of "
		"his own, a round trip or two longer; is the relay's --max-ready-total reached?",
		why);
}

/* --- what comes of those that wait --- */

static void warm_on_lost(struct warm_conn *c, bool misused, const char *why)
{
	struct warm_member *m = member_of(c);
	struct warm *r = m->warm;
	bool of_use = m->served || clock_now_ms() - m->since_ms >= WARM_YOUNG_MS;
	bool probe = m == r->probe;

	log_debug(LOG, "a connection that waited for visitors is gone: %s", why);
	member_free(m);
	if (misused || !of_use)
		warm_trouble(r, why);
	else if (probe)
		warm_end_trouble(r);
	warm_fill(r);
}

static void warm_on_visitor(struct warm_conn *c, const struct uuid *id, const struct addr *from)
{
	struct warm_member *m = member_of(c);
	struct warm *r = m->warm;

	if (m == r->probe)
		warm_end_trouble(r);
	m->served = true;
	member_set_state(m, WARM_SERVING);
	r->events->visitor(r, c, id, from);
}

/* --- dialling --- */

/* It came to nothing. */
static void member_fail(struct warm_member *m, const char *why)
{
	struct warm *r = m->warm;

	member_free(m);
	warm_trouble(r, why);
	warm_fill(r);
}

static void warm_on_opened(void *owner)
{
	struct warm_member *m = owner;
	struct warm *r = m->warm;
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
	warm_fill(r);
}

static void warm_on_failed(void *owner, enum data_conn_failure what, int error, const char *why)
{
	struct warm_member *m = owner;

	m->dial = NULL;
	member_fail(m, why);
}

static void warm_on_late(struct timeouts *q, struct timeout *t)
{
	member_fail(container_of(t, struct warm_member, late), "it takes too long to open");
}

static void warm_dial(struct warm *r)
{
	static const struct data_conn_events events = {
		.opened = warm_on_opened,
		.failed = warm_on_failed,
	};
	struct warm_member *m = member_new(r);
	int fd = -1, result = m ? warm_set_open(&r->set) : -ENOMEM;

	if (r->in_trouble)
		r->probe = m;
	if (result == 0)
		result = data_conn_open(r->relay, CLIENT_READY, &r->key, &events, m, &m->dial, &fd);
	if (result == 0)
		timeouts_arm(&r->dials, &m->late);
	if (result == 1) {
		sockopt_set_reset(fd);
		member_wait(m, fd, NULL, 0);
	}
	if (result >= 0)
		return;
	if (m)
		member_free(m);
	warm_trouble(r, uv_strerror(result));
}

/* Those that serve somebody for long won't be back soon. */
static void warm_age(struct warm *r, uint64_t now_ms)
{
	struct list *first;

	while ((first = list_first(&r->conns[WARM_SERVING]))) {
		struct warm_member *m = list_entry(first, struct warm_member, link);

		if (now_ms - m->since_ms < DEMAND_SPAN_MS)
			break;
		member_set_state(m, WARM_BUSY);
	}
}

static unsigned warm_missing(const struct warm *r, uint64_t now_ms)
{
	const struct demand_have have = {
		.idle = r->count[WARM_WAITING],
		.dialling = r->count[WARM_DIALLING],
		.returning = r->count[WARM_SERVING],
	};

	return demand_missing(&have, demand_wanted(&r->demand, r->limit, now_ms), r->limit);
}

static void warm_on_timer(uv_timer_t *timer)
{
	warm_fill(container_of(timer, struct warm, timer));
}

static void warm_look_again(struct warm *r, uint64_t in_ms)
{
	uv_update_time(r->timer.loop);
	(void)uv_timer_start(&r->timer, warm_on_timer, in_ms, 0);
}

/* Whether the probe has waited long enough; looks again when that can be so. */
static bool warm_is_proven(struct warm *r)
{
	uint64_t age = clock_now_ms() - r->probe->since_ms;

	if (r->probe->state != WARM_WAITING)
		return false;
	if (age < WARM_YOUNG_MS) {
		warm_look_again(r, WARM_YOUNG_MS - age);
		return false;
	}
	warm_end_trouble(r);
	return true;
}

static void warm_fill(struct warm *r)
{
	uint64_t now = clock_now_ms();
	unsigned begun = 0;

	if (!r->limit || r->frozen)
		return;
	warm_age(r, now);
	while (r->count[WARM_DIALLING] < WARM_DIALS_MAX && warm_missing(r, now)) {
		if (r->probe && !warm_is_proven(r))
			return;
		if (now < r->retry_ms) {
			warm_look_again(r, r->retry_ms - now);
			return;
		}
		/* On loopback each is there at once: the loop has others to serve. */
		if (begun++ == WARM_DIALS_MAX) {
			warm_look_again(r, 1);
			return;
		}
		if (!dial_budget_spend(&r->budget, now)) {
			warm_look_again(r, dial_budget_wait_ms(&r->budget));
			return;
		}
		warm_dial(r);
	}
}

/* --- public --- */

void warm_init(
	struct warm *r, uv_loop_t *loop, struct data_relay *relay, const struct warm_events *events)
{
	static const struct warm_conn_events conn_events = {
		.visitor = warm_on_visitor,
		.lost = warm_on_lost,
	};

	*r = (struct warm){ .relay = relay, .events = events, .handles = 3 };
	for (int state = 0; state < WARM_STATES; state++)
		list_init(&r->conns[state]);
	backoff_init(&r->backoff, NULL);
	warm_set_init(&r->set, loop, &conn_events);
	timeouts_init(&r->dials, loop, WARM_DIAL_MS, warm_on_late, r);
	(void)uv_timer_init(loop, &r->timer);
}

static void warm_release(struct warm *r)
{
	if (--r->handles == 0)
		r->closed(r);
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

void warm_close(struct warm *r, void (*closed)(struct warm *r))
{
	r->closed = closed;
	warm_set_close(&r->set, warm_on_set_closed);
	timeouts_close(&r->dials, warm_on_dials_closed);
	uv_close((uv_handle_t *)&r->timer, warm_on_timer_closed);
}

static void warm_drop_all(struct warm *r, enum warm_state state)
{
	struct list *first;

	while ((first = list_first(&r->conns[state])))
		member_free(list_entry(first, struct warm_member, link));
}

void warm_reset(struct warm *r)
{
	r->limit = 0;
	r->session++;
	r->told = false;
	warm_end_trouble(r);
	warm_drop_all(r, WARM_DIALLING);
	warm_drop_all(r, WARM_WAITING);
	(void)uv_timer_stop(&r->timer);
}

void warm_grant(struct warm *r, unsigned limit, const struct uuid *key)
{
	if (r->limit && !uuid_equal(&r->key, key))
		warm_reset(r);
	r->limit = (unsigned)min_u64(limit, DEMAND_MAX);
	r->key = *key;
	r->frozen = false;
	warm_fill(r);
}

void warm_freeze(struct warm *r)
{
	r->frozen = true;
	warm_drop_all(r, WARM_DIALLING);
}

void warm_note_visitor(struct warm *r)
{
	demand_note(&r->demand, clock_now_ms());
	warm_fill(r);
}

void warm_ended(struct warm_conn *c, int fd, const uint8_t *rest, size_t rest_len)
{
	struct warm_member *m = member_of(c);
	struct warm *r = m->warm;

	if (fd >= 0)
		dial_budget_earn(&r->budget);
	if (fd >= 0 && m->session == r->session && r->limit) {
		member_wait(m, fd, rest, rest_len);
	} else {
		c->fd = fd;
		member_free(m);
	}
	warm_fill(r);
}

void warm_refuse(struct warm_conn *c)
{
	warm_conn_turn_away(c);
	warm_ended(c, -1, NULL, 0);
}
