/* SPDX-License-Identifier: MIT */

/*
 * The application that script/bench puts behind the wall, for WASI preview 1 with WasmEdge's socket
 * calls. It serves one connection after the other, by its first byte as bench-origin does (sink and
 * source), and reaches out to a bench-origin on 127.0.0.1 where it is asked to:
 *
 *     GET /first/PORT/MS   one new connection after the other: time to connect, to the first byte
 *     GET /up/PORT/MS      one connection, bytes to the sink
 *     GET /down/PORT/MS    one connection, bytes from the source
 *
 * It answers with a line of JSON as bench-load prints, or with 500 and what has failed.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wasmedge.h"

enum {
	BULK_SIZE = 256 * 1024, /* as in origin.c */
	SAMPLES_MAX = 100000,
	SENDING = 2, /* preview 1's sdflags */
};

#define REQUEST "GET / HTTP/1.0\r\nHost: bench\r\n\r\n"

static const uint8_t anywhere[4], loopback[4] = { 127, 0, 0, 1 };
static char bulk[BULK_SIZE], said[256];

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static bool tell(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
	return true;
}

/* What has failed, for the answer 500. */
static bool fail(const char *what, uint32_t error)
{
	tell("%s: WASI's error %u", what, error);
	return false;
}

static bool reach(uint32_t port, uint32_t *ret_fd)
{
	const struct address to = { loopback, sizeof(loopback) };
	uint32_t error = sock_open(INET4, STREAM, ret_fd);

	if (error)
		return fail("socket", error);
	error = sock_connect(*ret_fd, &to, port);
	if (!error)
		return true;
	close((int)*ret_fd);
	return fail("connect", error);
}

/* Requests are small and always fit. */
static ssize_t write_some(uint32_t fd, const char *data, size_t len)
{
	const struct buffer out = { data, len };
	uint32_t n;

	return sock_send(fd, &out, 1, 0, &n) ? -1 : (ssize_t)n;
}

static ssize_t read_some(uint32_t fd, char *data, size_t len)
{
	const struct buffer in = { data, len };
	uint16_t flags;
	uint32_t n;

	return sock_recv(fd, &in, 1, 0, &n, &flags) ? -1 : (ssize_t)n;
}

static bool print_bulk(uint64_t bytes, uint64_t start_ns)
{
	return tell("{\"bytes\":%" PRIu64 ",\"seconds\":%.6f}\n", bytes,
		(double)(now_ns() - start_ns) / 1e9);
}

static bool reach_up(uint32_t fd, uint64_t ms)
{
	const uint64_t start_ns = now_ns(), end_ns = start_ns + ms * 1000000;
	char count[24] = "";
	uint64_t sent = 0;

	memset(bulk, 'S', sizeof(bulk));
	while (now_ns() < end_ns) {
		ssize_t n = write_some(fd, bulk, sizeof(bulk));

		if (n < 0)
			return fail("send", 0);
		sent += (uint64_t)n;
	}
	sock_shutdown(fd, SENDING);
	if (read_some(fd, count, sizeof(count) - 1) <= 0 || strtoull(count, NULL, 10) != sent)
		return tell("%" PRIu64 " bytes sent, '%s' arrived", sent, count) && false;
	return print_bulk(sent, start_ns);
}

static bool reach_down(uint32_t fd, uint64_t ms)
{
	const uint64_t start_ns = now_ns();
	char request[32];
	int len = snprintf(request, sizeof(request), "D%" PRIu64 "\n", ms);
	uint64_t received = 0;
	ssize_t n = write_some(fd, request, (size_t)len);

	while (n > 0) {
		n = read_some(fd, bulk, sizeof(bulk));
		received += n > 0 ? (uint64_t)n : 0;
	}
	return n < 0 ? fail("receive", 0) : print_bulk(received, start_ns);
}

static int compare_ns(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool reach_first(uint32_t port, uint64_t ms)
{
	static uint64_t connect_ns[SAMPLES_MAX], first_ns[SAMPLES_MAX];
	const uint64_t end_ns = now_ns() + ms * 1000000;
	size_t count = 0;

	while (now_ns() < end_ns && count < SAMPLES_MAX) {
		const uint64_t start_ns = now_ns();
		bool answered;
		uint32_t fd;

		if (!reach(port, &fd))
			return false;
		connect_ns[count] = now_ns() - start_ns;
		answered = write_some(fd, REQUEST, strlen(REQUEST)) > 0 &&
			   read_some(fd, bulk, sizeof(bulk)) > 0;
		first_ns[count++] = now_ns() - start_ns;
		while (answered && read_some(fd, bulk, sizeof(bulk)) > 0)
			continue;
		close((int)fd);
		if (!answered)
			return fail("no answer", 0);
	}
	qsort(connect_ns, count, sizeof(connect_ns[0]), compare_ns);
	qsort(first_ns, count, sizeof(first_ns[0]), compare_ns);
	return tell("{\"samples\":%zu,\"connect_ms\":%.4f,\"first_ms\":%.4f}\n", count,
		(double)connect_ns[count / 2] / 1e6, (double)first_ns[count / 2] / 1e6);
}

static bool reach_out(const char *verb, uint32_t port, uint64_t ms)
{
	uint32_t fd;
	bool done;

	if (strcmp(verb, "first") == 0)
		return reach_first(port, ms);
	if (!reach(port, &fd))
		return false;
	done = strcmp(verb, "up") == 0 ? reach_up(fd, ms) : reach_down(fd, ms);
	close((int)fd);
	return done;
}

static void serve_http(uint32_t fd, const char *request)
{
	char verb[16], answer[512];
	uint32_t port, ms;
	bool done = true;

	tell("ok\n");
	if (sscanf(request, "GET /%15[a-z]/%" SCNu32 "/%" SCNu32, verb, &port, &ms) == 3)
		done = reach_out(verb, port, ms);
	snprintf(answer, sizeof(answer),
		"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
		done ? "200 OK" : "500 Failed", strlen(said), said);
	write_some(fd, answer, strlen(answer));
}

static void serve_source(uint32_t fd, uint64_t ms)
{
	const uint64_t end_ns = now_ns() + ms * 1000000;

	while (now_ns() < end_ns && write_some(fd, bulk, sizeof(bulk)) >= 0)
		continue;
}

static void serve_sink(uint32_t fd, uint64_t sunk)
{
	char count[24];
	ssize_t n;

	while ((n = read_some(fd, bulk, sizeof(bulk))) > 0)
		sunk += (uint64_t)n;
	n = snprintf(count, sizeof(count), "%" PRIu64 "\n", sunk);
	write_some(fd, count, (size_t)n);
}

/* Requests are small, and come whole. */
static void serve(uint32_t fd)
{
	ssize_t n = read_some(fd, bulk, sizeof(bulk) - 1);

	if (n <= 0)
		return;
	bulk[n] = '\0';
	if (*bulk == 'S')
		serve_sink(fd, (uint64_t)n);
	else if (*bulk == 'D')
		serve_source(fd, strtoull(bulk + 1, NULL, 10));
	else
		serve_http(fd, bulk);
}

int main(void)
{
	const struct address at = { anywhere, sizeof(anywhere) };
	uint32_t listener, fd;

	if (sock_open(INET4, STREAM, &listener) || sock_bind(listener, &at, 8080) ||
		sock_listen(listener, 16))
		return 1;
	while (sock_accept(listener, &fd) == 0) {
		serve(fd);
		close((int)fd);
	}
	return 2;
}
