/* SPDX-License-Identifier: MIT */
/*
 * Many connections, from both ends, where Python would be the bottleneck. The first byte of a
 * connection says what it is for (enum kind). Every message is MESSAGE bytes long and different, so
 * a byte that goes astray is noticed.
 *
 *   flood serve                          the application; prints where it listens
 *   flood run HOST PORT COUNT RATE OPEN  short connections, RATE a second (0: as fast as may be),
 *                                        OPEN at most at once
 *   flood bulk HOST PORT STREAMS BYTES   streams that move what they can, half of them in each way,
 *                                        until SIGTERM, and until BYTES were moved
 *   flood ping HOST PORT COUNT           one message after the other on one connection
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum kind {
	KEEP = 'k',    /* the application echoes; the visitor ends it */
	CLOSE = 'c',   /* the application echoes once and ends it */
	DISCARD = 'd', /* the application reads */
	SUPPLY = 's',  /* the application writes */
};

enum {
	MESSAGE = 32,
	CHUNK = 256 * 1024,
	TURNS = 16, /* reads or writes before others get their turn */
	EVENTS = 256,
	OPEN_MAX_CONNS = 4096,
	PATIENCE_MS = 60000, /* for one short connection */
};

struct conn {
	int fd;
	char kind; /* 0: not yet known (serve), none (run) */
	bool sent;
	size_t got;
	uint64_t number, started_ms;
	char in[MESSAGE];
};

static char zeros[CHUNK], waste[CHUNK];

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t number = strtoull(text, &end, 10);

	if (*end || end == text) {
		fprintf(stderr, "flood: '%s' is not a number\n", text);
		exit(2);
	}
	return number;
}

static int dial(const struct sockaddr_in *to, bool wait)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK), 0),
	    one = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(fd, (const struct sockaddr *)to, sizeof *to) < 0 && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

static void watch(int epoll, int fd, struct conn *conn, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = conn };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

static void rewatch(int epoll, struct conn *conn, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = conn };

	if (epoll_ctl(epoll, EPOLL_CTL_MOD, conn->fd, &event) < 0)
		die("epoll_ctl");
}

/* --- the application --- */

/* Returns false when the connection is over. */
static bool serve_read(int epoll, struct conn *conn)
{
	for (int i = 0; i < TURNS; i++) {
		ssize_t got = read(conn->fd, waste, sizeof waste);

		if (got < 0)
			return errno == EAGAIN;
		if (got == 0)
			return false;
		if (!conn->kind) {
			conn->kind = waste[0];
			if (conn->kind == SUPPLY)
				rewatch(epoll, conn, EPOLLIN | EPOLLOUT);
		}
		if (conn->kind != KEEP && conn->kind != CLOSE)
			continue;
		/* A message or two: the send buffer is far larger. */
		if (write(conn->fd, waste, (size_t)got) != got)
			return false;
		conn->got += (size_t)got;
		if (conn->kind == CLOSE && conn->got >= MESSAGE)
			return false;
	}
	return true;
}

static bool serve_write(struct conn *conn)
{
	for (int i = 0; i < TURNS; i++)
		if (write(conn->fd, zeros, sizeof zeros) < 0)
			return errno == EAGAIN;
	return true;
}

static void serve_accept(int epoll, int listener)
{
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *conn = calloc(1, sizeof *conn);

		if (!conn)
			die("calloc");
		conn->fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		watch(epoll, fd, conn, EPOLLIN);
	}
}

static int cmd_serve(char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS];
	socklen_t len = sizeof at;

	if (listener < 0 || epoll < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) < 0 ||
		listen(listener, 4096) < 0 ||
		getsockname(listener, (struct sockaddr *)&at, &len) < 0)
		die("flood serve");
	watch(epoll, listener, NULL, EPOLLIN);
	printf("listening at 127.0.0.1:%u\n", ntohs(at.sin_port));
	fflush(stdout);
	for (;;) {
		int count = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			struct conn *conn = events[i].data.ptr;
			bool go_on = true;

			if (!conn) {
				serve_accept(epoll, listener);
				continue;
			}
			if (events[i].events & ~(uint32_t)EPOLLOUT)
				go_on = serve_read(epoll, conn);
			if (go_on && events[i].events & EPOLLOUT)
				go_on = serve_write(conn);
			if (!go_on) {
				close(conn->fd);
				free(conn);
			}
		}
	}
	return 0;
}

/* --- short connections --- */

struct run {
	int epoll;
	struct sockaddr_in to;
	uint64_t count, rate, open_max;
	uint64_t started, done, failed, open;
	struct conn conns[OPEN_MAX_CONNS];
};

static void run_message(const struct conn *conn, char ret_text[MESSAGE + 1])
{
	snprintf(ret_text, MESSAGE + 1, "%c%031" PRIu64, conn->kind, conn->number);
}

static void run_end(struct run *run, struct conn *conn, const char *failure)
{
	if (failure) {
		if (run->failed++ < 5)
			printf("connection %" PRIu64 " (%c): %s: %s\n", conn->number, conn->kind,
				failure, strerror(errno));
	} else {
		run->done++;
	}
	if (conn->fd >= 0)
		close(conn->fd);
	conn->kind = 0;
	run->open--;
}

static void run_start(struct run *run)
{
	struct conn *conn = run->conns;

	while (conn->kind)
		conn++;
	*conn = (struct conn){ .number = run->started, .kind = run->started % 2 ? KEEP : CLOSE };
	run->started++;
	run->open++;
	conn->started_ms = now_us() / 1000;
	conn->fd = dial(&run->to, false);
	if (conn->fd < 0)
		run_end(run, conn, "connect");
	else
		watch(run->epoll, conn->fd, conn, EPOLLOUT);
}

static void run_read(struct run *run, struct conn *conn)
{
	char rest[MESSAGE + 1], message[MESSAGE + 1];
	size_t left = MESSAGE - conn->got;
	ssize_t got = read(conn->fd, left ? conn->in + conn->got : rest, left ? left : sizeof rest);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got < 0) {
		run_end(run, conn, left ? "read" : "read of the end");
	} else if (got == 0) {
		errno = 0;
		run_end(run, conn, left ? "ended early" : NULL);
	} else if (!left) {
		run_end(run, conn, "too many bytes");
	} else if ((conn->got += (size_t)got) == MESSAGE) {
		run_message(conn, message);
		if (memcmp(message, conn->in, MESSAGE) != 0)
			run_end(run, conn, "other bytes than were sent");
		else if (conn->kind == KEEP)
			shutdown(conn->fd, SHUT_WR);
	}
}

static void run_event(struct run *run, struct conn *conn, uint32_t events)
{
	char message[MESSAGE + 1];

	if (conn->sent) {
		run_read(run, conn);
		return;
	}
	run_message(conn, message);
	if (write(conn->fd, message, MESSAGE) != MESSAGE) {
		run_end(run, conn, "connect or write");
		return;
	}
	conn->sent = true;
	rewatch(run->epoll, conn, EPOLLIN);
}

static void run_expire(struct run *run)
{
	uint64_t now_ms = now_us() / 1000;

	errno = ETIMEDOUT;
	for (size_t i = 0; i < OPEN_MAX_CONNS; i++)
		if (run->conns[i].kind && now_ms - run->conns[i].started_ms > PATIENCE_MS)
			run_end(run, &run->conns[i],
				run->conns[i].sent ? "no answer" : "no connection");
}

static int cmd_run(char **argv)
{
	static struct run run;
	struct epoll_event events[EVENTS];
	uint64_t begin = now_us(), expired = begin;

	run.to = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)number_of(argv[1])) };
	if (inet_pton(AF_INET, argv[0], &run.to.sin_addr) != 1)
		die(argv[0]);
	run.count = number_of(argv[2]);
	run.rate = number_of(argv[3]);
	run.open_max = number_of(argv[4]);
	if (run.open_max > OPEN_MAX_CONNS)
		run.open_max = OPEN_MAX_CONNS;
	run.epoll = epoll_create1(EPOLL_CLOEXEC);
	while (run.done + run.failed < run.count) {
		uint64_t now = now_us();
		uint64_t due = run.rate ? 1 + (now - begin) * run.rate / 1000000 : run.count;

		while (run.started < run.count && run.started < due && run.open < run.open_max)
			run_start(&run);
		int count = epoll_wait(run.epoll, events, EVENTS, 1);
		for (int i = 0; i < count; i++)
			run_event(&run, events[i].data.ptr, events[i].events);
		if (now - expired > 1000000) {
			expired = now;
			run_expire(&run);
		}
	}
	printf("done=%" PRIu64 " failed=%" PRIu64 " seconds=%.3f\n", run.done, run.failed,
		(double)(now_us() - begin) / 1e6);
	return run.failed ? 1 : 0;
}

/* --- bulk and ping --- */

static volatile sig_atomic_t told_to_end;

static void on_sigterm(int number)
{
	(void)number;
	told_to_end = 1;
}

static int cmd_bulk(char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)number_of(argv[1])) };
	uint64_t streams = number_of(argv[2]), least = number_of(argv[3]), moved = 0;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS];

	signal(SIGTERM, on_sigterm);
	if (inet_pton(AF_INET, argv[0], &to.sin_addr) != 1)
		die(argv[0]);
	for (uint64_t i = 0; i < streams; i++) {
		struct conn *conn = calloc(1, sizeof *conn);

		conn->kind = i % 2 ? DISCARD : SUPPLY;
		conn->fd = dial(&to, true);
		if (conn->fd < 0 || write(conn->fd, &conn->kind, 1) != 1)
			die("flood bulk");
		fcntl(conn->fd, F_SETFL, O_NONBLOCK);
		watch(epoll, conn->fd, conn, conn->kind == SUPPLY ? EPOLLIN : EPOLLOUT);
	}
	printf("started\n");
	fflush(stdout);
	while (!told_to_end || moved < least) {
		int count = epoll_wait(epoll, events, EVENTS, 100);

		for (int i = 0; i < count; i++) {
			struct conn *conn = events[i].data.ptr;
			ssize_t n = conn->kind == SUPPLY ? read(conn->fd, waste, sizeof waste)
							 : write(conn->fd, zeros, sizeof zeros);

			if (n == 0 || (n < 0 && errno != EAGAIN))
				die("a bulk stream ended");
			moved += n > 0 ? (uint64_t)n : 0;
		}
	}
	printf("moved=%" PRIu64 "\n", moved);
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

static int cmd_ping(char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)number_of(argv[1])) };
	size_t count = number_of(argv[2]);
	uint64_t *times = calloc(count, sizeof *times);
	char message[MESSAGE], answer[MESSAGE];

	if (!times || !count || inet_pton(AF_INET, argv[0], &to.sin_addr) != 1)
		die("flood ping");
	memset(message, KEEP, sizeof message);
	int fd = dial(&to, true);
	for (size_t i = 0; i < count; i++) {
		uint64_t begin = now_us();

		if (write(fd, message, MESSAGE) != MESSAGE ||
			recv(fd, answer, MESSAGE, MSG_WAITALL) != MESSAGE)
			die("ping");
		times[i] = now_us() - begin;
	}
	qsort(times, count, sizeof *times, compare);
	printf("p50_us=%" PRIu64 " p99_us=%" PRIu64 "\n", times[count / 2],
		times[count * 99 / 100]);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
		int (*run)(char **argv);
	} commands[] = {
		{ "serve", 0, cmd_serve },
		{ "run", 5, cmd_run },
		{ "bulk", 4, cmd_bulk },
		{ "ping", 3, cmd_ping },
	};

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
		if (strcmp(argv[1], commands[i].name) == 0 && argc == commands[i].args + 2)
			return commands[i].run(argv + 2);
	fprintf(stderr, "usage: flood serve | run HOST PORT COUNT RATE OPEN | bulk HOST PORT "
			"STREAMS BYTES | ping HOST PORT COUNT\n");
	return 2;
}
