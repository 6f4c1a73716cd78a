/* SPDX-License-Identifier: MIT */
/* splice(2) between sockets and pipes: what net/pump_dir and net/pipe_pool build on. */
#include "tcp_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIPE_BYTES 65536
#define PIPE_BIG_BYTES (1 << 20)
#define SEGMENTS 200

/* A user id that runs nothing else, so that no pipes are charged to it yet. */
#define TEST_UID 64999

static void pipe_of(int bytes, int ret_fd[2])
{
	assert_int_equal(pipe2(ret_fd, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(fcntl(ret_fd[1], F_SETPIPE_SZ, bytes), bytes);
}

static ssize_t splice_all(int from, int to)
{
	return splice(from, NULL, to, NULL, 1 << 20, SPLICE_F_NONBLOCK);
}

/*
 * Segments of one byte. A second connection sends in between, or the kernel would lay the bytes
 * side by side in one page and make one piece of them again.
 */
static void send_segments(int fd, int in_between)
{
	const int one = 1;

	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(in_between, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	for (int i = 0; i < SEGMENTS; i++) {
		assert_int_equal(send(fd, "x", 1, 0), 1);
		assert_int_equal(send(in_between, "y", 1, 0), 1);
	}
	tcp_wait_acknowledged(fd);
}

/*
 * A pipe's capacity is not a byte count: one byte may take a whole slot. And EAGAIN doesn't say
 * whether the socket is empty or the pipe full; draining the pipe tells.
 */
static void test_capacity_is_not_bytes_and_eagain_is_ambiguous(void **state)
{
	int fd[2], other[2], pipe_fd[2], unread, inside;
	char data[SEGMENTS];

	(void)state;
	tcp_pair(fd);
	tcp_pair(other);
	pipe_of(PIPE_BYTES, pipe_fd);
	assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
	/* The socket is empty. */
	assert_int_equal(splice_all(fd[1], pipe_fd[1]), -1);
	assert_int_equal(errno, EAGAIN);
	send_segments(fd[0], other[0]);
	while (splice_all(fd[1], pipe_fd[1]) > 0)
		;
	/* The pipe is full, with a handful of bytes. */
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(ioctl(fd[1], FIONREAD, &unread), 0);
	assert_int_equal(ioctl(pipe_fd[0], FIONREAD, &inside), 0);
	assert_true(unread > 0);
	assert_int_equal(unread + inside, SEGMENTS);
	assert_int_equal(read(pipe_fd[0], data, sizeof(data)), inside);
	assert_true(splice_all(fd[1], pipe_fd[1]) > 0);
	for (int i = 0; i < 2; i++) {
		close(fd[i]);
		close(other[i]);
		close(pipe_fd[i]);
	}
}

/*
 * splice(2) never passes an urgent mark: in front of it it says EAGAIN, and 0 once an end has come
 * behind it; recv(2) passes. With SO_OOBINLINE the urgent byte is what recv(2) reads first, in its
 * place between the others.
 */
static void test_splice_stops_at_urgent_mark(void **state)
{
	int fd[2], pipe_fd[2];
	const int one = 1;
	char data[8];

	(void)state;
	tcp_pair(fd);
	assert_int_equal(setsockopt(fd[1], SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one)), 0);
	pipe_of(PIPE_BYTES, pipe_fd);
	assert_int_equal(send(fd[0], "abc", 3, 0), 3);
	assert_int_equal(send(fd[0], "!", 1, MSG_OOB), 1);
	assert_int_equal(send(fd[0], "def", 3, 0), 3);
	tcp_wait_acknowledged(fd[0]);
	assert_int_equal(splice_all(fd[1], pipe_fd[1]), 3);
	assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(splice_all(fd[1], pipe_fd[1]), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(shutdown(fd[0], SHUT_WR), 0);
	tcp_wait_events(fd[1], EPOLLRDHUP);
	assert_int_equal(splice_all(fd[1], pipe_fd[1]), 0);
	assert_int_equal(recv(fd[1], data, sizeof(data), 0), 4);
	assert_memory_equal(data, "!def", 4);
	for (int i = 0; i < 2; i++) {
		close(fd[i]);
		close(pipe_fd[i]);
	}
}

struct splicer {
	int from, to;
	ssize_t n;
};

static void *splice_main(void *arg)
{
	struct splicer *s = arg;

	s->n = splice(s->from, NULL, s->to, NULL, PIPE_BIG_BYTES, 0);
	return NULL;
}

/*
 * A reset that comes in the middle of a splice(2) from a pipe to a socket leaves no error: the call
 * returns what it had moved, has taken the error for itself, and the next read says 0, as behind a
 * FIN. Only the socket's state tells, which no FIN alone makes TCP_CLOSE.
 */
static void test_partial_splice_swallows_the_error(void **state)
{
	static const char data[PIPE_BIG_BYTES];
	int fd[2], pipe_fd[2], queued = 0, error = -1, buffer_bytes = 16384;
	socklen_t len = sizeof(error);
	struct tcp_info info;
	pthread_t thread;
	char byte;

	(void)state;
	tcp_pair(fd);
	assert_int_equal(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof(int)), 0);
	pipe_of(PIPE_BIG_BYTES, pipe_fd);
	assert_int_equal(write(pipe_fd[1], data, sizeof(data)), sizeof(data));

	struct splicer splicer = { .from = pipe_fd[0], .to = fd[0] };

	assert_int_equal(pthread_create(&thread, NULL, splice_main, &splicer), 0);
	/* The peer doesn't read, so the call waits in its middle. */
	while (queued == 0)
		assert_int_equal(ioctl(fd[0], SIOCOUTQ, &queued), 0);
	tcp_reset(fd[1]);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_in_range(splicer.n, 1, PIPE_BIG_BYTES - 1);
	assert_int_equal(recv(fd[0], &byte, 1, 0), 0);
	assert_int_equal(getsockopt(fd[0], SOL_SOCKET, SO_ERROR, &error, &len), 0);
	assert_int_equal(error, 0);
	len = sizeof(info);
	assert_int_equal(getsockopt(fd[0], IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	assert_int_equal(info.tcpi_state, TCP_CLOSE);
	close(fd[0]);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

/* Opens pipes of 1 MiB until the kernel refuses one, and looks at those that come after. */
static int open_pipes_unprivileged(void)
{
	int fd[2], size = 1 << 20, opened = 0;

	if (setresgid(TEST_UID, TEST_UID, TEST_UID) < 0 ||
		setresuid(TEST_UID, TEST_UID, TEST_UID) < 0)
		return 2;
	while (opened < 4096 && pipe2(fd, O_CLOEXEC) == 0) {
		size = fcntl(fd[1], F_SETPIPE_SZ, 1 << 20);
		if (size < 0)
			break;
		opened++;
	}
	if (size >= 0 || errno != EPERM || opened == 0)
		return 3;
	/* What is left below the limit, page by page. */
	for (int i = 0; i < 4096 && pipe2(fd, O_CLOEXEC) == 0; i++) {
		if (fcntl(fd[1], F_GETPIPE_SZ) <= 2 * (int)sysconf(_SC_PAGESIZE))
			return 0;
	}
	return 4;
}

/* Beyond pipe-user-pages-soft an ordinary user's large pipe fails, and new ones come out tiny. */
static void test_pipes_beyond_the_limit_are_tiny(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: needs root, to become a user without pipes\n");
		skip();
	}
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(open_pipes_unprivileged());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capacity_is_not_bytes_and_eagain_is_ambiguous),
		cmocka_unit_test(test_splice_stops_at_urgent_mark),
		cmocka_unit_test(test_partial_splice_swallows_the_error),
		cmocka_unit_test(test_pipes_beyond_the_limit_are_tiny),
	};

	return cmocka_run_group_tests_name("kernel/splice", tests, NULL, NULL);
}
