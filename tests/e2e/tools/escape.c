/* SPDX-License-Identifier: MIT */
/*
 * A hostile program in an engine's place (tests/e2e/test_escape.py): visitors tell it which way out
 * to try, a line for each, and are told which system call has been the end of it, and its errno:
 * "connect 13", or "ok 0". It makes its calls by itself, so that no library that is loaded into it
 * takes them over.
 *
 * --version answers as the wasmtime command does. As the compiler it leaves an empty file for what
 * it would have made, and tells what else it could write.
 */
#include "escape.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int listener = -1, status = -1, broker = -1;
const char *cache = "";
char **arguments;

int take_visitor(int flags)
{
	return (int)syscall(SYS_accept4, listener, NULL, NULL, flags);
}

static struct outcome try_way(char *line)
{
	static const struct way *const tables[] = { net_ways, file_ways, process_ways, broker_ways,
		harm_ways, use_ways };
	char *words[WORDS_MAX + 1] = { 0 }, *rest = line;
	struct outcome o = { "unknown", ENOSYS };

	for (size_t i = 0; i < WORDS_MAX && (words[i] = strsep(&rest, " ")); i++)
		;
	for (size_t t = 0; t < COUNT(tables); t++)
		for (const struct way *way = tables[t]; way->name; way++)
			if (strcmp(way->name, words[0]) == 0)
				return way->try(words);
	(void)try_call(words[0], &o);
	return o;
}

static void serve(int fd)
{
	FILE *in = fdopen(fd, "r");
	char line[4096];

	while (in && fgets(line, sizeof line, in)) {
		line[strcspn(line, "\n")] = '\0';

		struct outcome o = try_way(line);

		dprintf(fd, "%s %d\n", o.call, o.error);
	}
	if (in)
		fclose(in);
}

static int compile(void)
{
	static const char *const asked[] = { "code module.cwasm 65", "code ../outside 65",
		"socket 2 1 0", "fork clone" };

	for (size_t i = 0; i < COUNT(asked); i++) {
		char line[64];

		snprintf(line, sizeof line, "%s", asked[i]);

		struct outcome o = try_way(line);

		printf("compiler: %s: %s %d\n", asked[i], o.call, o.error);
	}
	(void)fflush(stdout);
	(void)!write(status, "\n", 1);
	return 0;
}

static int number_of(const char *text, int otherwise)
{
	return text ? atoi(text) : otherwise;
}

int main(int argc, char **argv)
{
	bool compiles = getenv("WASMRUN_COMPILE");

	arguments = argv;
	status = number_of(getenv("WASMRUN_STATUS_FD"), -1);
	listener = number_of(getenv("WASMRUN_LISTEN_FD"), -1);
	broker = number_of(getenv("WASMRUN_BROKER_FD"), -1);
	if (getenv("HOME"))
		cache = getenv("HOME");
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--version") == 0)
			return puts("wasmtime 48.0.8") < 0;
		compiles |= strcmp(argv[i], "--compile") == 0;
		(void)sscanf(argv[i], "--listen-fd=%d", &listener);
		(void)sscanf(argv[i], "--status-fd=%d", &status);
		(void)sscanf(argv[i], "--broker-fd=%d", &broker);
		if (strncmp(argv[i], "--cache=", 8) == 0)
			cache = argv[i] + 8;
	}
	if (compiles)
		return compile();
	signal(SIGPIPE, SIG_IGN);
	(void)fcntl(listener, F_SETFL, 0);
	printf("status descriptor %d\n", status);
	fflush(stdout);
	(void)!write(status, "\n", 1);
	for (;;) {
		int fd = take_visitor(SOCK_CLOEXEC);

		if (fd < 0 && errno == EINVAL)
			pause(); /* it was shut: the end comes from the supervisor */
		if (fd < 0)
			continue;
		/* Who has served somebody and ends is started again. */
		(void)!write(status, "\n", 1);
		serve(fd);
	}
}
