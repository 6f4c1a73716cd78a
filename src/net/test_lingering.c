/* SPDX-License-Identifier: MIT */
/* The lingering close, with both ends of a connection in one thread. */
#include "net/lingering.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/fd.h"
#include "net/addr.h"

#define ANSWER "413"

struct pair {
	int server, client;
};

static struct pair pair_open(void)
{
	struct pair p = { -1, -1 };
	struct addr addr;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(addr_parse_ip("127.0.0.1", 0, &addr), 0);
	assert_int_equal(bind(listener, &addr.sa, addr_len(&addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(addr_of_socket(listener, &addr), 0);
	p.client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	(void)connect(p.client, &addr.sa, addr_len(&addr));
	p.server = accept(listener, NULL, NULL);
	assert_true(p.server >= 0);
	fd_close(listener);
	return p;
}

static void await(int fd, short events)
{
	assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = events }, 1, 20000), 1);
}

static void client_send(struct pair *p)
{
	await(p->client, POLLOUT);
	assert_int_equal(send(p->client, "more", 4, MSG_NOSIGNAL), 4);
}

/* The server answers a client that has sent, isn't read, and goes on sending. Returns what the
 * client gets, or a negative errno: that of its send, where it gives up as most do. */
static ssize_t answer_early(struct lingering *l)
{
	struct pair p = pair_open();
	char text[8];
	ssize_t n;

	client_send(&p);
	await(p.server, POLLIN);
	assert_int_equal(send(p.server, ANSWER, strlen(ANSWER), 0), strlen(ANSWER));
	if (l)
		lingering_add(l, p.server);
	fd_close(p.server);
	await(p.client, POLLIN);
	n = send(p.client, "more", 4, MSG_NOSIGNAL);
	if (n > 0)
		n = recv(p.client, text, sizeof text, 0);
	n = n < 0 ? -errno : n;
	fd_close(p.client);
	return n;
}

/* An answer to a client that still sends was lost to the reset that a close sends then. */
static void test_answer_outlives_the_close(void **state)
{
	struct lingering l;

	assert_int_equal(answer_early(NULL), -ECONNRESET);
	assert_int_equal(lingering_init(&l), 0);
	assert_int_equal(answer_early(&l), strlen(ANSWER));
	while (l.count) {
		await(l.epoll_fd, POLLIN);
		lingering_run(&l);
	}
	lingering_deinit(&l);
}

/* Whoever has ended needs no place; and of those who haven't the oldest gives its place up. */
static void test_places(void **state)
{
	struct pair first = pair_open(), ended = pair_open(), p;
	struct lingering l;

	assert_int_equal(lingering_init(&l), 0);
	fd_close(ended.client);
	await(ended.server, POLLIN);
	assert_true(lingering_peer_has_ended(ended.server));
	lingering_add(&l, ended.server);
	assert_int_equal(l.count, 0);

	assert_false(lingering_peer_has_ended(first.server));
	lingering_add(&l, first.server);
	fd_close(first.server);
	for (size_t i = 0; i < LINGER_MAX; i++) {
		p = pair_open();
		lingering_add(&l, p.server);
		fd_close(p.server);
		fd_close(p.client);
	}
	assert_int_equal(l.count, LINGER_MAX);
	/* Only a socket that nobody has any more answers with a reset. */
	client_send(&first);
	await(first.client, POLLERR);
	fd_close(first.client);
	fd_close(ended.server);
	lingering_deinit(&l);
	assert_int_equal(l.count, 0);
}

/* A peer that never stops sending is cut off. */
static void test_too_much(void **state)
{
	static char bytes[1 << 20];
	struct pair p = pair_open();
	uint64_t sent = 0;
	struct lingering l;

	assert_int_equal(lingering_init(&l), 0);
	lingering_add(&l, p.server);
	fd_close(p.server);
	while (l.count) {
		ssize_t n = send(p.client, bytes, sizeof bytes, MSG_NOSIGNAL);

		sent += n > 0 ? (uint64_t)n : 0;
		await(l.epoll_fd, POLLIN);
		lingering_run(&l);
	}
	assert_true(sent > LINGER_BYTES_MAX);
	fd_close(p.client);
	lingering_deinit(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer_outlives_the_close),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
