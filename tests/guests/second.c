/* SPDX-License-Identifier: MIT */
/*
 * A program for WasmEdge with two ports: 8080, as which it is served, and 8081, which it opens when
 * the first visitor of the other one has come. From then on it serves that one.
 */
#include <string.h>
#include <unistd.h>

#include "wasmedge.h"

static const uint8_t anywhere[4];

static int open_port(uint32_t port, uint32_t *listener)
{
	const struct address at = { anywhere, sizeof(anywhere) };

	return sock_open(INET4, STREAM, listener) || sock_bind(*listener, &at, port) ||
	       sock_listen(*listener, 16);
}

static void say(uint32_t fd, const char *text)
{
	write((int)fd, text, strlen(text));
	close((int)fd);
}

int main(void)
{
	uint32_t first, second, fd;

	if (open_port(8080, &first) || sock_accept(first, &fd) || open_port(8081, &second))
		return 1;
	say(fd, "first");
	while (sock_accept(second, &fd) == 0)
		say(fd, "second");
	return 2;
}
