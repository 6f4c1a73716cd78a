/* SPDX-License-Identifier: MIT */
/*
 * The library is in this program by LD_PRELOAD, and looks at the environment before main(): the
 * program makes what is inherited, and starts itself again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTEN_FD 7
#define STATUS_FD 8
#define STATUS_READ_FD 9

static const struct sockaddr_in any_port = { .sin_family = AF_INET,
	.sin_addr = { .s_addr = 0x0100007f } };

static struct sockaddr_in name_of(int fd)
{
	struct sockaddr_in name;
	socklen_t len = sizeof name;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	return name;
}

static int bound(int type)
{
	int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&any_port, sizeof any_port), 0);
	return fd;
}

static void visit(int port)
{
	struct sockaddr_in name = any_port;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	name.sin_port = (in_port_t)port;
	assert_int_equal(connect(fd, (const struct sockaddr *)&name, sizeof name), 0);
	close(fd);
}

static void assert_no_status(void)
{
	char byte;

	assert_int_equal(read(STATUS_READ_FD, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

static void test_bind(void **state)
{
	int port = name_of(LISTEN_FD).sin_port, udp = bound(SOCK_DGRAM), first, second, fd;
	char byte = 1;

	assert_int_not_equal(name_of(udp).sin_port, port);
	first = bound(SOCK_STREAM);
	assert_int_equal(name_of(first).sin_port, port);
	assert_int_equal(fcntl(first, F_GETFD), FD_CLOEXEC);
	second = bound(SOCK_STREAM);
	assert_int_not_equal(name_of(second).sin_port, port);
	assert_int_equal(listen(second, 1), 0);
	assert_no_status();

	/* One that only looks whether it may bind, and closes again, has it a second time. */
	close(first);
	first = bound(SOCK_STREAM);
	assert_int_equal(name_of(first).sin_port, port);
	assert_no_status();
	assert_int_equal(listen(first, 1), 0);
	assert_int_equal(read(STATUS_READ_FD, &byte, 1), 1);
	assert_int_equal(byte, 0);
	/* Nobody holds the pipe any more. */
	assert_int_equal(read(STATUS_READ_FD, &byte, 1), 0);
	assert_int_equal(listen(first, 1), 0);

	visit(port);
	fd = accept(first, NULL, NULL);
	assert_true(fd >= 0);
	close(fd);
	visit(name_of(second).sin_port);
	close(second);
	close(udp);

	/* From here on they are another's. */
	assert_int_equal(raise(SIGUSR1), 0);
	visit(port);
	assert_int_equal(accept(first, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	fd = accept(LISTEN_FD, NULL, NULL);
	assert_true(fd >= 0);
	close(fd);
	close(first);
}

static void inherit(void)
{
	int pipe_fds[2], fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (bind(fd, (const struct sockaddr *)&any_port, sizeof any_port) < 0 ||
		listen(fd, 8) < 0 || pipe2(pipe_fds, O_NONBLOCK) < 0)
		abort();
	dup2(fd, LISTEN_FD);
	dup2(pipe_fds[1], STATUS_FD);
	dup2(pipe_fds[0], STATUS_READ_FD);
	close(fd);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	setenv("WASMRUN_LISTEN_FD", "7", 1);
	setenv("WASMRUN_STATUS_FD", "8", 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bind),
	};

	if (!getenv("WASMRUN_LISTEN_FD")) {
		inherit();
		execv("/proc/self/exe", argv);
		return EXIT_FAILURE;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
