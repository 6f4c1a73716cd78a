/* SPDX-License-Identifier: MIT */
/* A CGI program that does what its path says: the good, the bad and the endless. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char text[] = "Content-Type: text/plain\n\n";

static void do_echo(const char *query)
{
	char buffer[4096];
	size_t n;

	/* The headers are to be dropped: they would break the reply's frame. */
	printf("Content-Type: application/octet-stream\nContent-Length: 3\n"
	       "Transfer-Encoding: chunked\nConnection: close\n\n");
	while ((n = fread(buffer, 1, sizeof(buffer), stdin)) > 0)
		fwrite(buffer, 1, n, stdout);
}

static void do_env(const char *query)
{
	extern char **environ;

	fputs(text, stdout);
	for (char **var = environ; *var; var++)
		puts(*var);
}

static void do_args(const char *query)
{
	fputs(text, stdout);
	puts(getenv("ARGS"));
}

static void do_fill(const char *query)
{
	for (;;) {
		volatile char *page = malloc(1 << 20);

		if (!page)
			abort();
		for (int i = 0; i < 1 << 20; i += 4096)
			page[i] = 1;
	}
}

static void do_head(const char *query)
{
	for (int i = 0; i < 2000; i++)
		printf("X-Header-%d: 0123456789\n", i);
	puts("");
}

/* The query has escapes of its own, to write any byte: ~XX. */
static void do_write(const char *query)
{
	for (; *query; query++) {
		unsigned byte = (unsigned char)*query;

		if (byte == '~' && sscanf(query + 1, "%2x", &byte) == 1)
			query += 2;
		putchar((int)byte);
	}
}

static void do_long(const char *query)
{
	static char block[1 << 16];

	memset(block, 'x', sizeof(block));
	fputs(text, stdout);
	for (long left = atol(query); left > 0; left -= (long)sizeof(block))
		if (!fwrite(block, left < (long)sizeof(block) ? (size_t)left : sizeof(block), 1,
			    stdout))
			exit(1);
}

static void do_exit(const char *query)
{
	printf("%sbye\n", text);
	exit(atoi(query));
}

static void do_sleep(const char *query)
{
	sleep(3600);
}

static void do_spin(const char *query)
{
	for (volatile int i = 0;; i++)
		;
}

static void do_trap(const char *query)
{
	printf("%shalf a page", text);
	fflush(stdout);
	__builtin_trap();
}

static const struct {
	const char *path;
	void (*fn)(const char *query);
} actions[] = {
	{ "/args", do_args },
	{ "/echo", do_echo },
	{ "/env", do_env },
	{ "/exit", do_exit },
	{ "/fill", do_fill },
	{ "/head", do_head },
	{ "/long", do_long },
	{ "/sleep", do_sleep },
	{ "/spin", do_spin },
	{ "/trap", do_trap },
	{ "/write", do_write },
};

int main(int argc, char **argv)
{
	const char *path = getenv("PATH_INFO");
	char words[64];

	snprintf(words, sizeof(words), "%d %s", argc, argv[argc - 1]);
	setenv("ARGS", words, 1);
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (strcmp(actions[i].path, path) == 0) {
			actions[i].fn(getenv("QUERY_STRING"));
			return 0;
		}
	fputs(text, stdout);
	puts("hello");
}
