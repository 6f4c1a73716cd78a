/* SPDX-License-Identifier: MIT */
/*
 * Reaches out with WasmEdge's socket calls, and tells its visitor how it went. One request after
 * the other:
 *
 *   /connect/HOST/PORT  looks HOST up, connects, sends a line, answers with what comes back
 *   /bind/PORT          listens on another port, connects to that at 127.0.0.1, and accepts itself
 *   /after/HOST/PORT    connects, when this visitor has been let go
 *   /udp                opens a socket for datagrams
 *   /leave/HOST/PORT    connects, and lets that be
 *   /more               sends a line on the one that was left last, answers with what comes back
 *
 * What fails is told by the call's name and WASI's error code. Wishes that it has as arguments it
 * prints the answers of, and ends; two more make sense there:
 *
 *   /hold/HOST/PORT       connects, says so, and waits for the end of standard input
 *   /send/HOST/PORT/SIZE  connects, and ends as soon as it has written so many bytes
 *   /exit/CODE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wasmedge.h"

static const uint8_t anywhere[4], loopback[4] = { 127, 0, 0, 1 };
static char said[512];
static char after[256]; /* what is to be connected to without a visitor */

static int tell(const char *what, uint32_t error)
{
	snprintf(said, sizeof(said), "%s %u", what, error);
	return 0;
}

static uint32_t look_up(const char *host, uint8_t ipv4[4])
{
	uint8_t data[26] = { 0 };
	struct place place = { 0, 14, data };
	struct info info = { .addr = &place }, hint = { .family = INET4, .socktype = STREAM };
	struct info *list = &info;
	uint32_t n = 0, error;

	error = sock_getaddrinfo(host, strlen(host), "", 0, &hint, &list, 1, &n);
	memcpy(ipv4, data + 2, 4);
	return error;
}

/* Sends a line and reads an answer. */
static int converse(uint32_t fd)
{
	static const char line[] = "hello from inside\n";
	char answer[100] = "";
	const struct buffer in = { answer, sizeof(answer) - 1 }, out = { line, strlen(line) };
	uint32_t n, error = sock_send(fd, &out, 1, 0, &n);
	uint16_t flags;

	if (error)
		return tell("send", error);
	error = sock_recv(fd, &in, 1, 0, &n, &flags);
	if (error)
		return tell("recv", error);
	return snprintf(said, sizeof(said), "%s", answer);
}

/* "HOST/PORT". The descriptor; or -1, and it is told why. */
static int open_to(char *rest)
{
	char *port = strchr(rest, '/');
	uint8_t ipv4[4];
	const struct address to = { ipv4, sizeof(ipv4) };
	uint32_t fd, error;

	*port++ = '\0';
	error = look_up(rest, ipv4);
	if (error)
		return tell("lookup", error) - 1;
	error = sock_open(INET4, STREAM, &fd);
	if (error)
		return tell("open", error) - 1;
	error = sock_connect(fd, &to, (uint32_t)atoi(port));
	if (!error)
		return (int)fd;
	close((int)fd);
	return tell("connect", error) - 1;
}

static int do_connect(char *rest)
{
	int fd = open_to(rest);

	if (fd < 0)
		return 0;
	converse((uint32_t)fd);
	return close(fd);
}

static int left;

static int do_leave(char *rest)
{
	int fd = open_to(rest);

	if (fd < 0)
		return 0;
	left = fd;
	return tell("left", 0);
}

static int do_more(char *rest)
{
	return converse((uint32_t)left);
}

static int do_hold(char *rest)
{
	if (open_to(rest) < 0)
		return 0;
	puts("held");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return tell("let go", 0);
}

static int do_send(char *rest)
{
	size_t left = (size_t)atol(strrchr(rest, '/') + 1), size;
	static char bytes[65536]; /* more than there is of stack */
	int fd = open_to(rest);

	for (; fd >= 0 && left > 0; left -= size) {
		size = left < sizeof(bytes) ? left : sizeof(bytes);
		size = (size_t)write(fd, bytes, size);
	}
	if (fd >= 0)
		tell("sent", 0);
	return 0;
}

static int do_exit(char *rest)
{
	exit(atoi(rest));
}

static int do_bind(char *rest)
{
	const struct address at = { anywhere, sizeof(anywhere) }, to = { loopback, 4 };
	uint32_t listener, fd, other, port = (uint32_t)atoi(rest), error;

	if (sock_open(INET4, STREAM, &listener) || sock_open(INET4, STREAM, &fd))
		return tell("open", 0);
	error = sock_bind(listener, &at, port);
	if (error)
		return tell("bind", error);
	error = sock_listen(listener, 8);
	if (error)
		return tell("listen", error);
	error = sock_connect(fd, &to, port);
	if (error)
		return tell("connect", error);
	error = sock_accept(listener, &other);
	if (error)
		return tell("accept", error);
	if (write((int)other, "its own", 7) == 7)
		converse(fd);
	close((int)other);
	close((int)fd);
	close((int)listener);
	return 0;
}

static int do_after(char *rest)
{
	strcpy(after, rest);
	return snprintf(said, sizeof(said), "afterwards");
}

static int do_udp(char *rest)
{
	uint32_t fd;

	return tell("open", sock_open(INET4, DGRAM, &fd));
}

static const struct {
	const char *path;
	int (*run)(char *rest);
} wishes[] = {
	{ "/connect/", do_connect },
	{ "/bind/", do_bind },
	{ "/after/", do_after },
	{ "/udp", do_udp },
	{ "/leave/", do_leave },
	{ "/more", do_more },
	{ "/hold/", do_hold },
	{ "/send/", do_send },
	{ "/exit/", do_exit },
};

static void grant(char *path)
{
	strcpy(said, "no such wish");
	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
		if (strncmp(path, wishes[i].path, strlen(wishes[i].path)) == 0)
			wishes[i].run(path + strlen(wishes[i].path));
}

static void serve(int fd)
{
	char head[4096] = "", path[256] = "", out[1024];
	size_t len = 0;

	while (!strstr(head, "\r\n\r\n")) {
		ssize_t n = read(fd, head + len, sizeof(head) - 1 - len);

		if (n <= 0)
			return;
		len += (size_t)n;
		head[len] = '\0';
	}
	sscanf(head, "GET %255s", path);
	grant(path);
	snprintf(out, sizeof(out),
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(said), said);
	write(fd, out, strlen(out));
}

int main(int argc, char **argv)
{
	const struct address at = { anywhere, sizeof(anywhere) };
	uint32_t listener, fd;

	for (int i = 1; i < argc; i++) {
		grant(argv[i]);
		puts(said);
		fflush(stdout);
	}
	if (argc > 1)
		return 0;
	if (sock_open(INET4, STREAM, &listener) || sock_bind(listener, &at, 8080) ||
		sock_listen(listener, 16))
		return 1;
	while (sock_accept(listener, &fd) == 0) {
		serve((int)fd);
		close((int)fd);
		if (*after)
			do_connect(after);
		*after = '\0';
	}
	return 2;
}
