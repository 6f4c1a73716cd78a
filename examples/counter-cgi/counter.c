/* SPDX-License-Identifier: MIT */
/*
 * A CGI program for WASI preview 1 (RFC 3875): it is run once for each request, knows it from
 * variables and standard input, and writes a head, an empty line and a page to standard output.
 *
 * Nothing of an instance survives its request, so the visits are counted in a file: one byte for
 * each, appended, which requests that run side by side can't do to each other's harm.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VISITS "/data/visits"

/* The number of visits with this one, or -1. */
static long long count_visit(void)
{
	int fd = open(VISITS, O_WRONLY | O_CREAT | O_APPEND, 0644);
	struct stat st;

	if (fd < 0 || write(fd, ".", 1) != 1 || fstat(fd, &st) < 0)
		return -1;
	close(fd);
	return st.st_size;
}

/* The path may be anything. */
static void print_escaped(const char *text)
{
	for (; *text; text++) {
		if (strchr("<>&\"'", *text))
			printf("&#%d;", *text);
		else
			putchar(*text);
	}
}

int main(void)
{
	const char *method = getenv("REQUEST_METHOD"), *path = getenv("PATH_INFO");
	long long visits;

	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		printf("Status: 405\nAllow: GET, HEAD\nContent-Type: text/plain\n\n"
		       "This page can only be read.\n");
		return 0;
	}
	visits = count_visit();
	if (visits < 0) {
		fprintf(stderr, "counter-cgi: can't count in %s: %s\n", VISITS, strerror(errno));
		printf("Status: 500\nContent-Type: text/plain\n\nThe counter is broken.\n");
		return 1;
	}
	printf("Content-Type: text/html; charset=utf-8\n"
	       "Cache-Control: no-store\n"
	       "\n"
	       "<!doctype html>\n"
	       "<title>Counter</title>\n"
	       "<h1>Visit %lld</h1>\n"
	       "<p>You asked for <code>",
		visits);
	print_escaped(path);
	printf("</code>.</p>\n");
	return 0;
}
