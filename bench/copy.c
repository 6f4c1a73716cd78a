/* SPDX-License-Identifier: MIT */

/*
 * One bare hop: one thread, one edge-triggered epoll, recv(2) and send(2), and nothing else. Two of
 * them in a row are what a relay and its client would be that copied and did no more: no protocol,
 * no limits, no log, no deadline.
 *
 *     bench-copy ADDRESS PORT TO-ADDRESS TO-PORT     serves until it is killed
 *
 * A pair is two sockets and the two directions between them. It is freed when both directions have
 * ended, at the end of the batch of events, as a second one of that batch may be for it. Connecting
 * blocks, which takes no time on loopback.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/parse.h"

enum {
	BACKLOG = 4096,
	EVENTS_MAX = 64,
	PIECE = 256 * 1024, /* as in origin.c */
};

/* From one socket of the pair to the other. */
struct way {
	char *rest; /* NULL, or what was read and could not be sent */
	size_t rest_len;
	bool ended;
};

struct pair {
	int fd[2];
	struct way way[2]; /* [i] reads fd[i] */
	bool failed;
	struct pair *next_done;
};

static char piece[PIECE];

static void die(const char *what)
{
	fprintf(stderr, "bench-copy: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Sends what it can and keeps the rest; false when the pair is broken. */
static bool way_send(struct way *w, int to, char *data, size_t len)
{
	ssize_t n = send(to, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	char *rest = NULL;

	if (n < 0 && errno != EAGAIN)
		return false;
	if (n < 0)
		n = 0;
	len -= (size_t)n;
	if (len > 0) {
		rest = malloc(len);
		if (!rest)
			die("memory");
		memcpy(rest, data + n, len);
	}
	free(w->rest);
	w->rest = rest;
	w->rest_len = len;
	return true;
}

/* Moves until there is nothing to read or no room. A short read has emptied the socket, unless its
 * end was announced as well: see epoll(7). */
static bool way_move(struct way *w, int from, int to, bool end_is_near)
{
	ssize_t n;

	if (w->rest && !way_send(w, to, w->rest, w->rest_len))
		return false;
	while (!w->rest && !w->ended) {
		n = recv(from, piece, sizeof(piece), MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN;
		if (n == 0) {
			w->ended = true;
			shutdown(to, SHUT_WR);
		} else if (!way_send(w, to, piece, (size_t)n)) {
			return false;
		}
		if ((size_t)n < sizeof(piece) && !end_is_near)
			return true;
	}
	return true;
}

static bool pair_is_done(const struct pair *p)
{
	return p->failed || (p->way[0].ended && p->way[1].ended);
}

/* The pair, if it is done with by this event. Its lowest bit tells which socket it was. */
static struct pair *pair_event(const struct epoll_event *event)
{
	struct pair *p = (struct pair *)((uintptr_t)event->data.ptr & ~(uintptr_t)1);
	const unsigned side = (uintptr_t)event->data.ptr & 1;
	const bool end = event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);

	if (pair_is_done(p))
		return NULL;
	if (event->events & ~(uint32_t)EPOLLOUT)
		p->failed |= !way_move(&p->way[side], p->fd[side], p->fd[!side], end);
	/* Without a rest, this direction waits for its own socket. */
	if ((event->events & EPOLLOUT) && p->way[!side].rest)
		p->failed |= !way_move(&p->way[!side], p->fd[!side], p->fd[side], true);
	return pair_is_done(p) ? p : NULL;
}

static void pair_free(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		close(p->fd[i]);
		free(p->way[i].rest);
	}
	free(p);
}

static int connect_to(const struct sockaddr_in *to)
{
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void accept_all(int listener, int epoll_fd, const struct sockaddr_in *to)
{
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), next;
		struct pair *p;

		if (fd < 0)
			return;
		next = connect_to(to);
		if (next < 0) {
			close(fd);
			continue;
		}
		p = calloc(1, sizeof(*p));
		if (!p)
			die("memory");
		p->fd[0] = fd;
		p->fd[1] = next;
		for (unsigned i = 0; i < 2; i++) {
			struct epoll_event event = {
				.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
				.data.ptr = (char *)p + i,
			};

			if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, p->fd[i], &event) < 0)
				die("epoll_ctl");
		}
	}
}

static struct sockaddr_in parse_address(const char *address, const char *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	uint64_t number;

	errno = EINVAL;
	if (inet_pton(AF_INET, address, &in.sin_addr) != 1)
		die(address);
	if (parse_u64(port, strlen(port), 1, UINT16_MAX, &number) < 0)
		die(port);
	in.sin_port = htons((uint16_t)number);
	return in;
}

static int listen_on(const struct sockaddr_in *at)
{
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 || listen(fd, BACKLOG) < 0)
		die("listen");
	return fd;
}

static void serve(int listener, int epoll_fd, const struct sockaddr_in *to)
{
	struct epoll_event events[EVENTS_MAX];
	struct pair *done = NULL, *p;
	int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

	for (int i = 0; i < n; i++) {
		if (!events[i].data.ptr) {
			accept_all(listener, epoll_fd, to);
			continue;
		}
		p = pair_event(&events[i]);
		if (p) {
			p->next_done = done;
			done = p;
		}
	}
	while ((p = done)) {
		done = p->next_done;
		pair_free(p);
	}
}

int main(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct sockaddr_in at, to;
	int listener, epoll_fd;

	if (argc != 5) {
		fputs("usage: bench-copy ADDRESS PORT TO-ADDRESS TO-PORT\n", stderr);
		return 2;
	}
	at = parse_address(argv[1], argv[2]);
	to = parse_address(argv[3], argv[4]);
	listener = listen_on(&at);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0)
		die("epoll");
	for (;;)
		serve(listener, epoll_fd, &to);
}
