/* SPDX-License-Identifier: MIT */
/*
 * A round of a worker, which whoever runs it puts together of these:
 *
 *   pump_worker_wait()   a batch of events: each is noted at its pump, which is queued if it can do
 *                        something now
 *   pump_worker_take(), pump_worker_end()
 *                        a pump is taken in, or is to end
 *   pump_worker_tick()   its timer has fired: pumps are looked at for deadlines and for what no
 *                        event tells
 *   pump_worker_run()    a turn for each queued pump; one that has more to do goes to the tail of
 *                        the queue
 *
 * A pump is in `open` from pump_worker_take() until it has finished. worker_finish() takes its
 * sockets out of the epoll set before they are closed, and leaves it in `finished`, which is
 * emptied between two rounds: no event of the batch refers to it any more by then.
 *
 * The control loop's worker must not keep others waiting: a turn there is short, nothing is
 * spliced, and a pump leaves for a thread (worker_outgrown()) when it has become bulk, has had many
 * turns, or is old.
 *
 * The path of a message is epoll_wait, recv, send: no clock, no lock, no timer. The timer is set
 * only while there is a pump, and progress is seen from the byte counts.
 */
#include "net/pump_worker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/fd.h"
#include "base/owner.h"

#define WORKER_EVENTS 128

/* Fairness: what a direction moves in a turn. On the control loop that is one read. */
#define WORKER_TURN_BYTES (1024U * 1024U)
#define WORKER_INLINE_TURN_BYTES PUMP_BUFFER_BYTES

#define WORKER_INLINE_AGE_MS 1000U /* that makes a pump a thread's */

/* EPOLLOUT comes with the first write that doesn't take all, and stays: most sockets never need it,
 * and each would tell at once that it can be written to. */
#define WORKER_SOCKET_EVENTS (EPOLLIN | EPOLLPRI | EPOLLRDHUP)

#define WORKER_WATCH 2U

/* epoll's user data is a pump's address with the side in its lowest bit, that of a watch with the
 * next one set, or a token of the runner's, which is no address. */
static int worker_register(struct pump_worker *w, int fd, uint32_t events, uint64_t token)
{
	struct epoll_event event = { .events = events, .data.u64 = token };

	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static uint64_t worker_watch_token(const struct watch *watch)
{
	return (uint64_t)(uintptr_t)watch | WORKER_WATCH;
}

static uint64_t worker_token(const struct pump *p, enum pump_side side)
{
	if (p->watch[side])
		return worker_watch_token(p->watch[side]);
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

int pump_worker_init(struct pump_worker *w, const struct pump_pool_config *config,
	struct pipe_pool *pipes, bool on_loop)
{
	memset(w, 0, sizeof(*w));
	w->epoll_fd = -1;
	w->on_loop = on_loop;
	w->max_turns = config->inline_turns;
	w->armed_for_ms = UINT64_MAX;
	pump_deadlines_init(&w->deadlines, config, on_loop ? WORKER_INLINE_AGE_MS : 0);
	list_init(&w->open);
	list_init(&w->run_queue);
	list_init(&w->moving);
	list_init(&w->finished);
	list_init(&w->ready);
	pipe_cache_init(&w->io.pipes, pipes);
	w->io.mode = on_loop ? PUMP_COPY : config->mode;
	w->io.turn_bytes = on_loop ? WORKER_INLINE_TURN_BYTES : WORKER_TURN_BYTES;
	w->io.half_close_timeout_ms = config->half_close_timeout_ms;
	w->io.idle_timeout_ms = config->idle_timeout_ms;
	w->io.vanished_timeout_ms = config->vanished_timeout_ms;
	w->io.buffer = malloc(PUMP_BUFFER_BYTES);
	if (!w->io.buffer)
		return -ENOMEM;
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return w->epoll_fd < 0 ? -errno : 0;
}

void pump_worker_deinit(struct pump_worker *w)
{
	assert(w->load == 0);
	assert(w->io.held_bytes == 0);
	pipe_cache_clear(&w->io.pipes);
	w->epoll_fd = fd_close(w->epoll_fd);
	free(w->io.buffer);
	w->io.buffer = NULL;
}

int pump_worker_watch(struct pump_worker *w, int fd, unsigned token)
{
	return worker_register(w, fd, EPOLLIN | EPOLLET, token);
}

int pump_worker_watch_loop(struct pump_worker *w, int fd, unsigned token)
{
	return worker_register(w, fd, EPOLLIN, token);
}

static int worker_add(struct pump_worker *w, struct watch *watch, int fd, uint32_t events)
{
	int r = worker_register(w, fd, events, worker_watch_token(watch));

	watch->watched = r == 0;
	watch->events = 0;
	return r;
}

int pump_worker_add_watch(struct pump_worker *w, struct watch *watch, int fd)
{
	return worker_add(w, watch, fd, EPOLLIN);
}

int pump_worker_add_socket(struct pump_worker *w, struct watch *watch, int fd)
{
	return worker_add(w, watch, fd, WORKER_SOCKET_EVENTS | EPOLLET);
}

void pump_worker_remove_watch(struct pump_worker *w, struct watch *watch, int fd)
{
	if (watch->watched)
		(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	watch->watched = false;
	list_remove(&watch->link);
}

/* No event tells of it any more. */
static void worker_release(struct pump_worker *w, struct pump *p)
{
	for (int side = 0; side < PUMP_SIDES; side++) {
		struct watch *watch = take_ptr(p->watch[side]);
		const struct pump_dir *from = &p->dir[side];

		if (watch)
			watch->pump = NULL;
		if (watch && pump_hands_on(p, (enum pump_side)side)) {
			if (from->left)
				watch->events |= EPOLLIN;
			if (from->hup)
				watch->events |= EPOLLIN | EPOLLRDHUP;
			continue;
		}
		if (watch)
			watch->watched = false;
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
	return w->on_loop && !p->ended &&
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
	enum pump_next next = pump_deadlines_check(p, &w->io, now_ms);

	if (next == PUMP_FINISHED)
		worker_finish(w, p);
	else if (next == PUMP_MORE)
		worker_note_event(w, p);
	else if (w->on_loop && now_ms - p->started_ms >= WORKER_INLINE_AGE_MS)
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
}

bool pump_worker_arm(struct pump_worker *w, uint64_t *ret_at_ms)
{
	if (w->deadlines.next_ms >= w->armed_for_ms)
		return false;
	*ret_at_ms = w->armed_for_ms = w->deadlines.next_ms;
	return true;
}

/* It is in the set already. */
static void worker_borrow(struct pump_worker *w, struct pump *p, enum pump_side side)
{
	struct watch *watch = p->watch[side];

	assert(watch->watched);
	list_remove(&watch->link);
	watch->pump = p;
	watch->side = side;
	pump_ready(p, side, watch->events, &w->io);
	watch->events = 0;
}

void pump_worker_take(struct pump_worker *w, struct pump *p)
{
	uint64_t now_ms = clock_now_ms();

	list_remove(&p->link);
	list_push_back(&w->open, &p->link);
	w->io.held_bytes += pump_held(p);
	for (int side = 0; side < PUMP_SIDES; side++) {
		p->room_told[side] = false;
		if (p->watch[side])
			worker_borrow(w, p, (enum pump_side)side);
		else if (worker_register(w, p->fd[side], WORKER_SOCKET_EVENTS | EPOLLET,
				 worker_token(p, (enum pump_side)side)) < 0)
			pump_set_end(p, PUMP_END_NO_MEMORY);
	}
	worker_await_room(w, p);
	if (!p->started_ms)
		p->started_ms = now_ms;
	pump_deadlines_add(&w->deadlines, p, &w->io, now_ms);
	worker_queue(w, p);
}

void pump_worker_run(struct pump_worker *w)
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
	if (list_empty(&w->open))
		pipe_cache_clear(&w->io.pipes);
}

static void worker_note_watch(struct pump_worker *w, struct watch *watch, uint32_t events)
{
	struct pump *p = watch->pump;

	/* What comes behind the end of the pump's stream is its next reader's. */
	if (!p || p->dir[watch->side].eof)
		watch->events |= events;
	if (!p) {
		list_push_back(&w->ready, &watch->link);
		return;
	}
	pump_ready(p, watch->side, events, &w->io);
	worker_note_event(w, p);
}

/* One may be removed by another. */
static void worker_tell_watches(struct pump_worker *w)
{
	struct list *link;

	while ((link = list_first(&w->ready))) {
		struct watch *watch = list_entry(link, struct watch, link);

		list_remove(link);
		watch->ready(watch);
	}
}

unsigned pump_worker_wait(struct pump_worker *w, int timeout_ms)
{
	struct epoll_event events[WORKER_EVENTS];
	unsigned others = 0;
	int n = epoll_wait(w->epoll_fd, events, WORKER_EVENTS, timeout_ms);

	for (int i = 0; i < n; i++) {
		uint64_t token = events[i].data.u64;
		void *of = (void *)(uintptr_t)(token & ~(uint64_t)(WORKER_WATCH | 1));

		if (!of) {
			others |= 1U << token;
		} else if (token & WORKER_WATCH) {
			worker_note_watch(w, of, events[i].events);
		} else {
			pump_ready(of, (enum pump_side)(token & 1), events[i].events, &w->io);
			worker_note_event(w, of);
		}
	}
	worker_tell_watches(w);
	return others;
}

void pump_worker_end(struct pump_worker *w, struct pump *p)
{
	pump_set_end(p, PUMP_END_ABORTED);
	worker_queue(w, p);
}

void pump_worker_abort_all(struct pump_worker *w)
{
	list_for_each_safe(link, &w->open) {
		struct pump *p = list_entry(link, struct pump, link);

		pump_set_end(p, PUMP_END_ABORTED);
		worker_finish(w, p);
	}
}
