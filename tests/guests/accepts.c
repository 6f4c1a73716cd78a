/* SPDX-License-Identifier: MIT */
/*
 * Asks what descriptor 3 is, in all ways that there are, and accepts: that must wait, as it does
 * for programs that ask nothing. Then puts each call on sockets to the test, and says what failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasi/api.h>

#define LISTENER 3

static int failures;

#define CHECK(what)                                                \
	do {                                                       \
		if (!(what)) {                                     \
			printf("failed: %s (%d)\n", #what, errno); \
			failures++;                                \
		}                                                  \
	} while (0)

static void check_questions(void)
{
	socklen_t len = sizeof(int);
	struct stat st;
	int type;

	CHECK(getsockopt(LISTENER, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM);
	CHECK(fcntl(LISTENER, F_GETFL) >= 0);
	CHECK(!isatty(LISTENER));
	CHECK(fstat(LISTENER, &st) == 0);
}

static void check_status(int fd)
{
	__wasi_fdstat_t stat;
	__wasi_prestat_t prestat;
	struct stat st;

	CHECK(__wasi_fd_fdstat_get((__wasi_fd_t)fd, &stat) == 0);
	CHECK(stat.fs_filetype == __WASI_FILETYPE_SOCKET_STREAM);
	CHECK(stat.fs_flags == 0);
	CHECK(fstat(fd, &st) == 0);
	CHECK(__wasi_fd_prestat_get((__wasi_fd_t)fd, &prestat) == __WASI_ERRNO_BADF);
	CHECK(__wasi_fd_renumber((__wasi_fd_t)fd, 1) == __WASI_ERRNO_NOTSUP);
	CHECK(__wasi_sock_accept((__wasi_fd_t)fd, 0, NULL) == __WASI_ERRNO_INVAL);
}

static void check_receive(int fd)
{
	char text[16] = "";

	CHECK(recv(fd, text, 3, MSG_PEEK) == 3 && memcmp(text, "abc", 3) == 0);
	CHECK(recv(fd, text, 10, MSG_WAITALL) == 10 && memcmp(text, "abcdefghij", 10) == 0);
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	CHECK(read(fd, text, 1) < 0 && errno == EAGAIN);
	CHECK(fcntl(fd, F_SETFL, 0) == 0);
	CHECK(read(fd, text, 0) == 0);
	CHECK(send(fd, "next", 4, 0) == 4);
	CHECK(read(fd, text, sizeof(text)) == 4 && memcmp(text, "last", 4) == 0);
	CHECK(read(fd, text, sizeof(text)) == 0);
}

static void check_listener(void)
{
	__wasi_fd_t fd;
	__wasi_fdstat_t stat;

	CHECK(__wasi_fd_fdstat_get(LISTENER, &stat) == 0);
	CHECK(stat.fs_flags == 0);
	CHECK(fcntl(LISTENER, F_SETFL, O_NONBLOCK) == 0);
	CHECK(__wasi_sock_accept(LISTENER, 0, &fd) == __WASI_ERRNO_AGAIN);
	CHECK(read(LISTENER, &fd, 1) < 0 && errno == ENOTCONN);
	CHECK(openat(LISTENER, "file", O_CREAT | O_RDWR, 0600) < 0);
	CHECK(openat(LISTENER, "..", O_RDONLY) < 0);
	CHECK(close(LISTENER) == 0);
	CHECK(__wasi_sock_accept(LISTENER, 0, &fd) == __WASI_ERRNO_BADF);
	CHECK(__wasi_fd_fdstat_get(LISTENER, &stat) == __WASI_ERRNO_BADF);
}

int main(void)
{
	int fd;

	check_questions();
	fd = accept(LISTENER, NULL, NULL);
	CHECK(fd > LISTENER);
	check_status(fd);
	check_receive(fd);
	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK(write(fd, "x", 1) < 0 && errno == EPIPE);
	CHECK(close(fd) == 0);
	CHECK(close(fd) < 0 && errno == EBADF);
	check_listener();
	puts(failures ? "FAILED" : "passed");
	return failures != 0;
}
