/* SPDX-License-Identifier: MIT */
/* What only our own clients can: Options, Refuse, beats, taking a tunnel over; and the relay's end.
 */
#include "relay/session.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/lang.h"
#include "relay/relay_internal.h"
#include "relay/relay_fixture.h"

static void test_refused_visitor_is_closed_at_once(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitor;
	char id[UUID_TEXT_LEN + 1], token[33];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel_with_token(f, &port, token);
	visitor = visit(f, &client, port, id);
	say_with(&client, "{\"Refuse\":{\"id\":\"", id, "\",\"why\":\"it's stopped\"}}", "");
	await_end(f, &visitor);
	assert_int_equal(f->relay->counts.visitors_refused, 1);
	assert_string_equal(f->why, "it\\'s stopped");
	/* An id that nobody waits by is no offence: the visitor may have gone meanwhile. */
	say_with(&client, "{\"Refuse\":{\"id\":\"", id, "\",\"why\":\"\"}}", "");
	disconnect(&visitor);
	visitor = visit(f, &client, port, id);
	disconnect(&visitor);
	disconnect(&client);
}

static void expect_visitor(struct fixture *f, struct peer *client, const struct peer *visitor)
{
	char frame[512], id[UUID_TEXT_LEN + 1], from[ADDR_TEXT_MAX], want[512];
	struct addr addr;

	await_frame(f, client, frame);
	assert_int_equal(sscanf(frame, "{\"Visitor\":{\"id\":\"%36[0-9a-f-]\"", id), 1);
	assert_int_equal(addr_of_socket(visitor->fd, &addr), 0);
	(void)snprintf(want, sizeof(want), "{\"Visitor\":{\"id\":\"%s\",\"from\":\"%s\"}}", id,
		addr_format(&addr, from));
	assert_string_equal(frame, want);
}

/* To whom has agreed, from the agreement on; also those who are announced again. */
static void test_visitor_is_announced_with_its_address(void **state)
{
	static const char options[] = "{\"Options\":{\"resume\":true,\"visitor\":true}}";
	struct fixture *f = *state;
	struct peer client, again, first, second;
	char id[UUID_TEXT_LEN + 1], token[33];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	first = visit(f, &client, port, id);
	say_bytes(&client, options, sizeof(options));
	await_token(f, &client, token);
	second = connect_port(f, port);
	expect_visitor(f, &client, &second);

	again = connect_control(f);
	say_hello(&again, port);
	say_with(&again, "{\"Options\":{\"visitor\":true,\"token\":\"", token, "\"}}", "");
	assert_int_equal(await_hello(f, &again), port);
	expect_frame(f, &again, "{\"Options\":{\"visitor\":true}}");
	expect_visitor(f, &again, &first);
	expect_visitor(f, &again, &second);
	disconnect(&client);
	disconnect(&again);
	disconnect(&first);
	disconnect(&second);
}

static void test_resume_takes_the_tunnel_over(void **state)
{
	struct fixture *f = *state;
	struct peer client, again, joined, data, waiting;
	char id[UUID_TEXT_LEN + 1], id_again[UUID_TEXT_LEN + 1], token[33], next[33];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel_with_token(f, &port, token);
	joined = visit(f, &client, port, id);
	data = join(f, id, &joined);
	waiting = visit(f, &client, port, id);

	/* Hello and Options come apart. */
	again = connect_control(f);
	say_hello(&again, port);
	while (f->relay->greeting_count == 0)
		run(f);
	say_with(&again, "{\"Options\":{\"resume\":true,\"token\":\"", token, "\"}}", "");
	assert_int_equal(await_hello(f, &again), port);
	await_token(f, &again, next);
	assert_string_not_equal(token, next);
	await_connection(f, &again, id_again);
	assert_string_equal(id_again, id);
	await_end(f, &client);

	say_bytes(&data, "on", 2);
	expect_text(f, &joined, "on");
	assert_int_equal(f->relay->serving_count, 1);
	assert_int_equal(count_events(f, RELAY_TUNNEL_RESUMED), 1);
	assert_int_equal(count_events(f, RELAY_TUNNEL_CLOSED), 0);
	disconnect(&joined);
	disconnect(&data);
	disconnect(&waiting);
	disconnect(&client);
	disconnect(&again);
}

static void test_no_resume_without_the_right_token(void **state)
{
	static const char *const offers[] = {
		"",
		"{\"Options\":{\"resume\":true}}",
		"{\"Options\":{\"resume\":true,\"token\":\"00000000000000000000000000000000\"}}",
	};
	struct fixture *f = *state;
	struct peer client, other;
	char token[33];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel_with_token(f, &port, token);
	for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
		other = connect_control(f);
		say_hello(&other, port);
		if (*offers[i])
			say_bytes(&other, offers[i], strlen(offers[i]) + 1);
		await_refusal(f, &other, "port already in use");
	}
	assert_int_equal(f->relay->serving_count, 1);
	disconnect(&client);
}

static void test_port_freed_while_claiming(void **state)
{
	struct fixture *f = *state;
	struct peer client, other;
	char token[33];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel_with_token(f, &port, token);
	other = connect_control(f);
	say_hello(&other, port);
	while (f->relay->greeting_count == 0)
		run(f);
	disconnect(&client);
	assert_int_equal(await_hello(f, &other), port);
	disconnect(&other);
}

static void test_client_that_beats_and_stops_is_dropped(void **state)
{
	struct fixture *f = *state;
	struct peer client;
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	say(&client, "{\"Options\":{\"beat\":1000}}");
	await_end(f, &client);
	assert_string_equal(f->why, "the client is silent");
	disconnect(&client);
}

static void on_drained(void *owner)
{
	((struct fixture *)owner)->drained++;
}

static void test_drain_waits_for_open_streams(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitor, data, late;
	char id[UUID_TEXT_LEN + 1];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	visitor = visit(f, &client, port, id);
	relay_drain(f->relay, on_drained, f);
	/* Who waits may still be claimed; a new tunnel is refused, and the public port is closed.
	 */
	data = join(f, id, &visitor);
	late = connect_control(f);
	say(&late, "{\"Hello\":0}");
	await_refusal(f, &late, "the server is shutting down");
	late.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	{
		struct addr addr = f->addr;

		addr_set_port(&addr, port);
		assert_int_equal(connect(late.fd, &addr.sa, addr_len(&addr)), -1);
	}
	say_bytes(&visitor, "on", 2);
	expect_text(f, &data, "on");
	assert_int_equal(f->drained, 0);
	disconnect(&visitor);
	disconnect(&data);
	while (!f->drained)
		run(f);
	await_end(f, &client);
	disconnect(&client);
	disconnect(&late);
	assert_int_equal(f->drained, 1);
}

/* A client that waits for its turn when the relay begins to drain gets no tunnel any more. */
static void test_drain_refuses_who_claims_a_port(void **state)
{
	struct fixture *f = *state;
	struct peer client, other, visitor;
	char id[UUID_TEXT_LEN + 1], token[33];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel_with_token(f, &port, token);
	visitor = visit(f, &client, port, id);
	other = connect_control(f);
	say_hello(&other, port);
	while (f->relay->greeting_count == 0)
		run(f);
	relay_drain(f->relay, on_drained, f);
	expect_frame(f, &other, "{\"Error\":\"the server is shutting down\"}");
	await_end(f, &other);
	assert_int_equal(f->relay->serving_count, 1);
	disconnect(&visitor);
	disconnect(&other);
	disconnect(&client);
}

static void test_second_drain_and_grace_end_streams(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitor, data;
	char id[UUID_TEXT_LEN + 1];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	visitor = visit(f, &client, port, id);
	data = join(f, id, &visitor);
	relay_drain(f->relay, on_drained, f);
	assert_int_equal(f->drained, 0);
	relay_drain(f->relay, on_drained, f);
	await_end(f, &visitor);
	while (!f->drained)
		run(f);
	disconnect(&visitor);
	disconnect(&data);
	disconnect(&client);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_refused_visitor_is_closed_at_once),
		CASE(test_visitor_is_announced_with_its_address),
		CASE(test_resume_takes_the_tunnel_over),
		CASE(test_no_resume_without_the_right_token),
		CASE(test_port_freed_while_claiming),
		CASE(test_client_that_beats_and_stops_is_dropped),
		CASE(test_drain_waits_for_open_streams),
		CASE(test_drain_refuses_who_claims_a_port),
		CASE(test_second_drain_and_grace_end_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
