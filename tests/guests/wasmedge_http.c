/* SPDX-License-Identifier: MIT */
/*
 * An HTTP server that binds its own port, as programs for WasmEdge do. One connection after the
 * other, each for several requests; polls, so that a blocking call holds up nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wasmedge.h"

static const uint8_t anywhere[4];

static int accept_one(uint32_t listener)
{
	uint32_t fd, error;
#ifdef V2
	error = sock_accept(listener, 0, &fd);
#else
	error = sock_accept(listener, &fd);
#endif
	if (error) {
		errno = (int)error;
		return -1;
	}
	return (int)fd;
}

/* Reads one request's head, and answers with its first line. False at the end. */
static int answer(int fd)
{
	static const char format[] = "HTTP/1.1 200 OK\r\nContent-Type: "
				     "text/plain\r\nContent-Length: %zu\r\n\r\nwasmedge %s\n";
	char head[4096] = "", out[8192];
	struct buffer reply = { .at = out };
	size_t len = 0;
	uint32_t sent;

	while (!strstr(head, "\r\n\r\n")) {
		ssize_t n = read(fd, head + len, sizeof(head) - 1 - len);

		if (n <= 0)
			return 0;
		len += (size_t)n;
		head[len] = '\0';
	}
	*strstr(head, "\r\n") = '\0';
	snprintf(out, sizeof(out), format, strlen("wasmedge \n") + strlen(head), head);
	reply.len = strlen(out);
	return sock_send((uint32_t)fd, &reply, 1, 0, &sent) == 0 && sent == reply.len;
}

int main(void)
{
	const struct address address = { anywhere, sizeof(anywhere) };
	uint32_t listener, port = getenv("PORT") ? (uint32_t)atoi(getenv("PORT")) : 8080;
	struct pollfd fds[16];
	nfds_t n = 1;
	int on = 1;

	if (sock_open(INET4, STREAM, &listener) ||
		sock_setsockopt(listener, 0, 0, &on, sizeof(on)) ||
		sock_bind(listener, &address, port) || sock_listen(listener, 16))
		return 1;
	fds[0] = (struct pollfd){ .fd = (int)listener, .events = POLLIN };
	while (poll(fds, n, -1) > 0) {
		for (nfds_t i = n - 1; i > 0; i--) {
			if (!fds[i].revents || answer(fds[i].fd))
				continue;
			close(fds[i].fd);
			fds[i] = fds[--n];
		}
		if (fds[0].revents && n < 16)
			fds[n++] = (struct pollfd){ .fd = accept_one(listener), .events = POLLIN };
	}
	return 2;
}
