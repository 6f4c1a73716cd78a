/* SPDX-License-Identifier: MIT */
/*
 * A server that ends on whatever it doesn't understand: anything that doesn't begin with "GET ".
 * One connection after the other, one request on each. With WASMEDGE it binds its own port.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PREOPENED 3

#ifdef WASMEDGE
#include "wasmedge.h"

static int listener_open(void)
{
	static const uint8_t anywhere[4];
	const struct address address = { anywhere, sizeof(anywhere) };
	uint32_t fd;

	if (sock_open(INET4, STREAM, &fd) || sock_bind(fd, &address, 8080) || sock_listen(fd, 16))
		return -1;
	return (int)fd;
}

static int accept_one(int listener)
{
	uint32_t fd;

	return sock_accept((uint32_t)listener, &fd) ? -1 : (int)fd;
}
#else
static int listener_open(void)
{
	return PREOPENED;
}

static int accept_one(int listener)
{
	return accept(listener, NULL, NULL);
}
#endif

int main(void)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: "
				     "close\r\n\r\nok\n";
	int listener = listener_open(), fd;

	while ((fd = accept_one(listener)) >= 0) {
		char head[4096];
		ssize_t n = read(fd, head, sizeof(head));

		if (n < 4 || memcmp(head, "GET ", 4) != 0)
			return 1;
		if (write(fd, answer, sizeof(answer) - 1) < 0)
			return 1;
		close(fd);
	}
	return 2;
}
