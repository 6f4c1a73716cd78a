/* SPDX-License-Identifier: MIT */
/* Connecting over loopback: at once, refused, silent, one of several, cancelled, by name. */
#include "net/dial.h"

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
#include <unistd.h>
#include "base/lang.h"
#include "base/fd.h"
#include "base/test_open_fds.h"
#include "net/test_turn.h"

#define DEADLINE_MS 30000

struct fixture {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct dialer dialer;
	struct dial dial;
	int listen_fd;
	struct addr listen_addr;
	unsigned dones, cancels;
	int fd, error;
	bool resolving, have_peer;
	struct addr peer;
};

static void on_deadline(uv_timer_t *timer)
{
	fail_msg("nothing happened in time");
}

static void on_done(struct dial *d, int fd, int error, bool resolving, const struct addr *peer)
{
	struct fixture *f = d->owner;

	f->dones++;
	f->fd = fd;
	f->error = error;
	f->resolving = resolving;
	f->have_peer = peer != NULL;
	if (peer)
		f->peer = *peer;
	uv_stop(&f->loop);
}

static void on_cancelled(struct dial *d)
{
	struct fixture *f = d->owner;

	f->cancels++;
	uv_stop(&f->loop);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct addr addr;

	assert_non_null(f);
	uv_loop_init(&f->loop);
	uv_timer_init(&f->loop, &f->deadline);
	uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0);
	assert_int_equal(addr_parse_ip("127.0.0.1", 0, &addr), 0);
	f->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->listen_fd, &addr.sa, addr_len(&addr)), 0);
	assert_int_equal(listen(f->listen_fd, 0), 0);
	assert_int_equal(addr_of_socket(f->listen_fd, &f->listen_addr), 0);
	f->dial.owner = f;
	f->dial.done = on_done;
	f->dial.cancelled = on_cancelled;
	f->fd = -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	uv_close((uv_handle_t *)&f->deadline, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	fd_close(f->listen_fd);
	fd_close(f->fd);
	free(f);
	return 0;
}

static void dialer_for(struct fixture *f, const char *host, uint16_t port)
{
	assert_int_equal(dialer_init(&f->dialer, &f->loop, host, port), 0);
}

static void await_done(struct fixture *f)
{
	while (!f->dones)
		uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->dones, 1);
}

static void test_loopback_connects_at_once(void **state)
{
	struct fixture *f = *state;
	socklen_t len = sizeof(int);
	int on = 0;

	dialer_for(f, "127.0.0.1", addr_port(&f->listen_addr));
	assert_int_equal(dial_start(&f->dial, &f->dialer, &f->fd), 1);
	assert_true(f->fd >= 0);
	assert_true(fcntl(f->fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(f->fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(getsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	assert_int_equal(on, 1);
	assert_int_equal(send(f->fd, "x", 1, MSG_NOSIGNAL), 1);
}

static void test_refusal_is_told_at_once(void **state)
{
	struct fixture *f = *state;

	dialer_for(f, "127.0.0.1", addr_port(&f->listen_addr));
	f->listen_fd = fd_close(f->listen_fd);
	assert_int_equal(dial_start(&f->dial, &f->dialer, &f->fd), -ECONNREFUSED);
	assert_int_equal(f->fd, -1);
	assert_int_equal(f->dones, 0);
}

/* A full accept queue swallows SYNs: the address is silent. */
static void fill_queue(struct fixture *f, int ret_fd[4])
{
	for (size_t i = 0; i < 4; i++) {
		ret_fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(ret_fd[i], &f->listen_addr.sa, addr_len(&f->listen_addr));
	}
}

static void test_silence_ends_with_a_timeout(void **state)
{
	struct fixture *f = *state;
	int filler[4];

	fill_queue(f, filler);
	dialer_for(f, "127.0.0.1", addr_port(&f->listen_addr));
	assert_int_equal(dial_start(&f->dial, &f->dialer, &f->fd), 0);
	await_done(f);
	assert_int_equal(f->fd, -1);
	assert_int_equal(f->error, -ETIMEDOUT);
	assert_false(f->resolving);
	assert_true(f->have_peer && addr_equal(&f->peer, &f->listen_addr));
	for (size_t i = 0; i < 4; i++)
		close(filler[i]);
}

/*
 * A name's first address dropped packets, and each visitor waited 3 s for it: the next address is
 * begun while the first one may still answer, and what loses is closed.
 */
static void test_silent_address_does_not_hold_up_the_next(void **state)
{
	struct fixture *f = *state;
	unsigned descriptors;
	int filler[4], l;
	struct addr good;

	fill_queue(f, filler);
	assert_int_equal(addr_parse_ip("127.0.0.2", addr_port(&f->listen_addr), &good), 0);
	l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(l, &good.sa, addr_len(&good)), 0);
	assert_int_equal(listen(l, 4), 0);
	dialer_for(f, "127.0.0.1", addr_port(&f->listen_addr));
	f->dialer.addrs[1] = good;
	f->dialer.count = 2;
	descriptors = test_open_fds();
	assert_int_equal(dial_start(&f->dial, &f->dialer, &f->fd), 0);
	await_done(f);
	assert_true(f->fd >= 0);
	assert_true(addr_equal(&f->peer, &good));
	/* The first address had not yet run out of its time. */
	assert_int_equal(f->dial.error, 0);
	assert_int_equal(test_open_fds(), descriptors + 1);
	assert_int_equal(f->dialer.preferred, 1);
	f->fd = fd_close(f->fd);
	assert_int_equal(dial_start(&f->dial, &f->dialer, &f->fd), 1);
	for (size_t i = 0; i < 4; i++)
		close(filler[i]);
	close(l);
}

/* The first connection is taken, also when it is that of the address that was begun first. */
static void test_slow_first_address_may_still_win(void **state)
{
	struct fixture *f = *state;
	int filler[4];

	fill_queue(f, filler);
	dialer_for(f, "127.0.0.1", addr_port(&f->listen_addr));
	f->dialer.addrs[1] = f->dialer.addrs[0];
	addr_set_port(&f->dialer.addrs[1], 9); /* refused, unless somebody discards there */
	f->dialer.count = 2;
	assert_int_equal(dial_start(&f->dial, &f->dialer, &f->fd), 0);
	while (f->dial.begun < 2)
		test_turn(&f->loop);
	/* The kernel sends its SYN again after a second, and finds room. */
	assert_int_equal(fcntl(f->listen_fd, F_SETFL, O_NONBLOCK), 0);
	for (size_t i = 0; i < 4; i++)
		close(filler[i]);
	for (int i = 0; i < 4; i++)
		fd_close(accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC));
	await_done(f);
	assert_true(f->fd >= 0);
	assert_true(addr_equal(&f->peer, &f->listen_addr));
}

/* Whatever the order: no way on any machine, and an answer. */
static void test_the_error_that_says_most_is_told(void **state)
{
	struct fixture *f = *state;
	uint16_t port = addr_port(&f->listen_addr);

	f->listen_fd = fd_close(f->listen_fd);
	for (size_t at = 0; at < 2; at++) {
		dialer_for(f, "127.0.0.1", port);
		f->dialer.addrs[1] = f->dialer.addrs[0];
		assert_int_equal(addr_parse_ip("255.255.255.255", port, &f->dialer.addrs[at]), 0);
		f->dialer.count = 2;
		assert_int_equal(dial_start(&f->dial, &f->dialer, &f->fd), -ECONNREFUSED);
		assert_int_equal(f->dial.peer, 1 - at);
	}
}

/* A socket bound to the very port that nobody listens on would connect to itself (RFC 9293, 3.5).
 */
static void test_own_port_is_never_taken(void **state)
{
	struct fixture *f = *state;
	uint16_t port = addr_port(&f->listen_addr);

	f->listen_fd = fd_close(f->listen_fd);
	dialer_for(f, "127.0.0.1", port);
	f->dialer.ports = (struct local_ports){
		.low = port, .high = UINT16_MAX, .next = port, .crowded_ms = UINT64_MAX
	};
	assert_int_equal(dial_start(&f->dial, &f->dialer, &f->fd), -ECONNREFUSED);
	assert_int_not_equal(f->dialer.ports.next, port);
}

static void test_cancel_while_connecting(void **state)
{
	struct fixture *f = *state;
	int filler[4];

	fill_queue(f, filler);
	dialer_for(f, "127.0.0.1", addr_port(&f->listen_addr));
	assert_int_equal(dial_start(&f->dial, &f->dialer, &f->fd), 0);
	dial_cancel(&f->dial);
	assert_int_equal(f->cancels, 0);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->cancels, 1);
	assert_int_equal(f->dones, 0);
	for (size_t i = 0; i < 4; i++)
		close(filler[i]);
}

/*
 * Where no file and no DNS names localhost, or DNS says that there is none, the application could
 * not be reached: these names are the loopback addresses, both, whatever a resolver says (RFC 6761,
 * 6.3), and nobody is asked.
 */
static void test_localhost_is_both_loopback_addresses(void **state)
{
	static const struct {
		const char *host;
		bool local;
	} names[] = {
		{ "localhost", true },
		{ "LocalHost.", true },
		{ "app.localhost", true },
		{ "a.b.localhost.", true },
		{ "localhost.example", false },
		{ "notlocalhost", false },
		{ "localhos", false },
		{ ".", false },
	};
	struct fixture *f = *state;

	assert_int_equal(listen(f->listen_fd, 8), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		dialer_for(f, names[i].host, addr_port(&f->listen_addr));
		assert_int_equal(f->dialer.fixed, names[i].local);
		assert_int_equal(f->dialer.count, names[i].local ? 2 : 0);
		if (!names[i].local)
			continue;
		assert_true(addr_is_loopback(&f->dialer.addrs[0]));
		assert_int_not_equal(
			f->dialer.addrs[0].sa.sa_family, f->dialer.addrs[1].sa.sa_family);
		assert_int_equal(dial_start(&f->dial, &f->dialer, &f->fd), 1);
		assert_true(addr_equal(&f->dial.addrs[f->dial.peer], &f->listen_addr));
		f->fd = fd_close(f->fd);
		/* A change of network changes nothing here. */
		dialer_forget(&f->dialer);
		assert_int_equal(f->dialer.count, 2);
	}
}

/* Numbers as inet_aton(3) knows them need no server, but take the way of a name. */
static void test_names(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(listen(f->listen_fd, 8), 0);
	dialer_for(f, "127.1", addr_port(&f->listen_addr));
	assert_int_equal(dial_start(&f->dial, &f->dialer, &f->fd), 0);
	await_done(f);
	assert_true(f->fd >= 0);
	assert_true(addr_equal(&f->peer, &f->listen_addr));
	f->fd = fd_close(f->fd);
	/* Known now, so no look-up is in the way. */
	assert_int_equal(dial_start(&f->dial, &f->dialer, &f->fd), 1);
	dialer_forget(&f->dialer);
	assert_int_equal(f->dialer.count, 0);
}

static void test_unknown_name(void **state)
{
	struct fixture *f = *state;

	/* A label of 64 letters is no name (RFC 1035): it fails without a question to any server.
	 */
	dialer_for(
		f, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid", 1);
	assert_int_equal(dial_start(&f->dial, &f->dialer, &f->fd), 0);
	await_done(f);
	assert_int_equal(f->fd, -1);
	assert_true(f->resolving && !f->have_peer);
	assert_true(f->error < 0);
}

static void test_cancel_while_resolving(void **state)
{
	struct fixture *f = *state;

	dialer_for(f, "127.1", addr_port(&f->listen_addr));
	assert_int_equal(dial_start(&f->dial, &f->dialer, &f->fd), 0);
	dial_cancel(&f->dial);
	while (!f->cancels)
		uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->dones, 0);
}

static void test_bad_hosts(void **state)
{
	struct fixture *f = *state;
	char host[ADDR_HOST_MAX + 1];

	memset(host, 'a', ADDR_HOST_MAX);
	host[ADDR_HOST_MAX] = '\0';
	assert_int_equal(dialer_init(&f->dialer, &f->loop, host, 1), -EINVAL);
	assert_int_equal(dialer_init(&f->dialer, &f->loop, "", 1), -EINVAL);
	assert_int_equal(dialer_init(&f->dialer, &f->loop, "host", 0), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_loopback_connects_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusal_is_told_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silence_ends_with_a_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_silent_address_does_not_hold_up_the_next, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_slow_first_address_may_still_win, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_error_that_says_most_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_localhost_is_both_loopback_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_port_is_never_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel_while_connecting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel_while_resolving, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_hosts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
