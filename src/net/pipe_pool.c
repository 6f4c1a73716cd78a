/* SPDX-License-Identifier: MIT */
/*
 * Pipes for splice(2) under a budget. Invariant: `pages` is the sum of the pages of all open pipes
 * and never exceeds `limit`; it is back at zero when every pipe was given back and every cache
 * cleared. A pipe with bytes inside is never reused, or one stream would leak into another.
 */
#include "net/pipe_pool.h"

#include <assert.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/owner.h"
#include "base/fd.h"
#include "base/parse.h"

/* What a user may have where /proc doesn't say: the kernel's own default of pipe(7). */
#define PIPE_PAGES_SOFT_DEFAULT 16384U

/* After the kernel refused a pipe, so many directions copy before it is asked again. */
#define PIPE_PAUSE 256U

static uint32_t pipe_pool_user_pages(void)
{
	_cleanup_(fd_closep) int fd =
		open("/proc/sys/fs/pipe-user-pages-soft", O_RDONLY | O_CLOEXEC);
	uint64_t pages;
	char text[32];
	ssize_t n;

	if (fd < 0)
		return PIPE_PAGES_SOFT_DEFAULT;
	n = read(fd, text, sizeof(text));
	if (n > 0 && text[n - 1] == '\n')
		n--;
	/* 0 means no limit to the kernel; ours stays finite. */
	if (n <= 0 || parse_u64(text, (size_t)n, 1, UINT32_MAX, &pages) < 0)
		return PIPE_PAGES_SOFT_DEFAULT;
	return (uint32_t)pages;
}

void pipe_pool_init(struct pipe_pool *pool, uint32_t limit_pages)
{
	memset(pool, 0, sizeof(*pool));
	pool->page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	pool->limit = limit_pages ? limit_pages : pipe_pool_user_pages() / 2;
	pool->limit_large = pool->limit / 4 * 3;
}

void pipe_cache_init(struct pipe_cache *cache, struct pipe_pool *pool)
{
	memset(cache, 0, sizeof(*cache));
	cache->pool = pool;
}

static bool pipe_pool_charge(struct pipe_pool *pool, uint32_t pages, uint32_t limit)
{
	uint32_t now = atomic_load_explicit(&pool->pages, memory_order_relaxed);

	do {
		if (pages > limit || now > limit - pages)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&pool->pages, &now, now + pages, memory_order_relaxed, memory_order_relaxed));
	return true;
}

static _Atomic uint32_t *pipe_pool_counter(struct pipe_pool *pool, const struct pipe *pipe)
{
	return pipe->pages * pool->page_bytes >= PIPE_LARGE_BYTES ? &pool->large : &pool->small;
}

static void pipe_destroy(struct pipe_pool *pool, struct pipe *pipe)
{
	uint32_t before =
		atomic_fetch_sub_explicit(&pool->pages, pipe->pages, memory_order_relaxed);

	assert(before >= pipe->pages);
	atomic_fetch_sub_explicit(pipe_pool_counter(pool, pipe), 1, memory_order_relaxed);
	fd_close(pipe->rd);
	fd_close(pipe->wr);
}

/*
 * Beyond its limits the kernel fails F_SETPIPE_SZ, or gives a pipe of a page or two (pipe(7)), so
 * the size that the pipe really has is what counts. One that came out too small is no use.
 */
static bool pipe_create(
	struct pipe_pool *pool, uint32_t bytes, uint32_t limit, struct pipe *ret_pipe)
{
	uint32_t pages = bytes / pool->page_bytes;
	struct pipe pipe;
	int fd[2], size;

	if (!pipe_pool_charge(pool, pages, limit))
		return false;
	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
		goto refused;
	size = fcntl(fd[1], F_GETPIPE_SZ);
	if (size >= 0 && (uint32_t)size != bytes)
		size = fcntl(fd[1], F_SETPIPE_SZ, (int)bytes);
	if (size != (int)bytes) {
		fd_close(fd[0]);
		fd_close(fd[1]);
		goto refused;
	}
	pipe = (struct pipe){ .rd = fd[0], .wr = fd[1], .pages = pages };
	atomic_fetch_add_explicit(pipe_pool_counter(pool, &pipe), 1, memory_order_relaxed);
	*ret_pipe = pipe;
	return true;

refused:
	atomic_fetch_sub_explicit(&pool->pages, pages, memory_order_relaxed);
	return false;
}

bool pipe_take(struct pipe_cache *cache, struct pipe *ret_pipe)
{
	struct pipe_pool *pool = cache->pool;

	if (cache->count > 0) {
		*ret_pipe = cache->empty[--cache->count];
		return true;
	}
	if (cache->pause == 0) {
		if (pipe_create(pool, PIPE_LARGE_BYTES, pool->limit_large, ret_pipe) ||
			pipe_create(pool, PIPE_SMALL_BYTES, pool->limit, ret_pipe))
			return true;
		cache->pause = PIPE_PAUSE;
	} else {
		cache->pause--;
	}
	atomic_fetch_add_explicit(&pool->denied, 1, memory_order_relaxed);
	return false;
}

void pipe_give(struct pipe_cache *cache, struct pipe *pipe)
{
	if (pipe->rd < 0)
		return;
	if (pipe->used == 0 && cache->count < PIPE_CACHE_MAX)
		cache->empty[cache->count++] = *pipe;
	else
		pipe_destroy(cache->pool, pipe);
	*pipe = PIPE_NONE;
	cache->pause = 0;
}

void pipe_cache_clear(struct pipe_cache *cache)
{
	while (cache->count > 0)
		pipe_destroy(cache->pool, &cache->empty[--cache->count]);
}
