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
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define LISTEN_FD 7
#define STATUS_FD 8
#define STATUS_READ_FD 9
#define LENGTH "content-length: "
#define EMPTY "HTTP/1.1 200 OK\r\n" LENGTH "0\r\n\r\n"
#define CHUNKED "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"

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

static int connected(int port)
{
	struct sockaddr_in name = any_port;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	name.sin_port = (in_port_t)port;
	assert_int_equal(connect(fd, (const struct sockaddr *)&name, sizeof name), 0);
	return fd;
}

static void visit(int port)
{
	close(connected(port));
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
	assert_int_equal(byte, '\n');
	assert_int_equal(listen(first, 1), 0);
	assert_no_status();

	/* The first visitor, and the first answer to one, are told as well, and no other. */
	visit(port);
	fd = accept4(first, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(read(STATUS_READ_FD, &byte, 1), 1);
	assert_no_status();
	assert_int_equal(send(fd, "a", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(read(STATUS_READ_FD, &byte, 1), 1);
	close(fd);
	visit(port);
	fd = accept4(first, NULL, NULL, SOCK_CLOEXEC);
	(void)send(fd, "a", 1, MSG_NOSIGNAL);
	assert_no_status();
	close(fd);
	visit(name_of(second).sin_port);
	close(second);
	close(udp);

	close(first);
}

struct pair {
	int visitor, server;
};

static struct pair paired(int fd)
{
	struct pair pair = { .visitor = connected(name_of(fd).sin_port) };

	pair.server = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(pair.server >= 0);
	return pair;
}

static void ask(struct pair pair)
{
	char text[16];

	assert_int_equal(send(pair.visitor, "GET", 3, 0), 3);
	assert_int_equal(recv(pair.server, text, sizeof text, 0), 3);
}

static void assert_comes(struct pair pair, const char *expected)
{
	char text[256] = "";

	assert_int_equal(recv(pair.visitor, text, strlen(expected), MSG_WAITALL), strlen(expected));
	assert_string_equal(text, expected);
	assert_int_equal(recv(pair.visitor, text, 1, MSG_DONTWAIT), -1);
}

static void assert_sent(struct pair pair, const char *text, const char *expected)
{
	assert_int_equal(send(pair.server, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	assert_comes(pair, expected);
}

static void leave(struct pair pair)
{
	close(pair.server);
	close(pair.visitor);
}

static void test_answers(struct pair busy)
{
	struct iovec pieces[] = { { "HTTP/1.1 404 No\r\n" LENGTH "4\r\n\r\n", 38 }, { "", 0 },
		{ "none", 4 } };

	ask(busy);
	assert_sent(busy, "HTTP/1.1 200 OK\r\n" LENGTH "18\r\n\r\n1",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n" LENGTH "18\r\n\r\n1");
	/* What comes of the document later may look as it likes. */
	assert_sent(busy, "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n");
	ask(busy);
	assert_sent(busy, "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n");
	ask(busy);
	assert_int_equal(writev(busy.server, pieces, 3), 42);
	assert_comes(busy, "HTTP/1.1 404 No\r\nConnection: close\r\n" LENGTH "4\r\n\r\nnone");
	ask(busy);
	assert_sent(busy, "220 ready\r\n", "220 ready\r\n");
	ask(busy);
	assert_sent(busy, EMPTY, "HTTP/1.1 200 OK\r\nConnection: close\r\n" LENGTH "0\r\n\r\n");
}

static void on_interrupt(int signal)
{
}

static void test_drain(void **state)
{
	const struct sigaction action = { .sa_handler = on_interrupt };
	int fd = bound(SOCK_STREAM), other, number;
	struct pair busy = paired(fd), slow = paired(fd), silent = paired(fd), stream = paired(fd);
	sigset_t interrupt;
	char byte;

	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	assert_int_equal(sigprocmask(SIG_BLOCK, &interrupt, NULL), 0);
	assert_int_equal(sigaction(SIGINT, &action, NULL), 0);
	ask(slow);
	ask(stream);
	assert_sent(stream, CHUNKED, CHUNKED);
	ask(busy);
	assert_sent(busy, EMPTY, EMPTY);
	assert_int_equal(raise(SIGUSR1), 0);
	test_answers(busy);

	/* New ones are another's. */
	visit(name_of(LISTEN_FD).sin_port);
	assert_int_equal(accept4(fd, NULL, NULL, 0), -1);
	assert_int_equal(errno, EAGAIN);
	other = accept(LISTEN_FD, NULL, NULL);
	assert_true(other >= 0);
	close(other);

	/* The end of those who say nothing more; those who wait for an answer, or for its rest,
	 * stay. */
	assert_int_equal(recv(busy.server, &byte, 1, 0), 0);
	assert_int_equal(recv(silent.server, &byte, 1, 0), 0);
	assert_int_equal(recv(slow.server, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(recv(busy.visitor, &byte, 1, MSG_DONTWAIT), -1);
	leave(busy);
	leave(silent);
	assert_int_equal(recv(stream.server, &byte, 1, MSG_DONTWAIT), -1);
	assert_sent(stream, "2\r\nok\r\n", "2\r\nok\r\n");
	assert_sent(stream, "0\r\n\r\n", "0\r\n\r\n");
	assert_int_equal(recv(stream.server, &byte, 1, 0), 0);
	leave(stream);
	assert_sent(slow, EMPTY, "HTTP/1.1 200 OK\r\nConnection: close\r\n" LENGTH "0\r\n\r\n");
	leave(slow);
	assert_int_equal(sigwait(&interrupt, &number), 0);
	assert_int_equal(number, SIGINT);
	close(fd);
}

/* Without a broker they are the C library's. */
static void test_names(void **state)
{
	struct addrinfo *list = NULL;

	assert_int_equal(getaddrinfo("127.0.0.1", "http", NULL, &list), 0);
	assert_int_equal(list->ai_family, AF_INET);
	freeaddrinfo(list);
}

static void inherit(void)
{
	const char *library = getenv("TEST_PRELOAD");
	int pipe_fds[2], fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (!library || bind(fd, (const struct sockaddr *)&any_port, sizeof any_port) < 0 ||
		listen(fd, 8) < 0 || pipe2(pipe_fds, O_NONBLOCK) < 0)
		abort();
	dup2(fd, LISTEN_FD);
	dup2(pipe_fds[1], STATUS_FD);
	dup2(pipe_fds[0], STATUS_READ_FD);
	close(fd);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	/* Who has it loaded can't execute itself any more. */
	setenv("LD_PRELOAD", library, 1);
	setenv("WASMRUN_LISTEN_FD", "7", 1);
	setenv("WASMRUN_STATUS_FD", "8", 1);
}

static void test_seal(void **state)
{
	const char *const argv[] = { "/bin/true", NULL };

	assert_int_equal(execv(argv[0], (char *const *)argv), -1);
	assert_int_equal(errno, EACCES);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seal),
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_drain),
	};

	if (!getenv("WASMRUN_LISTEN_FD")) {
		inherit();
		execv("/proc/self/exe", argv);
		return EXIT_FAILURE;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
