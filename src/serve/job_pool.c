/* SPDX-License-Identifier: MIT */
/* The queue needs no limit of its own: each job is a connection, and those are counted. */
#include "serve/job_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static void *job_pool_main(void *data)
{
	struct job_pool *w = data;

	pthread_mutex_lock(&w->lock);
	while (!w->ending) {
		struct list *job = list_first(&w->queue);

		if (!job) {
			pthread_cond_wait(&w->more, &w->lock);
			continue;
		}
		list_remove(job);
		pthread_mutex_unlock(&w->lock);
		w->fn(w->owner, job);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

int job_pool_start(
	struct job_pool *w, size_t count, void (*fn)(void *owner, struct list *job), void *owner)
{
	int r = 0;

	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->more, NULL);
	list_init(&w->queue);
	w->fn = fn;
	w->owner = owner;
	w->threads = calloc(count, sizeof(*w->threads));
	if (!w->threads)
		return -ENOMEM;
	while (w->count < count && r == 0) {
		r = -pthread_create(&w->threads[w->count], NULL, job_pool_main, w);
		if (r == 0)
			w->count++;
	}
	return r;
}

void job_pool_stop(struct job_pool *w)
{
	if (!w->threads)
		return;
	pthread_mutex_lock(&w->lock);
	assert(list_empty(&w->queue));
	w->ending = true;
	pthread_cond_broadcast(&w->more);
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < w->count; i++)
		pthread_join(w->threads[i], NULL);
	free(w->threads);
	pthread_cond_destroy(&w->more);
	pthread_mutex_destroy(&w->lock);
}

void job_pool_push(struct job_pool *w, struct list *job)
{
	pthread_mutex_lock(&w->lock);
	list_push_back(&w->queue, job);
	pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&w->lock);
}

struct list *job_pool_take_back(struct job_pool *w, bool (*wanted)(const struct list *job))
{
	struct list *job;

	if (!w->threads)
		return NULL;
	pthread_mutex_lock(&w->lock);
	job = list_first(&w->queue);
	if (job && wanted(job))
		list_remove(job);
	else
		job = NULL;
	pthread_mutex_unlock(&w->lock);
	return job;
}
