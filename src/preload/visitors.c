/* SPDX-License-Identifier: MIT */
/*
 * What is known of a connection is which way its last bytes went. It stands in a table by the
 * descriptor's number, from accept4(2) to close(2), and changes with the calls that the Rust
 * standard library makes. Before the drain nothing but the table is touched. The handler of a
 * signal works on it too: all of it is atomic, and only system calls are made.
 */
#include "preload/visitors.h"

#include <errno.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "preload/preload.h"

#define VISITORS_MAX 65536 /* descriptors; wasmtime serves 1000 connections */
#define PIECES_MAX 64      /* of one write; hyper's own limit */
#define TICK_S 1           /* nothing moved from one to the next: quiet */
#define EXPORT __attribute__((visibility("default")))

enum visitor {
	VISITOR_NONE,
	VISITOR_ASKED,    /* a request, or a part of one, came */
	VISITOR_STREAMED, /* an answer in chunks has begun */
	VISITOR_ANSWERED, /* or is new, and has not said anything */
	VISITOR_QUIET,    /* the same, a tick ago */
};

static atomic_uchar visitors[VISITORS_MAX];
static atomic_bool draining;

/* Says the last answer, in the head of one that may say something else further on: "close" holds.
 */
static const char last[] = "Connection: close\r\n";
#define LAST_LEN ((ssize_t)(sizeof last - 1))

void visitors_add(int fd)
{
	if (fd < VISITORS_MAX)
		visitors[fd] = VISITOR_ANSWERED;
}

static bool is_visitor(int fd)
{
	return fd >= 0 && fd < VISITORS_MAX && visitors[fd] != VISITOR_NONE;
}

/* What the visitor doesn't read yet, and what the server doesn't, is no quiet. */
static bool is_quiet(int fd)
{
	char byte;
	int queued = 0;

	return ioctl(fd, SIOCOUTQ, &queued) == 0 && queued == 0 &&
	       syscall(SYS_recvfrom, fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) < 0;
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

	for (int fd = 0; fd < VISITORS_MAX; fd++)
		open += look_at(fd);
	if (open > 0)
		(void)alarm(TICK_S);
	else
		ask_to_end();
	errno = saved;
}

void visitors_prepare(void)
{
	const struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };

	(void)sigaction(SIGALRM, &action, NULL);
}

void visitors_drain(void)
{
	draining = true;
	(void)alarm(TICK_S);
}

/* The length of an answer's first line, which comes with the first bytes after a request. One that
 * is provisional (1xx) is none. 0: these bytes are something else. */
static size_t status_line_len(const struct iovec *first)
{
	static const char version[] = "HTTP/1.1 ";
	const size_t len = sizeof version - 1;
	const char *text = first->iov_base, *end;

	if (first->iov_len <= len || memcmp(text, version, len) != 0 || text[len] < '2')
		return 0;
	end = memchr(text, '\n', first->iov_len);
	return end ? (size_t)(end - text) + 1 : 0;
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

static bool is_chunked(const struct iovec *first)
{
	static const char field[] = "transfer-encoding: chunked\r\n"; /* as hyper writes it */

	return memmem(first->iov_base, first->iov_len, field, sizeof field - 1) != NULL;
}

/* RFC 9112 section 7.1. A piece of text that looks the same counts for the end too. */
static bool is_last_chunk(const struct iovec *piece)
{
	static const char end[] = "0\r\n\r\n";
	const size_t len = sizeof end - 1;

	return piece->iov_len >= len &&
	       memcmp((char *)piece->iov_base + piece->iov_len - len, end, len) == 0;
}

static ssize_t send_answer(int fd, const struct iovec *pieces, int count, int flags)
{
	const struct msghdr plain = { .msg_iov = (struct iovec *)pieces,
		.msg_iovlen = (size_t)count };
	bool begins = visitors[fd] == VISITOR_ASKED, streams;
	size_t line_len = draining && begins ? status_line_len(&pieces[0]) : 0;
	ssize_t n = line_len > 0 ? send_last(fd, pieces, count, line_len)
				 : syscall(SYS_sendmsg, fd, &plain, flags);

	if (n <= 0)
		return n;
	preload_tell(PRELOAD_ANSWERED);
	streams = begins ? is_chunked(&pieces[0]) : visitors[fd] == VISITOR_STREAMED;
	visitors[fd] =
		streams && !is_last_chunk(&pieces[count - 1]) ? VISITOR_STREAMED : VISITOR_ANSWERED;
	return n;
}

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	const struct iovec piece = { (void *)buf, n };

	if (!is_visitor(fd))
		return syscall(SYS_sendto, fd, buf, n, flags, NULL, 0);
	return send_answer(fd, &piece, 1, flags);
}

EXPORT ssize_t writev(int fd, const struct iovec *iovec, int count)
{
	if (!is_visitor(fd) || count < 1 || count > PIECES_MAX)
		return syscall(SYS_writev, fd, iovec, count);
	return send_answer(fd, iovec, count, 0);
}

EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	ssize_t len = syscall(SYS_recvfrom, fd, buf, n, flags, NULL, NULL);

	if (len > 0 && is_visitor(fd))
		visitors[fd] = VISITOR_ASKED;
	return len;
}

/* From then on the number may be another's. */
EXPORT int close(int fd)
{
	if (is_visitor(fd))
		visitors[fd] = VISITOR_NONE;
	return (int)syscall(SYS_close, fd);
}
