/* SPDX-License-Identifier: MIT */
/*
 * The signal is the calling thread's alone, has a handler that notes it, and no SA_RESTART. It is
 * pending for all waits that end one call, which may be many, until the call returns.
 */
#include "os/stall.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"

#define STALL_SIGNAL SIGRTMIN

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid /* before glibc 2.41 */
#endif

static void stall_on_signal(int signal, siginfo_t *info, void *context)
{
	struct stall *s = info->si_value.sival_ptr;

	/* One of kill(2) has no such value. */
	if (info->si_code == SI_TIMER)
		s->over = 1;
}

int stall_init(struct stall *s)
{
	struct sigaction action = { .sa_sigaction = stall_on_signal, .sa_flags = SA_SIGINFO };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = STALL_SIGNAL,
		.sigev_value.sival_ptr = s };
	sigset_t own;

	event.sigev_notify_thread_id = gettid();
	(void)sigaction(STALL_SIGNAL, &action, NULL);
	/* Whoever has started us may have left it blocked (execve(2)). */
	sigemptyset(&own);
	sigaddset(&own, STALL_SIGNAL);
	(void)pthread_sigmask(SIG_UNBLOCK, &own, NULL);
	return timer_create(CLOCK_MONOTONIC, &event, &s->timer) < 0 ? -errno : 0;
}

void stall_deinit(struct stall *s)
{
	(void)timer_delete(s->timer);
}

static long stall_sleeps(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) < 0 ? 0 : usage.ru_nvcsw;
}

void stall_watch(struct stall *s)
{
	const struct itimerspec times = { .it_value.tv_nsec = STALL_MS * 1000000L,
		.it_interval.tv_nsec = STALL_AGAIN_MS * 1000000L };

	s->over = 0;
	s->sleeps = stall_sleeps();
	(void)timer_settime(s->timer, 0, &times, NULL);
}

bool stall_end(struct stall *s)
{
	const struct itimerspec none = { 0 };
	int saved = errno;

	(void)timer_settime(s->timer, 0, &none, NULL);
	errno = saved;
	return s->over && stall_sleeps() != s->sleeps;
}

bool stall_close(struct stall *s, int fd)
{
	stall_watch(s);
	(void)fd_close(fd);
	return stall_end(s);
}
