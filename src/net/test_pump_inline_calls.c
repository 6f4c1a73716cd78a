/* SPDX-License-Identifier: MIT */
/*
 * With TEST_INLINE a pump is served by the loop that a test's thread has to run, so whatever that
 * thread waits in has to run it. The linker puts these in the place of the calls; in every other
 * thread, and without TEST_INLINE, they are the calls.
 */
#include "net/test_pump_fixture.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include "base/clock.h"

ssize_t __real_recv(int fd, void *data, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t len, int flags);
/* What recv() is with _FORTIFY_SOURCE where the compiler knows how large the buffer is. */
ssize_t __wrap___recv_chk(int fd, void *data, size_t len, size_t size, int flags);
ssize_t __real_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __real_sched_yield(void);
int __wrap_sched_yield(void);
int __real_pthread_join(pthread_t thread, void **ret_value);
int __wrap_pthread_join(pthread_t thread, void **ret_value);

static void serve(void)
{
	fixture_serve();
	(void)__real_sched_yield();
}

ssize_t __wrap_recv(int fd, void *data, size_t len, int flags)
{
	size_t at = 0;
	ssize_t n;

	if ((flags & MSG_DONTWAIT) || !fixture_serves())
		return __real_recv(fd, data, len, flags);
	do {
		n = __real_recv(fd, (char *)data + at, len - at, flags | MSG_DONTWAIT);
		if (n > 0)
			at += (size_t)n;
		else if (n == 0 || errno != EAGAIN)
			return at ? (ssize_t)at : n;
		else
			serve();
	} while (at == 0 || ((flags & MSG_WAITALL) && at < len));
	return (ssize_t)at;
}

ssize_t __wrap___recv_chk(int fd, void *data, size_t len, size_t size, int flags)
{
	assert_true(len <= size);
	return __wrap_recv(fd, data, len, flags);
}

ssize_t __wrap_send(int fd, const void *data, size_t len, int flags)
{
	ssize_t n;

	if ((flags & MSG_DONTWAIT) || !fixture_serves())
		return __real_send(fd, data, len, flags);
	while ((n = __real_send(fd, data, len, flags | MSG_DONTWAIT)) < 0 && errno == EAGAIN)
		serve();
	return n;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	uint64_t end_ms = clock_now_ms() + (uint64_t)timeout_ms;
	int n;

	if (!fixture_serves())
		return __real_poll(fds, count, timeout_ms);
	while ((n = __real_poll(fds, count, 0)) == 0 && clock_now_ms() < end_ms)
		serve();
	return n;
}

int __wrap_sched_yield(void)
{
	fixture_serve();
	return __real_sched_yield();
}

int __wrap_pthread_join(pthread_t thread, void **ret_value)
{
	int r;

	if (!fixture_serves())
		return __real_pthread_join(thread, ret_value);
	while ((r = pthread_tryjoin_np(thread, ret_value)) == EBUSY)
		serve();
	return r;
}
