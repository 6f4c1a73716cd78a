/* SPDX-License-Identifier: MIT */
/*
 * A table of connections by the descriptor's number, from accept4(2) to close(2). It learns which
 * way the last bytes of each went, and when, from the calls of the C library that the Rust standard
 * library makes, which are these here. A connection's state goes around:
 *
 *   ANSWERED -- recv --> ASKING, ASKED -- send --> STREAMED -- the answer's end --> ANSWERED
 *
 * Three others work on it beside the thread that serves the connection, so the state is atomic:
 *
 * - The watchdog's thread turns away who has waited for too long: ASKING or ASKED becomes LATE. The
 *   serving thread may have an answer at the same time: whoever changes the state first is the only
 *   one to write. The descriptor isn't closed, so that its number may become another's, before the
 *   watchdog has let go of it (accepted_turn_lock).
 * - The drain begins in a signal's handler, which makes system calls only. From then on each answer
 *   is given the field that says it is the last. Before that, bytes pass as they are.
 * - While it lasts, SIGALRM comes each second: ANSWERED becomes QUIET, and who is QUIET already is
 *   at his end.
 */
#include "preload/accepted.h"

#include <errno.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "preload/answer.h"
#include "preload/preload.h"
#include "preload/request.h"
#include "preload/workers.h"

#define ACCEPTED_MAX 65536 /* descriptors; those above are left alone */
#define ACCEPTED_MANY 500  /* of the 1000 connections that wasmtime serves */
#define PIECES_MAX 64      /* of one write; hyper's own limit */
#define TICK_S 1           /* nothing moved from one to the next: quiet */

enum accepted_state {
	ACCEPTED_NONE,     /* no connection of a visitor */
	ACCEPTED_ASKING,   /* a part of a request has come */
	ACCEPTED_ASKED,    /* a whole one */
	ACCEPTED_LATE,     /* was told that there is no answer, or no request */
	ACCEPTED_STREAMED, /* an answer has begun */
	ACCEPTED_ANSWERED, /* or is new, and has not said anything */
	ACCEPTED_QUIET,    /* the same, a tick ago */
};

struct accepted {
	atomic_uchar state;
	atomic_uint moved_ms; /* when the last byte did; the clock's lower half */
	/* The serving thread's alone. */
	struct request request; /* the last one */
	bool request_whole;
	unsigned answer_left; /* of the answer that is under way, as of answer_len() */
};

static struct accepted accepted_table[ACCEPTED_MAX];
static atomic_int accepted_end; /* behind the highest descriptor that was one */
static atomic_bool accepted_draining;
static pthread_mutex_t accepted_turn_lock = PTHREAD_MUTEX_INITIALIZER;

/* The field stands first: an answer that has another one behind it may say something else there,
 * but "close" holds. */
static const char accepted_close[] = "Connection: close\r\n";
#define CLOSE_LEN ((ssize_t)(sizeof accepted_close - 1))

/* Some milliseconds late, and no system call. */
static void accepted_move(struct accepted *a)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	a->moved_ms = (unsigned)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

void accepted_add(int fd)
{
	struct accepted *a;
	int end = accepted_end;

	if (fd >= ACCEPTED_MAX)
		return;
	a = &accepted_table[fd];
	while (end <= fd && !atomic_compare_exchange_weak(&accepted_end, &end, fd + 1))
		;
	accepted_move(a);
	a->answer_left = 0;
	a->state = ACCEPTED_ANSWERED;
}

/* NULL: it isn't one of a visitor. */
static struct accepted *accepted_find(int fd)
{
	if (fd < 0 || fd >= ACCEPTED_MAX || accepted_table[fd].state == ACCEPTED_NONE)
		return NULL;
	return &accepted_table[fd];
}

/* Something has come that the server has not read: bytes, more than 0, or an end, 0. */
static ssize_t accepted_peek(int fd)
{
	char byte;

	return syscall(SYS_recvfrom, fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL);
}

/* Nothing is under way: neither what the visitor has not read yet, nor what the server has not. */
static bool accepted_is_quiet(int fd)
{
	int queued = 0;

	return ioctl(fd, SIOCOUTQ, &queued) == 0 && queued == 0 && accepted_peek(fd) < 0;
}

/* The server reads an end where the visitor has said none, and closes. */
static void accepted_end_quiet(int fd)
{
	unsigned char was = ACCEPTED_ANSWERED;

	if (!atomic_compare_exchange_strong(&accepted_table[fd].state, &was, ACCEPTED_QUIET) &&
		was == ACCEPTED_QUIET && accepted_is_quiet(fd))
		(void)syscall(SYS_shutdown, fd, SHUT_RD);
}

/* What a component still does after its last answer is waited for by `wasmtime serve`. The default
 * action, as in `wasmtime run`, would end it in the middle. */
static void accepted_ask_to_end(void)
{
	struct sigaction action;

	if (sigaction(SIGINT, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
		(void)kill(getpid(), SIGINT);
}

static void accepted_on_tick(int signal)
{
	int saved = errno, open = 0;

	for (int fd = 0; fd < accepted_end; fd++)
		if (accepted_find(fd)) {
			accepted_end_quiet(fd);
			open++;
		}
	if (open > 0)
		(void)alarm(TICK_S);
	else
		accepted_ask_to_end();
	errno = saved;
}

void accepted_prepare(void)
{
	const struct sigaction action = { .sa_handler = accepted_on_tick, .sa_flags = SA_RESTART };

	(void)sigaction(SIGALRM, &action, NULL);
}

void accepted_drain(void)
{
	accepted_draining = true;
	(void)alarm(TICK_S);
}

/* The caller knows nothing of the field that is put in. Where no more than a part of that could be
 * sent, which needs a queue that was full before the answer, there is no way on. */
static ssize_t accepted_send_last(int fd, const struct iovec *pieces, int count, size_t line_len)
{
	struct iovec all[PIECES_MAX + 2] = {
		{ pieces[0].iov_base, line_len },
		{ (char *)accepted_close, CLOSE_LEN },
		{ (char *)pieces[0].iov_base + line_len, pieces[0].iov_len - line_len },
	};
	struct msghdr message = { .msg_iov = all, .msg_iovlen = (size_t)count + 2 };
	ssize_t n;

	for (int i = 1; i < count; i++)
		all[i + 2] = pieces[i];
	n = syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL);
	if (n <= (ssize_t)line_len)
		return n;
	if (n >= (ssize_t)line_len + CLOSE_LEN)
		return n - CLOSE_LEN;
	(void)syscall(SYS_shutdown, fd, SHUT_RDWR);
	errno = EPIPE;
	return -1;
}

/* What n bytes of an answer mean, of which `len` is what was left of it, or is known of it. */
static enum accepted_state accepted_after_send(
	struct accepted *a, unsigned len, size_t n, const struct iovec *last_piece)
{
	if (len == ANSWER_PROVISIONAL)
		return a->request_whole ? ACCEPTED_ASKED : ACCEPTED_ASKING;
	if (len == ANSWER_CHUNKS && answer_is_last_chunk(last_piece->iov_base, last_piece->iov_len))
		len = 0;
	else if (len <= ANSWER_LONG)
		len -= n < len ? (unsigned)n : len;
	a->answer_left = len;
	return len > 0 ? ACCEPTED_STREAMED : ACCEPTED_ANSWERED;
}

static ssize_t accepted_send(
	struct accepted *a, int fd, const struct iovec *pieces, int count, int flags)
{
	const struct msghdr plain = { .msg_iov = (struct iovec *)pieces,
		.msg_iovlen = (size_t)count };
	const char *text = pieces[0].iov_base;
	const size_t len = pieces[0].iov_len;
	unsigned char was = a->state;
	bool begins;
	size_t line_len;
	ssize_t n;

	while (was != ACCEPTED_LATE &&
		!atomic_compare_exchange_weak(&a->state, &was, ACCEPTED_STREAMED))
		;
	if (was == ACCEPTED_LATE) {
		errno = EPIPE;
		return -1;
	}
	begins = was == ACCEPTED_ASKED || was == ACCEPTED_ASKING;
	line_len = accepted_draining && begins ? answer_line_len(text, len) : 0;
	n = line_len > 0 ? accepted_send_last(fd, pieces, count, line_len)
			 : syscall(SYS_sendmsg, fd, &plain, flags);
	if (n <= 0) {
		a->state = was;
		return n;
	}
	preload_tell(PRELOAD_ANSWERED);
	accepted_move(a);
	a->state = accepted_after_send(a,
		begins ? answer_len(text, len, a->request.head_only) : a->answer_left, (size_t)n,
		&pieces[count - 1]);
	return n;
}

/* RFC 9110 sections 15.6.5 and 15.5.9. The server reads an end then, and closes. */
static void accepted_refuse(int fd, bool asked)
{
	static const char no_answer[] = "HTTP/1.1 504 Gateway Timeout\r\n"
					"Connection: close\r\nContent-Length: 0\r\n\r\n";
	static const char no_request[] = "HTTP/1.1 408 Request Timeout\r\n"
					 "Connection: close\r\nContent-Length: 0\r\n\r\n";

	(void)syscall(SYS_sendto, fd, asked ? no_answer : no_request,
		asked ? sizeof no_answer - 1 : sizeof no_request - 1, MSG_NOSIGNAL | MSG_DONTWAIT,
		NULL, 0);
	(void)syscall(SYS_shutdown, fd, SHUT_RDWR);
}

/* The last move may be later than now_ms. */
static bool accepted_is_still(const struct accepted *a, uint64_t now_ms, uint64_t ms)
{
	return (int)((unsigned)now_ms - a->moved_ms) >= (int)ms;
}

unsigned accepted_turn_away(uint64_t now_ms, uint64_t limit_ms)
{
	unsigned count = 0;

	for (int fd = 0; fd < accepted_end; fd++) {
		struct accepted *a = &accepted_table[fd];
		unsigned char was = a->state;
		bool asked;

		if ((was != ACCEPTED_ASKED && was != ACCEPTED_ASKING) ||
			!accepted_is_still(a, now_ms, limit_ms))
			continue;
		(void)pthread_mutex_lock(&accepted_turn_lock);
		/* Of a request that isn't whole the rest may wait for the server. */
		asked = was == ACCEPTED_ASKED || accepted_peek(fd) > 0;
		if (atomic_compare_exchange_strong(&a->state, &was, ACCEPTED_LATE)) {
			accepted_refuse(fd, asked);
			count += asked;
		}
		(void)pthread_mutex_unlock(&accepted_turn_lock);
	}
	return count;
}

static bool accepted_is_open(int fd)
{
	const struct accepted *a = accepted_find(fd);

	return a && a->state != ACCEPTED_LATE;
}

unsigned accepted_open(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < accepted_end; fd++)
		count += accepted_is_open(fd);
	return count;
}

void accepted_make_room(uint64_t now_ms, uint64_t idle_ms)
{
	if (accepted_open() < ACCEPTED_MANY)
		return;
	for (int fd = 0; fd < accepted_end; fd++)
		if (accepted_table[fd].state == ACCEPTED_ANSWERED &&
			accepted_is_still(&accepted_table[fd], now_ms, idle_ms) &&
			accepted_is_quiet(fd))
			(void)syscall(SYS_shutdown, fd, SHUT_RD);
}

void accepted_cut(void)
{
	const struct linger now = { .l_onoff = 1 };

	for (int fd = 0; fd < accepted_end; fd++)
		if (accepted_is_open(fd))
			(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

PRELOAD_EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	const struct iovec piece = { (void *)buf, n };
	struct accepted *a = accepted_find(fd);

	workers_return();
	return a ? accepted_send(a, fd, &piece, 1, flags)
		 : syscall(SYS_sendto, fd, buf, n, flags, NULL, 0);
}

PRELOAD_EXPORT ssize_t writev(int fd, const struct iovec *iovec, int count)
{
	struct accepted *a = accepted_find(fd);

	workers_return();
	return a && count >= 1 && count <= PIECES_MAX ? accepted_send(a, fd, iovec, count, 0)
						      : syscall(SYS_writev, fd, iovec, count);
}

/* While an answer is under way it is the rest of its request that comes. */
static void accepted_asks(struct accepted *a, const char *bytes, size_t len)
{
	unsigned char was = a->state;

	accepted_move(a);
	if (was == ACCEPTED_LATE || was == ACCEPTED_STREAMED)
		return;
	if (was == ACCEPTED_ANSWERED || was == ACCEPTED_QUIET)
		a->request = (struct request){ 0 };
	a->request_whole = request_read(&a->request, bytes, len);
	while (was != ACCEPTED_LATE && !atomic_compare_exchange_weak(&a->state, &was,
					       a->request_whole ? ACCEPTED_ASKED : ACCEPTED_ASKING))
		;
}

PRELOAD_EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	ssize_t len = syscall(SYS_recvfrom, fd, buf, n, flags, NULL, NULL);
	struct accepted *a = accepted_find(fd);

	workers_return();
	if (len > 0 && a)
		accepted_asks(a, buf, (size_t)len);
	return len;
}

/* From then on the number may be another's. */
PRELOAD_EXPORT int close(int fd)
{
	struct accepted *a = accepted_find(fd);

	if (a && atomic_exchange(&a->state, ACCEPTED_NONE) == ACCEPTED_LATE) {
		(void)pthread_mutex_lock(&accepted_turn_lock);
		(void)pthread_mutex_unlock(&accepted_turn_lock);
	}
	return (int)syscall(SYS_close, fd);
}
