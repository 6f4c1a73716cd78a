/* SPDX-License-Identifier: MIT */
/*
 * Ten thousand connections of a guest in a process of its own, and as many requests while they are
 * open: the broker answers each, and stays small.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/fd.h"
#include "os/broker_fixture.h"

#define COUNT 10000
#define RSS_MAX_KIB (64 * 1024)
/* Of the broker: two for a connection, and a few. Of the guest as many, with its server. */
#define FDS_WANTED (2 * COUNT + 500)

/* How many connections there are descriptors for. Only root may raise the hard limit. */
static int count_affordable(void)
{
	struct rlimit limit = { FDS_WANTED, FDS_WANTED };

	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return COUNT;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return limit.rlim_max < FDS_WANTED ? (int)(limit.rlim_max - (FDS_WANTED - 2 * COUNT)) / 2
					   : COUNT;
}

static void take_visitors(int server)
{
	struct pollfd waits = { .fd = server, .events = POLLIN };

	while (poll(&waits, 1, 0) == 1 && accept4(server, NULL, NULL, SOCK_CLOEXEC) >= 0)
		;
}

/* The guest. 0: all went well; else what didn't. */
static int guest_main(struct guest *g, int server, uint16_t port, int count)
{
	const struct broker_request connects = request_connect("127.0.0.1", port);
	const struct broker_request resolves = request_resolve("localhost", BROKER_IPV4);
	static int held[COUNT];
	struct broker_answer a;
	int fd;

	for (int i = 0; i < count; i++) {
		if (take_answer(guest_ask(g, &connects), &a, &held[i]) != 0 || held[i] < 0)
			return 1;
		take_visitors(server);
	}
	for (int i = 0; i < COUNT; i++)
		if (take_answer(guest_ask(g, &resolves), &a, &fd) != 0 || a.count != 1)
			return 2;
	for (int i = 0; i < count; i++)
		if (send(held[i], "x", 1, MSG_NOSIGNAL) != 1)
			return 3;
	return 0;
}

static long peak_kib(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	long kib = -1;

	assert_non_null(file);
	while (fgets(line, sizeof line, file))
		if (strncmp(line, "VmHWM:", 6) == 0)
			kib = strtol(line + 6, NULL, 10);
	(void)fclose(file);
	return kib;
}

static void test_ten_thousand(void **state)
{
	struct network_limits many = fixture_limits;
	const char *rules[] = { NULL, NULL };
	char rule[32];
	struct fixture f;
	uint16_t port;
	int count = count_affordable(), server = server_open(&port), status;
	long peak;
	pid_t pid;

	assert_in_range(count, 1000, COUNT);
	many.max_connections = COUNT;
	snprintf(rule, sizeof rule, "localhost:%u", port);
	rules[0] = rule;
	fixture_open(&f, rules, &many);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(guest_main(&f.guest, server, port, count));
	(void)fd_close(server);
	f.guest.fd = fd_close(f.guest.fd);
	do {
		fixture_arm(&f);
		fixture_turn(&f);
	} while (waitpid(pid, &status, WNOHANG) == 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(f.opened, count);
	peak = peak_kib();
	print_message("%d connections: at most %ld KiB\n", count, peak);
	if (!getenv("WASMRUN_SANITIZER")) /* whose runtime has memory of its own */
		assert_in_range(peak, 1, RSS_MAX_KIB);
	WAIT_UNTIL(&f, f.ended == (unsigned)count);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ten_thousand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
