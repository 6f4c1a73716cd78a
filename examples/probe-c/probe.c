/* SPDX-License-Identifier: MIT */
/*
 * A server that tries what its address says: GET /api.example.com:443 connects there, and is
 * answered with what came of it. So it shows what an application may reach, and how one in C
 * connects at all: with WasmEdge's socket calls, because WASI preview 1 has none for that. Its
 * arguments are further ports that it listens on.
 */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IMPORT(name) \
	__attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) uint32_t name

#define PORTS_MAX 8

enum { INET4 = 1 };
enum { STREAM = 2 };

struct bytes {
	const void *at;
	uint32_t len;
};

/* What sock_getaddrinfo() fills; the data is a port and an address, as in struct sockaddr_in. */
struct info {
	uint16_t flags;
	uint8_t family, socktype, protocol;
	uint32_t addrlen;
	struct place {
		uint8_t family;
		uint32_t len;
		uint8_t *data;
	} * addr;
	char *name;
	uint32_t name_len;
	struct info *next;
};

/* They return 0 or an error code of WASI's. */
IMPORT(sock_open)(uint32_t family, uint32_t type, uint32_t *fd);
IMPORT(sock_bind)(uint32_t fd, const struct bytes *address, uint32_t port);
IMPORT(sock_listen)(uint32_t fd, uint32_t backlog);
IMPORT(sock_accept)(uint32_t fd, uint32_t *connection);
IMPORT(sock_connect)(uint32_t fd, const struct bytes *address, uint32_t port);
IMPORT(sock_getaddrinfo)
(const char *node, uint32_t node_len, const char *service, uint32_t service_len, const void *hint,
	void *list, uint32_t max, uint32_t *n);

static const char *words(uint32_t error)
{
	static const struct {
		uint32_t error;
		const char *words;
	} known[] = {
		{ 0, "connected" },
		{ 2, "permission denied" },
		{ 14, "connection refused" },
		{ 42, "no buffer space: it has too many connections" },
		{ 73, "timed out" },
		{ 84, "no such name" },
	};
	static char other[32];

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].error == error)
			return known[i].words;
	snprintf(other, sizeof(other), "error %u", error);
	return other;
}

static uint32_t look_up(const char *host, uint8_t ipv4[4])
{
	uint8_t data[26] = { 0 };
	struct place place = { 0, 14, data };
	struct info info = { .addr = &place }, hint = { .family = INET4, .socktype = STREAM };
	struct info *list = &info;
	uint32_t n, error;

	error = sock_getaddrinfo(host, strlen(host), "", 0, &hint, &list, 1, &n);
	memcpy(ipv4, data + 2, 4);
	return error;
}

static uint32_t try_to_connect(const char *host, uint32_t port)
{
	uint8_t ipv4[4];
	const struct bytes address = { ipv4, sizeof(ipv4) };
	uint32_t fd, error = look_up(host, ipv4);

	if (error)
		return error;
	error = sock_open(INET4, STREAM, &fd);
	if (error)
		return error;
	error = sock_connect(fd, &address, port);
	close((int)fd);
	return error;
}

static void serve(int fd)
{
	char head[4096], host[256], body[512] = "GET /HOST:PORT tries to connect there\n",
				    out[1024];
	size_t len = 0;
	uint32_t port;

	do {
		ssize_t n = read(fd, head + len, sizeof(head) - 1 - len);

		if (n <= 0)
			return; /* he has gone, or says too much */
		len += (size_t)n;
		head[len] = '\0';
	} while (!strstr(head, "\r\n\r\n"));
	if (sscanf(head, "GET /%255[A-Za-z0-9._-]:%u", host, &port) == 2)
		snprintf(body, sizeof(body), "%s:%u: %s\n", host, port,
			words(try_to_connect(host, port)));
	snprintf(out, sizeof(out),
		"HTTP/1.1 200 OK\r\n"
		"Content-Type: text/plain\r\n"
		"Content-Length: %zu\r\n"
		"Connection: close\r\n"
		"\r\n"
		"%s",
		strlen(body), body);
	(void)write(fd, out, strlen(out));
}

/* WASI's error code. */
static uint32_t listen_on(uint32_t port, uint32_t *listener)
{
	static const uint8_t anywhere[4];
	const struct bytes address = { anywhere, sizeof(anywhere) };
	uint32_t error = sock_open(INET4, STREAM, listener);

	if (!error)
		error = sock_bind(*listener, &address, port);
	if (!error)
		error = sock_listen(*listener, 16);
	if (error)
		fprintf(stderr, "probe-c: can't listen on port %u: %s\n", port, words(error));
	return error;
}

int main(int argc, char **argv)
{
	struct pollfd fds[PORTS_MAX];
	uint32_t listener, fd;
	nfds_t n = 0;

	for (int i = 0; i < argc && n < PORTS_MAX; i++) {
		/* The first port is the one that visitors come by, whatever its number. */
		if (listen_on(i > 0 ? (uint32_t)atoi(argv[i]) : 8080, &listener))
			return 1;
		fds[n++] = (struct pollfd){ .fd = (int)listener, .events = POLLIN };
	}
	while (poll(fds, n, -1) > 0)
		for (nfds_t i = 0; i < n; i++)
			if (fds[i].revents && sock_accept((uint32_t)fds[i].fd, &fd) == 0) {
				serve((int)fd);
				close((int)fd);
			}
	return 1;
}
