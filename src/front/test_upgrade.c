/* SPDX-License-Identifier: MIT */
/* Requests and answers, whole and with every piece of them first. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "front/upgrade.h"

#define NONE UPGRADE_REQUEST_NONE
#define PARTIAL UPGRADE_REQUEST_PARTIAL
#define WANTED UPGRADE_REQUEST_WANTED
#define REFUSED UPGRADE_REQUEST_REFUSED
#define HOST "Host: h\r\n"
#define UPGRADE "Connection: Upgrade\r\nUpgrade: bore\r\n"
#define GET "GET / HTTP/1.1\r\n" HOST UPGRADE

static const struct {
	const char *text;
	enum upgrade_request_result result;
	enum upgrade_refusal refusal;
	const char *rest, *token;
} requests[] = {
	{ GET "\r\n", WANTED, .rest = "", .token = "bore" },
	{ GET "\r\n{\"Hello\":0}", WANTED, .rest = "{\"Hello\":0}", .token = "bore" },
	/* As nginx writes it, and others. */
	{ "GET /a/b?c HTTP/1.1\r\nUpgrade: Bore\r\nConnection: upgrade\r\n" HOST
	  "X-Real-IP: 192.0.2.1\r\n\r\n",
		WANTED, .rest = "", .token = "Bore" },
	{ "GET / HTTP/1.1\r\nConnection: keep-alive, upgrade\r\nUpgrade: x, BORE, bore\r\n" HOST
	  "Content-Length: 0\r\n\r\n",
		WANTED, .rest = "", .token = "BORE" },
	/* No requests: they go on to the handshake, as ever. */
	{ "{\"Hello\":0}", NONE },
	{ "HELLO 1\n", NONE },
	{ "HEL", NONE },
	{ "\x16\x03\x01", NONE },
	{ "get / HTTP/1.1\r\n", NONE },
	{ "EHLO mail.example\r\n", NONE },
	{ "GET /\r\n", NONE },
	{ "GET / HTTP/2.0\r\n\r\n", NONE },
	{ "GET  HTTP/1.1\r\n\r\n", NONE },
	{ "GET / a HTTP/1.1\r\n\r\n", NONE },
	{ "GET /\tHTTP/1.1\r\n\r\n", NONE },
	{ "GET / HTTP/1.12\r\n\r\n", NONE },
	{ "GE\x01", NONE },
	{ "GET /\x01 HTTP/1.1\r\n", NONE },
	{ "ABCDEFGHIJKLMNOPQRST", NONE },
	{ "G", PARTIAL },
	{ "H", PARTIAL },
	{ "HEAD", PARTIAL },
	{ "PRI * HTTP", PARTIAL },
	{ "GET / HTTP/1.1\r\nHost: h\r\n", PARTIAL },
	{ "HEAD / HTTP/1.1\r\n", PARTIAL },
	/* Requests that are told what this is. */
	{ "GET / HTTP/1.1\r\n" HOST "\r\n", REFUSED, UPGRADE_NOT_ASKED },
	{ "HEAD / HTTP/1.1\r\n" HOST "\r\n", REFUSED, UPGRADE_NOT_ASKED },
	{ "GET / HTTP/1.1\r\n" HOST "Upgrade: bore\r\nConnection: close\r\n\r\n", REFUSED,
		UPGRADE_NOT_ASKED },
	{ "GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", REFUSED,
		UPGRADE_NOT_ASKED },
	{ "GET / HTTP/1.1\r\n" HOST "Upgrade: bored\r\nConnection: Upgrade\r\n\r\n", REFUSED,
		UPGRADE_NOT_ASKED },
	{ "GET / HTTP/1.0\r\n" UPGRADE "\r\n", REFUSED, UPGRADE_OLD_HTTP },
	{ "POST / HTTP/1.1\r\n" HOST UPGRADE "\r\n", REFUSED, UPGRADE_NOT_GET },
	/* What could hide a second request behind the head. */
	{ GET "Content-Length: 5\r\n\r\n", REFUSED, UPGRADE_HAS_BODY },
	{ GET "Content-Length: 0\r\nContent-Length: 5\r\n\r\n", REFUSED, UPGRADE_HAS_BODY },
	{ GET "Content-Length: +0\r\n\r\n", REFUSED, UPGRADE_HAS_BODY },
	{ GET "Transfer-Encoding: chunked\r\n\r\n", REFUSED, UPGRADE_HAS_BODY },
	{ GET "Host: other\r\n\r\n", REFUSED, UPGRADE_MALFORMED },
	{ "GET / HTTP/1.1\r\n" UPGRADE "\r\n", REFUSED, UPGRADE_MALFORMED },
	{ GET "A : b\r\n\r\n", REFUSED, UPGRADE_MALFORMED },
	{ GET "A: b\n\r\n", REFUSED, UPGRADE_MALFORMED },
};

static void test_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		const uint8_t *data = (const uint8_t *)requests[i].text;
		size_t len = strlen(requests[i].text), used = 0;
		struct upgrade_request request;
		enum upgrade_request_result r = upgrade_read_request(data, len, &request, &used);

		if (r != requests[i].result)
			fail_msg("'%s': %d", requests[i].text, (int)r);
		if (r == REFUSED)
			assert_int_equal(request.refusal, requests[i].refusal);
		if (r != WANTED)
			continue;
		assert_string_equal(requests[i].text + used, requests[i].rest);
		assert_int_equal(request.token.len, strlen(requests[i].token));
		assert_memory_equal(request.token.at, requests[i].token, request.token.len);
		for (size_t n = 1, whole = used; n < whole; n++)
			assert_int_equal(upgrade_read_request(data, n, &request, &used), PARTIAL);
	}
}

/* The longest head that is taken, and one byte more. */
static void test_head_limit(void **state)
{
	char text[UPGRADE_HEAD_MAX + 64];
	struct upgrade_request request;
	size_t used = 0;

	(void)state;
	for (size_t more = 0; more < 2; more++) {
		size_t n = (size_t)snprintf(text, sizeof(text), GET "A: ");

		memset(text + n, 'a', UPGRADE_HEAD_MAX + more - 4 - n);
		memcpy(text + UPGRADE_HEAD_MAX + more - 4, "\r\n\r\n", 4);
		assert_int_equal(upgrade_read_request(
					 (uint8_t *)text, UPGRADE_HEAD_MAX - 1, &request, &used),
			PARTIAL);
		assert_int_equal(upgrade_read_request(
					 (uint8_t *)text, UPGRADE_HEAD_MAX + more, &request, &used),
			more ? REFUSED : WANTED);
	}
	assert_int_equal(request.refusal, UPGRADE_TOO_LONG);
}

static void test_words(void **state)
{
	struct upgrade_request request = { .token = { "BoRe", 4 } };
	struct buf out;

	(void)state;
	buf_init(&out, UPGRADE_OUT_MAX);
	assert_int_equal(upgrade_write_accept(&request, &out), 0);
	assert_memory_equal(buf_head(&out),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: BoRe\r\nConnection: Upgrade\r\n\r\n",
		buf_len(&out));
	buf_consume(&out, buf_len(&out));
	for (int refusal = 0; refusal < UPGRADE_REFUSALS; refusal++) {
		char text[UPGRADE_OUT_MAX + 1], *body;
		int length;

		request.refusal = (enum upgrade_refusal)refusal;
		request.is_head = false;
		assert_int_equal(upgrade_write_refusal(&request, &out), 0);
		memcpy(text, buf_head(&out), buf_len(&out));
		text[buf_len(&out)] = '\0';
		assert_memory_equal(text, "HTTP/1.1 4", 10);
		body = strstr(text, "\r\n\r\n") + 4;
		assert_int_equal(
			sscanf(strstr(text, "Content-Length: "), "Content-Length: %d", &length), 1);
		assert_int_equal(strlen(body), length);
		buf_consume(&out, buf_len(&out));
		request.is_head = true;
		assert_int_equal(upgrade_write_refusal(&request, &out), 0);
		assert_int_equal(buf_len(&out), body - text);
		assert_memory_equal(buf_head(&out), text, buf_len(&out));
		buf_consume(&out, buf_len(&out));
	}
	buf_deinit(&out);
}

static const struct {
	const char *text;
	enum upgrade_answer_result result;
	unsigned status;
	const char *location, *rest;
} answers[] = {
	{ "HTTP/1.1 101 Switching Protocols\r\nUpgrade: bore\r\nConnection: upgrade\r\n\r\n{",
		UPGRADE_ANSWER_ACCEPTED, 101, "", "{" },
	{ "HTTP/1.1 101\r\nupgrade: BORE\r\n\r\n", UPGRADE_ANSWER_ACCEPTED, 101, "", "" },
	{ "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 101 \r\nUpgrade: bore\r\n\r\n",
		UPGRADE_ANSWER_ACCEPTED, 101, "", "" },
	{ "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", UPGRADE_ANSWER_OTHER,
		101, "" },
	{ "HTTP/1.1 301 Moved\r\nLocation: https://x/\r\n\r\nbody", UPGRADE_ANSWER_OTHER, 301,
		"https://x/" },
	{ "HTTP/1.0 200 OK\r\n\r\n", UPGRADE_ANSWER_OTHER, 200, "" },
	{ "HTTP/1.1 502 Bad\r\nA: b\r\n", UPGRADE_ANSWER_PARTIAL },
	{ "HT", UPGRADE_ANSWER_PARTIAL },
	{ "", UPGRADE_ANSWER_PARTIAL },
	/* Only the first line of these can be read, and it is what the user needs. */
	{ "HTTP/1.1 431 Too Large\r\nno field\r\n\r\n", UPGRADE_ANSWER_OTHER, 431, "" },
	{ "HTTP/1.1 100 Continue\r\n\r\n{", UPGRADE_ANSWER_PARTIAL },
	{ "HTTP/1.1 100 Continue\r\n\r\n\x01", UPGRADE_ANSWER_OTHER, 100, "" },
	{ "HTTP/2 200\r\n\r\n", UPGRADE_ANSWER_NO_HTTP },
	{ "HTTP/1.1 1010 x\r\n\r\n", UPGRADE_ANSWER_NO_HTTP },
	{ "HTTP/1.1 099 x\r\n\r\n", UPGRADE_ANSWER_NO_HTTP },
	{ "HTTP/1.1 1a1 x\r\n\r\n", UPGRADE_ANSWER_NO_HTTP },
	{ "HTTP/1.1\r\n\r\n", UPGRADE_ANSWER_NO_HTTP },
	{ "HTTP/1.1 200 OK\n\n", UPGRADE_ANSWER_NO_HTTP },
	{ "{\"Challenge\":", UPGRADE_ANSWER_NO_HTTP },
	{ "\x15\x03\x01", UPGRADE_ANSWER_NO_HTTP },
};

/* An answer with a head that is longer than we read was told as none of HTTP. */
static void test_long_answer(void **state)
{
	static const char start[] = "HTTP/1.1 431 Request Header Fields Too Large\r\nX: ";
	uint8_t data[UPGRADE_HEAD_MAX];
	struct upgrade_answer answer;
	size_t used = 0;

	(void)state;
	memset(data, 'x', sizeof(data));
	memcpy(data, start, sizeof(start) - 1);
	assert_int_equal(upgrade_read_answer(data, sizeof(data) - 1, &answer, &used),
		UPGRADE_ANSWER_PARTIAL);
	assert_int_equal(
		upgrade_read_answer(data, sizeof(data), &answer, &used), UPGRADE_ANSWER_OTHER);
	assert_int_equal(answer.status, 431);
	assert_int_equal(answer.location.len, 0);
}

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		const uint8_t *data = (const uint8_t *)answers[i].text;
		size_t len = strlen(answers[i].text), used = 0;
		struct upgrade_answer answer;
		enum upgrade_answer_result r = upgrade_read_answer(data, len, &answer, &used);

		if (r != answers[i].result)
			fail_msg("'%s': %d", answers[i].text, (int)r);
		if (r == UPGRADE_ANSWER_PARTIAL || r == UPGRADE_ANSWER_NO_HTTP)
			continue;
		assert_int_equal(answer.status, answers[i].status);
		assert_int_equal(answer.location.len, strlen(answers[i].location));
		assert_memory_equal(answer.location.at ? answer.location.at : "",
			answers[i].location, answer.location.len);
		if (r == UPGRADE_ANSWER_ACCEPTED)
			assert_string_equal(answers[i].text + used, answers[i].rest);
	}
}

/* Interim answers without end are no way through, and HTTP all the same. */
static void test_answer_limit(void **state)
{
	static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
	uint8_t data[UPGRADE_HEAD_MAX];
	struct upgrade_answer answer;
	size_t used;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)interim[i % (sizeof(interim) - 1)];
	assert_int_equal(upgrade_read_answer(data, sizeof(data) - 1, &answer, &used),
		UPGRADE_ANSWER_PARTIAL);
	assert_int_equal(
		upgrade_read_answer(data, sizeof(data), &answer, &used), UPGRADE_ANSWER_OTHER);
	assert_int_equal(answer.status, 100);
}

/* What the one end asks is what the other one takes. */
static void test_both_ends(void **state)
{
	struct upgrade_request request;
	struct upgrade_answer answer;
	struct buf asked, said;
	size_t used;

	(void)state;
	buf_init(&asked, UPGRADE_OUT_MAX);
	buf_init(&said, UPGRADE_OUT_MAX);
	assert_int_equal(upgrade_write_request("[2001:db8::1]:8080", "/a?b", &asked), 0);
	assert_int_equal(
		upgrade_read_request(buf_head(&asked), buf_len(&asked), &request, &used), WANTED);
	assert_int_equal(used, buf_len(&asked));
	assert_int_equal(upgrade_write_accept(&request, &said), 0);
	assert_int_equal(upgrade_read_answer(buf_head(&said), buf_len(&said), &answer, &used),
		UPGRADE_ANSWER_ACCEPTED);
	assert_int_equal(used, buf_len(&said));
	buf_deinit(&asked);
	buf_deinit(&said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_head_limit),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_long_answer),
		cmocka_unit_test(test_answer_limit),
		cmocka_unit_test(test_both_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
