/* SPDX-License-Identifier: MIT */
/*
 * The events of a drain, in their order:
 *
 *   1. SIGUSR1 comes. The handler sets a flag and makes an eventfd readable. The flag is what
 * counts; the descriptor only wakes a guest that waits in call_wait().
 *   2. The guest's next call marks the streams with the time (drain_check()). From then on nobody
 *      is accepted: a listener that doesn't block says EAGAIN, and a guest that would wait for one
 *      visitor more ends there.
 *   3. A visitor's connection has been idle for DRAIN_IDLE_MS: the guest's read gives the end of
 * the stream, and the stream is marked `ended` (call_move.c).
 *   4. The guest closes it (drain_leave()). If a request has come in the meantime, the connection
 * is STREAM_RETURNED, and the guest gets it again as a new one (drain_return()). If not, the
 * visitor is told the end, and the socket is kept as STREAM_LEFT.
 *   5. No visitor is left (drain_is_over()): the guest's call ends its run, and drain_end() waits
 * for the visitors' ends.
 *
 * What is known of a connection is kept in its struct stream. Only a program that runs once is
 * drained here; in a server of requests (cgi.c, files) serve/ does it.
 */
#include "guest/drain.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "guest/streams.h"

/* A signal handler has no other way to know. */
static volatile sig_atomic_t drain_asked;
static volatile sig_atomic_t drain_event = -1;

static void drain_ask(int signal_number)
{
	static const uint64_t one = 1;
	int saved = errno;

	drain_asked = true;
	(void)!write(drain_event, &one, sizeof(one));
	errno = saved;
}

int drain_open(void)
{
	const struct sigaction ask = { .sa_handler = drain_ask, .sa_flags = SA_RESTART };
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	drain_event = fd;
	return sigaction(SIGUSR1, &ask, NULL) < 0 ? -errno : 0;
}

void drain_close(void)
{
	signal(SIGUSR1, SIG_IGN);
	drain_event = fd_close(drain_event);
	drain_asked = false;
}

int drain_fd(void)
{
	return drain_event;
}

bool drain_check(struct streams *s)
{
	if (s->drain_ms == 0 && drain_asked)
		s->drain_ms = clock_now_ms();
	return s->drain_ms != 0;
}

bool drain_is_over(const struct streams *s)
{
	return s->n_visitors == 0 && s->n_returned == 0;
}

uint64_t drain_idle_at(const struct streams *s, const struct stream *stream)
{
	/* A server that reads a single byte while it answers wants to notice the visitor's end:
	 * Go's net/http does so in the background. */
	if (!stream->visitor || stream->asked || stream->probed)
		return UINT64_MAX;
	return (stream->moved_ms > s->drain_ms ? stream->moved_ms : s->drain_ms) + DRAIN_IDLE_MS;
}

bool drain_is_idle(const struct streams *s, struct stream *stream)
{
	uint64_t now = clock_now_ms();
	int queued = 0;

	if (now < drain_idle_at(s, stream))
		return false;
	/* Bytes that the visitor has not acknowledged: it still reads the answer. */
	if (ioctl(stream->fd, SIOCOUTQ, &queued) == 0 && queued > 0)
		stream->moved_ms = now;
	return queued == 0;
}

void drain_leave(struct streams *s, struct stream *stream)
{
	char byte;
	ssize_t n = recv(stream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	s->n_visitors--;
	if (n > 0) {
		stream->kind = STREAM_RETURNED;
		s->n_returned++;
	} else {
		stream->kind = STREAM_LEFT;
		(void)shutdown(stream->fd, SHUT_WR);
	}
}

uint32_t drain_return(struct streams *s, bool nonblock)
{
	for (uint32_t i = 0; i < s->n_sockets && s->n_returned > 0; i++) {
		struct stream *stream = &s->sockets[i];

		if (stream->kind != STREAM_RETURNED)
			continue;
		stream->kind = STREAM_SOCKET;
		stream->nonblock = nonblock;
		stream->ended = false;
		s->n_returned--;
		s->n_visitors++;
		return STREAMS_SOCKET_BASE + i;
	}
	return STREAMS_NO_FD;
}

/* Reads away what is there. False once the visitor has closed. */
static bool drain_visitor_stays(int fd)
{
	char scrap[4096];
	ssize_t n;

	do
		n = recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT);
	while (n > 0);
	return n < 0 && errno == EAGAIN;
}

void drain_end(struct streams *s)
{
	uint64_t until = clock_now_ms() + DRAIN_LINGER_MS, now;
	struct pollfd *fds = calloc(s->n_sockets + 1, sizeof(*fds));
	nfds_t n = 0, stay;

	if (!fds)
		return;
	for (uint32_t i = 0; i < s->n_sockets; i++) {
		if (!s->sockets[i].visitor)
			continue;
		(void)shutdown(s->sockets[i].fd, SHUT_WR);
		fds[n++] = (struct pollfd){ .fd = s->sockets[i].fd, .events = POLLIN };
	}
	do {
		stay = 0;
		for (nfds_t i = 0; i < n; i++)
			if (drain_visitor_stays(fds[i].fd))
				fds[stay++] = fds[i];
		n = stay;
		now = clock_now_ms();
	} while (n > 0 && now < until && (poll(fds, n, (int)(until - now)) >= 0 || errno == EINTR));
	free(fds);
}
