/* SPDX-License-Identifier: MIT */
/*
 * Each of WasmEdge's socket calls, on real sockets, and with pointers that lead nowhere. The first
 * TCP socket is the listener that the program was given; argument 1 is a port of the test's, where
 * it connects to and expects "hello".
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wasi/api.h>

#include "wasmedge.h"

#define NOWHERE ((void *)0xfffffff0)
#define STORAGE 128

enum { REUSEADDR, TYPE, ERROR, RCVBUF = 6, LINGER = 9, RCVTIMEO = 11, ACCEPTCONN = 13 };

static const uint8_t loopback[4] = { 127, 0, 0, 1 };
static const uint8_t loopback6[16] = { [15] = 1 };
static const struct address v4 = { loopback, 4 }, v6 = { loopback6, 16 };
static int failures;

#define CHECK(what)                                    \
	do {                                           \
		if (!(what)) {                         \
			printf("failed: %s\n", #what); \
			failures++;                    \
		}                                      \
	} while (0)

/* Calls that differ between the generations, as one. */
static uint32_t accept_from(uint32_t fd, uint32_t *connection)
{
#ifdef V2
	return sock_accept(fd, 0, connection);
#else
	return sock_accept(fd, connection);
#endif
}

/* The address of one end: family, and port in *ret_port. The bytes go to ip. */
static int end_of(uint32_t fd, bool peer, uint8_t *ip, uint32_t *ret_port)
{
#ifdef V2
	uint8_t room[STORAGE] = { 0 };
	const struct address address = { room, sizeof(room) };
	uint32_t error = peer ? sock_getpeeraddr(fd, &address, ret_port)
			      : sock_getlocaladdr(fd, &address, ret_port);

	memcpy(ip, room + 2, 16);
	return error ? -(int)error : room[0] == INET4 ? 4 : 6;
#else
	const struct address address = { ip, 16 };
	uint32_t family, error = peer ? sock_getpeeraddr(fd, &address, &family, ret_port)
				      : sock_getlocaladdr(fd, &address, &family, ret_port);

	return error ? -(int)error : (int)family;
#endif
}

static uint32_t open_socket(uint32_t family, uint32_t type)
{
	uint32_t fd = 0;

	CHECK(sock_open(family, type, &fd) == 0);
	return fd;
}

static void check_listener(void)
{
	uint32_t fd = open_socket(INET4, STREAM), second = open_socket(INET4, STREAM), connection;
	uint32_t port = 0, size = sizeof(int);
	uint8_t ip[16];
	int on = 1, value = 0;
	char byte;

	CHECK(sock_setsockopt(fd, 0, REUSEADDR, &on, sizeof(on)) == 0);
	CHECK(sock_bind(fd, &v4, 1) == 0);
	CHECK(sock_bind(fd, &v4, 1) == __WASI_ERRNO_INVAL);
	CHECK(sock_listen(fd, 8) == 0);
	CHECK(end_of(fd, false, ip, &port) == 4 && port > 1 && memcmp(ip, loopback, 4) == 0);
	CHECK(sock_getsockopt(fd, 0, ACCEPTCONN, &value, &size) == 0 && value == 1 && size == 4);
	/* The second one is real. */
	CHECK(sock_bind(second, &v4, port) == __WASI_ERRNO_ADDRINUSE);
	CHECK(sock_bind(second, &v4, 0) == 0 && sock_listen(second, 8) == 0);
	CHECK(fcntl((int)second, F_SETFL, O_NONBLOCK) == 0);
	CHECK(accept_from(second, &connection) == __WASI_ERRNO_AGAIN);
	CHECK(accept_from(second, NOWHERE) == __WASI_ERRNO_FAULT);
	CHECK(close((int)second) == 0);
	puts("listening");
	fflush(stdout);
	CHECK(accept_from(fd, &connection) == 0);
	CHECK(end_of(connection, true, ip, &port) == 4 && port != 0 &&
		memcmp(ip, loopback, 4) == 0);
	CHECK(write((int)connection, "visit", 5) == 5);
	CHECK(read((int)connection, &byte, 1) == 0);
	CHECK(close((int)connection) == 0);
	CHECK(close((int)fd) == 0);
}

static void check_connect(uint32_t port)
{
	uint32_t fd = open_socket(INET4, STREAM), size = sizeof(int), n;
	struct pollfd one = { .events = POLLOUT };
	char text[16] = "";
	const struct buffer buffer = { text, sizeof(text) };
	uint8_t ip[16];
	uint16_t flags;
	int error = -1;

	CHECK(sock_connect(fd, &v4, port) == 0);
	CHECK(end_of(fd, true, ip, &n) == 4 && n == port);
	CHECK(sock_recv(fd, &buffer, 1, 0, &n, &flags) == 0 && n == 5 &&
		strcmp(text, "hello") == 0);
	CHECK(sock_shutdown(fd, 3) == 0);
	CHECK(sock_connect(fd, NOWHERE, port) == __WASI_ERRNO_FAULT);
	CHECK(close((int)fd) == 0);

	fd = open_socket(INET4, STREAM);
	CHECK(fcntl((int)fd, F_SETFL, O_NONBLOCK) == 0);
	CHECK(sock_connect(fd, &v4, port) == __WASI_ERRNO_INPROGRESS);
	one.fd = (int)fd;
	CHECK(poll(&one, 1, -1) == 1 && one.revents & POLLOUT);
	CHECK(sock_getsockopt(fd, 0, ERROR, &error, &size) == 0 && error == 0);
	CHECK(close((int)fd) == 0);

	/* A port that was free just now. */
	fd = open_socket(INET4, STREAM);
	CHECK(sock_connect(fd, &v4, 1) == __WASI_ERRNO_CONNREFUSED);
	CHECK(close((int)fd) == 0);
}

static uint32_t receive(uint32_t fd, void *text, uint32_t len, uint16_t *ret_flags, uint32_t *n)
{
	const struct buffer buffer = { text, len };
	uint8_t room[STORAGE] = { 0 };
	const struct address address = { room, sizeof(room) };
#ifdef V2
	uint16_t port = 0;
	uint32_t error = sock_recv_from(fd, &buffer, 1, &address, 0, &port, n, ret_flags);

	CHECK(error || (room[0] == INET4 && room[1] == 0 && memcmp(room + 2, loopback, 4) == 0));
	CHECK(error || port != 0);
#else
	uint32_t error = sock_recv_from(fd, &buffer, 1, &address, 0, n, ret_flags);

	CHECK(error || memcmp(room, loopback, 4) == 0);
#endif
	return error;
}

static void check_datagrams(void)
{
	uint32_t in = open_socket(INET4, DGRAM), out = open_socket(INET4, DGRAM), port = 0, n;
	const struct buffer hello = { "hello", 5 };
	uint64_t limit[2] = { 0, 20000 };
	uint8_t ip[16], storage[STORAGE] = { INET4, 0, 127, 0, 0, 1 };
	const struct address stored = { storage, sizeof(storage) };
	__wasi_fdstat_t stat;
	char text[16] = "";
	uint16_t flags;

	CHECK(__wasi_fd_fdstat_get((int)in, &stat) == 0);
	CHECK(stat.fs_filetype == __WASI_FILETYPE_SOCKET_DGRAM);
	CHECK(sock_bind(in, &v4, 0) == 0 && end_of(in, false, ip, &port) == 4);
	CHECK(sock_send_to(out, &hello, 1, &v4, port, 0, &n) == 0 && n == 5);
	CHECK(receive(in, text, sizeof(text), &flags, &n) == 0 && n == 5 && flags == 0);
	CHECK(strcmp(text, "hello") == 0);
	CHECK(sock_send_to(out, &hello, 1, &stored, port, 0, &n) == 0);
	CHECK(receive(in, text, 3, &flags, &n) == 0 && n == 3 && flags == 1);
	CHECK(sock_setsockopt(in, 0, RCVTIMEO, limit, sizeof(limit)) == 0);
	CHECK(receive(in, text, 3, &flags, &n) == __WASI_ERRNO_AGAIN);
	CHECK(sock_send_to(out, &hello, 1, NOWHERE, port, 0, &n) == __WASI_ERRNO_FAULT);
	CHECK(sock_send_to(out, &hello, 1, &v4, 65536, 0, &n) == __WASI_ERRNO_INVAL);
	CHECK(sock_listen(in, 1) == __WASI_ERRNO_NOTSUP);
	close((int)in);
	close((int)out);
}

static void check_options(void)
{
	uint32_t fd = open_socket(INET6, STREAM), size = sizeof(int);
	int value = 0, linger[2] = { 1, 7 }, got[2] = { 0 };
	uint64_t limit[2] = { 3, 500000 }, kept[2] = { 0 };

	CHECK(sock_getsockopt(fd, 0, TYPE, &value, &size) == 0 && value == STREAM);
	CHECK(sock_setsockopt(fd, 0, TYPE, &value, size) == __WASI_ERRNO_NOPROTOOPT);
	CHECK(sock_setsockopt(fd, 0, RCVBUF, &value, 2) == __WASI_ERRNO_INVAL);
	value = 1 << 15;
	CHECK(sock_setsockopt(fd, 0, RCVBUF, &value, size) == 0);
	CHECK(sock_getsockopt(fd, 0, RCVBUF, &value, &size) == 0 && value >= 1 << 15);
	CHECK(sock_setsockopt(fd, 0, LINGER, linger, 8) == 0);
	size = 8;
	CHECK(sock_getsockopt(fd, 0, LINGER, got, &size) == 0 && got[0] && got[1] == 7 &&
		size == 8);
	CHECK(sock_setsockopt(fd, 0, RCVTIMEO, limit, 16) == 0);
	size = 16;
	CHECK(sock_getsockopt(fd, 0, RCVTIMEO, kept, &size) == 0 && memcmp(limit, kept, 16) == 0);
	CHECK(sock_getsockopt(fd, 1, TYPE, &value, &size) == __WASI_ERRNO_NOPROTOOPT);
	CHECK(sock_getsockopt(fd, 0, 14, &value, &size) == __WASI_ERRNO_NOPROTOOPT);
	CHECK(sock_getsockopt(fd, 0, 99, &value, &size) == __WASI_ERRNO_NOPROTOOPT);
	CHECK(sock_getsockopt(fd, 0, TYPE, NOWHERE, &size) == __WASI_ERRNO_FAULT);
	CHECK(sock_getsockopt(fd, 0, TYPE, &value, NOWHERE) == __WASI_ERRNO_FAULT);
	CHECK(sock_bind(fd, &v6, 0) == 0);
	close((int)fd);
}

static void check_names(void)
{
	uint8_t data[2][26] = { 0 };
	struct place places[2] = { { 0, 14, data[0] }, { 0, 14, data[1] } };
	char name[4] = "";
	struct info infos[2] = {
		{ .addr = &places[0], .next = &infos[1], .name = name, .name_len = 3 },
		{ .addr = &places[1], .next = NOWHERE }
	};
	struct info hint = { .family = INET4, .socktype = STREAM }, *list = infos;
	uint32_t n = 0;

	CHECK(sock_getaddrinfo("127.0.0.1", 10, "80", 2, &hint, &list, 2, &n) == 0 && n == 1);
	CHECK(infos[0].family == INET4 && infos[0].socktype == STREAM && infos[0].addrlen == 16);
	CHECK(places[0].family == INET4 && places[0].len == 14);
	CHECK(memcmp(data[0], "\0\x50\x7f\0\0\1", 6) == 0);
	hint.family = INET6;
	CHECK(sock_getaddrinfo("::1", 3, "8080", 4, &hint, &list, 2, &n) == 0 && n == 1);
	CHECK(places[0].family == INET6 && places[0].len == 26 &&
		memcmp(data[0] + 6, loopback6, 16) == 0);
	hint.family = UNSPEC;
	hint.flags = 2; /* the full name */
	infos[0].name_len = 3;
	CHECK(sock_getaddrinfo("localhost", 9, "", 0, &hint, &list, 1, &n) == 0 && n == 1);
	CHECK(infos[0].name_len == 3 && strcmp(name, "loc") == 0);
	hint.flags = 4; /* no look-up */
	CHECK(sock_getaddrinfo("no.such.name.invalid", 20, "", 0, &hint, &list, 2, &n) == 84);
	CHECK(sock_getaddrinfo("", 0, "", 0, &hint, &list, 2, &n) == 84);
	CHECK(sock_getaddrinfo("127.0.0.1", 9, "http?", 5, &hint, &list, 2, &n) == 85);
	hint.flags = 1 << 7;
	CHECK(sock_getaddrinfo("127.0.0.1", 9, "", 0, &hint, &list, 2, &n) == 79);
	hint.flags = 0;
	hint.family = 9;
	CHECK(sock_getaddrinfo("127.0.0.1", 9, "", 0, &hint, &list, 2, &n) == 81);
	hint.family = INET4;
	CHECK(sock_getaddrinfo(NOWHERE, 99, "", 0, &hint, &list, 2, &n) == __WASI_ERRNO_FAULT);
	CHECK(sock_getaddrinfo("127.0.0.1", 9, "", 0, NOWHERE, &list, 2, &n) == __WASI_ERRNO_FAULT);
	/* Three kinds of sockets have this address, and there are places for two. */
	hint.socktype = ANY;
	CHECK(sock_getaddrinfo("127.0.0.1", 9, "", 0, &hint, &list, 3, &n) == __WASI_ERRNO_FAULT);
	infos[1].next = infos; /* in a circle */
	CHECK(sock_getaddrinfo("127.0.0.1", 9, "", 0, &hint, &list, 99, &n) == 0 && n <= 3);
}

static void check_bad_arguments(void)
{
	const struct address short_one = { loopback, 3 }, long_one = { loopback, 4096 },
			     outside = { NOWHERE, 128 };
	uint8_t unix_storage[STORAGE] = { 3 };
	const struct address unix_one = { unix_storage, sizeof(unix_storage) };
	uint32_t fd;

	CHECK(sock_open(3, STREAM, &fd) == __WASI_ERRNO_AFNOSUPPORT);
	CHECK(sock_open(UNSPEC, STREAM, &fd) == __WASI_ERRNO_AFNOSUPPORT);
	CHECK(sock_open(INET4, ANY, &fd) == __WASI_ERRNO_PROTOTYPE);
	CHECK(sock_open(INET4, STREAM, NOWHERE) == __WASI_ERRNO_FAULT);
	fd = open_socket(INET4, STREAM);
	CHECK(sock_bind(fd, &short_one, 0) == __WASI_ERRNO_INVAL);
	CHECK(sock_bind(fd, &long_one, 0) == __WASI_ERRNO_INVAL);
	CHECK(sock_bind(fd, &outside, 0) == __WASI_ERRNO_FAULT);
	CHECK(sock_bind(fd, &unix_one, 0) == __WASI_ERRNO_AFNOSUPPORT);
	CHECK(sock_bind(fd, &v4, 65536) == __WASI_ERRNO_INVAL);
	CHECK(sock_bind(1, &v4, 0) == __WASI_ERRNO_NOTSOCK);
	CHECK(sock_listen(77, 1) == __WASI_ERRNO_BADF);
	CHECK(sock_connect(fd + 1, &v4, 1) == __WASI_ERRNO_BADF);
	close((int)fd);
}

int main(int argc, char **argv)
{
	check_bad_arguments();
	check_listener();
	check_connect((uint32_t)atoi(argv[1]));
	check_datagrams();
	check_options();
	check_names();
	puts(failures ? "FAILED" : "passed");
	return failures != 0;
}
