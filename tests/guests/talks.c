/* SPDX-License-Identifier: MIT */
/*
 * A server that prints, for those who look at the log. One request after the other:
 *
 *   /print/N  N lines on standard output, numbered from 1 on
 *   /odd      what is no plain text: markup, control characters, invalid UTF-8, colours, a long
 * line /reach    connects to an address that no rule allows /end      ends in a trap
 *
 * With ENDS it ends as soon as it could begin. All are answered with the request's own first line,
 * before anything else is done.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wasmedge.h"

#define LONG_LINE 20000

static void print_odd(void)
{
	puts("<img src=x "
	     "onerror=\"document.title='owned'\"><script>document.title='owned'</script>");
	puts("\033[31mred\033[0m \033[1mbold\033[0m \033]0;title\007 \033[2J\b\r end of the "
	     "colours");
	puts("invalid \xff\xfe\xc3( \xed\xa0\x80 end of the bytes");
	puts("right \u202eto left");
	for (int i = 0; i < LONG_LINE; i++)
		putchar('x');
	puts(" end of the long line");
	fputs("error: this is standard error\n", stderr);
}

static void reach(void)
{
	static const uint8_t host[4] = { 203, 0, 113, 1 };
	const struct address address = { host, sizeof(host) };
	uint32_t fd;

	if (sock_open(INET4, STREAM, &fd) == 0 && sock_connect(fd, &address, 80) == 0)
		puts("reached");
}

static void answer(int fd)
{
	static const char format[] =
		"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close"
		"\r\nContent-Length: %zu\r\n\r\n%s\n";
	char head[4096] = "", out[8192];
	ssize_t n = read(fd, head, sizeof(head) - 1);

	if (n <= 0)
		return;
	head[strcspn(head, "\r\n")] = '\0';
	snprintf(out, sizeof(out), format, strlen(head) + 1, head);
	(void)!write(fd, out, strlen(out));
	close(fd);
	if (strncmp(head, "GET /print/", 11) == 0)
		for (int i = 1, last = atoi(head + 11); i <= last; i++)
			printf("line %d of those that were asked for, as long as lines of a log "
			       "are\n",
				i);
	if (strncmp(head, "GET /odd", 8) == 0)
		print_odd();
	if (strncmp(head, "GET /reach", 10) == 0)
		reach();
	if (strncmp(head, "GET /end", 8) == 0)
		__builtin_trap();
	fflush(stdout);
}

int main(void)
{
	static const uint8_t anywhere[4];
	const struct address address = { anywhere, sizeof(anywhere) };
	uint32_t listener, fd;

	if (sock_open(INET4, STREAM, &listener) || sock_bind(listener, &address, 8080) ||
		sock_listen(listener, 16))
		return 1;
	puts("it begins");
	fflush(stdout);
#ifdef ENDS
	__builtin_trap();
#endif
	while (sock_accept(listener, &fd) == 0)
		answer((int)fd);
	return 2;
}
