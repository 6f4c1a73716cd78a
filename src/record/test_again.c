/* SPDX-License-Identifier: MIT */
/* What is sent again, what can't be, and edits that would make two requests of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/lang.h"
#include "record/again.h"

#define MARK "Connection: close\r\n" AGAIN_MARK ": 1\r\n\r\n"

static void exchange_init(struct exchange *e, const char *head, const char *body)
{
	*e = (struct exchange){ .state = EXCHANGE_DONE };
	http_message_init(&e->request);
	http_message_init(&e->response);
	assert_int_equal(buf_append(&e->request.head, head, strlen(head)), 0);
	assert_int_equal(buf_append(&e->request.body, body, strlen(body)), 0);
	e->request.body_len = strlen(body);
	e->request.whole = true;
}

static void exchange_deinit(struct exchange *e)
{
	http_message_deinit(&e->request);
	http_message_deinit(&e->response);
}

static const char *write_again(
	const struct exchange *e, const struct again_edit *edit, struct buf *out)
{
	buf_init(out, AGAIN_MAX);
	return again_write(e, edit, out);
}

static void assert_again(const struct exchange *e, const struct again_edit *edit, const char *text)
{
	struct buf out;

	assert_null(write_again(e, edit, &out));
	assert_int_equal(buf_len(&out), strlen(text));
	assert_memory_equal(buf_head(&out), text, strlen(text));
	buf_deinit(&out);
}

static void assert_fault(const struct exchange *e, const struct again_edit *edit, const char *part)
{
	struct buf out;
	const char *fault = write_again(e, edit, &out);

	assert_non_null(fault);
	assert_non_null(strstr(fault, part));
	buf_deinit(&out);
}

#define TEXT(s)                    \
	{                          \
		(s), sizeof(s) - 1 \
	}

static void test_as_it_was(void **state)
{
	struct exchange e;

	exchange_init(&e,
		"POST /a?b HTTP/1.1\r\nHost: h\r\nX-Strange:  \xff \r\nconnection: keep-alive, "
		"X-Hop\r\n"
		"x-hop: 1\r\n folded\r\nContent-Length: 2\r\nexpect: 100-continue\r\n"
		"X-Wasmrun-Replay: 1\r\nNo colon\r\n\r\n",
		"hi");
	assert_again(&e, &(struct again_edit){ 0 },
		"POST /a?b HTTP/1.1\r\nHost: h\r\nX-Strange:  \xff \r\nNo colon\r\n"
		"Content-Length: 2\r\n" MARK "hi");
	exchange_deinit(&e);
	/* Without a body and a length it stays without. */
	exchange_init(&e, "GET / HTTP/1.0\r\n\r\n", "");
	assert_again(&e, &(struct again_edit){ 0 }, "GET / HTTP/1.0\r\n" MARK);
	exchange_deinit(&e);
	/* The lines of an odd client; the chunks are gone, their bytes are counted. */
	exchange_init(&e, "PUT / HTTP/1.1\nTransfer-Encoding: chunked\nA: b\n\n", "abc");
	e.request.chunked = true;
	assert_again(&e, &(struct again_edit){ 0 },
		"PUT / HTTP/1.1\r\nA: b\nContent-Length: 3\r\n" MARK "abc");
	exchange_deinit(&e);
}

/* Each of several counts: they are one list. */
static void test_connection_twice(void **state)
{
	struct exchange e;

	exchange_init(&e,
		"GET / HTTP/1.1\r\nA: 1\r\nConnection: B\r\nC: 3\r\nB: 2\r\nconnection: "
		"keep-alive, "
		"A\r\nD: 4\r\n\r\n",
		"");
	assert_again(&e, &(struct again_edit){ 0 }, "GET / HTTP/1.1\r\nC: 3\r\nD: 4\r\n" MARK);
	exchange_deinit(&e);
}

/* Of a list that would take seconds only the beginning is looked at. */
static void test_long_connection(void **state)
{
	struct buf head;
	struct exchange e;

	buf_init(&head, HTTP_HEAD_MAX);
	assert_int_equal(buf_append(&head, "GET / HTTP/1.1\r\nConnection: A", 29), 0);
	for (size_t i = 0; i < 15000; i++)
		assert_int_equal(buf_append(&head, ",q", 2), 0);
	assert_int_equal(buf_append(&head, ",B\r\nA: 1\r\nB: 2\r\n\r\n", 18), 0);
	exchange_init(&e, "", "");
	assert_int_equal(buf_append(&e.request.head, buf_head(&head), buf_len(&head)), 0);
	assert_again(&e, &(struct again_edit){ 0 }, "GET / HTTP/1.1\r\nB: 2\r\n" MARK);
	buf_deinit(&head);
	exchange_deinit(&e);
}

static void test_edited(void **state)
{
	const struct again_header headers[] = { { TEXT("A"), TEXT("b c") },
		{ TEXT("content-LENGTH"), TEXT("99") }, { TEXT("Empty"), TEXT("") } };
	struct exchange e;

	exchange_init(&e, "GET /old HTTP/1.1\r\nHost: h\r\n\r\n", "");
	assert_again(&e,
		&(struct again_edit){ .method = TEXT("POST"),
			.target = TEXT("/new?\xc3\xa9"),
			.body = TEXT("x\ny"),
			.headers = headers,
			.header_count = ARRAY_LEN(headers) },
		"POST /new?\xc3\xa9 HTTP/1.1\r\nA: b c\r\nEmpty: \r\nContent-Length: 3\r\n" MARK
		"x\ny");
	exchange_deinit(&e);
}

static void test_faults(void **state)
{
	const struct {
		struct again_edit edit;
		const char *part;
	} cases[] = {
		{ { .method = TEXT("") }, "method" },
		{ { .method = TEXT("GET /x HTTP/1.1\r\n") }, "method" },
		{ { .target = TEXT("") }, "target" },
		{ { .target = TEXT("/a b") }, "target" },
		{ { .target = TEXT("/a\r\nX: y") }, "target" },
		{ { .target = TEXT("/a\0b") }, "target" },
		{ { .headers = (const struct again_header[]){ { TEXT("A:"), TEXT("b") } },
			  .header_count = 1 },
			"name" },
		{ { .headers = (const struct again_header[]){ { TEXT(""), TEXT("b") } },
			  .header_count = 1 },
			"name" },
		{ { .headers = (const struct again_header[]){ { TEXT("A\r\nB"), TEXT("b") } },
			  .header_count = 1 },
			"name" },
		{ { .headers = (const struct again_header[]){ { TEXT("A"), TEXT("b\r\nC: d") } },
			  .header_count = 1 },
			"value" },
		{ { .headers = (const struct again_header[]){ { TEXT("A"), TEXT("b\0") } },
			  .header_count = 1 },
			"value" },
	};
	struct exchange e;

	exchange_init(&e, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_fault(&e, &cases[i].edit, cases[i].part);
	exchange_deinit(&e);
}

static void test_sizes(void **state)
{
	static char text[HTTP_HEAD_MAX + 1];
	struct again_header headers[2] = { { TEXT("A"), { text, HTTP_HEAD_MAX - 200 } },
		{ TEXT("B"), { text, 200 } } };
	struct again_edit edit = { .headers = headers, .header_count = 1 };
	struct exchange e;
	struct buf out;

	memset(text, 'x', sizeof(text));
	exchange_init(&e, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "");
	edit.body = (struct again_text){ text, HTTP_BODY_KEPT };
	assert_null(write_again(&e, &edit, &out));
	assert_true(buf_len(&out) > HTTP_BODY_KEPT + HTTP_HEAD_MAX - 200);
	buf_deinit(&out);
	edit.body.len = HTTP_BODY_KEPT + 1;
	assert_fault(&e, &edit, "64 KiB");
	edit.body.len = 0;
	edit.header_count = 2;
	assert_fault(&e, &edit, "64 KiB");
	exchange_deinit(&e);
}

static void test_refusals(void **state)
{
	const struct again_edit as_it_was = { 0 }, other_body = { .body = TEXT("") };
	static const struct {
		enum exchange_state state;
		const char *part;
	} states[] = {
		{ EXCHANGE_REQUEST, "under way" },
		{ EXCHANGE_WAITING, "under way" },
		{ EXCHANGE_RESPONSE, "under way" },
		{ EXCHANGE_UPGRADED, "something else" },
		{ EXCHANGE_FOREIGN, "no request" },
	};
	struct exchange e;

	exchange_init(&e, "POST / HTTP/1.1\r\n\r\n", "abc");
	assert_null(again_refusal(&e, &as_it_was));
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		e.state = states[i].state;
		assert_non_null(strstr(again_refusal(&e, &as_it_was), states[i].part));
		assert_non_null(again_refusal(&e, &other_body));
	}
	/* The answer was cut off: perhaps the application has crashed on it. */
	e.state = EXCHANGE_CUT;
	assert_null(again_refusal(&e, &as_it_was));
	e.request.body_len = 100000;
	assert_non_null(strstr(again_refusal(&e, &as_it_was), "64 KiB"));
	e.request.body_missing = 7;
	assert_non_null(strstr(again_refusal(&e, &as_it_was), "not recorded"));
	e.request.whole = false;
	assert_non_null(strstr(again_refusal(&e, &as_it_was), "end"));
	assert_null(again_refusal(&e, &other_body));
	exchange_deinit(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_it_was),
		cmocka_unit_test(test_connection_twice),
		cmocka_unit_test(test_long_connection),
		cmocka_unit_test(test_edited),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests_name("record/again", tests, NULL, NULL);
}
