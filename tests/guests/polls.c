/* SPDX-License-Identifier: MIT */
/*
 * Waits for standard input, the listener, one connection and a time, all in one poll, and tells
 * which came. Starts with a file and a number that is none: both are answered at once.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STDIN, LISTENER, CONNECTION, N };

static void say(const char *what)
{
	puts(what);
	fflush(stdout);
}

/* A file is always ready, a wrong number never good. */
static void poll_file(int listener)
{
	struct pollfd fds[] = {
		{ .fd = open("/dir/file", O_RDONLY), .events = POLLIN },
		{ .fd = listener, .events = POLLIN },
		{ .fd = 77, .events = POLLIN },
	};
	int n = poll(fds, 3, -1);

	printf("file %d: %d %d %d\n", n, fds[0].revents & POLLIN, fds[1].revents,
		fds[2].revents & POLLNVAL);
	fflush(stdout);
}

static void poll_clock(int listener)
{
	struct pollfd one = { .fd = listener, .events = POLLIN };
	struct timespec before, after;

	clock_gettime(CLOCK_MONOTONIC, &before);
	if (poll(&one, 1, 50) != 0)
		say("not the clock");
	clock_gettime(CLOCK_MONOTONIC, &after);
	say((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 < 49
			? "too early"
			: "clock");
}

/* Reads what is there and says it, with its source before it. False at the end. */
static bool tell(const char *source, int fd)
{
	char text[64];
	ssize_t n = read(fd, text, sizeof(text) - 1);

	if (n <= 0) {
		printf("%s end\n", source);
	} else {
		text[n] = '\0';
		printf("%s %s\n", source, text);
	}
	fflush(stdout);
	return n > 0;
}

int main(void)
{
	struct pollfd fds[N] = {
		[STDIN] = { .fd = STDIN_FILENO, .events = POLLIN },
		[LISTENER] = { .fd = atoi(getenv("WASMHUB_LISTEN_FD")), .events = POLLIN },
	};
	nfds_t n = CONNECTION;

	poll_file(fds[LISTENER].fd);
	poll_clock(fds[LISTENER].fd);
	for (;;) {
		if (poll(fds, n, 60000) <= 0)
			return 2;
		if (fds[STDIN].revents && !tell("input", STDIN_FILENO))
			return 0;
		if (n > CONNECTION && fds[CONNECTION].revents &&
			!tell("connection", fds[CONNECTION].fd)) {
			close(fds[CONNECTION].fd);
			n = CONNECTION;
		}
		if (fds[LISTENER].revents) {
			fds[n++] = (struct pollfd){ .fd = accept(fds[LISTENER].fd, NULL, NULL),
				.events = POLLIN };
			say("accepted");
		}
	}
}
