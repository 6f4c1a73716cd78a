/* SPDX-License-Identifier: MIT */
/* Clients that come through an HTTP front or behind a PROXY header, and those that only say so. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "base/uuid.h"
#include "proto/auth.h"
#include "relay/endpoint.h"
#include "relay/relay_fixture.h"
#include "relay/relay_internal.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: bore\r\n"
#define ACCEPTED "HTTP/1.1 101 Switching Protocols\r\nUpgrade: bore\r\nConnection: Upgrade\r\n\r\n"
#define PROXY "PROXY TCP4 192.0.2.1 192.0.2.2 50000 7835\r\n"
#define HELLO_LEN sizeof("{\"Hello\":0}")

static void say_text(struct peer *p, const char *text)
{
	say_bytes(p, text, strlen(text));
}

static void trust_loopback(struct fixture *f)
{
	char why[TRUSTED_WHY_MAX];
	struct trusted *t = &f->config.trusted;

	assert_int_equal(trusted_parse("127.0.0.0/8", &t->nets[t->count++], why), 0);
}

/* The answer 101, and nothing behind it that isn't a frame. */
static void expect_accepted(struct fixture *f, struct peer *p)
{
	size_t len = strlen(ACCEPTED);

	while (p->len < len)
		assert_true(await_bytes(f, p) > 0);
	assert_memory_equal(p->data, ACCEPTED, len);
	p->len -= len;
	memmove(p->data, p->data + len, p->len);
}

static void expect_status(struct fixture *f, struct peer *p, const char *status)
{
	char line[64];

	(void)snprintf(line, sizeof(line), "HTTP/1.1 %s", status);
	await_end(f, p);
	assert_true(p->len > strlen(line));
	assert_memory_equal(p->data, line, strlen(line));
	disconnect(p);
}

/* Who the relay takes the holder of that port for. */
static void expect_client(struct fixture *f, uint16_t port, const char *ip)
{
	char text[ADDR_TEXT_MAX];

	assert_string_equal(addr_format_ip(&f->relay->endpoints[port]->client, text), ip);
}

static void answer_challenge(struct fixture *f, struct peer *p, const char *secret)
{
	char frame[512], id[UUID_TEXT_LEN + 1], tag[AUTH_TAG_LEN + 1];
	struct secret text = { 0 };
	struct uuid challenge;
	struct auth *auth;

	await_frame(f, p, frame);
	assert_int_equal(sscanf(frame, "{\"Challenge\":\"%36[0-9a-f-]\"}", id), 1);
	assert_int_equal(uuid_parse(id, UUID_TEXT_LEN, &challenge), 0);
	assert_int_equal(secret_set(&text, secret, strlen(secret)), 0);
	assert_int_equal(auth_new(&text, false, &auth), 0);
	assert_int_equal(auth_answer(auth, &challenge, tag), 0);
	say_with(p, "{\"Authenticate\":\"", tag, "\"}", "");
	(void)auth_free(auth);
	secret_clear(&text);
}

/* Control and data connection, and what comes in one segment with the request isn't lost. */
static void test_upgrade(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitor, data;
	char id[UUID_TEXT_LEN + 1];
	uint16_t port;

	start(f, NULL);
	client = connect_control(f);
	say_bytes(&client, GET "\r\n{\"Hello\":0}", strlen(GET "\r\n") + HELLO_LEN);
	expect_accepted(f, &client);
	port = await_hello(f, &client);
	visitor = visit(f, &client, port, id);
	data = connect_control(f);
	say_text(&data, GET "\r\n");
	expect_accepted(f, &data);
	say_with(&data, "{\"Accept\":\"", id, "\"}", "x");
	expect_text(f, &visitor, "x");
	say_text(&visitor, "y");
	expect_text(f, &data, "y");
	assert_int_equal(f->relay->counts.upgrades, 2);
	disconnect(&client);
	disconnect(&visitor);
	disconnect(&data);
}

static void test_upgrade_byte_by_byte(void **state)
{
	static const char text[] = GET "\r\n{\"Hello\":0}";
	struct fixture *f = *state;
	struct peer client;

	start(f, "secret");
	client = connect_control(f);
	for (size_t i = 0; i < strlen(GET "\r\n"); i++) {
		say_bytes(&client, text + i, 1);
		run(f);
	}
	expect_accepted(f, &client);
	answer_challenge(f, &client, "secret");
	say_bytes(&client, "{\"Hello\":0}", HELLO_LEN);
	assert_true(await_hello(f, &client) > 0);
	disconnect(&client);
}

/* The lines of a text client are told apart behind an upgrade as well. */
static void test_upgrade_of_lines(void **state)
{
	struct fixture *f = *state;
	struct peer client;

	start(f, NULL);
	client = connect_control(f);
	say_text(&client, GET "\r\nHELLO 1\n80\n");
	expect_accepted(f, &client);
	while (!memchr(client.data, '\n', client.len))
		assert_true(await_bytes(f, &client) > 0);
	assert_memory_equal(client.data, "OK ", 3);
	disconnect(&client);
}

static void test_other_requests_get_words(void **state)
{
	static const struct {
		const char *text, *status;
	} cases[] = {
		{ "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "426 " },
		{ "GET / HTTP/1.0\r\n\r\n", "426 " },
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "426 " },
		{ "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", "426 " },
		{ GET "Transfer-Encoding: chunked\r\n\r\n", "400 " },
	};
	struct fixture *f = *state;

	start(f, NULL);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct peer p = connect_control(f);

		say_text(&p, cases[i].text);
		expect_status(f, &p, cases[i].status);
	}
	assert_int_equal(f->relay->counts.upgrades_refused, ARRAY_LEN(cases));
}

/* What is no HTTP either is closed without a word, as ever. */
static void test_garbage_gets_none(void **state)
{
	static const char *const texts[] = { "EHLO mail.example\r\n", "\x16\x03\x01", PROXY };
	struct fixture *f = *state;

	start(f, NULL);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct peer p = connect_control(f);

		say_text(&p, texts[i]);
		await_end(f, &p);
		assert_int_equal(p.len, 0);
		disconnect(&p);
	}
	assert_int_equal(f->relay->counts.upgrades_refused, 0);
}

/* Half a request meets the deadline of every handshake. */
static void test_slow_head(void **state)
{
	struct fixture *f = *state;
	struct peer p;

	start(f, "secret");
	f->relay->handshakes.delay_ms = 300;
	p = connect_control(f);
	say_text(&p, "GET / HTTP/1.1\r\n");
	await_end(f, &p);
	/* Neither the challenge, which waits 100 ms, nor an Error. */
	assert_int_equal(p.len, 0);
	disconnect(&p);
}

/*
 * An address that is known for JSON is challenged at once, and a front there would take that for
 * the answer to its request. The first such request fails; from then on the relay listens first.
 */
static void test_front_where_json_was_spoken(void **state)
{
	struct fixture *f = *state;
	struct peer stock, first, second;

	start(f, "secret");
	stock = connect_control(f);
	answer_challenge(f, &stock, "secret");
	say_hello(&stock, 0);
	assert_true(await_hello(f, &stock) > 0);
	first = connect_control(f);
	while (!first.len)
		assert_true(await_bytes(f, &first) > 0);
	say_text(&first, GET "\r\n");
	await_end(f, &first);
	second = connect_control(f);
	run(f);
	say_text(&second, GET "\r\n");
	expect_accepted(f, &second);
	answer_challenge(f, &second, "secret");
	say_hello(&second, 0);
	assert_true(await_hello(f, &second) > 0);
	disconnect(&stock);
	disconnect(&first);
	disconnect(&second);
}

/* --- trusted proxies --- */

static void test_trusted_front_names_its_client(void **state)
{
	struct fixture *f = *state;
	struct peer a, b;

	trust_loopback(f);
	f->config.max_tunnels_per_addr = 1;
	start(f, NULL);
	a = connect_control(f);
	say_text(&a, GET "X-Real-IP: 192.0.2.7\r\n\r\n");
	expect_accepted(f, &a);
	say_hello(&a, 0);
	expect_client(f, await_hello(f, &a), "192.0.2.7");
	/* Loopback would be exempt from this limit. */
	b = connect_control(f);
	say_text(&b, GET "X-Real-IP: 192.0.2.7\r\n\r\n");
	expect_accepted(f, &b);
	say_hello(&b, 0);
	await_refusal(f, &b, "too many tunnels");
	b = connect_control(f);
	say_text(&b, GET "X-Real-IP: 192.0.2.8\r\n\r\n");
	expect_accepted(f, &b);
	say_hello(&b, 0);
	expect_client(f, await_hello(f, &b), "192.0.2.8");
	disconnect(&a);
	disconnect(&b);
}

static void test_strange_front_is_itself(void **state)
{
	struct fixture *f = *state;
	struct peer p;

	start(f, NULL);
	p = connect_control(f);
	say_text(&p, GET "X-Real-IP: 192.0.2.7\r\n\r\n");
	expect_accepted(f, &p);
	say_hello(&p, 0);
	expect_client(f, await_hello(f, &p), "127.0.0.1");
	assert_true(f->relay->trust_hinted);
	disconnect(&p);
}

static void test_two_words_for_one_client(void **state)
{
	struct fixture *f = *state;
	struct peer p;

	trust_loopback(f);
	start(f, NULL);
	p = connect_control(f);
	say_text(&p, GET "X-Real-IP: 192.0.2.7\r\nX-Forwarded-For: 192.0.2.8\r\n\r\n");
	expect_status(f, &p, "400 ");
}

/* The penalty is the client's, not the front's. */
static void test_penalty_behind_a_front(void **state)
{
	struct fixture *f = *state;
	struct peer p;

	trust_loopback(f);
	start(f, "secret");
	p = connect_control(f);
	say_text(&p, GET "X-Real-IP: 192.0.2.7\r\n\r\n");
	expect_accepted(f, &p);
	answer_challenge(f, &p, "wrong");
	await_refusal(f, &p, "invalid secret");
	p = connect_control(f);
	say_text(&p, GET "X-Real-IP: 192.0.2.7\r\n\r\n");
	expect_status(f, &p, "429 ");
	p = connect_control(f);
	say_text(&p, GET "X-Real-IP: 192.0.2.8\r\n\r\n");
	expect_accepted(f, &p);
	answer_challenge(f, &p, "secret");
	say_hello(&p, 0);
	expect_client(f, await_hello(f, &p), "192.0.2.8");
	disconnect(&p);
}

/* What came from a client whom the front hasn't named shuts out those like him, and no others. */
static void test_penalty_of_the_front_itself(void **state)
{
	struct fixture *f = *state;
	struct addr front;
	struct peer p;

	trust_loopback(f);
	start(f, "secret");
	/* Of another address than loopback, which is exempt, it would come by a wrong secret. */
	assert_int_equal(addr_parse_ip("127.0.0.1", 0, &front), 0);
	addr_table_touch(&f->relay->limits.penalties, &front)->until_ms = UINT64_MAX;
	p = connect_control(f);
	say_text(&p, GET "\r\n");
	expect_status(f, &p, "429 ");
	p = connect_control(f);
	say_text(&p, "PROXY UNKNOWN\r\n");
	await_end(f, &p);
	assert_int_equal(p.len, 0);
	disconnect(&p);
	p = connect_control(f);
	say_text(&p, GET);
	/* The rest of it is read by a session. */
	say_text(&p, "X-Real-IP: 192.0.2.8\r\n\r\n");
	expect_accepted(f, &p);
	answer_challenge(f, &p, "secret");
	say_hello(&p, 0);
	expect_client(f, await_hello(f, &p), "192.0.2.8");
	disconnect(&p);
}

/* A stock client with a secret says nothing before it is challenged: the header alone begins it. */
static void test_proxy_header_and_a_silent_client(void **state)
{
	struct fixture *f = *state;
	struct peer p, again;

	trust_loopback(f);
	start(f, "secret");
	p = connect_control(f);
	say_text(&p, PROXY);
	answer_challenge(f, &p, "secret");
	say_hello(&p, 0);
	expect_client(f, await_hello(f, &p), "192.0.2.1");
	/* Known for JSON by now; the challenge still waits for the header. */
	again = connect_control(f);
	run(f);
	say_text(&again, "PROXY TCP4 192.0.2.1 192.0.2.2 50001 ");
	run(f);
	say_text(&again, "7835\r\n");
	answer_challenge(f, &again, "wrong");
	await_refusal(f, &again, "invalid secret");
	again = connect_control(f);
	say_text(&again, PROXY);
	await_end(f, &again);
	assert_int_equal(again.len, 0);
	assert_true(f->relay->counts.penalised > 0);
	disconnect(&again);
	disconnect(&p);
}

static void test_proxy_header_and_data(void **state)
{
	struct fixture *f = *state;
	struct peer client, visitor, data;
	char id[UUID_TEXT_LEN + 1], text[256];
	uint16_t port;
	int len;

	trust_loopback(f);
	start(f, NULL);
	client = connect_control(f);
	say_bytes(&client, PROXY "{\"Hello\":0}", strlen(PROXY) + HELLO_LEN);
	port = await_hello(f, &client);
	visitor = visit(f, &client, port, id);
	data = connect_control(f);
	len = snprintf(text, sizeof(text), PROXY "{\"Accept\":\"%s\"}", id);
	say_bytes(&data, text, (size_t)len + 1);
	say_text(&data, "x");
	expect_text(f, &visitor, "x");
	disconnect(&client);
	disconnect(&visitor);
	disconnect(&data);
}

/* Else whoever connects through a proxy that adds no header could write one himself. */
static void test_trusted_proxy_must_say_something(void **state)
{
	static const char hello[] = "{\"Hello\":0}";
	struct fixture *f = *state;
	struct peer p;

	trust_loopback(f);
	start(f, NULL);
	p = connect_control(f);
	say(&p, hello);
	await_end(f, &p);
	assert_int_equal(p.len, 0);
	disconnect(&p);
	assert_true(f->relay->silence_hinted);
	/* Nor is it challenged, however long it waits. */
	f->relay->handshakes.delay_ms = 300;
	p = connect_control(f);
	await_end(f, &p);
	assert_int_equal(p.len, 0);
	disconnect(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_upgrade, setup, teardown),
		cmocka_unit_test_setup_teardown(test_upgrade_byte_by_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_upgrade_of_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_requests_get_words, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage_gets_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_head, setup, teardown),
		cmocka_unit_test_setup_teardown(test_front_where_json_was_spoken, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_trusted_front_names_its_client, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strange_front_is_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_words_for_one_client, setup, teardown),
		cmocka_unit_test_setup_teardown(test_penalty_behind_a_front, setup, teardown),
		cmocka_unit_test_setup_teardown(test_penalty_of_the_front_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_proxy_header_and_a_silent_client, setup, teardown),
		cmocka_unit_test_setup_teardown(test_proxy_header_and_data, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_trusted_proxy_must_say_something, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
