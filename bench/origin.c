/* SPDX-License-Identifier: MIT */

/*
 * The application behind every tool that script/bench measures: one thread, one epoll loop, one
 * port.
 *
 *     bench-origin [ADDRESS]     prints its port on standard output and serves until it is killed
 *
 * A connection says with its first byte what it is for, because a tunnel forwards one port only:
 *
 *     G          an HTTP request, answered with a tiny page; HTTP/1.0 closes behind the answer
 *     E          echo
 *     S          sink: everything is read, and at the end of file the count is answered in decimal
 *     D<ms>\n    source: sends for that many milliseconds, then closes
 *     N<n>\n     sends that many bytes, then closes
 *
 * The peer is the load generator beside it, so a connection that breaks these rules is just closed.
 * Each connection is owned by its entry in the epoll set and freed by connection_close() alone.
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
#include <time.h>
#include <unistd.h>

#include "base/parse.h"

enum {
	BACKLOG = 4096,
	EVENTS_MAX = 64,
	REQUEST_MAX = 256, /* the generator's longest request has less than 64 bytes */
	SOURCE_MS_MAX = 3600000,
	SOURCE_MAX = 1 << 30,
	BULK_SIZE = 256 * 1024, /* one read or write of bulk data; stays in the L2 cache */
};

#define ANSWER_KEEP "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
#define ANSWER_CLOSE "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"

struct connection {
	int fd;
	char verb;                /* 0 until the first byte has come */
	size_t request_len;       /* bytes of an unfinished request in 'request' */
	uint64_t sunk;            /* bytes that a sink has read */
	uint64_t source_until_ms; /* when a source stops, monotonic, */
	uint64_t source_left;     /* or after how many bytes */
	char request[REQUEST_MAX];
};

static char bulk[BULK_SIZE];

static void die(const char *what)
{
	fprintf(stderr, "bench-origin: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void connection_close(struct connection *c)
{
	close(c->fd);
	free(c);
}

/* Small answers only: they always fit into an empty send queue. */
static bool connection_answer(struct connection *c, const char *answer, size_t len)
{
	return send(c->fd, answer, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* All of these return false when the connection is done with. */

static bool serve_http(struct connection *c)
{
	static const char blank_line[] = "\r\n\r\n";
	static const char old_version[] = "HTTP/1.0\r\n";

	if (!memmem(c->request, c->request_len, blank_line, sizeof(blank_line) - 1))
		return c->request_len < sizeof(c->request);
	if (memmem(c->request, c->request_len, old_version, sizeof(old_version) - 1)) {
		connection_answer(c, ANSWER_CLOSE, sizeof(ANSWER_CLOSE) - 1);
		return false;
	}
	c->request_len = 0;
	return connection_answer(c, ANSWER_KEEP, sizeof(ANSWER_KEEP) - 1);
}

static bool serve_source(struct connection *c, int epoll_fd)
{
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = c };
	const bool timed = c->verb == 'D';
	uint64_t amount;
	const char *end;

	end = memchr(c->request, '\n', c->request_len);
	if (!end)
		return c->request_len < sizeof(c->request);
	if (parse_u64(c->request + 1, (size_t)(end - c->request - 1), 1,
		    timed ? SOURCE_MS_MAX : SOURCE_MAX, &amount) < 0)
		return false;
	c->source_until_ms = timed ? now_ms() + amount : UINT64_MAX;
	c->source_left = timed ? UINT64_MAX : amount;
	return epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event) == 0;
}

static bool connection_write(struct connection *c)
{
	size_t len = c->source_left < sizeof(bulk) ? (size_t)c->source_left : sizeof(bulk);
	ssize_t n;

	if (len == 0 || now_ms() >= c->source_until_ms)
		return false;
	n = send(c->fd, bulk, len, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN;
	c->source_left -= (uint64_t)n;
	return true;
}

/* MSG_TRUNC counts the bytes without copying them: that copy would be the bench's, not the tool's.
 */
static bool sink_read(struct connection *c)
{
	char count[24];
	ssize_t n = recv(c->fd, bulk, sizeof(bulk), MSG_TRUNC);

	if (n < 0)
		return errno == EAGAIN;
	if (n == 0) {
		n = snprintf(count, sizeof(count), "%llu\n", (unsigned long long)c->sunk);
		connection_answer(c, count, (size_t)n);
		return false;
	}
	c->sunk += (uint64_t)n;
	return true;
}

/* An echo is answered with as few writes as it came in: a tunnel that uses Nagle would stall on
 * more. */
static bool echo_read(struct connection *c)
{
	ssize_t n = recv(c->fd, bulk, sizeof(bulk), 0);

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	return connection_answer(c, bulk, (size_t)n);
}

/* The first byte decides; it is only looked at, so that bulk data and echoes are read whole. */
static bool connection_read(struct connection *c, int epoll_fd)
{
	ssize_t n;

	if (!c->verb && recv(c->fd, &c->verb, 1, MSG_PEEK) <= 0)
		return false;
	if (c->verb == 'S')
		return sink_read(c);
	if (c->verb == 'E')
		return echo_read(c);
	n = recv(c->fd, c->request + c->request_len, sizeof(c->request) - c->request_len, 0);
	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	c->request_len += (size_t)n;
	if (c->verb == 'G')
		return serve_http(c);
	return (c->verb == 'D' || c->verb == 'N') && serve_source(c, epoll_fd);
}

static void accept_all(int listener, int epoll_fd)
{
	for (;;) {
		struct connection *c;
		struct epoll_event event = { .events = EPOLLIN };
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		c = calloc(1, sizeof(*c));
		if (!c)
			die("memory");
		c->fd = fd;
		event.data.ptr = c;
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
			die("epoll_ctl");
	}
}

/* TCP_NODELAY is inherited by what is accepted, which saves a call per connection. */
static int listen_on(const char *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	if (inet_pton(AF_INET, address, &in.sin_addr) != 1) {
		errno = EINVAL;
		die(address);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0 || listen(fd, BACKLOG) < 0 ||
		getsockname(fd, (struct sockaddr *)&in, &len) < 0)
		die(address);
	printf("%d\n", ntohs(in.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS_MAX] = { { .events = EPOLLIN } };
	int listener = listen_on(argc > 1 ? argv[1] : "127.0.0.1");
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &events[0]) < 0)
		die("epoll");
	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;
			bool open;

			if (!c) {
				accept_all(listener, epoll_fd);
				continue;
			}
			if (events[i].events & EPOLLOUT)
				open = connection_write(c);
			else
				open = connection_read(c, epoll_fd);
			if (!open)
				connection_close(c);
		}
	}
}
