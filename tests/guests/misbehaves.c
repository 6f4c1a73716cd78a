/* SPDX-License-Identifier: MIT */
/*
 * A server that goes wrong in the way that its first argument names: at the start or, with a second
 * argument, at the first request for anything but /well. Otherwise it says "fine".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTENER 3
#define BLOCK (1 << 20)

/* The limit ends it, so nothing has to be written into what it gets. */
static void fill_memory(void)
{
	for (;;) {
		char *block = malloc(BLOCK);

		__asm__ volatile("" ::"r"(block) : "memory");
		if (!block) {
			fputs("there is no more memory\n", stderr);
			exit(3);
		}
	}
}

static void misbehave(const char *how)
{
	if (strcmp(how, "trap") == 0)
		__builtin_trap();
	if (strcmp(how, "memory") == 0)
		fill_memory();
	if (strcmp(how, "exit") == 0)
		exit(42);
	if (strcmp(how, "spin") == 0)
		for (volatile int i = 0;; i++)
			;
	while (strcmp(how, "sleep") == 0)
		sleep(1000);
}

int main(int argc, char **argv)
{
	static const char answer[] = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nfine\n";
	const char *how = argc > 1 ? argv[1] : "";
	char request[4096];

	puts("it has begun");
	fflush(stdout);
	if (argc < 3)
		misbehave(how);
	for (;;) {
		int fd = accept(LISTENER, NULL, NULL);

		if (fd < 0)
			return 1;
		if (read(fd, request, sizeof(request)) > 0) {
			if (strncmp(request, "GET /well ", 10) != 0)
				misbehave(how);
			write(fd, answer, sizeof(answer) - 1);
		}
		close(fd);
	}
}
