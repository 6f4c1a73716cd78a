/* SPDX-License-Identifier: MIT */
/* Visitors beyond max_pending: they are left in the kernel's queue, and come in when there is room.
 */
#include "relay/endpoint.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "relay/handover_wire.h"
#include "relay/relay_internal.h"
#include "relay/relay_fixture.h"

/* The client takes the next visitor it is told of; both ends are done with then. */
static void claim(struct fixture *f, struct peer *client, struct peer *visitor)
{
	char id[UUID_TEXT_LEN + 1];
	struct peer data;

	await_connection(f, client, id);
	data = join(f, id, visitor);
	disconnect(visitor);
	await_end(f, &data);
	disconnect(&data);
}

static void await_paused(struct fixture *f, uint32_t count)
{
	while (f->relay->paused_count != count)
		run(f);
}

/* A burst was cut down to the limit: all but four of these were closed. */
static void test_burst_comes_through(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitors[8];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	for (size_t i = 0; i < 8; i++)
		visitors[i] = connect_port(f, port);
	await_paused(f, 1);
	assert_int_equal(f->relay->pending.count, f->config.max_pending_per_tunnel);
	assert_int_equal(f->relay->counts.visitors, f->config.max_pending_per_tunnel);
	for (size_t i = 0; i < 8; i++)
		claim(f, &client, &visitors[i]);
	assert_int_equal(f->relay->counts.visitors, 8);
	assert_int_equal(f->relay->paused_count, 0);
	assert_true(f->relay->counts.tunnels_paused > 0);
	disconnect(&client);
}

static void test_expired_visitors_make_room(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitors[8];
	uint16_t port;

	start(f, NULL);
	f->relay->streams.deadlines.delay_ms = 20;
	client = open_tunnel(f, &port);
	for (size_t i = 0; i < 8; i++)
		visitors[i] = connect_port(f, port);
	for (size_t i = 0; i < 8; i++) {
		await_end(f, &visitors[i]);
		disconnect(&visitors[i]);
	}
	assert_int_equal(f->relay->counts.visitors_unclaimed, 8);
	disconnect(&client);
}

static void test_end_of_a_paused_tunnel_resets_who_is_queued(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitors[6];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	for (size_t i = 0; i < 6; i++)
		visitors[i] = connect_port(f, port);
	await_paused(f, 1);
	disconnect(&client);
	for (size_t i = 0; i < 6; i++) {
		await_end(f, &visitors[i]);
		disconnect(&visitors[i]);
	}
	assert_int_equal(f->relay->paused_count, 0);
	assert_int_equal(f->relay->counts.visitors, 4);
}

/* One tunnel has filled the limit of all, and has more visitors than another one. */
static void test_tunnels_take_turns_at_the_total_limit(void **state)
{
	struct fixture *f = *state;
	struct peer busy, quiet, visitors[6], single;
	struct endpoint *busy_end, *quiet_end;
	uint16_t port[2];

	f->config.max_pending = 2;
	start(f, NULL);
	busy = open_tunnel(f, &port[0]);
	quiet = open_tunnel(f, &port[1]);
	busy_end = endpoint_find(f->relay, port[0]);
	quiet_end = endpoint_find(f->relay, port[1]);
	for (size_t i = 0; i < 6; i++)
		visitors[i] = connect_port(f, port[0]);
	await_paused(f, 1);
	single = connect_port(f, port[1]);
	await_paused(f, 2);
	assert_int_equal(f->relay->pending.count, 2);
	assert_int_equal(busy_end->waiting, 2);

	/* The first place is the busy one's, which was there before, the second one is not. */
	claim(f, &busy, &visitors[0]);
	while (f->relay->counts.visitors < 3)
		run(f);
	assert_int_equal(busy_end->waiting, 2);
	await_paused(f, 2);
	claim(f, &busy, &visitors[1]);
	while (f->relay->counts.visitors < 4)
		run(f);
	assert_int_equal(quiet_end->waiting, 1);
	claim(f, &quiet, &single);
	for (size_t i = 2; i < 6; i++)
		claim(f, &busy, &visitors[i]);
	assert_int_equal(f->relay->paused_count, 0);
	assert_true(list_empty(&f->relay->queued));
	disconnect(&busy);
	disconnect(&quiet);
}

/* A queued tunnel that ends must leave the queue. */
static void test_queued_tunnel_ends(void **state)
{
	struct fixture *f = *state;
	struct peer busy, queued, visitors[2], late;
	uint16_t port[2];

	f->config.max_pending = 2;
	start(f, NULL);
	busy = open_tunnel(f, &port[0]);
	queued = open_tunnel(f, &port[1]);
	for (size_t i = 0; i < 2; i++)
		visitors[i] = connect_port(f, port[0]);
	while (f->relay->pending.count < 2)
		run(f);
	late = connect_port(f, port[1]);
	await_paused(f, 1);
	disconnect(&queued);
	await_end(f, &late);
	assert_int_equal(f->relay->paused_count, 0);
	assert_true(list_empty(&f->relay->queued));
	for (size_t i = 0; i < 2; i++)
		claim(f, &busy, &visitors[i]);
	disconnect(&late);
	disconnect(&busy);
}

/* A listening socket as another relay would give it, with its port. */
static int make_given(uint16_t *ret_port)
{
	struct addr addr = { .in4 = { .sin_family = AF_INET,
				     .sin_addr = { htonl(INADDR_LOOPBACK) } } };
	int fd;

	assert_int_equal(listener_socket(&addr, 16, &fd), 0);
	*ret_port = addr_port(&addr);
	return fd;
}

/* Whose client doesn't come back. Its visitors have waited in the kernel's queue. */
static void test_orphan_is_abandoned(void **state)
{
	struct fixture *f = *state;
	struct handover_item item = {
		.client = { .in4 = { .sin_family = AF_INET, .sin_addr = { htonl(0xc0000201) } } },
		.age_ms = 5000
	};
	struct peer visitor;
	uint16_t port;
	int fd = make_given(&port);

	start(f, NULL);
	endpoint_adopt(f->relay, &item, fd);
	assert_int_equal(f->relay->orphan_count, 1);
	assert_int_equal(f->relay->limits.tunnels.count, 1);
	assert_int_equal(f->relay->endpoints[port]->opened_ms, uv_now(&f->loop) - 5000);
	visitor = connect_port(f, port);
	await_paused(f, 1);
	assert_int_equal(f->relay->counts.visitors, 0);
	timeouts_set_delay(&f->relay->orphans, 1);
	await_end(f, &visitor);
	disconnect(&visitor);
	assert_string_equal(f->why, "its client hasn't come back");
	assert_int_equal(count_events(f, RELAY_TUNNEL_CLOSED), 1);
	assert_int_equal(f->relay->counts.tunnels_abandoned, 1);
	assert_int_equal(f->relay->orphan_count, 0);
	assert_int_equal(f->relay->paused_count, 0);
	assert_int_equal(f->relay->limits.tunnels.count, 0);
	assert_null(f->relay->endpoints[port]);
}

/* What another process gives is looked at: a socket that doesn't listen, or a port out of range. */
static void test_what_is_no_tunnel_is_not_adopted(void **state)
{
	struct fixture *f = *state;
	struct handover_item item = { .client = { .in4 = { .sin_family = AF_INET } } };
	uint16_t port;
	int fd;

	start(f, NULL);
	endpoint_adopt(f->relay, &item, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	endpoint_adopt(f->relay, &item, socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
	fd = make_given(&port);
	f->relay->ports.max = port - 1;
	endpoint_adopt(f->relay, &item, fd);
	assert_int_equal(f->relay->orphan_count, 0);
	fd = make_given(&port);
	f->relay->ports.max = UINT16_MAX;
	endpoint_adopt(f->relay, &item, fd);
	assert_int_equal(f->relay->orphan_count, 1);
	/* One that is open when the relay ends. */
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_burst_comes_through),
		CASE(test_expired_visitors_make_room),
		CASE(test_end_of_a_paused_tunnel_resets_who_is_queued),
		CASE(test_tunnels_take_turns_at_the_total_limit),
		CASE(test_queued_tunnel_ends),
		CASE(test_orphan_is_abandoned),
		CASE(test_what_is_no_tunnel_is_not_adopted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
