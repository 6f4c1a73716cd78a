/* SPDX-License-Identifier: MIT */
/* A chan against the other end of a socket pair, or of a loopback connection where TCP matters. */
#include "net/chan.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/fd.h"
#include "net/addr.h"
#include "net/test_turn.h"

#define DEADLINE_MS 20000

struct fixture {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct chan chan;
	int peer; /* blocking */
	unsigned datas, ends, closes;
	int error;
	bool take, eat;
};

static void on_deadline(uv_timer_t *timer)
{
	fail_msg("nothing happened in time");
}

static void on_data(struct chan *c)
{
	struct fixture *f = c->owner;

	f->datas++;
	if (f->eat)
		buf_consume(&c->in, buf_len(&c->in));
	uv_stop(&f->loop);
}

static void on_end(struct chan *c, int error)
{
	struct fixture *f = c->owner;

	f->ends++;
	f->error = error;
	uv_stop(&f->loop);
}

static void on_closed(struct chan *c)
{
	struct fixture *f = c->owner;

	f->closes++;
	uv_stop(&f->loop);
}

/* Two ends of a TCP connection over loopback; [0] is non-blocking. */
static void tcp_pair(int ret_fd[2])
{
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct addr addr;

	assert_int_equal(addr_parse_ip("127.0.0.1", 0, &addr), 0);
	assert_int_equal(bind(l, &addr.sa, addr_len(&addr)), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(addr_of_socket(l, &addr), 0);
	ret_fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(ret_fd[1], &addr.sa, addr_len(&addr)), 0);
	ret_fd[0] = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(ret_fd[0] >= 0);
	close(l);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd[2];

	assert_non_null(f);
	f->eat = true;
	uv_loop_init(&f->loop);
	uv_timer_init(&f->loop, &f->deadline);
	uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0);
	tcp_pair(fd);
	f->peer = fd[1];
	f->chan.owner = f;
	f->chan.data = on_data;
	f->chan.end = on_end;
	f->chan.closed = on_closed;
	assert_int_equal(chan_open(&f->chan, &f->loop, fd[0]), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	chan_close(&f->chan, false);
	while (!f->closes)
		test_turn(&f->loop);
	uv_close((uv_handle_t *)&f->deadline, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_int_equal(f->closes, 1);
	fd_close(f->peer);
	free(f);
	return 0;
}

static void test_bytes_both_ways(void **state)
{
	struct fixture *f = *state;
	char got[8];

	f->eat = false;
	assert_int_equal(write(f->peer, "hello", 5), 5);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(buf_len(&f->chan.in), 5);
	assert_memory_equal(buf_head(&f->chan.in), "hello", 5);
	assert_int_equal(f->chan.bytes_in, 5);

	assert_int_equal(chan_write(&f->chan, "abc", 3), 0);
	assert_int_equal(chan_queue(&f->chan, "de", 2), 0);
	assert_int_equal(recv(f->peer, got, sizeof(got), 0), 3);
	assert_int_equal(chan_queue(&f->chan, "f", 1), 0);
	chan_flush(&f->chan);
	assert_int_equal(recv(f->peer, got, sizeof(got), 0), 3);
	assert_memory_equal(got, "def", 3);
	assert_int_equal(f->chan.bytes_out, 6);
}

static void test_input_is_bounded(void **state)
{
	struct fixture *f = *state;
	static const char flood[CHAN_IN_MAX * 2];

	f->eat = false;
	assert_int_equal(write(f->peer, flood, sizeof(flood)), sizeof(flood));
	while (buf_len(&f->chan.in) < CHAN_IN_MAX)
		uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(buf_len(&f->chan.in), CHAN_IN_MAX);
	assert_int_equal(f->chan.events & UV_READABLE, 0);

	/* Room again: the next event of any kind lets it read on. */
	f->eat = true;
	buf_consume(&f->chan.in, CHAN_IN_MAX);
	chan_flush(&f->chan);
	while (f->chan.bytes_in < sizeof(flood))
		uv_run(&f->loop, UV_RUN_DEFAULT);
}

static void test_output_is_bounded_and_arrives(void **state)
{
	struct fixture *f = *state;
	static char chunk[65536];
	uint64_t sent = 0, got = 0;
	ssize_t n;

	memset(chunk, 'x', sizeof(chunk));
	while (chan_write(&f->chan, chunk, sizeof(chunk)) == 0)
		sent += sizeof(chunk);
	assert_int_equal(chan_write(&f->chan, chunk, sizeof(chunk)), -ENOBUFS);
	assert_true(buf_len(&f->chan.out) > CHAN_OUT_MAX - sizeof(chunk));
	assert_int_equal(chan_take_fd(&f->chan), -1);
	while (got < sent) {
		n = recv(f->peer, chunk, sizeof(chunk), 0);
		assert_true(n > 0);
		got += (uint64_t)n;
		uv_run(&f->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(f->chan.bytes_out, sent);
}

static void test_eof_and_reset_are_told_once_behind_the_data(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write(f->peer, "last", 4), 4);
	shutdown(f->peer, SHUT_WR);
	while (!f->ends)
		uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->error, 0);
	assert_int_equal(f->datas, 1);
	/* The other direction goes on. */
	assert_int_equal(chan_write(&f->chan, "x", 1), 0);
	assert_int_equal(f->ends, 1);
}

/* A peer said why and then reset the connection: its last word is heard although our write had
 * failed. */
static void test_last_word_in_front_of_a_reset(void **state)
{
	struct fixture *f = *state;
	struct linger none = { .l_onoff = 1 };

	f->eat = false;
	assert_int_equal(write(f->peer, "why", 3), 3);
	setsockopt(f->peer, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	f->peer = fd_close(f->peer);
	assert_int_equal(chan_write(&f->chan, "x", 1), 0);
	assert_true(f->chan.write_failed);
	while (!f->ends)
		uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(buf_len(&f->chan.in), 3);
	assert_true(f->error == -ECONNRESET || f->error == -EPIPE || f->error == 0);
	assert_int_equal(f->ends, 1);
}

static void test_take_fd_leaves_the_socket_open(void **state)
{
	struct fixture *f = *state;
	char got[4];
	int fd = chan_take_fd(&f->chan);

	assert_true(fd >= 0);
	assert_int_equal(f->closes, 0);
	while (!f->closes)
		uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(send(fd, "on", 2, MSG_NOSIGNAL), 2);
	assert_int_equal(recv(f->peer, got, sizeof(got), 0), 2);
	fd_close(fd);
}

/* An Error in front of close(2) was lost to an RST when the peer's next message was still unread.
 */
static void test_close_with_unread_input_delivers_the_last_bytes(void **state)
{
	struct fixture *f = *state;
	char got[16];

	assert_int_equal(write(f->peer, "unread", 6), 6);
	assert_int_equal(chan_write(&f->chan, "the end", 7), 0);
	chan_close(&f->chan, false);
	chan_close(&f->chan, false);
	assert_int_equal(recv(f->peer, got, sizeof(got), 0), 7);
	assert_int_equal(recv(f->peer, got, sizeof(got), 0), 0);
}

static void test_close_with_reset(void **state)
{
	struct fixture *f = *state;
	char got[4];

	chan_close(&f->chan, true);
	assert_int_equal(recv(f->peer, got, sizeof(got), 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bytes_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(test_input_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_output_is_bounded_and_arrives, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_eof_and_reset_are_told_once_behind_the_data, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_last_word_in_front_of_a_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_take_fd_leaves_the_socket_open, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_close_with_unread_input_delivers_the_last_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_with_reset, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
