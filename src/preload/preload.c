/* SPDX-License-Identifier: MIT */
/*
 * libwasmrun-preload.so, for the wasmtime command, which can't be given a listening socket. It is
 * loaded into that (LD_PRELOAD, ld.so(8)), and replaces the socket calls of the C library:
 *
 * - bind: the first TCP socket that is bound becomes the inherited one, which listens already. Its
 *   port therefore outlives the process, and another process can take over from it.
 * - listen, accept4: the supervisor is told how far the component has got (guest/streams.h).
 * - At its start it seals the process: no other program from then on (sandbox/filter.h).
 * - SIGUSR1: no more connections are taken, since the bound descriptor becomes a socket on which
 *   nobody comes. What becomes of the open ones is in accepted.h.
 *
 * All other sockets are the broker's where there is one (outward.h), and are left alone where not.
 * The bound one is known again by its inode: its number may have been closed and used for another.
 *
 * What it is to know is in the environment, which os/engine_command.c writes: the number of the
 * inherited socket (WASMRUN_LISTEN_FD), that of the broker (WASMRUN_BROKER_FD) and that of the
 * status pipe (WASMRUN_STATUS_FD), where the component serves wasi:http the limit of a request in
 * milliseconds, 0 for none (WASMRUN_REQUEST_TIMEOUT, watchdog.h), and whether to compile only
 * (WASMRUN_COMPILE, compile.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "preload/preload.h"
#include "preload/accepted.h"
#include "preload/outward.h"
#include "preload/watchdog.h"
#include "sandbox/filter.h"

#define PATIENCE_S 2 /* a component that was compiled before listens sooner */

static atomic_int listen_fd = -1; /* inherited; -1: there is none, and nothing is to be done */
static int status_fd = -1;        /* -1: none */
static atomic_int step;           /* the last that was told */
static atomic_int bound_fd = -1;  /* what the inherited socket was put over */
static int nobody_fd = -1;        /* a socket on which nothing comes, ever */
static pthread_mutex_t bind_lock = PTHREAD_MUTEX_INITIALIZER;

void preload_tell(enum preload_step to)
{
	int from = (int)to - 1;

	if (atomic_compare_exchange_strong(&step, &from, (int)to) && status_fd >= 0)
		(void)!write(status_fd, "\n", 1);
}

void preload_explain(const char *line)
{
	if (status_fd >= 0)
		(void)!write(status_fd, line, strlen(line));
}

/* -1: there is no such variable. One that is there was set by us, and is a number. */
static int preload_env_number(const char *name)
{
	const char *text = getenv(name);
	int number = 0;

	if (!text)
		return -1;
	for (; *text >= '0' && *text <= '9' && number < INT_MAX / 10 - 1; text++)
		number = 10 * number + (*text - '0');
	return number;
}

/* The command is silent while it compiles, which takes up to a minute. */
static void *preload_tell_of_silence(void *arg)
{
	const char *line = preload_compiles()
				   ? "wasmrun: wasmtime compiles the component, once\n"
				   : "wasmrun: the component doesn't listen yet; wasmtime compiles "
				     "it first if it is new\n";
	const struct timespec patience = { .tv_sec = PATIENCE_S };

	(void)nanosleep(&patience, NULL);
	if (bound_fd < 0)
		(void)!write(STDERR_FILENO, line, strlen(line));
	return NULL;
}

static void preload_take_no_more(void)
{
	(void)kill(getpid(), SIGUSR1);
}

/* Neither thread takes a signal: those are for the threads that expect them. */
static void preload_start_threads(int request_timeout_ms)
{
	pthread_t thread;
	sigset_t all, old;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&thread, NULL, preload_tell_of_silence, NULL) == 0)
		(void)pthread_detach(thread);
	if (request_timeout_ms >= 0)
		watchdog_start((uint64_t)request_timeout_ms, preload_take_no_more);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* The program that this is loaded into is the last one. Without filters there is no wall either. */
static void preload_seal(void)
{
	static const char line[] = "wasmtime can't be sealed\n";
	int r = filter_enter((struct filter_options){ .kind = FILTER_SEAL });

	if (r == 0 || r == -ENOSYS || r == -EINVAL)
		return;
	preload_explain(line);
	(void)!write(STDERR_FILENO, line, sizeof line - 1);
	_exit(EXIT_FAILURE);
}

__attribute__((constructor)) static void preload_init(void)
{
	outward_init(preload_env_number("WASMRUN_BROKER_FD"));
	listen_fd = preload_env_number("WASMRUN_LISTEN_FD");
	status_fd = preload_env_number("WASMRUN_STATUS_FD");
	preload_seal();
	if (listen_fd >= 0 || preload_compiles())
		preload_start_threads(preload_env_number("WASMRUN_REQUEST_TIMEOUT"));
}

/* fstat(2) is among the calls that a signal handler may make. */
static bool preload_is_same(int fd, int other_fd)
{
	struct stat one, other;

	return fd >= 0 && other_fd >= 0 && fstat(other_fd, &other) == 0 && fstat(fd, &one) == 0 &&
	       one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static bool preload_is_inherited(int fd)
{
	return preload_is_same(fd, listen_fd);
}

static void on_drain(int signal)
{
	int saved = errno;

	if (preload_is_inherited(bound_fd))
		(void)dup3(nobody_fd, bound_fd, O_CLOEXEC);
	listen_fd = -1;
	accepted_drain();
	errno = saved;
}

/* Behind the wall neither bind(2) nor listen(2) is to be had, but a pair is. */
static void preload_prepare_drain(void)
{
	struct sigaction action = { .sa_handler = on_drain, .sa_flags = SA_RESTART };
	int pair[2];

	if (nobody_fd < 0 &&
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0)
		nobody_fd = pair[0];
	if (nobody_fd < 0)
		return;
	accepted_prepare();
	(void)sigaction(SIGUSR1, &action, NULL);
}

PRELOAD_EXPORT int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	int r;

	if ((listen_fd < 0 && !outward_has_broker()) || !outward_is_tcp(fd))
		return (int)syscall(SYS_bind, fd, addr, len);
	(void)pthread_mutex_lock(&bind_lock);
	if (listen_fd < 0 || preload_is_inherited(bound_fd)) {
		r = outward_has_broker() ? outward_bind(fd, addr, len)
					 : (int)syscall(SYS_bind, fd, addr, len);
	} else {
		preload_prepare_drain();
		r = dup3(listen_fd, fd, O_CLOEXEC);
		if (r >= 0) {
			bound_fd = fd;
			if (outward_has_broker())
				outward_name(fd, addr, len);
		}
	}
	(void)pthread_mutex_unlock(&bind_lock);
	return r < 0 ? -1 : 0;
}

PRELOAD_EXPORT int listen(int fd, int n)
{
	/* The inherited one listens since before we were there, and its queue is not ours. */
	if (!preload_is_inherited(fd))
		return outward_listens(fd) ? 0 : (int)syscall(SYS_listen, fd, n);
	preload_tell(PRELOAD_LISTENING);
	return 0;
}

/* Whether it is a visitor's is asked before the call: behind it a drain may have begun. */
PRELOAD_EXPORT int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	bool visitor = preload_is_inherited(fd);
	int r = (int)syscall(SYS_accept4, fd, addr, len, flags);

	if (r >= 0 && visitor) {
		preload_tell(PRELOAD_VISITED);
		accepted_add(r);
	}
	/* Nobody has come, and nobody will: another error would end the application. */
	if (r < 0 && errno == EINVAL && preload_is_same(fd, nobody_fd))
		errno = EAGAIN;
	return r;
}
