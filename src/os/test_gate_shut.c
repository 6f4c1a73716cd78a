/* SPDX-License-Identifier: MIT */
/*
 * An application that takes the port away from everybody: it is ended, and the port is there for
 * the next one. The test's own program is the engine that does it, since no filter can refuse it.
 */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/fd.h"
#include "os/gate.h"
#include "os/supervisor_fixture.h"

#define LISTENER 3 /* its number in the engine */

static char program[4096];

/* The engine: it has said that it takes connections. `selfish`: nobody else can bind the port as
 * long as it lives, either. `leaves`: and ends well, as if it had nothing more to do. */
static int shut(bool selfish, bool leaves)
{
	int off = 0;

	if (selfish && setsockopt(LISTENER, SOL_SOCKET, SO_REUSEADDR, &off, sizeof off) < 0)
		return 1;
	if (shutdown(LISTENER, SHUT_RDWR) < 0)
		return 1;
	if (leaves)
		return 0;
	for (;;)
		(void)pause();
}

static void expect_connection(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	(void)fd_close(fd);
}

static void run_case(const char *how)
{
	struct fixture f = { 0 };
	struct supervisor_status status;
	char script[5000], path[96];
	uint16_t port;

	snprintf(script, sizeof script,
		"ready\nuntil [ -e .go ]; do sleep 0.01; done\n"
		"[ -e once ] || { : >once; exec '%s' %s; }\nexec sleep 1000",
		program, how);
	fixture_open(&f, script);
	port = fixture_status(&f).port;
	expect_connection(port);
	supervisor_start(f.supervisor);
	/* Shut before the supervisor has read that it is ready, it would have failed to start. */
	fixture_await(&f, "starting running ");
	snprintf(path, sizeof path, "%s/.go", f.dir);
	fixture_write_file(path, "", 0);
	fixture_await(&f, "restarting starting running ");
	status = fixture_status(&f);
	assert_string_equal(status.exit_reason, GATE_SHUT);
	assert_int_equal(status.port, port);
	expect_connection(port);
	fixture_close(&f);
}

static void test_shut(void **state)
{
	run_case("shut");
}

static void test_shut_and_kept(void **state)
{
	run_case("shut-selfish");
}

static void test_shut_and_gone(void **state)
{
	run_case("shut-leaves");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shut),
		cmocka_unit_test(test_shut_and_kept),
		cmocka_unit_test(test_shut_and_gone),
	};

	if (argc == 2)
		return shut(
			strcmp(argv[1], "shut-selfish") == 0, strcmp(argv[1], "shut-leaves") == 0);
	if (!realpath("/proc/self/exe", program))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
