/* SPDX-License-Identifier: MIT */
/*
 * A round of the control loop's worker is run by three events:
 *
 *   its epoll set is readable   a socket of one of its pumps is ready, or what it watches
 *   the loop is about to wait   if pumps were taken or ended since the last round, or one has more
 *                               to do than a turn allows
 *   the timer                   a deadline, or the age at which a pump is given away
 *
 * A pump's first turn, and its end, so come in the same turn of the loop that has asked for them,
 * but never from within that call: its owner may not be ready. Completions run behind the round,
 * when the worker's lists are in order, so they may add and abort as they like.
 *
 * Where the pool may wait in libuv's place (struct pump_pool_config), it is the other way round:
 * libuv's epoll set is in the worker's, and before libuv waits there is one round behind the other
 * until libuv has something to do. A set in another one costs a system call more each time that
 * it is woken, and this is the one that visitors wake.
 *
 * Either way turn_ends() comes before each wait, when all that has come was called back for.
 *
 * While something is due that can't be done at once, the idle handle keeps the loop from waiting.
 */
#include "net/pump_inline.h"

#include <assert.h>
#include <errno.h>

#include "base/lang.h"

static void inline_on_timer(uv_timer_t *timer);

static void inline_arm(struct pump_inline *in)
{
	/* The loop's clock may stand a little behind ours, so the timer doesn't fire too early. */
	uint64_t now_ms = uv_now(in->timer.loop), at_ms;

	if (pump_worker_arm(&in->worker, &at_ms))
		(void)uv_timer_start(
			&in->timer, inline_on_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

/* The end of a round. */
static void inline_tell(struct pump_inline *in)
{
	struct pump_worker *w = &in->worker;
	struct list finished, moving, *link;

	inline_arm(in);
	list_init(&finished);
	list_init(&moving);
	list_move_all(&finished, &w->finished);
	list_move_all(&moving, &w->moving);
	while ((link = list_first(&moving))) {
		list_remove(link);
		w->load--;
		in->moving(in, list_entry(link, struct pump, link));
	}
	/* An abort from one of the calls must not reach those that follow. */
	list_for_each(pos, &finished)
		list_entry(pos, struct pump, link)->finished = true;
	while ((link = list_first(&finished))) {
		list_remove(link);
		w->load--;
		in->finished(in, list_entry(link, struct pump, link));
	}
}

static void inline_on_timer(uv_timer_t *timer)
{
	struct pump_inline *in = container_of(timer, struct pump_inline, timer);

	pump_worker_tick(&in->worker);
	inline_tell(in);
}

static void inline_on_idle(uv_idle_t *idle)
{
	(void)idle;
}

static void inline_set_busy(struct pump_inline *in, bool busy)
{
	if (busy && !in->busy)
		(void)uv_idle_start(&in->idle, inline_on_idle);
	else if (!busy && in->busy)
		(void)uv_idle_stop(&in->idle);
	in->busy = busy;
}

/* Also for who asks uv_backend_timeout() before he runs the loop. */
static void inline_set_due(struct pump_inline *in)
{
	in->due = true;
	if (!in->waits)
		inline_set_busy(in, true);
}

static bool inline_is_due(const struct pump_inline *in)
{
	return in->due || !list_empty(&in->worker.run_queue);
}

static void inline_run(struct pump_inline *in)
{
	in->due = false;
	pump_worker_run(&in->worker);
	inline_tell(in);
}

static void inline_on_ready(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	struct pump_inline *in = container_of(poll, struct pump_inline, poll);

	(void)pump_worker_wait(&in->worker, 0);
	inline_run(in);
}

/*
 * In libuv's place: its descriptor is in our set. As long as that isn't ready, no timer is due, and
 * nothing is queued there or newly watched (uv_backend_timeout()), libuv isn't asked.
 */
static void inline_wait(struct pump_inline *in)
{
	struct pump_worker *w = &in->worker;
	uv_loop_t *loop = in->prepare.loop;
	unsigned fired = 0;

	inline_set_busy(in, false);
	do {
		/* First turns come at once, but both sets are looked at in each turn of the loop:
		 * libuv may have new ones, and something to do, in every one. */
		if (in->due)
			inline_run(in);
		in->turn_ends(in);
		fired = pump_worker_wait(w, inline_is_due(in) ? 0 : uv_backend_timeout(loop));
		uv_update_time(loop);
		inline_run(in);
	} while (!fired && uv_backend_timeout(loop));
	/* What was begun here is in libuv's set only when it is asked, which mustn't wait. */
	inline_set_busy(in, true);
}

static void inline_on_prepare(uv_prepare_t *prepare)
{
	struct pump_inline *in = container_of(prepare, struct pump_inline, prepare);

	if (in->waits) {
		inline_wait(in);
		return;
	}
	if (inline_is_due(in)) {
		/* Nobody has anything to do yet. */
		if (list_empty(&in->worker.run_queue))
			(void)pump_worker_wait(&in->worker, 0);
		inline_run(in);
	}
	in->turn_ends(in);
	inline_set_busy(in, inline_is_due(in));
}

int pump_inline_open(struct pump_inline *in, uv_loop_t *loop, const struct pump_pool_config *config,
	struct pipe_pool *pipes)
{
	int r = pump_worker_init(&in->worker, config, pipes, true);

	if (r == 0)
		r = uv_poll_init(loop, &in->poll, in->worker.epoll_fd);
	if (r < 0) {
		pump_worker_deinit(&in->worker);
		return r;
	}
	(void)uv_timer_init(loop, &in->timer);
	(void)uv_prepare_init(loop, &in->prepare);
	(void)uv_idle_init(loop, &in->idle);
	in->handles = 4;
	in->due = in->busy = false;
	in->waits =
		config->waits && pump_worker_watch_loop(&in->worker, uv_backend_fd(loop), 0) == 0;
	if (!in->waits)
		(void)uv_poll_start(&in->poll, UV_READABLE, inline_on_ready);
	(void)uv_prepare_start(&in->prepare, inline_on_prepare);
	return 0;
}

void pump_inline_add(struct pump_inline *in, struct pump *p)
{
	p->worker = &in->worker;
	in->worker.load++;
	pump_worker_take(&in->worker, p);
	inline_arm(in);
	inline_set_due(in);
}

void pump_inline_abort(struct pump_inline *in, struct pump *p)
{
	if (p->finished)
		return;
	pump_worker_end(&in->worker, p);
	inline_set_due(in);
}

void pump_inline_abort_all(struct pump_inline *in)
{
	list_for_each(pos, &in->worker.open)
		pump_worker_end(&in->worker, list_entry(pos, struct pump, link));
	inline_set_due(in);
}

static void inline_on_closed(uv_handle_t *handle)
{
	struct pump_inline *in = handle->data;

	if (--in->handles == 0)
		in->closed(in);
}

void pump_inline_close(struct pump_inline *in)
{
	uv_handle_t *const handles[] = { (uv_handle_t *)&in->poll, (uv_handle_t *)&in->timer,
		(uv_handle_t *)&in->prepare, (uv_handle_t *)&in->idle };

	pump_worker_abort_all(&in->worker);
	inline_tell(in);
	for (size_t i = 0; i < ARRAY_LEN(handles); i++) {
		handles[i]->data = in;
		uv_close(handles[i], inline_on_closed);
	}
}

void pump_inline_deinit(struct pump_inline *in)
{
	assert(in->handles == 0);
	pump_worker_deinit(&in->worker);
}
