/* SPDX-License-Identifier: MIT */
/*
 * The control loop's side of the data path. Invariant: every pump that was added is in exactly one
 * worker's care until its completion has run here, and is freed right after it.
 */
#include "net/pump_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "net/pump.h"
#include "net/pump_worker.h"

/* How many more connections than the idlest worker the last one may have. */
#define POOL_IMBALANCE 8

struct pump_pool {
	uv_async_t notify;
	struct pipe_pool pipes;
	struct pump_worker *workers; /* owned, `count` of them */
	unsigned count;
	unsigned current; /* the worker that got the last connection */
	uint64_t open, total;
	bool closing;
	void (*closed)(void *owner);
	void *closed_owner;
};

static void pool_complete(struct pump_pool *pool, struct pump *p)
{
	pump_bytes(p, p->result.bytes);
	p->worker->load--;
	pool->open--;
	p->done(p->owner, &p->result);
	pump_free(p);
}

static void pool_free(struct pump_pool *pool)
{
	assert(pool->open == 0);
	for (unsigned i = 0; i < pool->count; i++)
		pump_worker_deinit(&pool->workers[i]);
	assert(atomic_load(&pool->pipes.pages) == 0);
	free(pool->workers);
	free(pool);
}

static void pool_on_notify_closed(uv_handle_t *handle)
{
	struct pump_pool *pool = handle->data;
	void (*closed)(void *owner) = pool->closed;
	void *owner = pool->closed_owner;

	pool_free(pool);
	if (closed)
		closed(owner);
}

static void pool_join(struct pump_pool *pool)
{
	for (unsigned i = 0; i < pool->count; i++) {
		if (pool->workers[i].started)
			pthread_join(pool->workers[i].thread, NULL);
	}
	uv_close((uv_handle_t *)&pool->notify, pool_on_notify_closed);
}

static void pool_on_notify(uv_async_t *handle)
{
	struct pump_pool *pool = handle->data;
	unsigned ended = 0;
	struct list done, *link;

	list_init(&done);
	for (unsigned i = 0; i < pool->count; i++) {
		bool exited = pump_worker_take_done(&pool->workers[i], &done);

		ended += exited || !pool->workers[i].started;
	}
	while ((link = list_first(&done))) {
		list_remove(link);
		pool_complete(pool, list_entry(link, struct pump, link));
	}
	if (pool->closing && ended == pool->count && !uv_is_closing((uv_handle_t *)handle))
		pool_join(pool);
}

static int pool_init_workers(struct pump_pool *pool, const struct pump_pool_config *config)
{
	unsigned wanted = config->workers ? config->workers : uv_available_parallelism();

	pool->workers = calloc(wanted, sizeof(*pool->workers));
	if (!pool->workers)
		return -ENOMEM;
	for (; pool->count < wanted; pool->count++) {
		int r = pump_worker_init(
			&pool->workers[pool->count], config, &pool->pipes, &pool->notify);

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
	r = pool_init_workers(pool, config);
	if (r == 0)
		r = uv_async_init(loop, &pool->notify, pool_on_notify);
	if (r < 0) {
		pool_free(pool);
		return r;
	}
	pool->notify.data = pool;
	for (unsigned i = 0; i < pool->count && r == 0; i++)
		r = pump_worker_start(&pool->workers[i]);
	if (r < 0) {
		pump_pool_close(pool, NULL, NULL);
		return r;
	}
	*ret_pool = pool;
	return 0;
}

/*
 * To wake an idle worker costs more than to serve a short connection, and a worker that is at work
 * takes one more without being woken. So the worker that got the last connection gets the next one,
 * too, until it is clearly busier than the idlest.
 */
static struct pump_worker *pool_pick(struct pump_pool *pool)
{
	unsigned idlest = 0;

	for (unsigned i = 1; i < pool->count; i++) {
		if (pool->workers[i].load < pool->workers[idlest].load)
			idlest = i;
	}
	if (pool->workers[pool->current].load >= pool->workers[idlest].load + POOL_IMBALANCE)
		pool->current = idlest;
	return &pool->workers[pool->current];
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
	pump_worker_add(pool_pick(pool), p);
	if (ret_pump)
		*ret_pump = p;
	return 0;
}

void pump_bytes(const struct pump *pump, uint64_t ret_bytes[PUMP_SIDES])
{
	for (int side = 0; side < PUMP_SIDES; side++)
		ret_bytes[side] =
			atomic_load_explicit(&pump->dir[side].bytes, memory_order_relaxed);
}

void pump_abort(struct pump_pool *pool, struct pump *pump)
{
	(void)pool;
	pump_worker_abort(pump->worker, pump);
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

	for (unsigned i = 0; i < pool->count; i++) {
		const struct pump_io *io = &pool->workers[i].io;

		for (int side = 0; side < PUMP_SIDES; side++)
			s.bytes[side] +=
				atomic_load_explicit(&io->bytes[side], memory_order_relaxed);
		s.spliced_bytes += atomic_load_explicit(&io->spliced_bytes, memory_order_relaxed);
		s.held_bytes += atomic_load_explicit(&io->held_bytes, memory_order_relaxed);
	}
	*ret_stats = s;
}

void pump_pool_close(struct pump_pool *pool, void (*closed)(void *owner), void *owner)
{
	pool->closing = true;
	pool->closed = closed;
	pool->closed_owner = owner;
	for (unsigned i = 0; i < pool->count; i++)
		pump_worker_stop(&pool->workers[i]);
	/* For the case that no thread runs. */
	uv_async_send(&pool->notify);
}
