/* SPDX-License-Identifier: MIT */
/* Listening on loopback: what accepted sockets inherit, deferred accepts, running out of
 * descriptors. */
#include "net/listener.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/owner.h"
#include "base/fd.h"
#include "net/pump_pool.h"
#include "net/reserve.h"
#include "net/sockopt.h"
#include "net/test_turn.h"

#define DEADLINE_MS 20000
#define ACCEPTED_MAX 256

struct fixture {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct listener listener;
	struct reserve reserve;
	int fds[ACCEPTED_MAX];
	size_t count;
	struct addr from;
	struct pump_pool *pool; /* NULL: libuv watches */
	bool close_at_first, limited;
	size_t room; /* when limited */
	unsigned closes;
};

static bool with_pool; /* all tests are run twice */

static void on_deadline(uv_timer_t *timer)
{
	fail_msg("nothing happened in time");
}

static void on_accepted(struct listener *l, int fd, const struct addr *from)
{
	struct fixture *f = l->owner;

	assert_true(f->count < ACCEPTED_MAX);
	f->fds[f->count++] = fd;
	f->from = *from;
	if (f->close_at_first)
		listener_close(l);
}

static bool on_admits(struct listener *l)
{
	struct fixture *f = l->owner;

	return !f->limited || f->count < f->room;
}

static void on_closed(struct listener *l)
{
	struct fixture *f = l->owner;

	f->closes++;
}

static struct addr ip(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse_ip(text, 0, &addr), 0);
	return addr;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	uv_loop_init(&f->loop);
	uv_timer_init(&f->loop, &f->deadline);
	uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0);
	assert_int_equal(reserve_open(&f->reserve), 0);
	f->listener.owner = f;
	f->listener.admits = on_admits;
	f->listener.accepted = on_accepted;
	f->listener.closed = on_closed;
	f->listener.reserve = &f->reserve;
	f->listener.fd = -1;
	if (with_pool)
		assert_int_equal(
			pump_pool_new(&f->loop, &(const struct pump_pool_config){ .workers = 1 },
				&f->pool),
			0);
	f->listener.pool = f->pool;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	listener_close(&f->listener);
	if (f->pool)
		pump_pool_close(f->pool, NULL, NULL);
	uv_close((uv_handle_t *)&f->deadline, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->closes, 1);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	for (size_t i = 0; i < f->count; i++)
		fd_close(f->fds[i]);
	reserve_close(&f->reserve);
	free(f);
	return 0;
}

static void listen_on(struct fixture *f, const char *text, bool dual, bool defer)
{
	struct addr addr = ip(text);

	assert_int_equal(listener_open(&f->listener, &f->loop, &addr, dual, defer), 0);
	assert_int_not_equal(addr_port(&f->listener.addr), 0);
}

static int connect_to(const struct addr *addr)
{
	int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &addr->sa, addr_len(addr)), 0);
	return fd;
}

static void await(struct fixture *f, size_t count)
{
	while (f->count < count)
		test_turn(&f->loop);
}

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

/* The kernel fact that saves us five calls per connection. */
static void test_accepted_sockets_inherit_the_options(void **state)
{
	struct fixture *f = *state;
	char name[16];
	socklen_t len = sizeof(name);
	int c;

	listen_on(f, "127.0.0.1", false, false);
	c = connect_to(&f->listener.addr);
	await(f, 1);
	assert_int_equal(option(f->fds[0], IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(option(f->fds[0], SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option(f->fds[0], IPPROTO_TCP, TCP_KEEPIDLE), SOCKOPT_KEEP_IDLE_S);
	assert_int_equal(option(f->fds[0], IPPROTO_TCP, TCP_KEEPINTVL), SOCKOPT_KEEP_INTERVAL_S);
	assert_int_equal(option(f->fds[0], IPPROTO_TCP, TCP_KEEPCNT), SOCKOPT_KEEP_COUNT);
	assert_int_equal(getsockopt(f->fds[0], IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
	assert_string_equal(name, "reno");
	assert_true(fcntl(f->fds[0], F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(f->fds[0], F_GETFD) & FD_CLOEXEC);
	assert_true(addr_is_loopback(&f->from));
	close(c);
}

/* What comes of a visitor's socket of which nothing was set: a reset, unless that is lifted. */
static void test_accepted_sockets_inherit_the_reset(void **state)
{
	struct fixture *f = *state;
	char byte;
	int c[2];

	listen_on(f, "127.0.0.1", false, false);
	sockopt_set_reset(f->listener.fd);
	for (size_t i = 0; i < 2; i++) {
		c[i] = connect_to(&f->listener.addr);
		await(f, i + 1);
	}
	sockopt_lift_reset(f->fds[1]);
	for (size_t i = 0; i < 2; i++)
		f->fds[i] = fd_close(f->fds[i]);
	assert_int_equal(recv(c[0], &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(recv(c[1], &byte, 1, 0), 0);
	close(c[0]);
	close(c[1]);
}

static void test_dual_stack_normalises_mapped_addresses(void **state)
{
	struct fixture *f = *state;
	struct addr four = ip("127.0.0.1"), any = ip("::");
	int c;

	if (listener_open(&f->listener, &f->loop, &any, true, false) == -EAFNOSUPPORT) {
		listen_on(f, "127.0.0.1", false, false);
		skip();
	}
	addr_set_port(&four, addr_port(&f->listener.addr));
	c = connect_to(&four);
	await(f, 1);
	assert_int_equal(f->from.sa.sa_family, AF_INET);
	close(c);
}

static void test_deferred_accept_waits_for_the_first_byte(void **state)
{
	struct fixture *f = *state;
	int silent, speaking, c;
	char got;

	listen_on(f, "127.0.0.1", false, true);
	silent = connect_to(&f->listener.addr);
	speaking = connect_to(&f->listener.addr);
	assert_int_equal(send(speaking, "x", 1, 0), 1);
	await(f, 1);
	/* The one that has spoken comes first, and its byte is there already. */
	assert_int_equal(recv(f->fds[0], &got, 1, 0), 1);
	/* A peer that goes away without a word is accepted as well, and is at its end. */
	close(silent);
	await(f, 2);
	assert_int_equal(recv(f->fds[1], &got, 1, 0), 0);
	c = connect_to(&f->listener.addr);
	close(c);
	close(speaking);
}

static void test_port_is_free_at_once_and_closing_within_a_batch_works(void **state)
{
	struct fixture *f = *state;
	struct addr addr;
	int a, b, l;

	listen_on(f, "127.0.0.1", false, false);
	addr = f->listener.addr;
	a = connect_to(&addr);
	b = connect_to(&addr);
	f->close_at_first = true;
	await(f, 1);
	l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* The accepted connection still has the port, hence SO_REUSEADDR. */
	assert_int_equal(sockopt_set_int(l, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	assert_int_equal(bind(l, &addr.sa, addr_len(&addr)), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(f->count, 1);
	close(a);
	close(b);
	close(l);
}

static void test_busy_port_takes_more_at_once(void **state)
{
	struct fixture *f = *state;
	int c[100];

	listen_on(f, "127.0.0.1", false, false);
	assert_int_equal(f->listener.batch, 1);
	for (size_t i = 0; i < 100; i++)
		c[i] = connect_to(&f->listener.addr);
	uv_run(&f->loop, UV_RUN_ONCE);
	assert_int_equal(f->count, 1);
	await(f, 8 + 8 * 2 + 8 * 4);
	assert_int_equal(f->listener.batch, 8);
	await(f, 100);
	close(c[0]);
	c[0] = connect_to(&f->listener.addr);
	await(f, 101);
	assert_int_equal(f->listener.batch, 1);
	for (size_t i = 0; i < 100; i++)
		close(c[i]);
}

/* What the owner has no room for stays in the kernel's queue, and the loop has nothing to do. */
static void test_full_owner_pauses_it(void **state)
{
	struct fixture *f = *state;
	int c[10];
	char got;

	listen_on(f, "127.0.0.1", false, false);
	f->limited = true;
	f->room = 3;
	for (size_t i = 0; i < 10; i++)
		c[i] = connect_to(&f->listener.addr);
	while (!f->listener.paused)
		test_turn(&f->loop);
	assert_int_equal(f->count, 3);
	assert_false(uv_is_active((uv_handle_t *)&f->listener.poll));
	assert_false(uv_is_active((uv_handle_t *)&f->listener.retry));
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(recv(c[i], &got, 1, MSG_DONTWAIT), -1);

	f->room = 5;
	listener_resume(&f->listener);
	while (!f->listener.paused)
		test_turn(&f->loop);
	assert_int_equal(f->count, 5);
	f->room = 11;
	listener_resume(&f->listener);
	listener_resume(&f->listener);
	await(f, 10);
	/* Paused and closed: the kernel resets who still waits. */
	f->room = 0;
	close(c[0]);
	c[0] = connect_to(&f->listener.addr);
	while (!f->listener.paused)
		test_turn(&f->loop);
	listener_close(&f->listener);
	listener_resume(&f->listener);
	assert_int_equal(recv(c[0], &got, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	for (size_t i = 0; i < 10; i++)
		close(c[i]);
}

static void test_errors_leave_nothing_behind(void **state)
{
	struct fixture *f = *state;
	struct listener other = f->listener;
	struct addr elsewhere = ip("192.0.2.1");

	listen_on(f, "127.0.0.1", false, false);
	assert_int_equal(
		listener_open(&other, &f->loop, &f->listener.addr, false, false), -EADDRINUSE);
	assert_int_equal(other.fd, -1);
	listener_close(&other);
	assert_int_equal(listener_open(&other, &f->loop, &elsewhere, false, false), -EADDRNOTAVAIL);
}

/* Without the reserve a full descriptor table left the connections queued, and the loop spun on
 * them. */
static void test_connections_are_shed_without_descriptors(void **state)
{
	struct fixture *f = *state;
	int c[3], filler[ACCEPTED_MAX];
	struct rlimit old, low;
	size_t fillers = 0;
	char got;

	listen_on(f, "127.0.0.1", false, false);
	sockopt_set_reset(f->listener.fd);
	for (size_t i = 0; i < 3; i++)
		c[i] = connect_to(&f->listener.addr);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){ .rlim_cur = 128, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	while (fillers < ACCEPTED_MAX && (filler[fillers] = dup(c[0])) >= 0)
		fillers++;
	assert_int_equal(errno, EMFILE);

	while (f->reserve.shed_total < 3)
		test_turn(&f->loop);
	assert_int_equal(f->count, 0);
	assert_true(f->reserve.shedding);
	assert_true(f->reserve.fd >= 0);
	for (size_t i = 0; i < fillers; i++)
		close(filler[i]);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(recv(c[i], &got, 1, 0), 0);
		close(c[i]);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);

	c[0] = connect_to(&f->listener.addr);
	await(f, 1);
	close(c[0]);
	f->reserve.last_ms = 0; /* long ago */
	reserve_recovered(&f->reserve);
	assert_false(f->reserve.shedding);
}

/* What engines and libmicrohttpd accept from: its own port is known, and taken from then on. */
static void test_plain_socket(void **state)
{
	_cleanup_(fd_closep) int first = -1, second = -1;
	struct addr addr;

	assert_int_equal(addr_parse_ip("127.0.0.1", 0, &addr), 0);
	assert_int_equal(listener_socket(&addr, 1, &first), 0);
	assert_int_not_equal(addr_port(&addr), 0);
	assert_int_equal(fcntl(first, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(first, F_GETFL) & O_NONBLOCK);
	assert_int_equal(listener_socket(&addr, 1, &second), -EADDRINUSE);
	assert_int_equal(second, -1);
	first = fd_close(first);
	assert_int_equal(listener_socket(&addr, 1, &second), 0);
}

/* One who shares the socket can end it, and yet nobody else gets its port. */
static void test_plain_socket_keeps_its_port(void **state)
{
	_cleanup_(fd_closep) int fd = -1, other = -1;
	struct addr addr;

	assert_int_equal(addr_parse_ip("127.0.0.1", 0, &addr), 0);
	assert_int_equal(listener_socket(&addr, 1, &fd), 0);
	assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
	other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(other, &addr.sa, addr_len(&addr)), -1);
	assert_int_equal(errno, EADDRINUSE);
	fd = fd_close(fd);
	assert_int_equal(bind(other, &addr.sa, addr_len(&addr)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_accepted_sockets_inherit_the_options, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_accepted_sockets_inherit_the_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_dual_stack_normalises_mapped_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_deferred_accept_waits_for_the_first_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_port_is_free_at_once_and_closing_within_a_batch_works, setup,
			teardown),
		cmocka_unit_test(test_plain_socket),
		cmocka_unit_test(test_plain_socket_keeps_its_port),
		cmocka_unit_test_setup_teardown(test_busy_port_takes_more_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_owner_pauses_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors_leave_nothing_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_connections_are_shed_without_descriptors, setup, teardown),
	};

	int failed = cmocka_run_group_tests_name("net/listener", tests, NULL, NULL);

	with_pool = true;
	return failed + cmocka_run_group_tests_name("net/listener with a pool", tests, NULL, NULL);
}
