/* SPDX-License-Identifier: MIT */
/* How a TCP connection ends, as its sockets show it: what net/pump builds on. */
#include "tcp_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEN 50000

static void send_all(int fd, char byte)
{
	char data[LEN];

	memset(data, byte, sizeof(data));
	assert_int_equal(send(fd, data, sizeof(data), 0), LEN);
}

static void recv_all(int fd)
{
	char data[LEN];

	assert_int_equal(recv(fd, data, sizeof(data), MSG_WAITALL), LEN);
}

static void assert_end(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static void assert_reset(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

/* Takes the error of the socket. */
static void assert_socket_error(int fd, int wanted)
{
	socklen_t len = sizeof(int);
	int error;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	assert_int_equal(error, wanted);
}

/* IN, RDHUP and HUP come in one event while the data is still unread: HUP is no reason to close. */
static void test_hup_comes_with_unread_data(void **state)
{
	int fd[2];

	(void)state;
	tcp_pair(fd);
	assert_int_equal(shutdown(fd[1], SHUT_WR), 0);
	send_all(fd[0], 'x');
	close(fd[0]);
	tcp_wait_events(fd[1], EPOLLIN | EPOLLRDHUP | EPOLLHUP);
	recv_all(fd[1]);
	assert_end(fd[1]);
	close(fd[1]);
}

/* As long as our side isn't shut, HUP doesn't come with a FIN: it means a reset. */
static void test_fin_is_no_hup(void **state)
{
	int fd[2];

	(void)state;
	tcp_pair(fd);
	close(fd[0]);
	assert_false(tcp_wait_events(fd[1], EPOLLIN | EPOLLRDHUP) & (EPOLLHUP | EPOLLERR));
	close(fd[1]);
}

/* The receive queue outlives the reset; the error comes behind it, once, and then the end. */
static void test_queue_is_readable_after_reset(void **state)
{
	int fd[2];

	(void)state;
	tcp_pair(fd);
	send_all(fd[0], 'x');
	tcp_reset(fd[0]);
	tcp_wait_events(fd[1], EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	recv_all(fd[1]);
	assert_reset(fd[1]);
	assert_end(fd[1]);
	close(fd[1]);
}

/* Asking for the error early takes it, not the data. */
static void test_so_error_leaves_the_queue(void **state)
{
	int fd[2];

	(void)state;
	tcp_pair(fd);
	send_all(fd[0], 'x');
	tcp_reset(fd[0]);
	tcp_wait_events(fd[1], EPOLLERR);
	assert_socket_error(fd[1], ECONNRESET);
	recv_all(fd[1]);
	assert_end(fd[1]);
	close(fd[1]);
}

/* splice(2) reads the queue of a reset socket as recv(2) does. */
static void test_queue_is_spliced_after_reset(void **state)
{
	int fd[2], pipe_fd[2];
	ssize_t n, sum = 0;

	(void)state;
	tcp_pair(fd);
	assert_int_equal(pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK), 0);
	send_all(fd[0], 'x');
	tcp_reset(fd[0]);
	tcp_wait_events(fd[1], EPOLLERR);
	while ((n = splice(fd[1], NULL, pipe_fd[1], NULL, LEN, SPLICE_F_NONBLOCK)) > 0) {
		char data[LEN];

		assert_int_equal(read(pipe_fd[0], data, sizeof(data)), n);
		sum += n;
	}
	assert_int_equal(sum, LEN);
	assert_int_equal(errno, ECONNRESET);
	close(fd[1]);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

/* close() with unread input is a reset, right behind what the peer has already taken. */
static void test_close_with_unread_input_resets(void **state)
{
	int fd[2];

	(void)state;
	tcp_pair(fd);
	assert_int_equal(send(fd[1], "request", 7, 0), 7);
	tcp_wait_events(fd[0], EPOLLIN);
	send_all(fd[0], 'x');
	tcp_wait_acknowledged(fd[0]);
	close(fd[0]);
	tcp_wait_events(fd[1], EPOLLERR);
	recv_all(fd[1]);
	assert_reset(fd[1]);
	close(fd[1]);
}

/*
 * A reset behind a FIN is told apart from one without: its error is EPIPE, and who reads gets the
 * bytes and the end, not the error, which stays where it is.
 */
static void test_reset_behind_a_fin_leaves_the_end(void **state)
{
	int fd[2];

	(void)state;
	tcp_pair(fd);
	send_all(fd[0], 'x');
	assert_int_equal(shutdown(fd[0], SHUT_WR), 0);
	tcp_wait_events(fd[1], EPOLLIN | EPOLLRDHUP);
	tcp_reset(fd[0]);
	tcp_wait_events(fd[1], EPOLLERR | EPOLLHUP);
	recv_all(fd[1]);
	assert_end(fd[1]);
	assert_socket_error(fd[1], EPIPE);
	assert_end(fd[1]);
	close(fd[1]);
}

/* Sends, and dies with the socket as it is. */
static void die_in_a_child(int fd[2], bool linger_0)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		close(fd[1]);
		if (send(fd[0], "x", 1, 0) == 1 &&
			(!linger_0 || setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &reset,
					      sizeof(reset)) == 0))
			raise(SIGKILL);
		_exit(1);
	}
	close(fd[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A process that is killed ends its connections like one that closes them: with a FIN, unless a
 * linger of 0 says otherwise. */
static void test_linger_0_makes_a_reset_of_a_death(void **state)
{
	char data[2];
	int fd[2];

	(void)state;
	tcp_pair(fd);
	die_in_a_child(fd, false);
	assert_int_equal(recv(fd[1], data, 2, MSG_WAITALL), 1);
	assert_end(fd[1]);
	close(fd[1]);

	tcp_pair(fd);
	die_in_a_child(fd, true);
	assert_int_equal(recv(fd[1], data, 1, 0), 1);
	assert_reset(fd[1]);
	close(fd[1]);
}

/* Once it is lifted, close(2) delivers what is queued, as if it had never been set. */
static void test_lifted_linger_0_delivers_the_queue(void **state)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	size_t sent = 0, received = 0;
	char data[LEN] = { 0 };
	int fd[2];
	ssize_t n;

	(void)state;
	tcp_pair(fd);
	assert_int_equal(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while ((n = send(fd[0], data, sizeof(data), MSG_DONTWAIT)) > 0)
		sent += (size_t)n;
	linger.l_onoff = 0;
	assert_int_equal(setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	close(fd[0]);
	while ((n = recv(fd[1], data, sizeof(data), 0)) > 0)
		received += (size_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(received, sent);
	close(fd[1]);
}

/* A reset drops the sender's own queue: that is why one waits for SIOCOUTQ 0 before resetting. */
static void test_reset_drops_the_send_queue(void **state)
{
	size_t sent = 0, received = 0;
	char data[LEN] = { 0 };
	int fd[2];
	ssize_t n;

	(void)state;
	tcp_pair(fd);
	while ((n = send(fd[0], data, sizeof(data), MSG_DONTWAIT)) > 0)
		sent += (size_t)n;
	assert_int_equal(errno, EAGAIN);
	tcp_reset(fd[0]);
	while ((n = recv(fd[1], data, sizeof(data), 0)) > 0)
		received += (size_t)n;
	assert_int_equal(errno, ECONNRESET);
	assert_true(received < sent);
	close(fd[1]);
}

/* Unread bytes at its end make a Unix socket's peer a connection that was reset, too. */
static void test_unix_peer_with_unread_input_resets(void **state)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(send(pair[0], "", 1, 0), 1);
	assert_int_equal(close(pair[1]), 0);
	assert_reset(pair[0]);
	assert_int_equal(close(pair[0]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hup_comes_with_unread_data),
		cmocka_unit_test(test_fin_is_no_hup),
		cmocka_unit_test(test_queue_is_readable_after_reset),
		cmocka_unit_test(test_so_error_leaves_the_queue),
		cmocka_unit_test(test_queue_is_spliced_after_reset),
		cmocka_unit_test(test_close_with_unread_input_resets),
		cmocka_unit_test(test_reset_behind_a_fin_leaves_the_end),
		cmocka_unit_test(test_linger_0_makes_a_reset_of_a_death),
		cmocka_unit_test(test_lifted_linger_0_delivers_the_queue),
		cmocka_unit_test(test_reset_drops_the_send_queue),
		cmocka_unit_test(test_unix_peer_with_unread_input_resets),
	};

	return cmocka_run_group_tests_name("kernel/tcp_ends", tests, NULL, NULL);
}
