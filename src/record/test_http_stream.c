/* SPDX-License-Identifier: MIT */
/* Where messages begin and end, in pieces of every length; and what is left unread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/lang.h"
#include "record/http_stream.h"

#define MESSAGES_MAX 8

struct reader {
	struct http_stream stream;
	struct http_message messages[MESSAGES_MAX];
	size_t begun, ended;
	enum http_body body; /* what it says of each head */
};

static struct http_message *on_begun(void *owner)
{
	struct reader *r = owner;

	assert_true(r->begun < MESSAGES_MAX);
	http_message_init(&r->messages[r->begun]);
	return &r->messages[r->begun++];
}

static enum http_body on_headed(void *owner, const struct buf *head)
{
	struct reader *r = owner;
	struct http_message *m = &r->messages[r->begun - 1];

	assert_int_equal(buf_append(&m->head, buf_head(head), buf_len(head)), 0);
	return r->body;
}

static void on_ended(void *owner)
{
	struct reader *r = owner;

	r->ended++;
	assert_int_equal(r->ended, r->begun);
}

static const struct http_stream_events *events_of(struct reader *r)
{
	static struct http_stream_events events;

	events = (struct http_stream_events){ on_begun, on_headed, on_ended, r };
	return &events;
}

static void reader_init(struct reader *r, bool responses)
{
	*r = (struct reader){ 0 };
	http_stream_init(&r->stream, events_of(r), responses);
}

static void reader_deinit(struct reader *r)
{
	for (size_t i = 0; i < r->begun; i++)
		http_message_deinit(&r->messages[i]);
	http_stream_deinit(&r->stream);
}

static void assert_text(const struct buf *b, const char *text)
{
	assert_int_equal(buf_len(b), strlen(text));
	if (*text)
		assert_memory_equal(buf_head(b), text, strlen(text));
}

struct message_case {
	bool responses;
	const char *text; /* all that is said */
	const char *bodies[4];
	enum http_stream_state state; /* behind it */
};

static const struct message_case cases[] = {
	{ false, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", { "" }, HTTP_STREAM_LINE },
	{ false, "\r\nGET / HTTP/1.0\n\nHEAD /x HTTP/1.1\r\n\r\n", { "", "" }, HTTP_STREAM_LINE },
	{ false,
		"POST / HTTP/1.1\r\ncontent-length:  5 \r\n\r\nhelloPUT /b "
		"HTTP/1.1\r\nContent-Length: 1\r\n\r\n\n",
		{ "hello", "\n" }, HTTP_STREAM_LINE },
	{ false, "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		{ "hello" }, HTTP_STREAM_LINE },
	{ false, "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", { "" },
		HTTP_STREAM_LOST },
	{ false, "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", { "" }, HTTP_STREAM_LOST },
	{ false,
		"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, "
		"Chunked\r\n\r\n5;a=b\r\nhello\r\n00A\r\n, thewor"
		"ld\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		{ "hello, theworld", "" }, HTTP_STREAM_LINE },
	{ false, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
		{ "hello" }, HTTP_STREAM_LINE },
	{ false, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n", { "hel" },
		HTTP_STREAM_LOST },
	{ false, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", { "" },
		HTTP_STREAM_LOST },
	{ false, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		{ "" }, HTTP_STREAM_LOST },
	{ false, "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		{ "" }, HTTP_STREAM_LOST },
	{ false,
		"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked, "
		"x\r\n\r\nhello",
		{ "" }, HTTP_STREAM_LOST },
	{ true, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: gzip\r\n\r\nall of it",
		{ "all of it" }, HTTP_STREAM_UNTIL_END },
	{ false, "\x16\x03\x01 no HTTP\r\n\r\n", { NULL }, HTTP_STREAM_FOREIGN },
	{ false, "SSH-2.0-OpenSSH\r\n\r\n", { NULL }, HTTP_STREAM_FOREIGN },
	{ false, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", { NULL }, HTTP_STREAM_FOREIGN },
	{ true,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 404 \r\nContent-Length: "
		"0\r\n\r\n",
		{ "ok", "" }, HTTP_STREAM_LINE },
	{ true, "HTTP/1.0 200 OK\r\n\r\nuntil the end", { "until the end" },
		HTTP_STREAM_UNTIL_END },
	{ true, "220 smtp ready\r\n\r\n", { NULL }, HTTP_STREAM_FOREIGN },
};

/* In pieces of that length. */
static void read_in_pieces(struct reader *r, const char *text, size_t piece)
{
	size_t len = strlen(text);

	for (size_t at = 0; at < len; at += piece)
		http_stream_read(&r->stream, at, text + at, (size_t)min_u64(piece, len - at));
}

static void test_messages(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t piece = 1; piece <= strlen(cases[i].text); piece++) {
			struct reader r;
			size_t n = 0;

			reader_init(&r, cases[i].responses);
			read_in_pieces(&r, cases[i].text, piece);
			for (; cases[i].bodies[n]; n++) {
				assert_true(n < r.begun);
				assert_text(&r.messages[n].body, cases[i].bodies[n]);
			}
			assert_int_equal(r.begun, n);
			assert_int_equal(r.stream.state, cases[i].state);
			reader_deinit(&r);
		}
}

static void test_body_until_end(void **state)
{
	struct reader r;

	reader_init(&r, true);
	read_in_pieces(&r, "HTTP/1.0 200 OK\r\n\r\nall", 4);
	assert_int_equal(r.ended, 0);
	http_stream_end(&r.stream, r.stream.offset);
	assert_int_equal(r.ended, 1);
	assert_true(r.messages[0].whole);
	reader_deinit(&r);
	/* One with a length is cut off. */
	reader_init(&r, true);
	read_in_pieces(&r, "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhalf", 4);
	http_stream_end(&r.stream, r.stream.offset);
	assert_int_equal(r.ended, 0);
	assert_false(r.messages[0].whole);
	reader_deinit(&r);
}

static void test_body_none_and_foreign(void **state)
{
	struct reader r;

	reader_init(&r, true);
	r.body = HTTP_BODY_NONE;
	read_in_pieces(
		&r, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 304 Not\r\n\r\n", 7);
	assert_int_equal(r.ended, 2);
	r.body = HTTP_BODY_FOREIGN;
	http_stream_read(&r.stream, r.stream.offset, "HTTP/1.1 101 Up\r\n\r\n\x81\x05", 21);
	assert_int_equal(r.begun, 3);
	assert_int_equal(r.stream.state, HTTP_STREAM_FOREIGN);
	assert_true(http_stream_unwanted(&r.stream) == UINT64_MAX);
	reader_deinit(&r);
}

/* A large body: its beginning is kept, its end is found without its bytes. */
static void test_long_body(void **state)
{
	static const char head[] = "POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n";
	static char body[HTTP_BODY_KEPT];
	const uint64_t start = strlen(head);
	struct reader r;

	reader_init(&r, false);
	http_stream_read(&r.stream, 0, head, start);
	assert_int_equal(http_stream_unwanted(&r.stream), 0);
	http_stream_read(&r.stream, start, body, sizeof(body));
	assert_int_equal(http_stream_unwanted(&r.stream), start + 1000000 - 1);
	http_stream_read(&r.stream, start + 1000000 - 1, "xGET / HTTP/1.1\r\n\r\n", 19);
	assert_int_equal(r.ended, 2);
	assert_int_equal(buf_len(&r.messages[0].body), HTTP_BODY_KEPT);
	assert_int_equal(r.messages[0].body_len, 1000000);
	assert_int_equal(r.messages[0].body_missing, 0);
	reader_deinit(&r);
}

static void test_gaps(void **state)
{
	static const char head[] = "POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n";
	const uint64_t start = strlen(head);
	struct reader r;

	/* In a body: what is kept ends there, and says so. */
	reader_init(&r, false);
	http_stream_read(&r.stream, 0, head, start);
	http_stream_read(&r.stream, start, "abc", 3);
	http_stream_read(&r.stream, start + 50, "def", 3);
	http_stream_read(&r.stream, start + 100, "GET / HTTP/1.1\r\n\r\n", 18);
	assert_int_equal(r.ended, 2);
	assert_text(&r.messages[0].body, "abc");
	assert_int_equal(r.messages[0].body_len, 100);
	assert_int_equal(r.messages[0].body_missing, 97);
	assert_int_equal(r.stream.lacking, 97);
	/* Elsewhere nobody knows. */
	http_stream_read(&r.stream, r.stream.offset + 1, "GET / HTTP/1.1\r\n\r\n", 18);
	assert_int_equal(r.stream.state, HTTP_STREAM_LOST);
	assert_int_equal(r.stream.lacking, 98);
	assert_int_equal(r.begun, 2);
	reader_deinit(&r);
	/* Beyond a body likewise. */
	reader_init(&r, false);
	http_stream_read(&r.stream, 0, head, start);
	http_stream_read(&r.stream, start + 101, "x", 1);
	assert_int_equal(r.stream.state, HTTP_STREAM_LOST);
	assert_int_equal(r.stream.lacking, 101);
	reader_deinit(&r);
	/* Of a body behind what is kept nothing is lacking. */
	reader_init(&r, false);
	http_stream_read(&r.stream, 0, "POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n", 44);
	http_stream_read(&r.stream, 44 + HTTP_BODY_KEPT - 10, "x", 1);
	assert_int_equal(r.stream.lacking, HTTP_BODY_KEPT - 9);
	http_stream_read(&r.stream, 44 + 1000000, NULL, 0);
	assert_int_equal(r.stream.lacking, HTTP_BODY_KEPT);
	assert_int_equal(r.ended, 1);
	reader_deinit(&r);
}

static void test_head_too_long(void **state)
{
	char line[1000];
	struct reader r;

	memset(line, 'a', sizeof(line));
	reader_init(&r, false);
	http_stream_read(&r.stream, 0, "GET / HTTP/1.1\r\n", 16);
	while (r.stream.state == HTTP_STREAM_HEAD && r.stream.offset < 2 * HTTP_HEAD_MAX)
		http_stream_read(&r.stream, r.stream.offset, line, sizeof(line));
	assert_int_equal(r.stream.state, HTTP_STREAM_LOST);
	assert_true(r.stream.offset <= HTTP_HEAD_MAX + 2 * sizeof(line));
	reader_deinit(&r);
}

static void test_left_message(void **state)
{
	struct reader r;

	reader_init(&r, false);
	read_in_pieces(&r, "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc", 50);
	http_stream_leave(&r.stream);
	assert_int_equal(http_stream_unwanted(&r.stream), r.stream.offset + 7 - 1);
	http_stream_read(&r.stream, r.stream.offset, "defghij", 7);
	assert_int_equal(r.ended, 1);
	assert_text(&r.messages[0].body, "abc");
	assert_false(r.messages[0].whole);
	reader_deinit(&r);
}

static void test_fields(void **state)
{
	static const char text[] =
		"GET /p?q HTTP/1.1\r\nHost: a\r\nX:\t y z \r\nEmpty:\r\nx: other\r\n\r\n";
	struct buf head;
	const char *value;
	size_t len;

	buf_init(&head, HTTP_HEAD_MAX);
	assert_int_equal(buf_append(&head, text, strlen(text)), 0);
	value = http_head_field(&head, "x", &len);
	assert_int_equal(len, 3);
	assert_memory_equal(value, "y z", 3);
	assert_non_null(http_head_field(&head, "empty", &len));
	assert_int_equal(len, 0);
	assert_null(http_head_field(&head, "Hos", &len));
	value = http_head_line(&head, &len);
	assert_int_equal(len, strlen("GET /p?q HTTP/1.1"));
	assert_memory_equal(value, text, len);
	buf_deinit(&head);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_body_until_end),
		cmocka_unit_test(test_body_none_and_foreign),
		cmocka_unit_test(test_long_body),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_head_too_long),
		cmocka_unit_test(test_left_message),
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests_name("record/http_stream", tests, NULL, NULL);
}
