/* SPDX-License-Identifier: MIT */
/*
 * Pipes for splice(2) under a budget. The kernel charges a user's pipes in pages against
 * pipe-user-pages-soft (pipe(7)) and hands out crippled ones beyond it, so all the workers together
 * stay under half of that. Large pipes come first, then small ones, then none: the caller copies.
 *
 * A pipe lives by value with its holder. Each worker has a cache of a few empty ones, which needs
 * no lock; the budget is shared and atomic.
 */
#ifndef NET_PIPE_POOL_H
#define NET_PIPE_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Empty pipes that a worker keeps: one for each direction of the connection in hand. */
#define PIPE_CACHE_MAX 2

#define PIPE_LARGE_BYTES (1024U * 1024U)
#define PIPE_SMALL_BYTES (64U * 1024U)

struct pipe {
	int rd, wr;     /* -1: there is none */
	uint32_t pages; /* what it is charged with */
	uint32_t used;  /* bytes inside */
};

#define PIPE_NONE ((struct pipe){ .rd = -1, .wr = -1 })

struct pipe_pool {
	uint32_t limit;       /* pages, all pipes together */
	uint32_t limit_large; /* pages that large pipes may take, so that small ones are left */
	uint32_t page_bytes;
	_Atomic uint32_t pages;
	_Atomic uint32_t large, small; /* open pipes, cached ones included */
	_Atomic uint64_t denied;
};

struct pipe_cache {
	struct pipe_pool *pool; /* not owned */
	struct pipe empty[PIPE_CACHE_MAX];
	unsigned count;
	unsigned pause; /* takes to refuse before the kernel is asked again */
};

/* limit_pages 0: half of what the kernel allows a user. */
void pipe_pool_init(struct pipe_pool *pool, uint32_t limit_pages);

void pipe_cache_init(struct pipe_cache *cache, struct pipe_pool *pool);

/* Closes the cached pipes. */
void pipe_cache_clear(struct pipe_cache *cache);

/* False when neither the budget nor the kernel has one. */
bool pipe_take(struct pipe_cache *cache, struct pipe *ret_pipe);

/* Gives it back and leaves none in *pipe. What is still inside is dropped. */
void pipe_give(struct pipe_cache *cache, struct pipe *pipe);

#endif
