/* SPDX-License-Identifier: MIT */
/*
 * A thread goes round and round (thread_round()):
 *
 *   1. a batch of events, which it waits for if nobody has anything to do
 *   2. if the control loop has woken it: new pumps are taken in, aborts are noted
 *   3. if the timer has fired: the pumps are looked at for what no event tells
 *   4. a turn for each pump that has something to do
 *   5. the finished pumps are handed back, and the control loop is woken if it had none
 *
 * A pump in `aborts` is open or incoming, since aborts are taken before anything of the round is
 * finished, and what has finished can't be aborted any more (`finished`). From step 5 on the
 * control loop owns it.
 */
#include "net/pump_thread.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/fd.h"

/* Small, so that no huge page ever backs it; the deepest frame is the event array. */
#define THREAD_STACK_BYTES (256U * 1024U)

enum thread_token { THREAD_WAKE, THREAD_TIMER };

static int thread_open_fds(struct pump_thread *t)
{
	int r;

	t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->wake_fd < 0)
		return -errno;
	t->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (t->timer_fd < 0)
		return -errno;
	r = pump_worker_watch(&t->worker, t->wake_fd, THREAD_WAKE);
	return r < 0 ? r : pump_worker_watch(&t->worker, t->timer_fd, THREAD_TIMER);
}

int pump_thread_init(struct pump_thread *t, const struct pump_pool_config *config,
	struct pipe_pool *pipes, uv_async_t *notify)
{
	int r;

	memset(t, 0, sizeof(*t));
	t->wake_fd = t->timer_fd = -1;
	t->notify = notify;
	pthread_mutex_init(&t->lock, NULL);
	list_init(&t->incoming);
	list_init(&t->aborts);
	list_init(&t->done);
	r = pump_worker_init(&t->worker, config, pipes, false);
	if (r == 0)
		r = thread_open_fds(t);
	if (r < 0)
		pump_thread_deinit(t);
	return r;
}

void pump_thread_deinit(struct pump_thread *t)
{
	pump_worker_deinit(&t->worker);
	t->wake_fd = fd_close(t->wake_fd);
	t->timer_fd = fd_close(t->timer_fd);
	pthread_mutex_destroy(&t->lock);
}

/* Returns false when the thread is to stop. */
static bool thread_take_messages(struct pump_thread *t)
{
	struct list incoming;
	bool stopping;

	list_init(&incoming);
	pthread_mutex_lock(&t->lock);
	list_move_all(&incoming, &t->incoming);
	list_for_each_safe(link, &t->aborts) {
		list_remove(link);
		pump_worker_end(&t->worker, list_entry(link, struct pump, abort_link));
	}
	stopping = t->stopping;
	pthread_mutex_unlock(&t->lock);
	list_for_each_safe(link, &incoming)
		pump_worker_take(&t->worker, list_entry(link, struct pump, link));
	return !stopping;
}

/* Hands the finished pumps back. From here on they belong to the control loop. */
static void thread_flush(struct pump_thread *t, bool exited)
{
	bool wake = exited;

	if (list_empty(&t->worker.finished) && !exited)
		return;
	pthread_mutex_lock(&t->lock);
	list_for_each(link, &t->worker.finished) {
		struct pump *p = list_entry(link, struct pump, link);

		p->finished = true;
		list_remove(&p->abort_link);
	}
	wake |= list_empty(&t->done);
	list_move_all(&t->done, &t->worker.finished);
	t->exited = exited;
	if (wake)
		uv_async_send(t->notify);
	pthread_mutex_unlock(&t->lock);
}

static void thread_arm(struct pump_thread *t)
{
	struct itimerspec spec = { 0 };
	uint64_t at_ms;

	if (!pump_worker_arm(&t->worker, &at_ms))
		return;
	spec.it_value.tv_sec = (time_t)(at_ms / 1000);
	spec.it_value.tv_nsec = (long)(at_ms % 1000) * 1000000;
	(void)timerfd_settime(t->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static bool thread_round(struct pump_thread *t)
{
	struct pump_worker *w = &t->worker;
	unsigned fired = pump_worker_wait(w, list_empty(&w->run_queue) ? -1 : 0);
	bool go_on = true;

	if (fired & (1U << THREAD_WAKE))
		go_on = thread_take_messages(t);
	if (fired & (1U << THREAD_TIMER))
		pump_worker_tick(w);
	if (!go_on)
		pump_worker_abort_all(w);
	pump_worker_run(w);
	thread_arm(t);
	thread_flush(t, !go_on);
	return go_on;
}

static void *thread_main(void *arg)
{
	struct pump_thread *t = arg;

	while (thread_round(t))
		;
	return NULL;
}

int pump_thread_start(struct pump_thread *t)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int r;

	/* Signals are for the control loop; SIGPIPE, which splice(2) raises, is for nobody. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
	r = pthread_create(&t->thread, &attr, thread_main, t);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	t->started = r == 0;
	return -r;
}

static void thread_wake(struct pump_thread *t)
{
	const uint64_t one = 1;

	/* It can only fail for a counter at its end, which 2^64 wakes away. */
	(void)!write(t->wake_fd, &one, sizeof(one));
}

void pump_thread_stop(struct pump_thread *t)
{
	pthread_mutex_lock(&t->lock);
	t->stopping = true;
	pthread_mutex_unlock(&t->lock);
	thread_wake(t);
}

void pump_thread_join(struct pump_thread *t)
{
	if (t->started)
		pthread_join(t->thread, NULL);
}

void pump_thread_add(struct pump_thread *t, struct pump *p)
{
	bool wake;

	t->worker.load++;
	p->worker = &t->worker;
	pthread_mutex_lock(&t->lock);
	wake = list_empty(&t->incoming);
	list_push_back(&t->incoming, &p->link);
	pthread_mutex_unlock(&t->lock);
	if (wake)
		thread_wake(t);
}

void pump_thread_abort(struct pump_thread *t, struct pump *p)
{
	bool wake = false;

	pthread_mutex_lock(&t->lock);
	if (!p->finished && list_empty(&p->abort_link)) {
		wake = list_empty(&t->aborts);
		list_push_back(&t->aborts, &p->abort_link);
	}
	pthread_mutex_unlock(&t->lock);
	if (wake)
		thread_wake(t);
}

bool pump_thread_take_done(struct pump_thread *t, struct list *ret_done)
{
	bool exited;

	pthread_mutex_lock(&t->lock);
	list_move_all(ret_done, &t->done);
	exited = t->exited;
	pthread_mutex_unlock(&t->lock);
	return exited;
}
