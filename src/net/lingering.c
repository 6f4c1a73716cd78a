/* SPDX-License-Identifier: MIT */
/*
 * A socket is in the set from lingering_add() until its peer has ended, has failed, has sent more
 * than LINGER_BYTES_MAX, has been silent or there for too long, or until LINGER_MAX others have
 * come after it. The set owns its descriptor.
 *
 * Bytes are dropped inside the kernel: MSG_TRUNC on a TCP socket takes them out of the queue
 * without copying them (tcp(7)). epoll is level-triggered, so a socket with more bytes than are
 * dropped at once comes again.
 */
#include "net/lingering.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/sockopt.h"

#define LINGER_DROP_AT_ONCE (1u << 20)
#define LINGER_EVENTS 16

struct linger_socket {
	struct list link; /* in l->sockets */
	int fd;           /* owned */
	uint64_t end_ms;  /* the latest */
	uint64_t heard_ms;
	uint64_t bytes;
};

int lingering_init(struct lingering *l)
{
	list_init(&l->sockets);
	l->count = 0;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return l->epoll_fd < 0 ? -errno : 0;
}

/* It is taken out of epoll explicitly: its owner's descriptor of the same socket may still be open,
 * and then closing ours doesn't do it (epoll(7)). */
static void linger_close(struct lingering *l, struct linger_socket *s)
{
	(void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	list_remove(&s->link);
	l->count--;
	fd_close(s->fd);
	free(s);
}

void lingering_deinit(struct lingering *l)
{
	list_for_each_safe(pos, &l->sockets)
		linger_close(l, list_entry(pos, struct linger_socket, link));
	l->epoll_fd = fd_close(l->epoll_fd);
}

/* What recv(2) says: more than 0 while the peer sends, negative with EAGAIN while it may. */
static ssize_t linger_drop(int fd)
{
	return recv(fd, NULL, LINGER_DROP_AT_ONCE, MSG_TRUNC | MSG_DONTWAIT);
}

static bool linger_is_open(ssize_t n)
{
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

void lingering_add(struct lingering *l, int fd)
{
	struct linger_socket *s;
	struct epoll_event event = { .events = EPOLLIN };

	if (shutdown(fd, SHUT_WR) < 0 || !linger_is_open(linger_drop(fd)))
		return;
	s = malloc(sizeof(*s));
	if (!s)
		return;
	*s = (struct linger_socket){ .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0),
		.heard_ms = clock_now_ms() };
	s->end_ms = s->heard_ms + LINGER_MS;
	event.data.ptr = s;
	if (s->fd < 0 || epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, s->fd, &event) < 0) {
		fd_close(s->fd);
		free(s);
		return;
	}
	if (l->count == LINGER_MAX) /* the oldest */
		linger_close(l, list_entry(l->sockets.next, struct linger_socket, link));
	list_push_back(&l->sockets, &s->link);
	l->count++;
}

static void linger_run(struct lingering *l, struct linger_socket *s, uint64_t now_ms)
{
	ssize_t n = linger_drop(s->fd);

	if (n > 0) {
		s->bytes += (uint64_t)n;
		s->heard_ms = now_ms;
	}
	if (!linger_is_open(n) || s->bytes > LINGER_BYTES_MAX)
		linger_close(l, s);
}

void lingering_run(struct lingering *l)
{
	struct epoll_event events[LINGER_EVENTS];
	uint64_t now_ms = clock_now_ms();
	int count = epoll_wait(l->epoll_fd, events, LINGER_EVENTS, 0);

	for (int i = 0; i < count; i++)
		linger_run(l, events[i].data.ptr, now_ms);
	list_for_each_safe(pos, &l->sockets) {
		struct linger_socket *s = list_entry(pos, struct linger_socket, link);

		if (now_ms >= s->end_ms || now_ms - s->heard_ms >= LINGER_SILENCE_MS)
			linger_close(l, s);
	}
}

void lingering_cut(int fd)
{
	sockopt_set_reset(fd);
	(void)shutdown(fd, SHUT_RDWR);
}

bool lingering_peer_has_ended(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}
