/* SPDX-License-Identifier: MIT */
/* A CGI program that does what its path says: the good, the bad and the endless. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wasi/api.h>

static const char text[] = "Content-Type: text/plain\n\n";

static void do_echo(const char *query)
{
	char buffer[4096];
	size_t n;

	/* The headers are to be dropped: they would break the reply's frame. */
	printf("Content-Type: application/octet-stream\nContent-Length: 0\n"
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

/* To a descriptor of the query's, so many bytes at a time, whatever is said of it. */
static void do_flood(const char *query)
{
	size_t len = (size_t)atol(strchr(query, ',') + 1);
	char *block = malloc(len);

	memset(block, 'x', len);
	block[len - 1] = '\n';
	for (;;)
		(void)!write(atoi(query), block, len);
}

/* The same buffer many times in one call: more than any pipe takes in the time that there is. */
static void do_gather(const char *query)
{
	size_t len = 100 << 20;
	char *block = malloc(len);
	__wasi_ciovec_t many[64];
	__wasi_size_t n;

	memset(block, '\n', len);
	for (size_t i = 0; i < 64; i++)
		many[i] = (__wasi_ciovec_t){ .buf = (const uint8_t *)block, .buf_len = len };
	for (;;)
		(void)!__wasi_fd_write(STDERR_FILENO, many, 64, &n);
}

static void do_read(const char *query)
{
	char byte;

	for (;;)
		(void)!read(STDIN_FILENO, &byte, 1);
}

static void do_clocks(const char *query)
{
	struct timespec now, moment = { .tv_nsec = 1 };

	for (;;) {
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		(void)nanosleep(&moment, NULL);
	}
}

static void do_yield(const char *query)
{
	for (;;)
		(void)sched_yield();
}

static void do_random(const char *query)
{
	static char block[1 << 16];

	for (;;)
		(void)__wasi_random_get((uint8_t *)block, sizeof(block));
}

/* Standard error under another number is standard error still. */
static void do_moved(const char *query)
{
	(void)__wasi_fd_renumber(STDERR_FILENO, STDOUT_FILENO);
	do_flood("1,1000000");
}

static void do_sleep(const char *query)
{
	fputs("asleep\n", stderr);
	sleep(3600);
}

static void do_spin(const char *query)
{
	for (volatile int i = 0;; i++)
		;
}

/* One that fails, and standard output to another number. */
static void do_renumber(const char *query)
{
	fputs(text, stdout);
	printf("%d", __wasi_fd_renumber(77, 1));
	fflush(stdout);
	if (__wasi_fd_renumber(1, 0) == 0)
		write(0, " moved", 6);
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
	{ "/clocks", do_clocks },
	{ "/echo", do_echo },
	{ "/env", do_env },
	{ "/exit", do_exit },
	{ "/fill", do_fill },
	{ "/flood", do_flood },
	{ "/gather", do_gather },
	{ "/head", do_head },
	{ "/long", do_long },
	{ "/moved", do_moved },
	{ "/random", do_random },
	{ "/read", do_read },
	{ "/renumber", do_renumber },
	{ "/sleep", do_sleep },
	{ "/spin", do_spin },
	{ "/trap", do_trap },
	{ "/write", do_write },
	{ "/yield", do_yield },
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
