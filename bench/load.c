/* SPDX-License-Identifier: MIT */

/*
 * The load generator of script/bench. One verb a run, one line of JSON on standard output.
 *
 *     bench-load up    HOST PORT MS             one connection, bytes to the sink
 *     bench-load down  HOST PORT MS             one connection, bytes from the source
 *     bench-load kept  HOST PORT MS CONNS [END] HTTP requests over connections that stay open
 *     bench-load each  HOST PORT MS CONNS [END] HTTP requests, a new connection for each of them
 *     bench-load first HOST PORT MS             one new connection after the other: time to the
 * first byte bench-load fetch HOST PORT MS             the same: time to the first 256 KiB
 *     bench-load rate  HOST PORT MS COUNT       COUNT new connections a second, whatever comes of
 * them bench-load hold  HOST PORT COUNT          opens COUNT connections that have echoed 1 KiB,
 * prints the line, and keeps them until standard input ends
 *
 * END is how each answer ends where that is not as the origin's; the last chunk may come behind it.
 *
 * It shares the machine's cores with what it measures, so it does as little as it can: plain
 * blocking calls where there is one connection, one epoll loop where there are more. Connecting is
 * blocking, but for 'rate': the kernel answers for the listener, which on loopback takes no time.
 * Whatever goes wrong ends the run with a line on standard error and exit code 1, so that a wrong
 * answer can never look like a fast one.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"

enum {
	BULK_SIZE = 256 * 1024, /* as in origin.c */
	ECHO_SIZE = 1024,
	CONNS_MAX = 256,
	FD_MAX = CONNS_MAX + 64, /* connections, and what a process is started with */
	RATE_MAX = 10000,
	RATE_FD_MAX = 16384,
	HOLD_MAX = 10000,
	ANSWER_MAX = 4096,
	SAMPLES_MAX = 100000,
	EVENTS_MAX = 64,
	STALL_S = 10, /* nothing happened for so long: the tool under test has lost something */
};

#define REQUEST_KEEP "GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
#define REQUEST_CLOSE "GET / HTTP/1.0\r\nHost: bench\r\n\r\n"
#define ORIGIN_END "\r\n\r\nok\n"
#define FETCH "N262144\n" /* BULK_SIZE */
#define LAST_CHUNK "\r\n0\r\n\r\n"

struct target {
	struct sockaddr_in in;
	uint64_t amount; /* milliseconds, or connections to hold */
	uint64_t conns;  /* or connections a second */
};

struct verb {
	const char *name;
	void (*run)(const struct target *target);
	int args;
	bool http; /* END may follow */
};

/* What has come on a connection since its last request. */
struct answer {
	size_t len;
	char data[ANSWER_MAX];
};

static char bulk[BULK_SIZE];
static const char *answer_end = ORIGIN_END;

static void __attribute__((format(printf, 1, 2), noreturn)) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("bench-load: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t deadline_ns(const struct target *target)
{
	return now_ns() + target->amount * 1000000;
}

static int target_connect(const struct target *target)
{
	const struct timeval stall = { .tv_sec = STALL_S };
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &stall, sizeof(stall));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &stall, sizeof(stall));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)&target->in, sizeof(target->in)) < 0)
		die("connect: %s", strerror(errno));
	if (target->conns > 1 && fd >= FD_MAX)
		die("too many descriptors were open at the start");
	return fd;
}

/* Requests are small and always fit. */
static void send_all(int fd, const char *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

	if (n != (ssize_t)len)
		die("send: %s", n < 0 ? strerror(errno) : "short write");
}

static size_t recv_some(int fd, char *data, size_t len)
{
	ssize_t n = recv(fd, data, len, 0);

	if (n < 0)
		die("receive: %s", strerror(errno));
	return (size_t)n;
}

static size_t recv_to_end(int fd, char *data, size_t len)
{
	size_t have = 0, n;

	do {
		n = recv_some(fd, data + have, len - have);
		have += n;
	} while (n > 0 && have < len);
	return have;
}

static bool ends_with(const char *text, size_t len, const char *end, size_t end_len)
{
	return len >= end_len && memcmp(text + len - end_len, end, end_len) == 0;
}

static bool is_whole(const char *answer, size_t len)
{
	if (ends_with(answer, len, LAST_CHUNK, sizeof(LAST_CHUNK) - 1))
		len -= sizeof(LAST_CHUNK) - 1;
	return ends_with(answer, len, answer_end, strlen(answer_end));
}

static void check_answer(const char *answer, size_t len)
{
	if (!is_whole(answer, len))
		die("wrong or cut answer of %zu bytes", len);
}

/* Reads once; true when the answer is whole. */
static bool answer_read(struct answer *answer, int fd)
{
	size_t n = recv_some(fd, answer->data + answer->len, sizeof(answer->data) - answer->len);

	answer->len += n;
	if (is_whole(answer->data, answer->len)) {
		answer->len = 0;
		return true;
	}
	if (n == 0 || answer->len == sizeof(answer->data))
		check_answer(answer->data, answer->len);
	return false;
}

static void print_bulk(uint64_t bytes, uint64_t start_ns)
{
	printf("{\"bytes\":%" PRIu64 ",\"seconds\":%.6f}\n", bytes,
		(double)(now_ns() - start_ns) / 1e9);
}

/* The clock stops when the sink has told how much arrived, so nothing that is still queued counts.
 */
static void run_up(const struct target *target)
{
	const uint64_t start_ns = now_ns(), end_ns = deadline_ns(target);
	char count[24];
	uint64_t sent = 0, arrived;
	size_t len;
	int fd = target_connect(target);

	memset(bulk, 'S', sizeof(bulk));
	while (now_ns() < end_ns) {
		ssize_t n = send(fd, bulk, sizeof(bulk), MSG_NOSIGNAL);

		if (n < 0)
			die("send: %s", strerror(errno));
		sent += (uint64_t)n;
	}
	shutdown(fd, SHUT_WR);
	len = recv_to_end(fd, count, sizeof(count));
	if (len == 0 || parse_u64(count, len - 1, 0, UINT64_MAX, &arrived) < 0 || arrived != sent)
		die("%" PRIu64 " bytes sent, '%.*s' arrived", sent, (int)len, count);
	print_bulk(sent, start_ns);
}

/* MSG_TRUNC as in origin.c: the bytes are counted, not copied. */
static void run_down(const struct target *target)
{
	const uint64_t start_ns = now_ns();
	char request[32];
	uint64_t received = 0;
	ssize_t n;
	int fd = target_connect(target);

	n = snprintf(request, sizeof(request), "D%" PRIu64 "\n", target->amount);
	send_all(fd, request, (size_t)n);
	do {
		n = recv(fd, bulk, sizeof(bulk), MSG_TRUNC);
		if (n < 0)
			die("receive: %s", strerror(errno));
		received += (uint64_t)n;
	} while (n > 0);
	print_bulk(received, start_ns);
}

static int poll_add(int epoll_fd, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl: %s", strerror(errno));
	return fd;
}

static int poll_wait(int epoll_fd, struct epoll_event *events)
{
	int n = epoll_wait(epoll_fd, events, EVENTS_MAX, STALL_S * 1000);

	if (n <= 0)
		die("no answer within %d s", STALL_S);
	return n;
}

static void print_requests(uint64_t count, uint64_t start_ns)
{
	printf("{\"requests\":%" PRIu64 ",\"seconds\":%.6f}\n", count,
		(double)(now_ns() - start_ns) / 1e9);
}

static void run_kept(const struct target *target)
{
	struct epoll_event events[EVENTS_MAX];
	static struct answer answers[FD_MAX];
	const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	const uint64_t start_ns = now_ns(), end_ns = deadline_ns(target);
	uint64_t busy = target->conns;
	uint64_t count = 0;

	for (uint64_t i = 0; i < target->conns; i++)
		send_all(poll_add(epoll_fd, target_connect(target), EPOLLIN), REQUEST_KEEP,
			sizeof(REQUEST_KEEP) - 1);
	while (busy > 0) {
		const int n = poll_wait(epoll_fd, events);
		const bool over = now_ns() >= end_ns;

		for (int i = 0; i < n; i++) {
			if (!answer_read(&answers[events[i].data.fd], events[i].data.fd))
				continue;
			count++;
			if (over)
				busy--;
			else
				send_all(events[i].data.fd, REQUEST_KEEP, sizeof(REQUEST_KEEP) - 1);
		}
	}
	print_requests(count, start_ns);
}

static void each_start(const struct target *target, int epoll_fd)
{
	int fd = target_connect(target);

	send_all(fd, REQUEST_CLOSE, sizeof(REQUEST_CLOSE) - 1);
	poll_add(epoll_fd, fd, EPOLLRDHUP);
}

/*
 * The origin closes behind its answer, and the end of file is part of what is measured. Waiting for
 * it alone makes one event per connection, and reading to the end does not block.
 */
static void run_each(const struct target *target)
{
	struct epoll_event events[EVENTS_MAX];
	const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	const uint64_t start_ns = now_ns(), end_ns = deadline_ns(target);
	uint64_t busy = target->conns;
	uint64_t count = 0;

	for (uint64_t i = 0; i < target->conns; i++)
		each_start(target, epoll_fd);
	while (busy > 0) {
		const int n = poll_wait(epoll_fd, events);
		const bool over = now_ns() >= end_ns;

		for (int i = 0; i < n; i++) {
			check_answer(bulk, recv_to_end(events[i].data.fd, bulk, sizeof(bulk)));
			close(events[i].data.fd);
			count++;
			if (over)
				busy--;
			else
				each_start(target, epoll_fd);
		}
	}
	print_requests(count, start_ns);
}

static int compare_ns(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* One connection after the other, of each the time until `wanted` bytes have come. */
static void run_samples(const struct target *target, const char *request, size_t wanted, bool http)
{
	static uint64_t first_ns[SAMPLES_MAX], connect_ns[SAMPLES_MAX];
	const uint64_t end_ns = deadline_ns(target);
	size_t count = 0;

	while (now_ns() < end_ns && count < SAMPLES_MAX) {
		const uint64_t start_ns = now_ns();
		size_t have = 0, n;
		int fd = target_connect(target);

		connect_ns[count] = now_ns() - start_ns;
		send_all(fd, request, strlen(request));
		do {
			n = recv_some(fd, bulk + have, sizeof(bulk) - have);
			have += n;
		} while (n > 0 && have < wanted);
		first_ns[count++] = now_ns() - start_ns;
		have += recv_to_end(fd, bulk + have, sizeof(bulk) - have);
		if (http)
			check_answer(bulk, have);
		else if (have != wanted)
			die("%zu of %zu bytes came", have, wanted);
		close(fd);
	}
	if (count == 0)
		die("no sample in %" PRIu64 " ms", target->amount);
	qsort(first_ns, count, sizeof(first_ns[0]), compare_ns);
	qsort(connect_ns, count, sizeof(connect_ns[0]), compare_ns);
	printf("{\"samples\":%zu,\"first_ms\":%.4f,\"connect_ms\":%.4f}\n", count,
		(double)first_ns[count / 2] / 1e6, (double)connect_ns[count / 2] / 1e6);
}

static void run_first(const struct target *target)
{
	run_samples(target, REQUEST_CLOSE, 1, true);
}

static void run_fetch(const struct target *target)
{
	run_samples(target, FETCH, BULK_SIZE, false);
}

/* A visitor of 'rate'. */
struct visit {
	uint64_t start_ns, first_ns; /* the first byte: since the start */
	struct answer answer;
};

static void visit_start(const struct target *target, int epoll_fd, struct visit *visits)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (fd >= RATE_FD_MAX)
		die("more than %d connections at once", RATE_FD_MAX);
	visits[fd].start_ns = now_ns();
	visits[fd].answer.len = 0;
	if (connect(fd, (const struct sockaddr *)&target->in, sizeof(target->in)) < 0 &&
		errno != EINPROGRESS)
		die("connect: %s", strerror(errno));
	poll_add(epoll_fd, fd, EPOLLOUT);
}

/* True when it is over. */
static bool visit_event(struct visit *v, int epoll_fd, const struct epoll_event *event)
{
	struct epoll_event next = { .events = EPOLLIN, .data.fd = event->data.fd };
	size_t n;

	if (event->events & EPOLLOUT) {
		send_all(event->data.fd, REQUEST_CLOSE, sizeof(REQUEST_CLOSE) - 1);
		if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, event->data.fd, &next) < 0)
			die("epoll_ctl: %s", strerror(errno));
		return false;
	}
	n = recv_some(event->data.fd, v->answer.data + v->answer.len,
		sizeof(v->answer.data) - v->answer.len);
	if (v->answer.len == 0)
		v->first_ns = now_ns() - v->start_ns;
	v->answer.len += n;
	if (n > 0)
		return false;
	check_answer(v->answer.data, v->answer.len);
	close(event->data.fd);
	return true;
}

/* Who comes late because this program did comes with the next ones. */
static void run_rate(const struct target *target)
{
	static struct visit visits[RATE_FD_MAX];
	static uint64_t first_ns[SAMPLES_MAX];
	struct epoll_event events[EVENTS_MAX];
	const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	const uint64_t total = target->amount * target->conns / 1000, start_ns = now_ns();
	uint64_t begun = 0, over = 0;

	if (total < 1 || total > SAMPLES_MAX)
		die("from 1 to %d connections", SAMPLES_MAX);
	while (over < total) {
		uint64_t due = (now_ns() - start_ns) * target->conns / 1000000000 + 1;
		int n;

		for (; begun < total && begun < due; begun++)
			visit_start(target, epoll_fd, visits);
		n = epoll_wait(epoll_fd, events, EVENTS_MAX, begun < total ? 1 : STALL_S * 1000);
		if (n <= 0 && begun == total)
			die("no answer within %d s", STALL_S);
		for (int i = 0; i < n; i++) {
			struct visit *v = &visits[events[i].data.fd];

			if (visit_event(v, epoll_fd, &events[i]))
				first_ns[over++] = v->first_ns;
		}
	}
	qsort(first_ns, total, sizeof(first_ns[0]), compare_ns);
	printf("{\"requests\":%" PRIu64 ",\"seconds\":%.6f,\"first_ms\":%.4f,\"slow_ms\":%.4f}\n",
		total, (double)(now_ns() - start_ns) / 1e9, (double)first_ns[total / 2] / 1e6,
		(double)first_ns[total * 99 / 100] / 1e6);
}

static void run_hold(const struct target *target)
{
	char sent[ECHO_SIZE];
	uint64_t count;

	if (target->amount > HOLD_MAX)
		die("at most %d connections", HOLD_MAX);
	memset(sent, 'E', sizeof(sent));
	for (count = 0; count < target->amount; count++) {
		int fd = target_connect(target);
		size_t have = 0, n = 1;

		send_all(fd, sent, sizeof(sent));
		for (; have < sizeof(sent) && n > 0; have += n)
			n = recv_some(fd, bulk + have, sizeof(sent) - have);
		if (have != sizeof(sent) || memcmp(sent, bulk, sizeof(sent)) != 0)
			die("wrong or cut echo of %zu bytes", have);
	}
	printf("{\"held\":%" PRIu64 "}\n", count);
	fflush(stdout);
	while (read(STDIN_FILENO, bulk, sizeof(bulk)) > 0)
		continue;
}

static const struct verb verbs[] = {
	{ "up", run_up, 3 },
	{ "down", run_down, 3 },
	{ "kept", run_kept, 4, .http = true },
	{ "each", run_each, 4, .http = true },
	{ "first", run_first, 3 },
	{ "fetch", run_fetch, 3 },
	{ "rate", run_rate, 4 },
	{ "hold", run_hold, 3 },
};

static uint64_t parse_number(const char *text, uint64_t max)
{
	uint64_t value;

	if (parse_u64(text, strlen(text), 1, max, &value) < 0)
		die("'%s' is not a number from 1 to %" PRIu64, text, max);
	return value;
}

int main(int argc, char **argv)
{
	struct target target = { .in.sin_family = AF_INET, .conns = 1 };

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		const bool with_end = argc == verbs[i].args + 3 && verbs[i].http;

		if (argc < 2 || strcmp(argv[1], verbs[i].name) != 0 ||
			(argc != verbs[i].args + 2 && !with_end))
			continue;
		if (inet_pton(AF_INET, argv[2], &target.in.sin_addr) != 1)
			die("'%s' is not an IPv4 address", argv[2]);
		target.in.sin_port = htons((uint16_t)parse_number(argv[3], UINT16_MAX));
		target.amount = parse_number(argv[4], 3600000);
		if (argc > 5)
			target.conns = parse_number(argv[5], verbs[i].http ? CONNS_MAX : RATE_MAX);
		if (with_end)
			answer_end = argv[6];
		verbs[i].run(&target);
		return 0;
	}
	die("usage: bench-load up|down|kept|each|first|fetch|rate|hold HOST PORT AMOUNT [CONNS "
	    "[END]]");
}
