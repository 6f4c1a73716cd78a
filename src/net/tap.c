/* SPDX-License-Identifier: MIT */
/*
 * The copies of all taps wait in one queue of the hub, under its lock, which is held for a few
 * instructions. To wake the loop costs more than to copy a request, so it isn't done for each: the
 * first copy wakes it, and then it looks again every TAP_REST_MS by itself until there was nothing.
 * Only where much waits already it is woken before that. A tap is referenced by its owner, by its
 * pump and by each copy that waits; whoever is the last one frees it, on whatever thread.
 */
#include "net/tap.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/owner.h"

/* Under load the loop looks so often. */
#define TAP_REST_MS 10
/* It is woken at once where this part of the room is taken, so that bulk doesn't run out of it. */
#define TAP_FULL_PART 4

struct tap_hub {
	struct tap_hub_config config;
	uv_async_t async;
	uv_timer_t rest;      /* between two looks */
	unsigned handles;     /* to be closed: both */
	pthread_mutex_t lock; /* of the queue, and of `looks` */
	struct tap_chunk *first, **last;
	bool looks;             /* the loop will look without being woken: it has been, or rests */
	_Atomic size_t waiting; /* bytes */
	void (*closed)(void *owner);
	void *owner;
};

struct tap {
	struct tap_hub *hub;
	_Atomic unsigned refs;
	_Atomic size_t waiting;                /* bytes */
	void *owner;                           /* the loop's; NULL: released */
	uint64_t offset[PUMP_SIDES];           /* of what comes next; the worker's */
	_Atomic uint64_t unwanted[PUMP_SIDES]; /* what is before it */
};

struct tap *tap_hold(struct tap *tap)
{
	atomic_fetch_add_explicit(&tap->refs, 1, memory_order_relaxed);
	return tap;
}

struct tap *tap_drop(struct tap *tap)
{
	if (tap && atomic_fetch_sub_explicit(&tap->refs, 1, memory_order_acq_rel) == 1)
		free(tap);
	return NULL;
}

/* --- putting --- */

/* What a copy of so many bytes takes up. An end always finds room: a side has but one. */
static size_t chunk_cost(size_t len)
{
	return len ? sizeof(struct tap_chunk) + len : 0;
}

static bool reserve(_Atomic size_t *waiting, size_t len, size_t max)
{
	if (atomic_fetch_add_explicit(waiting, len, memory_order_relaxed) + len <= max)
		return true;
	atomic_fetch_sub_explicit(waiting, len, memory_order_relaxed);
	return false;
}

/* Room for so many bytes more; false: there is none. */
static bool tap_reserve(struct tap *tap, size_t len)
{
	struct tap_hub *hub = tap->hub;

	if (!reserve(&tap->waiting, len, hub->config.max_each))
		return false;
	if (reserve(&hub->waiting, len, hub->config.max_bytes))
		return true;
	atomic_fetch_sub_explicit(&tap->waiting, len, memory_order_relaxed);
	return false;
}

static void tap_unreserve(struct tap *tap, size_t len)
{
	atomic_fetch_sub_explicit(&tap->waiting, len, memory_order_relaxed);
	atomic_fetch_sub_explicit(&tap->hub->waiting, len, memory_order_relaxed);
}

static bool is_filling(const _Atomic size_t *waiting, size_t max)
{
	return atomic_load_explicit(waiting, memory_order_relaxed) > max / TAP_FULL_PART;
}

static void hub_append(struct tap_hub *hub, struct tap_chunk *chunk)
{
	bool wakes = is_filling(&chunk->tap->waiting, hub->config.max_each) ||
		     is_filling(&hub->waiting, hub->config.max_bytes);

	pthread_mutex_lock(&hub->lock);
	wakes |= !hub->looks;
	hub->looks = true;
	*hub->last = chunk;
	hub->last = &chunk->next;
	pthread_mutex_unlock(&hub->lock);
	if (wakes)
		(void)uv_async_send(&hub->async);
}

static void tap_append(
	struct tap *tap, enum pump_side side, uint64_t offset, const void *data, size_t len)
{
	struct tap_hub *hub = tap->hub;
	bool room = tap_reserve(tap, chunk_cost(len));
	struct tap_chunk *chunk = room ? malloc(sizeof(*chunk) + len) : NULL;

	if (!chunk) {
		if (room)
			tap_unreserve(tap, chunk_cost(len));
		return;
	}
	*chunk = (struct tap_chunk){
		.tap = tap_hold(tap),
		.side = side,
		.end = len == 0,
		.offset = offset,
		.time_us = clock_now_us(),
		.len = len,
	};
	if (len > 0)
		memcpy(chunk->data, data, len);
	hub_append(hub, chunk);
}

static uint64_t tap_unwanted(const struct tap *tap, enum pump_side side)
{
	return atomic_load_explicit(&tap->unwanted[side], memory_order_relaxed);
}

bool tap_wants(const struct tap *tap, enum pump_side side)
{
	return tap_unwanted(tap, side) != TAP_ALL;
}

void tap_put(struct tap *tap, enum pump_side side, const void *data, size_t len)
{
	uint64_t from = tap->offset[side], unwanted = tap_unwanted(tap, side);
	size_t skipped;

	tap->offset[side] += len;
	if (len == 0 || unwanted >= tap->offset[side])
		return;
	skipped = unwanted > from ? (size_t)(unwanted - from) : 0;
	tap_append(tap, side, from + skipped, (const uint8_t *)data + skipped, len - skipped);
}

void tap_put_end(struct tap *tap, enum pump_side side)
{
	if (tap_wants(tap, side))
		tap_append(tap, side, tap->offset[side], NULL, 0);
}

/* --- taking --- */

/* Whether there was something. `goes` says that the loop looks no more where there was nothing. */
static bool hub_take(struct tap_hub *hub, bool goes)
{
	struct tap_chunk *chunk, *next;
	bool any;

	pthread_mutex_lock(&hub->lock);
	chunk = take_ptr(hub->first);
	hub->last = &hub->first;
	any = chunk != NULL;
	hub->looks &= any || !goes;
	pthread_mutex_unlock(&hub->lock);
	for (; chunk; chunk = next) {
		next = chunk->next;
		if (chunk->tap->owner)
			hub->config.took(chunk->tap->owner, chunk);
		tap_unreserve(chunk->tap, chunk_cost(chunk->len));
		(void)tap_drop(chunk->tap);
		free(chunk);
	}
	return any;
}

void tap_hub_drain(struct tap_hub *hub)
{
	(void)hub_take(hub, false);
}

static void hub_on_rested(uv_timer_t *rest)
{
	if (hub_take(rest->data, true))
		(void)uv_timer_start(rest, hub_on_rested, TAP_REST_MS, 0);
}

static void hub_on_woken(uv_async_t *async)
{
	struct tap_hub *hub = async->data;

	tap_hub_drain(hub);
	if (!uv_is_active((uv_handle_t *)&hub->rest))
		(void)uv_timer_start(&hub->rest, hub_on_rested, TAP_REST_MS, 0);
}

/* --- the loop's side --- */

struct tap *tap_new(struct tap_hub *hub, void *owner)
{
	struct tap *tap = calloc(1, sizeof(*tap));

	assert(owner);
	if (!tap)
		return NULL;
	tap->hub = hub;
	tap->owner = owner;
	atomic_init(&tap->refs, 1);
	return tap;
}

struct tap *tap_release(struct tap *tap)
{
	if (!tap)
		return NULL;
	for (int side = 0; side < PUMP_SIDES; side++)
		tap_skip(tap, (enum pump_side)side, TAP_ALL);
	tap->owner = NULL;
	return tap_drop(tap);
}

void tap_skip(struct tap *tap, enum pump_side side, uint64_t offset)
{
	if (offset > tap_unwanted(tap, side))
		atomic_store_explicit(&tap->unwanted[side], offset, memory_order_relaxed);
}

int tap_hub_new(const struct tap_hub_config *config, struct tap_hub **ret_hub)
{
	struct tap_hub *hub = calloc(1, sizeof(*hub));
	int r = hub ? uv_async_init(config->loop, &hub->async, hub_on_woken) : UV_ENOMEM;

	if (r < 0) {
		free(hub);
		return r;
	}
	hub->config = *config;
	hub->async.data = hub;
	(void)uv_timer_init(config->loop, &hub->rest);
	hub->rest.data = hub;
	hub->handles = 2;
	hub->last = &hub->first;
	(void)pthread_mutex_init(&hub->lock, NULL);
	*ret_hub = hub;
	return 0;
}

static void hub_on_closed(uv_handle_t *handle)
{
	struct tap_hub *hub = handle->data;

	if (--hub->handles)
		return;
	(void)pthread_mutex_destroy(&hub->lock);
	hub->closed(hub->owner);
	free(hub);
}

void tap_hub_close(struct tap_hub *hub, void (*closed)(void *owner), void *owner)
{
	hub->closed = closed;
	hub->owner = owner;
	tap_hub_drain(hub);
	uv_close((uv_handle_t *)&hub->async, hub_on_closed);
	uv_close((uv_handle_t *)&hub->rest, hub_on_closed);
}
