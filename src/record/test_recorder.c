/* SPDX-License-Identifier: MIT */
/* Exchanges: which response is whose, what is kept of them, and what is forgotten first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/lang.h"
#include "net/tap.h"
#include "net/test_turn.h"
#include "record/recorder.h"

struct fixture {
	uv_loop_t loop;
	struct recorder *recorder;
	unsigned changes;
	bool closed;
};

/* A connection as its pump sees it. */
struct said {
	struct record_conn *conn;
	struct tap *tap;
	uint64_t bytes[PUMP_SIDES]; /* that it has moved */
};

static void on_changed(void *owner, const struct exchange *e)
{
	struct fixture *f = owner;

	assert_true(e->state < EXCHANGE_STATES);
	f->changes++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct recorder_config config = { .changed = on_changed };

	assert_non_null(f);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	config.loop = &f->loop;
	config.owner = f;
	assert_int_equal(recorder_new(&config, &f->recorder), 0);
	recorder_set_on(f->recorder, true);
	*state = f;
	return 0;
}

static void on_closed(void *owner)
{
	((struct fixture *)owner)->closed = true;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	recorder_close(f->recorder, on_closed, f);
	assert_false(f->closed);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_true(f->closed);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	free(f);
	return 0;
}

static struct said begin(struct fixture *f)
{
	const struct record_origin origin = { .kind = "tunnel", .from = "192.0.2.1:4000" };
	struct said s = { .conn = recorder_begin(f->recorder, &origin) };

	assert_non_null(s.conn);
	s.tap = record_conn_tap(s.conn);
	return s;
}

static void settle(struct fixture *f)
{
	uv_run(&f->loop, UV_RUN_NOWAIT);
}

static void say(struct fixture *f, struct said *s, enum pump_side side, const char *text)
{
	tap_put(s->tap, side, text, strlen(text));
	s->bytes[side] += strlen(text);
	settle(f);
}

static const struct exchange *exchange(struct fixture *f, uint64_t id)
{
	const struct exchange *e = recorder_find(f->recorder, id);

	assert_non_null(e);
	return e;
}

static void assert_body(const struct http_message *m, const char *text)
{
	assert_int_equal(buf_len(&m->body), strlen(text));
	if (*text)
		assert_memory_equal(buf_head(&m->body), text, strlen(text));
}

static void test_one_after_the_other(void **state)
{
	struct fixture *f = *state;
	struct said s = begin(f);

	say(f, &s, PUMP_OUTER, "POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nh");
	assert_int_equal(exchange(f, 1)->state, EXCHANGE_REQUEST);
	say(f, &s, PUMP_OUTER, "i");
	assert_int_equal(exchange(f, 1)->state, EXCHANGE_WAITING);
	say(f, &s, PUMP_INNER, "HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nye");
	assert_int_equal(exchange(f, 1)->state, EXCHANGE_RESPONSE);
	assert_int_equal(exchange(f, 1)->status, 201);
	say(f, &s, PUMP_INNER, "s");
	assert_int_equal(exchange(f, 1)->state, EXCHANGE_DONE);
	assert_body(&exchange(f, 1)->request, "hi");
	assert_body(&exchange(f, 1)->response, "yes");
	assert_string_equal(exchange(f, 1)->origin.from, "192.0.2.1:4000");
	while (!f->changes)
		test_turn(&f->loop);
	say(f, &s, PUMP_OUTER, "GET /b HTTP/1.1\r\n\r\n");
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
	assert_int_equal(exchange(f, 2)->state, EXCHANGE_CUT);
	assert_non_null(exchange(f, 2)->why);
}

static void test_pipelined(void **state)
{
	struct fixture *f = *state;
	struct said s = begin(f);

	say(f, &s, PUMP_OUTER,
		"HEAD /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n");
	say(f, &s, PUMP_INNER,
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
		"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: "
		"9\r\n\r\n"
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(exchange(f, id)->state, EXCHANGE_DONE);
	assert_int_equal(exchange(f, 2)->status, 304);
	assert_true(exchange(f, 3)->response.chunked);
	assert_body(&exchange(f, 3)->response, "abc");
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
	assert_null(recorder_find(f->recorder, 4));
}

static void test_too_many_pipelined(void **state)
{
	struct fixture *f = *state;
	struct said s = begin(f);

	for (int i = 0; i < RECORDER_PIPELINE_MAX + 5; i++)
		say(f, &s, PUMP_OUTER, "GET / HTTP/1.1\r\n\r\n");
	assert_int_equal(exchange(f, 1)->state, EXCHANGE_CUT);
	assert_null(recorder_find(f->recorder, RECORDER_PIPELINE_MAX + 1));
	assert_false(tap_wants(s.tap, PUMP_OUTER));
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
}

static void test_upgrade(void **state)
{
	struct fixture *f = *state;
	struct said s = begin(f);

	say(f, &s, PUMP_OUTER, "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
	assert_true(tap_wants(s.tap, PUMP_INNER));
	say(f, &s, PUMP_INNER, "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x02hi");
	assert_int_equal(exchange(f, 1)->state, EXCHANGE_UPGRADED);
	assert_false(tap_wants(s.tap, PUMP_OUTER));
	assert_false(tap_wants(s.tap, PUMP_INNER));
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
	assert_int_equal(exchange(f, 1)->state, EXCHANGE_UPGRADED);
}

static void test_foreign(void **state)
{
	struct fixture *f = *state;
	struct said s = begin(f);

	say(f, &s, PUMP_INNER, "220 smtp ready\r\n");
	assert_int_equal(exchange(f, 1)->state, EXCHANGE_FOREIGN);
	assert_false(tap_wants(s.tap, PUMP_OUTER));
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
	/* Half a request. */
	s = begin(f);
	say(f, &s, PUMP_OUTER, "GET / HT");
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
	assert_int_equal(exchange(f, 2)->state, EXCHANGE_FOREIGN);
	/* Who says nothing isn't there. */
	s = begin(f);
	tap_put_end(s.tap, PUMP_OUTER);
	settle(f);
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
	assert_null(recorder_find(f->recorder, 3));
}

static void assert_why(struct fixture *f, uint64_t id, enum exchange_state state, const char *part)
{
	assert_int_equal(exchange(f, id)->state, state);
	assert_non_null(strstr(exchange(f, id)->why, part));
}

/* The rest of it is counted, behind what was read. */
static void test_bytes_of_the_rest(void **state)
{
	struct fixture *f = *state;
	struct said s = begin(f);

	say(f, &s, PUMP_OUTER, "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
	say(f, &s, PUMP_INNER, "HTTP/1.1 101 Switching\r\n\r\nfive!");
	assert_non_null(exchange(f, 1)->conn);
	assert_why(f, 2, EXCHANGE_CUT, "something else");
	s.bytes[PUMP_OUTER] += 7;
	s.bytes[PUMP_INNER] += 100;
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
	assert_int_equal(exchange(f, 1)->state, EXCHANGE_UPGRADED);
	assert_null(exchange(f, 1)->conn);
	/* The second request was said for the upgrade's sake. */
	assert_int_equal(exchange(f, 1)->bytes[PUMP_OUTER], 7);
	assert_int_equal(exchange(f, 1)->bytes[PUMP_INNER], 105);
}

static void test_lost(void **state)
{
	struct fixture *f = *state;
	struct said s = begin(f);

	for (size_t said = 0; said <= HTTP_HEAD_MAX; said += strlen("GET /long?long=long"))
		say(f, &s, PUMP_OUTER, "GET /long?long=long");
	assert_why(f, 1, EXCHANGE_FOREIGN, "64 KiB");
	assert_false(tap_wants(s.tap, PUMP_INNER));
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
	assert_int_equal(exchange(f, 1)->bytes[PUMP_OUTER], s.bytes[PUMP_OUTER]);
	/* Behind a request that was read, it is its rest. */
	s = begin(f);
	say(f, &s, PUMP_OUTER, "GET / HTTP/1.1\r\n\r\n");
	say(f, &s, PUMP_INNER, "HTTP/1.1 204 No\r\n\r\n");
	say(f, &s, PUMP_OUTER, "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n");
	assert_int_equal(exchange(f, 2)->state, EXCHANGE_DONE);
	assert_why(f, 3, EXCHANGE_CUT, "Content-Length");
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
	/* What answers is no HTTP. */
	s = begin(f);
	say(f, &s, PUMP_OUTER, "GET / HTTP/1.1\r\n\r\n");
	say(f, &s, PUMP_INNER, "GET / HTTP/1.1\r\n\r\n");
	assert_why(f, 4, EXCHANGE_CUT, "no HTTP/1");
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
}

/* Bulk that nobody wanted was counted as if something were amiss. */
static void test_what_is_lost(void **state)
{
	static char bulk[RECORDER_WAITING_EACH];
	struct fixture *f = *state;
	struct said s = begin(f);

	memset(bulk, 'x', sizeof(bulk) - 1);
	say(f, &s, PUMP_OUTER, "GET / HTTP/1.1\r\n\r\n");
	say(f, &s, PUMP_INNER, "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n");
	tap_put(s.tap, PUMP_INNER, bulk, HTTP_BODY_KEPT);
	/* There is no room for that any more, nor is it wanted. */
	tap_put(s.tap, PUMP_INNER, bulk, sizeof(bulk));
	settle(f);
	s.bytes[PUMP_INNER] += HTTP_BODY_KEPT + sizeof(bulk);
	assert_int_equal(exchange(f, 1)->response.body_len, HTTP_BODY_KEPT);
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
	assert_int_equal(exchange(f, 1)->response.body_len, HTTP_BODY_KEPT + sizeof(bulk));
	assert_int_equal(recorder_lost(f->recorder), 0);
	/* The same of what is to be kept. */
	s = begin(f);
	say(f, &s, PUMP_OUTER, "POST / HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n");
	tap_put(s.tap, PUMP_OUTER, bulk, 100);
	tap_put(s.tap, PUMP_OUTER, bulk, sizeof(bulk));
	settle(f);
	s.bytes[PUMP_OUTER] += 100 + sizeof(bulk);
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
	assert_int_equal(exchange(f, 2)->request.body_missing, HTTP_BODY_KEPT - 100);
	assert_int_equal(recorder_lost(f->recorder), HTTP_BODY_KEPT - 100);
	/* And of where a head may have been. */
	s = begin(f);
	tap_put(s.tap, PUMP_OUTER, bulk, sizeof(bulk));
	s.bytes[PUMP_OUTER] += sizeof(bulk);
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
	assert_int_equal(recorder_lost(f->recorder), HTTP_BODY_KEPT - 100 + sizeof(bulk));
}

/* They count before they are whole, and only who has one under way is given up for them. */
static void test_heads_are_bounded(void **state)
{
	static char head[HTTP_HEAD_MAX - 100];
	struct said s[RECORDER_HEADS_MAX / sizeof(head) + 2];
	struct fixture *f = *state;
	struct said other = begin(f);

	memset(head, 'x', sizeof(head) - 1);
	for (size_t i = 0; i < ARRAY_LEN(s); i++) {
		s[i] = begin(f);
		say(f, &s[i], PUMP_OUTER, head);
	}
	assert_why(f, 1, EXCHANGE_FOREIGN, "heads");
	assert_null(recorder_find(f->recorder, 3));
	say(f, &other, PUMP_OUTER, "GET / HTTP/1.1\r\n\r\n");
	assert_int_equal(exchange(f, 3)->state, EXCHANGE_WAITING);
	for (size_t i = 0; i < ARRAY_LEN(s); i++)
		s[i].conn = record_conn_end(s[i].conn, s[i].bytes, NULL);
	other.conn = record_conn_end(other.conn, other.bytes, NULL);
}

/* A replay is recorded while all else is not. */
static void test_replay(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\n\r\n",
			  response[] = "HTTP/1.0 200 OK\r\n\r\n";
	const struct record_origin origin = { .kind = "replay", .replay_of = 7 };
	const uint64_t bytes[PUMP_SIDES] = { 0 };
	struct fixture *f = *state;
	struct record_conn *c;

	recorder_set_on(f->recorder, false);
	c = recorder_begin(f->recorder, &origin);
	assert_non_null(c);
	assert_int_equal(record_conn_exchange(c), 0);
	record_conn_said(c, PUMP_OUTER, request, strlen(request));
	assert_int_equal(record_conn_exchange(c), 1);
	assert_int_equal(exchange(f, 1)->state, EXCHANGE_WAITING);
	record_conn_said(c, PUMP_INNER, response, strlen(response));
	record_conn_said(c, PUMP_INNER, NULL, 0);
	assert_int_equal(exchange(f, 1)->state, EXCHANGE_DONE);
	record_conn_said(c, PUMP_OUTER, request, strlen(request));
	assert_null(record_conn_end(c, bytes, "so it is"));
	assert_why(f, 2, EXCHANGE_CUT, "so it is");
}

static void test_response_until_end(void **state)
{
	struct fixture *f = *state;
	struct said s = begin(f);

	say(f, &s, PUMP_OUTER, "GET / HTTP/1.0\r\n\r\n");
	tap_put_end(s.tap, PUMP_OUTER);
	say(f, &s, PUMP_INNER, "HTTP/1.0 200 OK\r\n\r\nall of it");
	assert_int_equal(exchange(f, 1)->state, EXCHANGE_RESPONSE);
	tap_put_end(s.tap, PUMP_INNER);
	settle(f);
	assert_int_equal(exchange(f, 1)->state, EXCHANGE_DONE);
	assert_body(&exchange(f, 1)->response, "all of it");
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
}

/* An answer before the request is whole: 413, and the rest of the body. */
static void test_early_answer(void **state)
{
	struct fixture *f = *state;
	struct said s = begin(f);

	say(f, &s, PUMP_OUTER, "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
	say(f, &s, PUMP_INNER, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(exchange(f, 1)->state, EXCHANGE_DONE);
	assert_false(exchange(f, 1)->request.whole);
	say(f, &s, PUMP_OUTER, "defghijGET /2 HTTP/1.1\r\n\r\n");
	say(f, &s, PUMP_INNER, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(exchange(f, 2)->state, EXCHANGE_DONE);
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
}

/* An answer that nobody has asked for ends the following, and harms no one. */
static void test_answer_without_request(void **state)
{
	struct fixture *f = *state;
	struct said s = begin(f);

	say(f, &s, PUMP_INNER, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	say(f, &s, PUMP_OUTER, "GET / HTTP/1.1\r\n\r\n");
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
}

static void test_last_ones_are_kept(void **state)
{
	struct fixture *f = *state;
	struct said open = begin(f), s = begin(f);

	/* The oldest is still under way when it goes. */
	say(f, &open, PUMP_OUTER, "POST /slow HTTP/1.1\r\nContent-Length: 4\r\n\r\nab");
	for (int i = 0; i < RECORDER_EXCHANGES_MAX; i++) {
		say(f, &s, PUMP_OUTER, "GET / HTTP/1.1\r\n\r\n");
		say(f, &s, PUMP_INNER, "HTTP/1.1 204 No\r\n\r\n");
	}
	assert_null(recorder_find(f->recorder, 1));
	assert_non_null(recorder_find(f->recorder, 2));
	say(f, &open, PUMP_OUTER, "cd");
	say(f, &open, PUMP_INNER, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
	say(f, &open, PUMP_OUTER, "GET /next HTTP/1.1\r\n\r\n");
	say(f, &open, PUMP_INNER, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(exchange(f, RECORDER_EXCHANGES_MAX + 2)->state, EXCHANGE_DONE);
	open.conn = record_conn_end(open.conn, open.bytes, NULL);
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
}

static void count_held(void *owner, const struct exchange *e)
{
	*(size_t *)owner += e->held;
}

static void test_memory_is_bounded(void **state)
{
	static char body[HTTP_BODY_KEPT + 1];
	struct fixture *f = *state;
	struct said s = begin(f);
	char head[64];
	size_t held = 0;

	memset(body, 'x', HTTP_BODY_KEPT);
	(void)snprintf(head, sizeof(head), "Content-Length: %u\r\n\r\n", HTTP_BODY_KEPT);
	for (int i = 0; i < RECORDER_EXCHANGES_MAX; i++) {
		say(f, &s, PUMP_OUTER, "POST / HTTP/1.1\r\n");
		say(f, &s, PUMP_OUTER, head);
		say(f, &s, PUMP_OUTER, body);
		say(f, &s, PUMP_INNER, "HTTP/1.1 200 OK\r\n");
		say(f, &s, PUMP_INNER, head);
		say(f, &s, PUMP_INNER, body);
	}
	recorder_each(f->recorder, count_held, &held);
	assert_true(held > RECORDER_BYTES_MAX / 2);
	assert_true(held <= RECORDER_BYTES_MAX);
	assert_int_equal(exchange(f, RECORDER_EXCHANGES_MAX)->state, EXCHANGE_DONE);
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
}

static void test_off(void **state)
{
	struct fixture *f = *state;
	const struct record_origin origin = { .kind = "forward" };
	struct said s = begin(f);

	recorder_set_on(f->recorder, false);
	assert_null(recorder_begin(f->recorder, &origin));
	/* What has begun goes on. */
	say(f, &s, PUMP_OUTER, "GET / HTTP/1.1\r\n\r\n");
	assert_int_equal(exchange(f, 1)->state, EXCHANGE_WAITING);
	recorder_clear(f->recorder);
	say(f, &s, PUMP_INNER, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_null(recorder_find(f->recorder, 1));
	s.conn = record_conn_end(s.conn, s.bytes, NULL);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_one_after_the_other),
		test(test_pipelined),
		test(test_too_many_pipelined),
		test(test_upgrade),
		test(test_foreign),
		test(test_bytes_of_the_rest),
		test(test_lost),
		test(test_what_is_lost),
		test(test_heads_are_bounded),
		test(test_replay),
		test(test_response_until_end),
		test(test_early_answer),
		test(test_answer_without_request),
		test(test_last_ones_are_kept),
		test(test_memory_is_bounded),
		test(test_off),
	};

	return cmocka_run_group_tests_name("record/recorder", tests, NULL, NULL);
}
