/* SPDX-License-Identifier: MIT */
/*
 * What is known of a connection is which way its last bytes went, and when. It stands in a table by
 * the descriptor's number, from accept4(2) to close(2), and changes with the calls that the Rust
 * standard library makes. Before the drain nothing but the table is touched. The handler of a
 * signal works on it too: all of it is atomic, and only system calls are made.
 *
 * A visitor who is turned away has two writers, the thread that watches and the one that may have
 * an answer at last: who changes VISITOR_ASKED first is the only one to write. Before his
 * descriptor is closed, and its number may be another's, the watcher has let go of it (turn_lock).
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

#define VISITORS_MAX 65536 /* descriptors */
#define VISITORS_MANY 500  /* of the 1000 connections that wasmtime serves */
#define PIECES_MAX 64      /* of one write; hyper's own limit */
#define TICK_S 1           /* nothing moved from one to the next: quiet */
#define EXPORT __attribute__((visibility("default")))

enum visitor {
	VISITOR_NONE,
	VISITOR_ASKING,   /* a part of a request has come */
	VISITOR_ASKED,    /* a whole one */
	VISITOR_LATE,     /* was told that there is no answer, or no request */
	VISITOR_STREAMED, /* an answer has begun */
	VISITOR_ANSWERED, /* or is new, and has not said anything */
	VISITOR_QUIET,    /* the same, a tick ago */
};

static atomic_uchar visitors[VISITORS_MAX];
static atomic_uint moved_ms[VISITORS_MAX]; /* when the last byte did; the clock's lower half */
static atomic_uint left[VISITORS_MAX]; /* of what is under way, as of request_len(), answer_len() */
static atomic_bool head_only[VISITORS_MAX]; /* the last request was HEAD */
static atomic_int visitors_end;             /* behind the highest descriptor that was one */
static atomic_bool draining;
static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;

/* Says the last answer, in the head of one that may say something else further on: "close" holds.
 */
static const char last[] = "Connection: close\r\n";
#define LAST_LEN ((ssize_t)(sizeof last - 1))

/* Some milliseconds late, and no system call. */
static void visitor_move(int fd)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	moved_ms[fd] = (unsigned)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

void accepted_add(int fd)
{
	int end = visitors_end;

	if (fd >= VISITORS_MAX)
		return;
	while (end <= fd && !atomic_compare_exchange_weak(&visitors_end, &end, fd + 1))
		;
	visitor_move(fd);
	left[fd] = 0;
	visitors[fd] = VISITOR_ANSWERED;
}

static bool is_visitor(int fd)
{
	return fd >= 0 && fd < VISITORS_MAX && visitors[fd] != VISITOR_NONE;
}

/* Something has come that the server has not read: bytes, more than 0, or an end, 0. */
static ssize_t peek(int fd)
{
	char byte;

	return syscall(SYS_recvfrom, fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL);
}

/* What the visitor doesn't read yet, and what the server doesn't, is no quiet. */
static bool is_quiet(int fd)
{
	int queued = 0;

	return ioctl(fd, SIOCOUTQ, &queued) == 0 && queued == 0 && peek(fd) < 0;
}

/* Whether it is still open. The server reads an end where the visitor has said none. */
static bool look_at(int fd)
{
	unsigned char was = VISITOR_ANSWERED;

	if (!is_visitor(fd))
		return false;
	if (!atomic_compare_exchange_strong(&visitors[fd], &was, VISITOR_QUIET) &&
		was == VISITOR_QUIET && is_quiet(fd))
		(void)syscall(SYS_shutdown, fd, SHUT_RD);
	return true;
}

/* What a component still does after its last answer is waited for by `wasmtime serve`. The default
 * action, as in `wasmtime run`, would end it in the middle. */
static void ask_to_end(void)
{
	struct sigaction action;

	if (sigaction(SIGINT, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
		(void)kill(getpid(), SIGINT);
}

static void on_tick(int signal)
{
	int saved = errno, open = 0;

	for (int fd = 0; fd < visitors_end; fd++)
		open += look_at(fd);
	if (open > 0)
		(void)alarm(TICK_S);
	else
		ask_to_end();
	errno = saved;
}

void accepted_prepare(void)
{
	const struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };

	(void)sigaction(SIGALRM, &action, NULL);
}

void accepted_drain(void)
{
	draining = true;
	(void)alarm(TICK_S);
}

/* The caller knows nothing of the line that is put in. Where no more than a part of it could be
 * sent, which needs a queue that was full before the answer, there is no way on. */
static ssize_t send_last(int fd, const struct iovec *pieces, int count, size_t line_len)
{
	struct iovec all[PIECES_MAX + 2] = {
		{ pieces[0].iov_base, line_len },
		{ (char *)last, LAST_LEN },
		{ (char *)pieces[0].iov_base + line_len, pieces[0].iov_len - line_len },
	};
	struct msghdr message = { .msg_iov = all, .msg_iovlen = (size_t)count + 2 };
	ssize_t n;

	for (int i = 1; i < count; i++)
		all[i + 2] = pieces[i];
	n = syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL);
	if (n <= (ssize_t)line_len)
		return n;
	if (n >= (ssize_t)line_len + LAST_LEN)
		return n - LAST_LEN;
	(void)syscall(SYS_shutdown, fd, SHUT_RDWR);
	errno = EPIPE;
	return -1;
}

/* What n bytes of an answer mean, of which `len` is what was left of it, or is known of it. */
static enum visitor after_write(int fd, unsigned len, size_t n, const struct iovec *last_piece)
{
	if (len == ANSWER_PROVISIONAL)
		return left[fd] > 0 ? VISITOR_ASKING : VISITOR_ASKED;
	if (len == ANSWER_CHUNKS && answer_is_last_chunk(last_piece->iov_base, last_piece->iov_len))
		len = 0;
	else if (len <= ANSWER_LONG)
		len -= n < len ? (unsigned)n : len;
	left[fd] = len;
	return len > 0 ? VISITOR_STREAMED : VISITOR_ANSWERED;
}

static ssize_t send_answer(int fd, const struct iovec *pieces, int count, int flags)
{
	const struct msghdr plain = { .msg_iov = (struct iovec *)pieces,
		.msg_iovlen = (size_t)count };
	const char *text = pieces[0].iov_base;
	const size_t len = pieces[0].iov_len;
	unsigned char was = visitors[fd];
	bool begins;
	size_t line_len;
	ssize_t n;

	while (was != VISITOR_LATE &&
		!atomic_compare_exchange_weak(&visitors[fd], &was, VISITOR_STREAMED))
		;
	if (was == VISITOR_LATE) {
		errno = EPIPE;
		return -1;
	}
	begins = was == VISITOR_ASKED || was == VISITOR_ASKING;
	line_len = draining && begins ? answer_line_len(text, len) : 0;
	n = line_len > 0 ? send_last(fd, pieces, count, line_len)
			 : syscall(SYS_sendmsg, fd, &plain, flags);
	if (n <= 0) {
		visitors[fd] = was;
		return n;
	}
	preload_tell(PRELOAD_ANSWERED);
	visitor_move(fd);
	visitors[fd] = after_write(fd, begins ? answer_len(text, len, head_only[fd]) : left[fd],
		(size_t)n, &pieces[count - 1]);
	return n;
}

/* RFC 9110 sections 15.6.5 and 15.5.9. The server reads an end then, and closes. */
static void turn_away(int fd, bool asked)
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
static bool is_still(int fd, uint64_t now_ms, uint64_t ms)
{
	return (int)((unsigned)now_ms - moved_ms[fd]) >= (int)ms;
}

unsigned accepted_turn_away(uint64_t now_ms, uint64_t limit_ms)
{
	unsigned count = 0;

	for (int fd = 0; fd < visitors_end; fd++) {
		unsigned char was = visitors[fd];
		bool asked;

		if ((was != VISITOR_ASKED && was != VISITOR_ASKING) ||
			!is_still(fd, now_ms, limit_ms))
			continue;
		(void)pthread_mutex_lock(&turn_lock);
		/* Of a request that isn't whole the rest may wait for the server. */
		asked = was == VISITOR_ASKED || peek(fd) > 0;
		if (atomic_compare_exchange_strong(&visitors[fd], &was, VISITOR_LATE)) {
			turn_away(fd, asked);
			count += asked;
		}
		(void)pthread_mutex_unlock(&turn_lock);
	}
	return count;
}

unsigned accepted_open(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < visitors_end; fd++)
		count += visitors[fd] != VISITOR_NONE && visitors[fd] != VISITOR_LATE;
	return count;
}

void accepted_make_room(uint64_t now_ms, uint64_t idle_ms)
{
	if (accepted_open() < VISITORS_MANY)
		return;
	for (int fd = 0; fd < visitors_end; fd++)
		if (visitors[fd] == VISITOR_ANSWERED && is_still(fd, now_ms, idle_ms) &&
			is_quiet(fd))
			(void)syscall(SYS_shutdown, fd, SHUT_RD);
}

void accepted_cut(void)
{
	const struct linger now = { .l_onoff = 1 };

	for (int fd = 0; fd < visitors_end; fd++)
		if (visitors[fd] != VISITOR_NONE && visitors[fd] != VISITOR_LATE)
			(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	const struct iovec piece = { (void *)buf, n };

	workers_return();
	if (!is_visitor(fd))
		return syscall(SYS_sendto, fd, buf, n, flags, NULL, 0);
	return send_answer(fd, &piece, 1, flags);
}

EXPORT ssize_t writev(int fd, const struct iovec *iovec, int count)
{
	workers_return();
	if (!is_visitor(fd) || count < 1 || count > PIECES_MAX)
		return syscall(SYS_writev, fd, iovec, count);
	return send_answer(fd, iovec, count, 0);
}

/*
 * What is left of a request once these bytes have come, of which so much was left before. Of a head
 * in several parts the body isn't known, and counts as none; one whose very end comes in two counts
 * as one that goes on.
 */
static unsigned after_read(unsigned before, const char *bytes, size_t len)
{
	if (before == ANSWER_OPEN)
		return memmem(bytes, len, REQUEST_HEAD_END, strlen(REQUEST_HEAD_END)) ? 0 : before;
	if (before == ANSWER_CHUNKS)
		return answer_is_last_chunk(bytes, len) ? 0 : before;
	return before > len ? before - (unsigned)len : 0;
}

/* While an answer is under way it is the rest of its request that comes. */
static void visitor_asks(int fd, const char *bytes, size_t len)
{
	static const char method[] = "HEAD ";
	unsigned char was = visitors[fd];

	visitor_move(fd);
	if (was == VISITOR_LATE || was == VISITOR_STREAMED)
		return;
	if (was == VISITOR_ANSWERED || was == VISITOR_QUIET) {
		head_only[fd] =
			len >= sizeof method - 1 && memcmp(bytes, method, sizeof method - 1) == 0;
		left[fd] = request_len(bytes, len);
	}
	left[fd] = after_read(left[fd], bytes, len);
	while (was != VISITOR_LATE && !atomic_compare_exchange_weak(&visitors[fd], &was,
					      left[fd] > 0 ? VISITOR_ASKING : VISITOR_ASKED))
		;
}

EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	ssize_t len = syscall(SYS_recvfrom, fd, buf, n, flags, NULL, NULL);

	workers_return();
	if (len > 0 && is_visitor(fd))
		visitor_asks(fd, buf, (size_t)len);
	return len;
}

/* From then on the number may be another's. */
EXPORT int close(int fd)
{
	if (is_visitor(fd) && atomic_exchange(&visitors[fd], VISITOR_NONE) == VISITOR_LATE) {
		(void)pthread_mutex_lock(&turn_lock);
		(void)pthread_mutex_unlock(&turn_lock);
	}
	return (int)syscall(SYS_close, fd);
}
