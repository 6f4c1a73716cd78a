/* SPDX-License-Identifier: MIT */
/*
 * What TCP_INFO shows of a peer that pauses and of one that has vanished, with bytes queued for it:
 * what net/pump tells the two apart by. Keepalive is silent as long as anything is queued.
 */
#include "tcp_pair.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define DEADLINE_MS 20000
#define BUFFER_BYTES 16384

static struct tcp_info info_of(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	return info;
}

/* No packet reaches the socket any more, so that its peer hears nothing from it. */
static void vanish(int fd)
{
	struct sock_filter drop = { .code = BPF_RET | BPF_K, .k = 0 };
	const struct sock_fprog program = { .len = 1, .filter = &drop };

	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), 0);
}

static void fill(int fd)
{
	static const char data[BUFFER_BYTES];

	while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(errno, EAGAIN);
}

/* Waits until the kernel has asked so often without an answer. */
static struct tcp_info wait_asked(int fd, unsigned times)
{
	uint64_t start_ms = clock_now_ms();
	struct tcp_info info;

	do {
		info = info_of(fd);
		assert_true(clock_now_ms() - start_ms < DEADLINE_MS);
		sched_yield();
	} while ((unsigned)info.tcpi_probes + info.tcpi_retransmits < times);
	return info;
}

/* Probes of its closed window are answered: each answer is an ACK, and none is left open. */
static void test_paused_reader_answers(void **state)
{
	uint64_t start_ms = clock_now_ms();
	struct tcp_info info, before;
	int fd[2];

	(void)state;
	tcp_pair(fd);
	fill(fd[0]);
	info = info_of(fd[0]);
	do {
		before = info;
		info = info_of(fd[0]);
		assert_true(clock_now_ms() - start_ms < DEADLINE_MS);
		sched_yield();
	} while (info.tcpi_last_ack_recv >= before.tcpi_last_ack_recv);
	assert_int_equal(info.tcpi_probes, 0);
	assert_int_equal(info.tcpi_retransmits, 0);
	close(fd[0]);
	close(fd[1]);
}

static void test_vanished_paused_reader_leaves_probes_open(void **state)
{
	struct tcp_info info;
	int fd[2];

	(void)state;
	tcp_pair(fd);
	fill(fd[0]);
	vanish(fd[1]);
	info = wait_asked(fd[0], 3);
	assert_true(info.tcpi_last_ack_recv >= 400);
	close(fd[0]);
	close(fd[1]);
}

static void test_vanished_reader_leaves_retransmissions_open(void **state)
{
	struct tcp_info info;
	int fd[2];

	(void)state;
	tcp_pair(fd);
	vanish(fd[1]);
	assert_int_equal(send(fd[0], "x", 1, 0), 1);
	info = wait_asked(fd[0], 3);
	assert_true(info.tcpi_last_ack_recv >= 400);
	assert_int_equal(info.tcpi_unacked, 1);
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paused_reader_answers),
		cmocka_unit_test(test_vanished_paused_reader_leaves_probes_open),
		cmocka_unit_test(test_vanished_reader_leaves_retransmissions_open),
	};

	return cmocka_run_group_tests_name("kernel/tcp_silence", tests, NULL, NULL);
}
