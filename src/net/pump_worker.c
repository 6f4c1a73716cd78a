/* SPDX-License-Identifier: MIT */
/*
 * A worker. Its thread goes round and round (worker_thread_round()):
 *
 *   1. a batch of events: each is noted at its pump, which is queued if it can do something now
 *   2. if the control loop has woken it: new pumps are taken in, aborts are noted
 *   3. if the timer has fired: the pumps are looked at for deadlines and for what no event tells
 *   4. a turn for each queued pump; one that has more to do goes to the tail of the queue
 *   5. the finished pumps are handed back, and the control loop is woken if it had none
 *
 * A pump is in `open` from step 2 until it has finished. worker_finish() takes its sockets out of
 * the epoll set before they are closed, and it stays in `finished` until step 5: no event of the
 * batch refers to it any more by then. From there on the control loop owns it.
 *
 * Where the control loop runs it, a round is 1, if there may be events, and 4, the timer is
 * libuv's, and what a round has finished is left to it. That round must not keep others waiting: a
 * turn there is short, nothing is spliced, and a pump leaves for a thread (worker_outgrown()) when
 * it has become bulk, has had many turns, or is old.
 *
 * The path of a message is epoll_wait, recv, send: no clock, no lock, no timer. The timer is armed
 * only while there is a pump, and progress is seen from the byte counts.
 */
#include "net/pump_worker.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/fd.h"
#include "net/pump_inline.h"

#define WORKER_EVENTS 128

/* Fairness: what a direction moves in a turn. On the control loop that is one read. */
#define WORKER_TURN_BYTES (1024U * 1024U)
#define WORKER_INLINE_TURN_BYTES PUMP_BUFFER_BYTES

#define WORKER_INLINE_AGE_MS 1000U /* that makes a pump a thread's */

/* Small, so that no huge page ever backs it; the deepest frame is the event array. */
#define WORKER_STACK_BYTES (256U * 1024U)

/* EPOLLOUT comes with the first write that doesn't take all, and stays: most sockets never need it,
 * and each would tell at once that it can be written to. */
#define WORKER_SOCKET_EVENTS (EPOLLIN | EPOLLPRI | EPOLLRDHUP)

/* epoll's user data is a pump's address with the side in its lowest bit, or one of these. */
#define WORKER_TOKEN_WAKE 0U
#define WORKER_TOKEN_TIMER 1U

static int worker_register(struct pump_worker *w, int fd, uint32_t events, uint64_t token)
{
	struct epoll_event event = { .events = events | EPOLLET, .data.u64 = token };

	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static uint64_t worker_token(const struct pump *p, enum pump_side side)
{
	return (uint64_t)(uintptr_t)p | side;
}

/* What can't be written now is told of when it can: also if it could again before this. A pump of
 * which that can't be asked is ended, and has one more turn. */
static void worker_await_room(struct pump_worker *w, struct pump *p)
{
	for (int side = 0; side < PUMP_SIDES; side++) {
		struct epoll_event event = {
			.events = WORKER_SOCKET_EVENTS | EPOLLOUT | EPOLLET,
			.data.u64 = worker_token(p, (enum pump_side)side),
		};

		if (!pump_awaits_room(p, (enum pump_side)side) || p->room_told[side])
			continue;
		p->room_told[side] = true;
		if (epoll_ctl(w->epoll_fd, EPOLL_CTL_MOD, p->fd[side], &event) < 0)
			pump_set_end(p, PUMP_END_NO_MEMORY);
	}
}

static int worker_open_fds(struct pump_worker *w)
{
	int r;

	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll_fd < 0)
		return -errno;
	if (w->in_loop)
		return 0;
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake_fd < 0)
		return -errno;
	w->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (w->timer_fd < 0)
		return -errno;
	/* Edge-triggered, neither has to be read: each write and each expiry is an edge. */
	r = worker_register(w, w->wake_fd, EPOLLIN, WORKER_TOKEN_WAKE);
	return r < 0 ? r : worker_register(w, w->timer_fd, EPOLLIN, WORKER_TOKEN_TIMER);
}

int pump_worker_init(struct pump_worker *w, const struct pump_pool_config *config,
	struct pipe_pool *pipes, uv_async_t *notify, struct pump_inline *in_loop)
{
	int r;

	memset(w, 0, sizeof(*w));
	w->epoll_fd = w->wake_fd = w->timer_fd = -1;
	w->notify = notify;
	w->in_loop = in_loop;
	w->max_turns = config->inline_turns;
	w->armed_for_ms = UINT64_MAX;
	pump_deadlines_init(&w->deadlines, config, in_loop ? WORKER_INLINE_AGE_MS : 0);
	pthread_mutex_init(&w->lock, NULL);
	list_init(&w->incoming);
	list_init(&w->aborts);
	list_init(&w->done);
	list_init(&w->open);
	list_init(&w->run_queue);
	list_init(&w->moving);
	list_init(&w->finished);
	pipe_cache_init(&w->io.pipes, pipes);
	w->io.mode = in_loop ? PUMP_COPY : config->mode;
	w->io.turn_bytes = in_loop ? WORKER_INLINE_TURN_BYTES : WORKER_TURN_BYTES;
	w->io.half_close_timeout_ms = config->half_close_timeout_ms;
	w->io.idle_timeout_ms = config->idle_timeout_ms;
	w->io.vanished_timeout_ms = config->vanished_timeout_ms;
	w->io.buffer = malloc(PUMP_BUFFER_BYTES);
	r = w->io.buffer ? worker_open_fds(w) : -ENOMEM;
	if (r < 0)
		pump_worker_deinit(w);
	return r;
}

void pump_worker_deinit(struct pump_worker *w)
{
	assert(w->load == 0);
	assert(w->io.held_bytes == 0);
	pipe_cache_clear(&w->io.pipes);
	w->epoll_fd = fd_close(w->epoll_fd);
	w->wake_fd = fd_close(w->wake_fd);
	w->timer_fd = fd_close(w->timer_fd);
	pthread_mutex_destroy(&w->lock);
	free(w->io.buffer);
	w->io.buffer = NULL;
}

/* No event tells of it any more. */
static void worker_release(struct pump_worker *w, struct pump *p)
{
	for (int side = 0; side < PUMP_SIDES; side++) {
		/* Closing it isn't enough: a child between fork and exec may still have a copy
		 * (epoll(7)). */
		(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, p->fd[side], NULL);
	}
	pump_deadlines_remove(p);
	list_remove(&p->run_link);
	list_remove(&p->link);
}

static void worker_finish(struct pump_worker *w, struct pump *p)
{
	worker_release(w, p);
	pump_close(p, &w->io);
	list_push_back(&w->finished, &p->link);
}

/* Whether it has become a thread's business. */
static bool worker_outgrown(const struct pump_worker *w, const struct pump *p)
{
	return w->in_loop && !p->ended &&
	       (p->turns >= w->max_turns || pump_dir_is_bulk(&p->dir[PUMP_OUTER]) ||
		       pump_dir_is_bulk(&p->dir[PUMP_INNER]));
}

/* What it holds goes with it, and what it waits for: see pump_worker_take(). */
static void worker_let_go(struct pump_worker *w, struct pump *p)
{
	worker_release(w, p);
	w->io.held_bytes -= pump_held(p);
	list_push_back(&w->moving, &p->link);
}

/* The last thing of a round: sets the timer if it isn't set for then, or for before. */
static void worker_arm(struct pump_worker *w)
{
	uint64_t ms = w->deadlines.next_ms;
	struct itimerspec spec = { 0 };

	if (ms >= w->armed_for_ms)
		return;
	w->armed_for_ms = ms;
	if (w->in_loop) {
		pump_inline_arm(w->in_loop, ms);
		return;
	}
	spec.it_value.tv_sec = (time_t)(ms / 1000);
	spec.it_value.tv_nsec = (long)(ms % 1000) * 1000000;
	(void)timerfd_settime(w->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void worker_queue(struct pump_worker *w, struct pump *p)
{
	if (list_empty(&p->run_link) && pump_can_run(p))
		list_push_back(&w->run_queue, &p->run_link);
}

/* Something has happened to the pump outside of its turn. */
static void worker_note_event(struct pump_worker *w, struct pump *p)
{
	worker_queue(w, p);
	/* A side has failed, and the other one takes nothing: that has a deadline. */
	if (list_empty(&p->run_link))
		pump_deadlines_update(&w->deadlines, p, &w->io);
}

static void worker_check(struct pump_worker *w, struct pump *p, uint64_t now_ms)
{
	enum pump_next next = pump_check(p, &w->io, now_ms);

	if (next == PUMP_FINISHED)
		worker_finish(w, p);
	else if (next == PUMP_MORE)
		worker_note_event(w, p);
	else if (w->in_loop && now_ms - p->started_ms >= WORKER_INLINE_AGE_MS)
		worker_let_go(w, p);
}

/* The throttled come first: whose bucket has room has a turn now, and moves. */
static void worker_unthrottle(struct pump_worker *w, uint64_t now_ms)
{
	if (!pump_deadlines_due(&w->deadlines, PUMP_ROW_THROTTLED, now_ms))
		return;
	list_for_each_safe(link, &w->deadlines.row[PUMP_ROW_THROTTLED].pumps) {
		struct pump *p = list_entry(link, struct pump, throttled_link);

		list_remove(link);
		pump_unthrottle(p);
		worker_queue(w, p);
	}
}

void pump_worker_tick(struct pump_worker *w)
{
	uint64_t now_ms = clock_now_ms();

	w->armed_for_ms = UINT64_MAX;
	worker_unthrottle(w, now_ms);
	for (int row = 0; row < PUMP_ROW_THROTTLED; row++) {
		if (!pump_deadlines_due(&w->deadlines, (enum pump_row)row, now_ms))
			continue;
		list_for_each_safe(link, &w->deadlines.row[row].pumps)
			worker_check(w, list_entry(link, struct pump, deadline_link), now_ms);
	}
	pump_deadlines_looked(&w->deadlines);
	worker_arm(w);
}

void pump_worker_take(struct pump_worker *w, struct pump *p)
{
	uint64_t now_ms = clock_now_ms();

	list_remove(&p->link);
	list_push_back(&w->open, &p->link);
	w->io.held_bytes += pump_held(p);
	for (int side = 0; side < PUMP_SIDES; side++) {
		p->room_told[side] = false;
		if (worker_register(w, p->fd[side], WORKER_SOCKET_EVENTS,
			    worker_token(p, (enum pump_side)side)) < 0)
			pump_set_end(p, PUMP_END_NO_MEMORY);
	}
	worker_await_room(w, p);
	if (!p->started_ms)
		p->started_ms = now_ms;
	pump_deadlines_add(&w->deadlines, p, &w->io, now_ms);
	worker_queue(w, p);
}

/*
 * What the control loop has sent. It runs before anything of this round is finished, so a pump in
 * `aborts` is either open or incoming. Returns false when the thread is to stop.
 */
static bool worker_take_messages(struct pump_worker *w)
{
	struct list incoming;
	bool stopping;

	list_init(&incoming);
	pthread_mutex_lock(&w->lock);
	list_move_all(&incoming, &w->incoming);
	list_for_each_safe(link, &w->aborts) {
		struct pump *p = list_entry(link, struct pump, abort_link);

		list_remove(link);
		pump_set_end(p, PUMP_END_ABORTED);
		worker_queue(w, p);
	}
	stopping = w->stopping;
	pthread_mutex_unlock(&w->lock);
	list_for_each_safe(link, &incoming)
		pump_worker_take(w, list_entry(link, struct pump, link));
	return !stopping;
}

/* One turn for each pump that was in the queue; those with more to do go to its tail. */
static void worker_run_queue(struct pump_worker *w)
{
	struct list turn, *link;

	list_init(&turn);
	list_move_all(&turn, &w->run_queue);
	while ((link = list_first(&turn))) {
		struct pump *p = list_entry(link, struct pump, run_link);
		enum pump_next next;

		list_remove(link);
		p->turns++;
		next = pump_run(p, &w->io);
		if (next == PUMP_FINISHED) {
			worker_finish(w, p);
			continue;
		}
		if (worker_outgrown(w, p)) {
			worker_let_go(w, p);
			continue;
		}
		worker_await_room(w, p);
		if (next == PUMP_MORE || p->ended)
			list_push_back(&w->run_queue, link);
		pump_deadlines_update(&w->deadlines, p, &w->io);
	}
	worker_arm(w);
}

/* Hands the finished pumps back. From here on they belong to the control loop. */
static void worker_flush(struct pump_worker *w, bool exited)
{
	bool wake = exited;

	if (list_empty(&w->open))
		pipe_cache_clear(&w->io.pipes);
	if (list_empty(&w->finished) && !exited)
		return;
	pthread_mutex_lock(&w->lock);
	list_for_each(link, &w->finished) {
		struct pump *p = list_entry(link, struct pump, link);

		p->finished = true;
		list_remove(&p->abort_link);
	}
	wake |= list_empty(&w->done);
	list_move_all(&w->done, &w->finished);
	w->exited = exited;
	if (wake)
		uv_async_send(w->notify);
	pthread_mutex_unlock(&w->lock);
}

void pump_worker_abort_all(struct pump_worker *w)
{
	list_for_each_safe(link, &w->open) {
		struct pump *p = list_entry(link, struct pump, link);

		pump_set_end(p, PUMP_END_ABORTED);
		worker_finish(w, p);
	}
}

/* The sockets' events are noted at their pumps; returns the others. */
static unsigned worker_take_events(struct pump_worker *w, int timeout_ms)
{
	struct epoll_event events[WORKER_EVENTS];
	unsigned others = 0;
	int n = epoll_wait(w->epoll_fd, events, WORKER_EVENTS, timeout_ms);

	for (int i = 0; i < n; i++) {
		uint64_t token = events[i].data.u64;
		struct pump *p = (struct pump *)(uintptr_t)(token & ~(uint64_t)1);

		if (!p) {
			others |= 1U << token;
			continue;
		}
		pump_ready(p, (enum pump_side)(token & 1), events[i].events, &w->io);
		worker_note_event(w, p);
	}
	return others;
}

void pump_worker_round(struct pump_worker *w, bool ready)
{
	if (ready || list_empty(&w->run_queue))
		(void)worker_take_events(w, 0);
	worker_run_queue(w);
}

void pump_worker_end(struct pump_worker *w, struct pump *p)
{
	pump_set_end(p, PUMP_END_ABORTED);
	worker_queue(w, p);
}

static bool worker_thread_round(struct pump_worker *w)
{
	unsigned others = worker_take_events(w, list_empty(&w->run_queue) ? -1 : 0);
	bool go_on = true;

	if (others & (1U << WORKER_TOKEN_WAKE))
		go_on = worker_take_messages(w);
	if (others & (1U << WORKER_TOKEN_TIMER))
		pump_worker_tick(w);
	if (!go_on)
		pump_worker_abort_all(w);
	worker_run_queue(w);
	worker_flush(w, !go_on);
	return go_on;
}

static void *worker_thread_main(void *arg)
{
	struct pump_worker *w = arg;

	while (worker_thread_round(w))
		;
	return NULL;
}

int pump_worker_start(struct pump_worker *w)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int r;

	/* Signals are for the control loop; SIGPIPE, which splice(2) raises, is for nobody. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES);
	r = pthread_create(&w->thread, &attr, worker_thread_main, w);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	w->started = r == 0;
	return -r;
}

static void worker_wake(struct pump_worker *w)
{
	const uint64_t one = 1;

	/* It can only fail for a counter at its end, which 2^64 wakes away. */
	(void)!write(w->wake_fd, &one, sizeof(one));
}

void pump_worker_stop(struct pump_worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_mutex_unlock(&w->lock);
	worker_wake(w);
}

void pump_worker_add(struct pump_worker *w, struct pump *p)
{
	bool wake;

	w->load++;
	p->worker = w;
	pthread_mutex_lock(&w->lock);
	wake = list_empty(&w->incoming);
	list_push_back(&w->incoming, &p->link);
	pthread_mutex_unlock(&w->lock);
	if (wake)
		worker_wake(w);
}

void pump_worker_abort(struct pump_worker *w, struct pump *p)
{
	bool wake = false;

	pthread_mutex_lock(&w->lock);
	if (!p->finished && list_empty(&p->abort_link)) {
		wake = list_empty(&w->aborts);
		list_push_back(&w->aborts, &p->abort_link);
	}
	pthread_mutex_unlock(&w->lock);
	if (wake)
		worker_wake(w);
}

bool pump_worker_take_done(struct pump_worker *w, struct list *ret_done)
{
	bool exited;

	pthread_mutex_lock(&w->lock);
	list_move_all(ret_done, &w->done);
	exited = w->exited;
	pthread_mutex_unlock(&w->lock);
	return exited;
}
