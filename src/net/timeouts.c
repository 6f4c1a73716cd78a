/* SPDX-License-Identifier: MIT */
/*
 * The queue is in the order of at_ms, since the delay is the same for all: who is armed goes to its
 * end. The timer stands at the first one, or at one that was the first and has been disarmed since:
 * it fires for nothing then, and is set anew, which costs less than setting it at every disarming.
 * Owns nothing but its timer.
 *
 * libuv runs timers before it asks for events. Where the loop stood still past a deadline (a busy
 * machine, a paused one) what was awaited may be there, unread: who is late is told in the turn
 * behind this one, and may have disarmed till then. A timer that is on time has ended a wait for
 * events, and costs no turn more.
 */
#include "net/timeouts.h"

#include <assert.h>

#include "base/lang.h"

#define TIMEOUTS_ON_TIME_MS 2 /* epoll_wait(2) rounds up, and the loop's clock is in ms */

static void timeouts_on_timer(uv_timer_t *timer);

struct timeout *timeouts_first(const struct timeouts *q)
{
	struct list *link = list_first(&q->queue);

	return link ? list_entry(link, struct timeout, link) : NULL;
}

static void timeouts_schedule(struct timeouts *q)
{
	uint64_t now = uv_now(q->timer.loop);
	struct timeout *first = timeouts_first(q);

	if (!first || uv_is_active((uv_handle_t *)&q->timer))
		return;
	(void)uv_timer_start(
		&q->timer, timeouts_on_timer, first->at_ms > now ? first->at_ms - now : 0, 0);
}

static void timeouts_on_timer(uv_timer_t *timer)
{
	struct timeouts *q = container_of(timer, struct timeouts, timer);
	uint64_t now = uv_now(timer->loop);
	struct timeout *first = timeouts_first(q);

	if (first && first->at_ms <= now && first->at_ms > q->polled_ms) {
		q->polled_ms = now;
		if (now > first->at_ms + TIMEOUTS_ON_TIME_MS) {
			/* Not 0, for which a libuv before 1.45 doesn't leave its timers. */
			(void)uv_timer_start(timer, timeouts_on_timer, 1, 0);
			return;
		}
	}
	while ((first = timeouts_first(q)) && first->at_ms <= q->polled_ms) {
		list_remove(&first->link);
		q->expired(q, first);
	}
	if (!uv_is_closing((uv_handle_t *)timer))
		timeouts_schedule(q);
}

void timeouts_init(struct timeouts *q, uv_loop_t *loop, uint64_t delay_ms,
	void (*expired)(struct timeouts *q, struct timeout *t), void *owner)
{
	(void)uv_timer_init(loop, &q->timer);
	q->timer.data = owner;
	list_init(&q->queue);
	q->delay_ms = delay_ms;
	q->polled_ms = 0;
	q->expired = expired;
	q->owner = owner;
}

void timeouts_close(struct timeouts *q, uv_close_cb closed)
{
	assert(list_empty(&q->queue));
	uv_close((uv_handle_t *)&q->timer, closed);
}

void timeouts_arm(struct timeouts *q, struct timeout *t)
{
	list_remove(&t->link);
	t->at_ms = uv_now(q->timer.loop) + q->delay_ms;
	list_push_back(&q->queue, &t->link);
	timeouts_schedule(q);
}

void timeouts_set_delay(struct timeouts *q, uint64_t delay_ms)
{
	list_for_each(link, &q->queue) {
		struct timeout *t = list_entry(link, struct timeout, link);

		t->at_ms = t->at_ms - q->delay_ms + delay_ms;
	}
	q->delay_ms = delay_ms;
	q->polled_ms = 0;
	(void)uv_timer_stop(&q->timer);
	timeouts_schedule(q);
}

void timeout_init(struct timeout *t)
{
	list_init(&t->link);
}

void timeout_disarm(struct timeout *t)
{
	list_remove(&t->link);
}
