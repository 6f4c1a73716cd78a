/* SPDX-License-Identifier: MIT */
/*
 * The control loop's side of the data path. Invariant: every pump that was added is in exactly one
 * worker's care until its completion has run here, and is freed right after it.
 *
 * A pump begins in the loop's own worker, where most short connections end as well: to wake a
 * thread costs more than to serve one. What turns out to be longer is given to a thread.
 */
#include "net/pump_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/lang.h"
#include "base/list.h"
#include "base/owner.h"
#include "net/pump.h"
#include "net/pump_inline.h"
#include "net/pump_thread.h"

/* How many more connections than the idlest thread the last one may have. */
#define POOL_IMBALANCE 8

struct pump_pool {
	uv_async_t notify;
	struct pipe_pool pipes;
	struct pump_inline own; /* the control loop's */
	bool own_open;
	struct pump_thread *threads; /* owned, `count` of them */
	unsigned count;
	unsigned handles; /* not yet closed: `notify`, and `own` as one */
	bool begins_here; /* pumps are the control loop's first */
	unsigned current; /* the thread that got the last connection */
	uint64_t open, total;
	bool closing;
	void (*turn_ends)(void *owner);
	void *turn_owner;
	void (*closed)(void *owner);
	void *closed_owner;
};

static void pool_complete(struct pump_pool *pool, struct pump *p)
{
	pump_bytes(p, p->result.bytes);
	pool->open--;
	p->done(p->owner, &p->result);
	pump_free(p);
}

static void pool_free(struct pump_pool *pool)
{
	assert(pool->open == 0);
	for (unsigned i = 0; i < pool->count; i++)
		pump_thread_deinit(&pool->threads[i]);
	if (pool->own_open)
		pump_inline_deinit(&pool->own);
	assert(atomic_load(&pool->pipes.pages) == 0);
	free(pool->threads);
	free(pool);
}

static void pool_release(struct pump_pool *pool)
{
	void (*closed)(void *owner) = pool->closed;
	void *owner = pool->closed_owner;

	if (--pool->handles)
		return;
	pool_free(pool);
	if (closed)
		closed(owner);
}

static void pool_on_notify_closed(uv_handle_t *handle)
{
	pool_release(handle->data);
}

static void pool_join(struct pump_pool *pool)
{
	for (unsigned i = 0; i < pool->count; i++)
		pump_thread_join(&pool->threads[i]);
	uv_close((uv_handle_t *)&pool->notify, pool_on_notify_closed);
	if (pool->own_open)
		pump_inline_close(&pool->own);
}

/* --- the control loop's own worker --- */

/*
 * To wake an idle worker costs more than to serve a short connection, and a worker that is at work
 * takes one more without being woken. So the worker that got the last connection gets the next one,
 * too, until it is clearly busier than the idlest.
 */
static struct pump_thread *pool_pick(struct pump_pool *pool)
{
	unsigned idlest = 0;

	for (unsigned i = 1; i < pool->count; i++) {
		if (pool->threads[i].worker.load < pool->threads[idlest].worker.load)
			idlest = i;
	}
	if (pool->threads[pool->current].worker.load >=
		pool->threads[idlest].worker.load + POOL_IMBALANCE)
		pool->current = idlest;
	return &pool->threads[pool->current];
}

static void pool_on_finished(struct pump_inline *in, struct pump *p)
{
	pool_complete(container_of(in, struct pump_pool, own), p);
}

static void pool_on_moving(struct pump_inline *in, struct pump *p)
{
	pump_thread_add(pool_pick(container_of(in, struct pump_pool, own)), p);
}

static void pool_on_turn_ends(struct pump_inline *in)
{
	struct pump_pool *pool = container_of(in, struct pump_pool, own);

	if (pool->turn_ends)
		pool->turn_ends(pool->turn_owner);
}

static void pool_on_own_closed(struct pump_inline *in)
{
	pool_release(container_of(in, struct pump_pool, own));
}

static int pool_open_own(
	struct pump_pool *pool, uv_loop_t *loop, const struct pump_pool_config *config)
{
	int r;

	pool->own.finished = pool_on_finished;
	pool->own.moving = pool_on_moving;
	pool->own.turn_ends = pool_on_turn_ends;
	pool->own.closed = pool_on_own_closed;
	r = pump_inline_open(&pool->own, loop, config, &pool->pipes);
	pool->own_open = r == 0;
	pool->handles += pool->own_open;
	return r;
}

/* --- the threads --- */

static void pool_on_notify(uv_async_t *handle)
{
	struct pump_pool *pool = handle->data;
	unsigned ended = 0;
	struct list done, *link;

	list_init(&done);
	for (unsigned i = 0; i < pool->count; i++) {
		bool exited = pump_thread_take_done(&pool->threads[i], &done);

		ended += exited || !pool->threads[i].started;
	}
	while ((link = list_first(&done))) {
		struct pump *p = list_entry(link, struct pump, link);

		list_remove(link);
		p->worker->load--;
		pool_complete(pool, p);
	}
	if (pool->closing && ended == pool->count && !uv_is_closing((uv_handle_t *)handle))
		pool_join(pool);
}

static int pool_init_threads(struct pump_pool *pool, const struct pump_pool_config *config)
{
	unsigned wanted = config->workers ? config->workers : uv_available_parallelism();

	pool->threads = calloc(wanted, sizeof(*pool->threads));
	if (!pool->threads)
		return -ENOMEM;
	for (; pool->count < wanted; pool->count++) {
		int r = pump_thread_init(
			&pool->threads[pool->count], config, &pool->pipes, &pool->notify);

		if (r < 0)
			return r;
	}
	return 0;
}

int pump_pool_new(
	uv_loop_t *loop, const struct pump_pool_config *config, struct pump_pool **ret_pool)
{
	struct pump_pool *pool = calloc(1, sizeof(*pool));
	int r;

	if (!pool)
		return -ENOMEM;
	pipe_pool_init(&pool->pipes, config->pipe_pages);
	r = pool_init_threads(pool, config);
	if (r == 0)
		r = uv_async_init(loop, &pool->notify, pool_on_notify);
	if (r < 0) {
		pool_free(pool);
		return r;
	}
	pool->notify.data = pool;
	pool->handles = 1;
	/* It never splices, so what is to be spliced from the first byte is a thread's. */
	pool->begins_here = config->inline_turns && config->mode != PUMP_SPLICE;
	r = pool_open_own(pool, loop, config);
	for (unsigned i = 0; i < pool->count && r == 0; i++)
		r = pump_thread_start(&pool->threads[i]);
	if (r < 0) {
		pump_pool_close(pool, NULL, NULL);
		return r;
	}
	*ret_pool = pool;
	return 0;
}

int pump_pool_add(struct pump_pool *pool, const struct pump_job *job, struct pump **ret_pump)
{
	struct pump *p;

	if (pool->closing)
		return -ECANCELED;
	p = pump_new(job);
	if (!p)
		return -ENOMEM;
	pool->open++;
	pool->total++;
	for (int side = 0; side < PUMP_SIDES && !pool->begins_here; side++) {
		if (p->watch[side])
			pump_pool_unwatch(pool, take_ptr(p->watch[side]), p->fd[side]);
	}
	if (pool->begins_here)
		pump_inline_add(&pool->own, p);
	else
		pump_thread_add(pool_pick(pool), p);
	if (ret_pump)
		*ret_pump = p;
	return 0;
}

void pump_bytes(const struct pump *pump, uint64_t ret_bytes[PUMP_SIDES])
{
	for (int side = 0; side < PUMP_SIDES; side++)
		ret_bytes[side] =
			atomic_load_explicit(&pump->dir[side].out.bytes, memory_order_relaxed);
}

void pump_abort(struct pump_pool *pool, struct pump *pump)
{
	if (pump->worker == &pool->own.worker)
		pump_inline_abort(&pool->own, pump);
	else
		pump_thread_abort(container_of(pump->worker, struct pump_thread, worker), pump);
}

int pump_pool_watch(struct pump_pool *pool, struct watch *watch, int fd)
{
	return pump_worker_add_watch(&pool->own.worker, watch, fd);
}

int pump_pool_watch_socket(struct pump_pool *pool, struct watch *watch, int fd)
{
	return pump_worker_add_socket(&pool->own.worker, watch, fd);
}

void pump_pool_unwatch(struct pump_pool *pool, struct watch *watch, int fd)
{
	pump_worker_remove_watch(&pool->own.worker, watch, fd);
}

void pump_pool_set_turn_ends(struct pump_pool *pool, void (*turn_ends)(void *owner), void *owner)
{
	pool->turn_ends = turn_ends;
	pool->turn_owner = owner;
}

static void pool_add_stats(const struct pump_io *io, struct pump_stats *s)
{
	for (int side = 0; side < PUMP_SIDES; side++)
		s->bytes[side] += atomic_load_explicit(&io->bytes[side], memory_order_relaxed);
	s->spliced_bytes += atomic_load_explicit(&io->spliced_bytes, memory_order_relaxed);
	s->held_bytes += atomic_load_explicit(&io->held_bytes, memory_order_relaxed);
}

void pump_pool_stats(const struct pump_pool *pool, struct pump_stats *ret_stats)
{
	struct pump_stats s = {
		.open = pool->open,
		.total = pool->total,
		.pipes_large = atomic_load_explicit(&pool->pipes.large, memory_order_relaxed),
		.pipes_small = atomic_load_explicit(&pool->pipes.small, memory_order_relaxed),
		.pipes_limit = pool->pipes.limit,
		.pipes_denied = atomic_load_explicit(&pool->pipes.denied, memory_order_relaxed),
	};

	pool_add_stats(&pool->own.worker.io, &s);
	for (unsigned i = 0; i < pool->count; i++)
		pool_add_stats(&pool->threads[i].worker.io, &s);
	*ret_stats = s;
}

void pump_pool_close(struct pump_pool *pool, void (*closed)(void *owner), void *owner)
{
	pool->closing = true;
	pool->closed = closed;
	pool->closed_owner = owner;
	/* A thread that has ended takes no pump any more. */
	if (pool->own_open)
		pump_inline_abort_all(&pool->own);
	for (unsigned i = 0; i < pool->count; i++)
		pump_thread_stop(&pool->threads[i]);
	/* For the case that no thread runs. */
	uv_async_send(&pool->notify);
}
