/* SPDX-License-Identifier: MIT */
/* Warm connections: the stacks with a clock of our own and socket pairs, then with a relay. */
#include "relay/ready.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/lang.h"
#include "net/sockopt.h"
#include "relay/relay_fixture.h"
#include "relay/relay_internal.h"
#include "relay/session.h"

#define PARKED_MAX 8 /* in all */

static int setup_stacks(void **state)
{
	struct ready *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_int_equal(ready_init(r, 4, PARKED_MAX), 0);
	*state = r;
	return 0;
}

static int teardown_stacks(void **state)
{
	ready_deinit(*state);
	free(*state);
	return 0;
}

/* One more is parked; the peer's end is returned. Negative errno. */
static int park(struct ready_stack *s, bool front, uint64_t now_ms)
{
	int pair[2], r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	r = ready_park(s, pair[0], front, now_ms);
	if (r == 0)
		return pair[1];
	close(pair[0]);
	close(pair[1]);
	return r;
}

static bool is_closed(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void test_key_finds_its_stack_while_it_is_open(void **state)
{
	struct ready *r = *state;
	struct ready_stack one = { 0 }, other = { 0 };
	struct uuid key;
	int fd;

	assert_int_equal(ready_open(r, &one, 4), 0);
	assert_int_equal(ready_open(r, &other, 4), 0);
	key = one.entry.id;
	assert_ptr_equal(ready_find(r, &key), &one);
	assert_ptr_equal(ready_find(r, &other.entry.id), &other);
	assert_false(ready_has_ended(r, &key));
	fd = park(&one, false, 1);
	ready_close(&one);
	assert_true(is_closed(fd));
	assert_null(ready_find(r, &key));
	assert_true(ready_has_ended(r, &key));
	close(fd);
	ready_close(&one);
	/* The ring forgets the oldest. */
	for (int i = 0; i < READY_ENDED_KEYS; i++) {
		assert_int_equal(ready_open(r, &one, 4), 0);
		assert_true(ready_has_ended(r, &key));
		ready_close(&one);
	}
	assert_false(ready_has_ended(r, &key));
	ready_close(&other);
}

static void test_last_parked_is_taken_first_and_the_dead_never(void **state)
{
	struct ready *r = *state;
	struct ready_stack s = { 0 };
	struct ready_conn conn;
	int peers[4];

	assert_int_equal(ready_open(r, &s, 4), 0);
	for (int i = 0; i < 4; i++)
		peers[i] = park(&s, i == 1, (uint64_t)i);
	/* One says what nobody asked for, one half-closes. */
	assert_int_equal(send(peers[3], "x", 1, 0), 1);
	assert_int_equal(shutdown(peers[2], SHUT_WR), 0);
	assert_true(ready_take(&s, &conn));
	assert_int_equal(conn.parked_ms, 1);
	assert_true(conn.front);
	close(conn.fd);
	close(peers[0]);
	assert_false(ready_take(&s, &conn));
	assert_int_equal(r->count, 0);
	assert_int_equal(r->richest, 0);
	for (int i = 1; i < 4; i++)
		close(peers[i]);
	ready_close(&s);
}

/* Whoever has parked all there may be left nothing to others: they come to have the same. */
static void test_all_have_the_same_where_all_are_full(void **state)
{
	enum { SHARE = PARKED_MAX / 2 };
	struct ready *r = *state;
	struct ready_stack rich = { 0 }, poor = { 0 };
	int peers[PARKED_MAX + SHARE];

	assert_int_equal(ready_open(r, &rich, PARKED_MAX), 0);
	assert_int_equal(ready_open(r, &poor, PARKED_MAX), 0);
	for (int i = 0; i < PARKED_MAX + SHARE; i++)
		peers[i] = park(i < PARKED_MAX ? &rich : &poor, false, (uint64_t)i);
	assert_int_equal(rich.count, SHARE);
	assert_int_equal(poor.count, SHARE);
	assert_int_equal(r->count, PARKED_MAX);
	/* The coldest ones made room, and no more of them. */
	for (int i = 0; i < PARKED_MAX + SHARE; i++)
		assert_int_equal(is_closed(peers[i]), i < SHARE);
	/* Neither takes from the other any more. */
	assert_int_equal(park(&poor, false, 20), -ENOSPC);
	assert_int_equal(park(&rich, false, 20), -ENOSPC);
	ready_close(&rich);
	ready_close(&poor);
	for (int i = 0; i < PARKED_MAX + SHARE; i++)
		close(peers[i]);
}

/* More than there are levels: each of these is rich, and who has fewer takes from them. */
static void test_more_than_there_are_levels(void **state)
{
	enum { MANY = READY_LEVELS + 5 };
	struct ready *r = *state;
	struct ready_stack rich[2] = { 0 }, poor = { 0 };
	int peers[2 * MANY + READY_LEVELS];
	int count = 0;

	r->max = 2 * MANY;
	assert_int_equal(ready_open(r, &rich[0], MANY), 0);
	assert_int_equal(ready_open(r, &rich[1], MANY), 0);
	assert_int_equal(ready_open(r, &poor, MANY), 0);
	while (count < 2 * MANY) {
		peers[count] = park(&rich[count % 2], false, 1);
		count++;
	}
	assert_int_equal(r->richest, READY_LEVELS);
	while ((peers[count] = park(&poor, false, 2)) >= 0)
		count++;
	assert_int_equal(r->count, 2 * MANY);
	assert_in_range(poor.count, 2 * MANY / 3 - 1, 2 * MANY / 3);
	assert_in_range(rich[0].count, 2 * MANY / 3, 2 * MANY / 3 + 1);
	assert_in_range(rich[1].count, 2 * MANY / 3, 2 * MANY / 3 + 1);
	/* What has died is swept from every level, and each of the others is looked at as well. */
	for (int i = 0; i < count; i++)
		close(peers[i]);
	ready_sweep(r, 2);
	assert_int_equal(r->count, 0);
	assert_int_equal(r->richest, 0);
	for (int i = 0; i < 2; i++)
		ready_close(&rich[i]);
	ready_close(&poor);
}

/* Where nobody has more than two, there is nothing to take. */
static void test_two_are_taken_from_nobody(void **state)
{
	struct ready *r = *state;
	struct ready_stack stacks[3] = { 0 }, last = { 0 };
	int peers[6];

	r->max = 6;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(ready_open(r, &stacks[i], PARKED_MAX), 0);
	assert_int_equal(ready_open(r, &last, PARKED_MAX), 0);
	for (int i = 0; i < 6; i++)
		peers[i] = park(&stacks[i / 2], false, 1);
	assert_int_equal(park(&last, false, 1), -ENOSPC);
	for (int i = 0; i < 6; i++) {
		assert_false(is_closed(peers[i]));
		close(peers[i]);
	}
	for (size_t i = 0; i < 3; i++)
		ready_close(&stacks[i]);
	ready_close(&last);
}

static void test_limits_of_one_and_of_all(void **state)
{
	struct ready *r = *state;
	struct ready_stack stacks[3] = { 0 };
	int peers[PARKED_MAX], count = 0;

	for (size_t i = 0; i < 3; i++)
		assert_int_equal(ready_open(r, &stacks[i], 3), 0);
	for (int i = 0; i < 9; i++) {
		int fd = park(&stacks[i / 3], false, 1);

		if (i == PARKED_MAX)
			assert_int_equal(fd, -ENOSPC);
		else
			peers[count++] = fd;
	}
	assert_int_equal(park(&stacks[0], false, 1), -ENOSPC);
	assert_int_equal(r->count, PARKED_MAX);
	/* Room is made by each in turn. */
	assert_int_equal(ready_relieve(r, 3), 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(stacks[i].count, i == 2 ? 1 : 2);
	assert_int_equal(ready_relieve(r, 100), PARKED_MAX - 3);
	assert_int_equal(ready_relieve(r, 1), 0);
	for (int i = 0; i < count; i++) {
		assert_true(is_closed(peers[i]));
		close(peers[i]);
	}
	for (size_t i = 0; i < 3; i++)
		ready_close(&stacks[i]);
}

static void test_sweep_closes_the_dead_and_the_old(void **state)
{
	struct ready *r = *state;
	struct ready_stack s = { 0 }, other = { 0 };
	int peers[5], foreign;

	assert_int_equal(ready_open(r, &s, 8), 0);
	assert_int_equal(ready_open(r, &other, 8), 0);
	for (int i = 0; i < 5; i++)
		peers[i] = park(&s, i == 4, 1000);
	foreign = park(&other, false, 1000);
	ready_sweep(r, 1000 + READY_FRONT_MS - 1);
	assert_int_equal(s.count, 5);
	close(peers[2]);
	ready_sweep(r, 1000 + READY_FRONT_MS - 1);
	assert_int_equal(s.count, 4);
	/* Behind a front. */
	ready_sweep(r, 1000 + READY_FRONT_MS);
	assert_true(is_closed(peers[4]));
	assert_int_equal(s.count, 3);
	/* More than two that nobody needed. */
	ready_sweep(r, 1000 + READY_SPARE_MS - 1);
	assert_int_equal(s.count, 3);
	ready_sweep(r, 1000 + READY_SPARE_MS);
	assert_int_equal(s.count, READY_KEPT);
	assert_true(is_closed(peers[0]));
	ready_sweep(r, 1000 + READY_IDLE_MS - 1);
	assert_int_equal(r->count, READY_KEPT + 1);
	ready_sweep(r, 1000 + READY_IDLE_MS);
	assert_int_equal(r->count, 0);
	assert_true(is_closed(foreign));
	close(foreign);
	for (int i = 0; i < 5; i++)
		if (i != 2)
			close(peers[i]);
	ready_close(&s);
	ready_close(&other);
}

static void test_who_never_takes_is_given_none_for_a_while(void **state)
{
	struct ready *r = *state;
	struct ready_stack s = { 0 };
	uint64_t now = 5000;
	int fd;

	assert_int_equal(ready_open(r, &s, 4), 0);
	fd = park(&s, false, now);
	for (int i = 0; i < 2 * READY_UNTAKEN_MAX; i++) {
		ready_note_untaken(&s, now);
		if (i % 2)
			ready_note_taken(&s);
	}
	assert_int_equal(s.count, 1);
	for (int i = 0; i < READY_UNTAKEN_MAX; i++)
		ready_note_untaken(&s, now);
	assert_true(is_closed(fd));
	close(fd);
	assert_int_equal(park(&s, false, now + READY_PAUSE_MS - 1), -EAGAIN);
	fd = park(&s, false, now + READY_PAUSE_MS);
	assert_true(fd >= 0);
	close(fd);
	ready_close(&s);
}

/* --- with a relay --- */

static int setup_relay(void **state)
{
	struct fixture *f;

	(void)setup(state);
	f = *state;
	f->config.max_ready_per_tunnel = 3;
	f->config.max_ready = 5;
	return 0;
}

static struct peer open_ready(
	struct fixture *f, uint16_t *ret_port, char ret_key[UUID_TEXT_LEN + 1])
{
	struct peer client = open_tunnel(f, ret_port);

	say(&client, "{\"Options\":{\"ready\":64}}");
	assert_int_equal(await_ready(f, &client, "", ret_key), 3);
	return client;
}

/* `behind` with its NUL's place free, as of say_with(). */
static struct peer say_ready(struct fixture *f, const char *key, const char *behind)
{
	struct peer data = connect_control(f);

	say_with(&data, "{\"Ready\":\"", key, "\"}", behind);
	return data;
}

static struct peer park_at(struct fixture *f, const char *key)
{
	uint32_t before = f->relay->ready.count;
	struct peer data = say_ready(f, key, "");

	while (f->relay->ready.count == before)
		run(f);
	return data;
}

static void test_nothing_is_granted_to_who_does_not_ask_or_where_there_is_none(void **state)
{
	struct fixture *f = *state;
	struct peer client, data;
	char token[33], frame[512];
	uint16_t port;

	start(f, NULL);
	client = open_tunnel_with_token(f, &port, token);
	assert_int_equal(f->relay->ready.keys.count, 0);
	disconnect(&client);
	f->relay->config.max_ready_per_tunnel = 0;
	client = open_tunnel(f, &port);
	say(&client, "{\"Options\":{\"ready\":64}}");
	await_frame(f, &client, frame);
	assert_string_equal(frame, "{\"Options\":{}}");
	data = say_ready(f, "89abcdef-0123-4567-89ab-cdef01234567", "");
	await_end(f, &data);
	assert_int_equal(data.len, 0);
	assert_int_equal(f->relay->counts.ready_refused, 1);
	disconnect(&data);
	disconnect(&client);
}

static void test_refused_are_closed_without_a_word(void **state)
{
	struct fixture *f = *state;
	struct peer client, parked[3], data;
	char key[UUID_TEXT_LEN + 1];
	uint16_t port;

	start(f, "secret");
	/* The relay's secret isn't what is tried. */
	f->relay->auth = auth_free(f->relay->auth);
	client = open_ready(f, &port, key);
	data = say_ready(f, key, "x");
	await_end(f, &data);
	disconnect(&data);
	for (int i = 0; i < 3; i++)
		parked[i] = park_at(f, key);
	data = say_ready(f, key, "");
	await_end(f, &data);
	assert_int_equal(data.len, 0);
	disconnect(&data);
	assert_int_equal(f->relay->counts.ready_refused, 2);
	assert_int_equal(f->relay->counts.bad_secrets, 0);
	/* The end of the session is that of what is parked. */
	disconnect(&client);
	for (int i = 0; i < 3; i++) {
		await_end(f, &parked[i]);
		disconnect(&parked[i]);
	}
	/* What was on its way when the session ended is no offence; a key that never was, is. */
	data = say_ready(f, key, "");
	await_end(f, &data);
	disconnect(&data);
	assert_int_equal(f->relay->counts.bad_secrets, 0);
	data = say_ready(f, "89abcdef-0123-4567-89ab-cdef01234567", "");
	await_end(f, &data);
	disconnect(&data);
	assert_int_equal(f->relay->counts.bad_secrets, 1);
}

/* Fronts cut what is idle, so these are known apart. */
static void test_known_apart_behind_a_front(void **state)
{
	struct fixture *f = *state;
	char why[TRUSTED_WHY_MAX], key[UUID_TEXT_LEN + 1];
	struct trusted *t = &f->config.trusted;
	struct ready_stack *stack;
	struct peer client, data;

	assert_int_equal(trusted_parse("127.0.0.0/8", &t->nets[t->count++], why), 0);
	start(f, NULL);
	client = connect_control(f);
	say_with(&client, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "{\"Hello\":0}", "", "");
	(void)await_hello(f, &client);
	say(&client, "{\"Options\":{\"ready\":64}}");
	(void)await_ready(f, &client, "", key);
	data = connect_control(f);
	say_with(&data, "PROXY TCP4 192.0.2.1 192.0.2.2 1 3\r\n{\"Ready\":\"", key, "\"}", "");
	while (!f->relay->ready.count)
		run(f);
	stack = list_entry(list_first(&f->relay->ready.levels[1]), struct ready_stack, link);
	assert_true(stack->conns[0].front);
	disconnect(&data);
	disconnect(&client);
}

/* What he says to a client that is gone is lost, so he is announced; once it is heard of again, the
 * next one is given away. */
static void test_silent_client_is_given_nobody(void **state)
{
	struct fixture *f = *state;
	struct peer client, parked, visitor, other;
	char key[UUID_TEXT_LEN + 1], id[UUID_TEXT_LEN + 1];
	struct session *session;
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	say(&client, "{\"Options\":{\"beat\":5000,\"ready\":64}}");
	(void)await_ready(f, &client, "\"beat\":5000,", key);
	parked = park_at(f, key);
	session = list_entry(list_first(&f->relay->serving), struct session, link);
	assert_false(session_is_silent(session));
	session->heard_ms -= 10100;
	assert_true(session_is_silent(session));
	visitor = visit(f, &client, port, id);
	assert_int_equal(f->relay->counts.ready_missed, 1);
	assert_int_equal(f->relay->counts.ready_given, 0);
	say(&client, "\"Heartbeat\"");
	while (session_is_silent(session))
		run(f);
	other = connect_port(f, port);
	while (!f->relay->counts.ready_given)
		run(f);
	assert_int_equal(f->relay->counts.ready_missed, 1);
	disconnect(&other);
	disconnect(&visitor);
	disconnect(&parked);
	disconnect(&client);
}

/* Of a relay that gets no processor, so that no heartbeat of its own goes out, visitors of clients
 * that were well were announced. */
static void test_our_own_silence_is_not_the_clients(void **state)
{
	struct fixture *f = *state;
	struct session *session;
	struct tcp_info info;
	struct peer client;
	uint16_t port;

	start(f, NULL);
	client = open_tunnel(f, &port);
	session = list_entry(list_first(&f->relay->serving), struct session, link);
	do {
		(void)poll(NULL, 0, 10);
		assert_true(sockopt_tcp_info(session->chan.fd, &info));
	} while (info.tcpi_last_ack_recv < RELAY_SILENT_MS);
	uv_update_time(&f->loop);
	assert_false(session_is_silent(session));
	disconnect(&client);
}

static void on_drained(void *owner)
{
	((struct fixture *)owner)->drained++;
}

static void test_drain_closes_the_parked_and_parks_none(void **state)
{
	struct fixture *f = *state;
	struct peer client, parked, data, visitor, late;
	char key[UUID_TEXT_LEN + 1], id[UUID_TEXT_LEN + 1];
	uint16_t port;

	start(f, NULL);
	client = open_ready(f, &port, key);
	visitor = visit(f, &client, port, id);
	assert_int_equal(f->relay->counts.ready_missed, 1);
	data = join(f, id, &visitor);
	parked = park_at(f, key);
	relay_drain(f->relay, on_drained, f);
	await_end(f, &parked);
	late = say_ready(f, key, "");
	await_end(f, &late);
	assert_int_equal(f->drained, 0);
	disconnect(&visitor);
	disconnect(&data);
	while (!f->drained)
		run(f);
	disconnect(&parked);
	disconnect(&late);
	disconnect(&client);
}

#define STACKS(name) cmocka_unit_test_setup_teardown(name, setup_stacks, teardown_stacks)
#define RELAY(name) cmocka_unit_test_setup_teardown(name, setup_relay, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STACKS(test_key_finds_its_stack_while_it_is_open),
		STACKS(test_last_parked_is_taken_first_and_the_dead_never),
		STACKS(test_all_have_the_same_where_all_are_full),
		STACKS(test_more_than_there_are_levels),
		STACKS(test_two_are_taken_from_nobody),
		STACKS(test_limits_of_one_and_of_all),
		STACKS(test_sweep_closes_the_dead_and_the_old),
		STACKS(test_who_never_takes_is_given_none_for_a_while),
		RELAY(test_nothing_is_granted_to_who_does_not_ask_or_where_there_is_none),
		RELAY(test_refused_are_closed_without_a_word),
		RELAY(test_known_apart_behind_a_front),
		RELAY(test_silent_client_is_given_nobody),
		RELAY(test_our_own_silence_is_not_the_clients),
		RELAY(test_drain_closes_the_parked_and_parks_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
