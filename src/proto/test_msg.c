/* SPDX-License-Identifier: MIT */
/*
 * Messages and their bytes, in both dialects. Each good case is also read split at every byte, with
 * another message's bytes behind it, and written back.
 */
#include "proto/msg.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"

#define BORE DIALECT_BORE
#define LINE DIALECT_LINE
#define CLIENT ROLE_CLIENT
#define SERVER ROLE_SERVER

#define ID "01234567-89ab-cdef-0123-456789abcdef"
#define ID_BYTES                                                                                \
	{                                                                                       \
		{                                                                               \
			0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, \
				0x89, 0xab, 0xcd, 0xef                                          \
		}                                                                               \
	}
#define TOKEN "000102030405060708090a0b0c0d0e0f"
#define TOKEN_BYTES                                                  \
	{                                                            \
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 \
	}
#define TEXT(s) .text = s, .text_len = sizeof(s) - 1

/* A frame of JSON, or a line, with its end mark. */
#define FRAME(s) s "\0", sizeof(s)
#define LINE_(s) s "\n", sizeof(s)

static const struct {
	enum dialect dialect;
	enum role from;
	const char *wire;
	size_t len;
	struct msg msg;
	const char *canonical; /* what it is written back as; NULL: the same */
} good[] = {
	{ BORE, CLIENT, FRAME("{\"Hello\":0}"), { MSG_HELLO } },
	{ BORE, CLIENT, FRAME("{\"Hello\":65535}"), { MSG_HELLO, .port = 65535 } },
	{ BORE, SERVER, FRAME("{\"Hello\":7835}"), { MSG_HELLO, .port = 7835 } },
	{ BORE, CLIENT, FRAME(" {\t\"Hello\" :\r\n8080 } "), { MSG_HELLO, .port = 8080 },
		"{\"Hello\":8080}" },
	{ BORE, CLIENT, FRAME("{\"\\u0048ello\":1}"), { MSG_HELLO, .port = 1 }, "{\"Hello\":1}" },
	{ BORE, CLIENT, FRAME("{\"Authenticate\":\"00ff\"}"), { MSG_AUTHENTICATE, TEXT("00ff") } },
	{ BORE, CLIENT, FRAME("{\"Authenticate\":\"\"}"), { MSG_AUTHENTICATE } },
	{ BORE, CLIENT, FRAME("{\"Authenticate\":\"a\\u0000b\"}"),
		{ MSG_AUTHENTICATE, TEXT("a\0b") } },
	{ BORE, CLIENT, FRAME("\r\n\t {\"Hello\":1}\r\n\t "), { MSG_HELLO, .port = 1 },
		"{\"Hello\":1}" },
	{ BORE, CLIENT, FRAME("{\"Accept\":\"" ID "\"}"), { MSG_ACCEPT, .id = ID_BYTES } },
	{ BORE, CLIENT, FRAME("{\"Accept\":\"0123456789ABCDEF0123456789abcdef\"}"),
		{ MSG_ACCEPT, .id = ID_BYTES }, "{\"Accept\":\"" ID "\"}" },
	{ BORE, CLIENT, FRAME("{\"Accept\":\"{" ID "}\"}"), { MSG_ACCEPT, .id = ID_BYTES },
		"{\"Accept\":\"" ID "\"}" },
	{ BORE, CLIENT, FRAME("{\"Accept\":\"urn:uuid:" ID "\"}"), { MSG_ACCEPT, .id = ID_BYTES },
		"{\"Accept\":\"" ID "\"}" },
	{ BORE, SERVER, FRAME("{\"Challenge\":\"" ID "\"}"), { MSG_CHALLENGE, .id = ID_BYTES } },
	{ BORE, SERVER, FRAME("{\"Connection\":\"" ID "\"}"), { MSG_CONNECTION, .id = ID_BYTES } },
	{ BORE, SERVER, FRAME("\"Heartbeat\""), { MSG_HEARTBEAT } },
	{ BORE, CLIENT, FRAME("\"Heartbeat\""), { MSG_HEARTBEAT } },
	{ BORE, SERVER, FRAME("{\"Heartbeat\":null}"), { MSG_HEARTBEAT }, "\"Heartbeat\"" },
	{ BORE, SERVER, FRAME("{\"Error\":\"port already in use\"}"),
		{ MSG_ERROR, TEXT("port already in use") } },
	{ BORE, SERVER, FRAME("{\"Error\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"}"),
		{ MSG_ERROR, TEXT("\"\\/\b\f\n\r\t\x01\x1f\x7f") } },
	{ BORE, SERVER, FRAME("{\"Error\":\"\\u00e4\\ud83d\\ude00\\/\"}"),
		{ MSG_ERROR, TEXT("\xc3\xa4\xf0\x9f\x98\x80/") },
		"{\"Error\":\"\xc3\xa4\xf0\x9f\x98\x80/\"}" },
	{ BORE, CLIENT, FRAME("{\"Options\":{}}"), { MSG_OPTIONS } },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"resume\":true}}"),
		{ MSG_OPTIONS, .options = { .resume = true } } },
	{ BORE, SERVER,
		FRAME("{\"Options\":{\"resume\":true,\"token\":\"" TOKEN
		      "\",\"beat\":5000,\"refuse\":true,\"visitor\":true}}"),
		{ MSG_OPTIONS, .options = { .resume = true,
				       .has_token = true,
				       .token = TOKEN_BYTES,
				       .beat_ms = OPTIONS_BEAT_MS,
				       .refuse = true,
				       .visitor = true } } },
	{ BORE, SERVER,
		FRAME("{\"Options\":{\"resume\":true,\"token\":\"" TOKEN
		      "\",\"beat\":60000,\"refuse\":true,\"visitor\":true,\"move\":true,"
		      "\"ready\":4096,\"key\":\"" ID "\"}}"),
		{ MSG_OPTIONS, .options = { .resume = true,
				       .has_token = true,
				       .token = TOKEN_BYTES,
				       .beat_ms = OPTIONS_BEAT_MAX_MS,
				       .refuse = true,
				       .visitor = true,
				       .ready = OPTIONS_READY_MAX,
				       .has_key = true,
				       .key = ID_BYTES,
				       .move = true } } },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"ready\":64}}"),
		{ MSG_OPTIONS, .options = { .ready = 64 } } },
	/* More than anybody keeps is as many as anybody keeps; less than one is none. */
	{ BORE, CLIENT, FRAME("{\"Options\":{\"ready\":9223372036854775807}}"),
		{ MSG_OPTIONS, .options = { .ready = OPTIONS_READY_MAX } },
		"{\"Options\":{\"ready\":4096}}" },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"ready\":0}}"), { MSG_OPTIONS }, "{\"Options\":{}}" },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"ready\":-1}}"), { MSG_OPTIONS },
		"{\"Options\":{}}" },
	{ BORE, CLIENT, FRAME("{\"Ready\":\"" ID "\"}"), { MSG_READY, .id = ID_BYTES } },
	{ BORE, SERVER, FRAME("\"Move\""), { MSG_MOVE } },
	{ BORE, SERVER, FRAME("{\"Move\":null}"), { MSG_MOVE }, "\"Move\"" },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"beat\":1000}}"),
		{ MSG_OPTIONS, .options = { .beat_ms = OPTIONS_BEAT_MIN_MS } } },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"beat\":60000}}"),
		{ MSG_OPTIONS, .options = { .beat_ms = OPTIONS_BEAT_MAX_MS } } },
	/* Out of range is not agreed to; what is unknown is passed over. */
	{ BORE, CLIENT, FRAME("{\"Options\":{\"beat\":999}}"), { MSG_OPTIONS },
		"{\"Options\":{}}" },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"beat\":60001}}"), { MSG_OPTIONS },
		"{\"Options\":{}}" },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"beat\":-5000}}"), { MSG_OPTIONS },
		"{\"Options\":{}}" },
	{ BORE, CLIENT,
		FRAME("{\"Options\":{\"visitor\":false,\"later\":{\"a\":[1.5]},\"refuse\":true,"
		      "\"resume\":false}}"),
		{ MSG_OPTIONS, .options = { .refuse = true } }, "{\"Options\":{\"refuse\":true}}" },
	{ BORE, CLIENT, FRAME("{\"Refuse\":{\"id\":\"" ID "\",\"why\":\"stopped\"}}"),
		{ MSG_REFUSE, .id = ID_BYTES, TEXT("stopped") } },
	{ BORE, CLIENT, FRAME("{\"Refuse\":{\"when\":0,\"id\":\"" ID "\"}}"),
		{ MSG_REFUSE, .id = ID_BYTES }, "{\"Refuse\":{\"id\":\"" ID "\",\"why\":\"\"}}" },
	{ BORE, SERVER, FRAME("{\"Visitor\":{\"id\":\"" ID "\",\"from\":\"[2001:db8::1]:65535\"}}"),
		{ MSG_VISITOR, .id = ID_BYTES, TEXT("[2001:db8::1]:65535") } },
	{ BORE, SERVER,
		FRAME("{\"Visitor\":{\"from\":\"192.0.2.1:80\",\"to\":[1],\"id\":\"" ID "\"}}"),
		{ MSG_VISITOR, .id = ID_BYTES, TEXT("192.0.2.1:80") },
		"{\"Visitor\":{\"id\":\"" ID "\",\"from\":\"192.0.2.1:80\"}}" },

	{ LINE, CLIENT, LINE_("HELLO 1"), { MSG_GREETING, .port = 1 } },
	{ LINE, CLIENT, LINE_("HELLO 1\r"), { MSG_GREETING, .port = 1 }, "HELLO 1" },
	{ LINE, CLIENT, LINE_("AUTH two words "), { MSG_AUTHENTICATE, TEXT("two words ") } },
	{ LINE, CLIENT, LINE_("AUTH  \xff"), { MSG_AUTHENTICATE, TEXT(" \xff") } },
	{ LINE, CLIENT, LINE_("AUTH "), { MSG_AUTHENTICATE } },
	{ LINE, CLIENT, LINE_("AUTH"), { MSG_AUTHENTICATE }, "AUTH " },
	{ LINE, CLIENT, LINE_("AUTH s\r"), { MSG_AUTHENTICATE, TEXT("s") }, "AUTH s" },
	{ LINE, CLIENT, LINE_("PORT 9000"), { MSG_WANT, .port = 9000 } },
	{ LINE, CLIENT, LINE_("8080"), { MSG_HELLO, .port = 8080 } },
	{ LINE, CLIENT, LINE_("ACCEPT " ID), { MSG_ACCEPT, .id = ID_BYTES } },
	{ LINE, SERVER, LINE_("OK 9000"), { MSG_HELLO, .port = 9000 } },
	{ LINE, SERVER, LINE_("ERR port already in use"),
		{ MSG_ERROR, TEXT("port already in use") } },
	{ LINE, SERVER, LINE_("ERR"), { MSG_ERROR }, "ERR " },
	{ LINE, SERVER, LINE_("PING"), { MSG_HEARTBEAT } },
	{ LINE, SERVER, LINE_("CONN " ID), { MSG_CONNECTION, .id = ID_BYTES } },
};

static const struct {
	enum dialect dialect;
	enum role from;
	const char *wire;
	size_t len;
} bad[] = {
	{ BORE, CLIENT, FRAME("") },
	{ BORE, CLIENT, FRAME("null") },
	{ BORE, CLIENT, FRAME("0") },
	{ BORE, CLIENT, FRAME("[]") },
	{ BORE, CLIENT, FRAME("{}") },
	{ BORE, CLIENT, FRAME("[\"Hello\",1]") },
	{ BORE, CLIENT, FRAME("\"Hello\"") },
	{ BORE, CLIENT, FRAME("{\"Hello\":1") },
	{ BORE, CLIENT, FRAME("{\"Hello\":1}}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":1} {\"Hello\":1}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":1,}") },
	{ BORE, CLIENT, FRAME("{'Hello':1}") },
	{ BORE, CLIENT, FRAME("{\"hello\":1}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":1,\"Hello\":1}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":1,\"Accept\":\"" ID "\"}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":-1}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":-0}") },
	{ BORE, SERVER, FRAME("{\"Hello\":-0}") },
	{ BORE, CLIENT, FRAME("{\"Hello\": -0 }") },
	{ BORE, CLIENT, FRAME("{\"Hello\":+0}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":00}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":0.0}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":0e0}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":1E2}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":1e400}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":-18446744073709551616}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":0x10}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":NaN}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":{}}") },
	{ BORE, CLIENT, FRAME("{\"Hello\\u0000\":1}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":1}\v") },
	{ BORE, CLIENT, FRAME("\f{\"Hello\":1}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":1/**/}") },
	{ BORE, CLIENT, FRAME("{\"Goodbye\":1}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":1,\"more\":1}") },
	{ BORE, CLIENT, FRAME("\xef\xbb\xbf{\"Hello\":1}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":65536}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":99999999999999999999}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":1.0}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":1e2}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":01}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":\"1\"}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":null}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":true}") },
	{ BORE, CLIENT, FRAME("{\"Hello\":[1]}") },
	{ BORE, CLIENT, FRAME("{\"Accept\":\"\"}") },
	{ BORE, CLIENT, FRAME("{\"Accept\":\"0123456789abcdef0123456789abcde\"}") },
	{ BORE, CLIENT, FRAME("{\"Accept\":\"01234567-89ab-cdef-0123-456789abcdeg\"}") },
	{ BORE, CLIENT, FRAME("{\"Accept\":\"0123456789-ab-cdef-0123-456789abcdef\"}") },
	{ BORE, CLIENT, FRAME("{\"Accept\":\"{0123456789abcdef0123456789abcdef}\"}") },
	{ BORE, CLIENT, FRAME("{\"Accept\":\"(" ID ")\"}") },
	{ BORE, CLIENT, FRAME("{\"Accept\":\" " ID "\"}") },
	{ BORE, CLIENT, FRAME("{\"Accept\":\"" ID "\\u0000\"}") },
	{ BORE, CLIENT, FRAME("{\"Accept\":\"URN:UUID:" ID "\"}") },
	{ BORE, CLIENT, FRAME("{\"Accept\":\"urn:uuid:0123456789abcdef0123456789abcdef\"}") },
	{ BORE, CLIENT, FRAME("{\"Accept\":\"urn:uuid:{" ID "}\"}") },
	{ BORE, CLIENT, FRAME("{\"Accept\":\"01234567_89ab_cdef_0123_456789abcdef\"}") },
	{ BORE, CLIENT, FRAME("{\"Accept\":null}") },
	{ BORE, CLIENT, FRAME("{\"Accept\":1}") },
	{ BORE, CLIENT, FRAME("{\"Authenticate\":1}") },
	{ BORE, CLIENT, FRAME("{\"Authenticate\":null}") },
	{ BORE, CLIENT, FRAME("{\"Authenticate\":[\"a\"]}") },
	{ BORE, CLIENT, FRAME("{\"Authenticate\":\"\xf4\x90\x80\x80\"}") },
	{ BORE, CLIENT, FRAME("{\"Authenticate\":\"\\u12\"}") },
	{ BORE, CLIENT, FRAME("{\"Authenticate\":\"\xff\"}") },
	{ BORE, CLIENT, FRAME("{\"Authenticate\":\"\xc0\x80\"}") },
	{ BORE, CLIENT, FRAME("{\"Authenticate\":\"\\ud800\"}") },
	{ BORE, CLIENT, FRAME("{\"Authenticate\":\"a\nb\"}") },
	{ BORE, CLIENT, FRAME("{\"Authenticate\":\"a\\x\"}") },
	{ BORE, SERVER, FRAME("{\"Heartbeat\":0}") },
	{ BORE, SERVER, FRAME("{\"Heartbeat\":[]}") },
	{ BORE, SERVER, FRAME("\"Heartbeat\"x") },
	{ BORE, SERVER, FRAME("{\"Error\":\"\xed\xa0\x80\"}") },
	/* What the other end says, and the line dialect's own. */
	{ BORE, CLIENT, FRAME("{\"Challenge\":\"" ID "\"}") },
	{ BORE, CLIENT, FRAME("{\"Connection\":\"" ID "\"}") },
	{ BORE, CLIENT, FRAME("{\"Error\":\"e\"}") },
	{ BORE, SERVER, FRAME("{\"Authenticate\":\"e\"}") },
	{ BORE, SERVER, FRAME("{\"Accept\":\"" ID "\"}") },
	{ BORE, SERVER, FRAME("{\"Refuse\":{\"id\":\"" ID "\",\"why\":\"\"}}") },
	{ BORE, CLIENT, FRAME("{\"Greeting\":1}") },
	{ BORE, CLIENT, FRAME("{\"Want\":1}") },
	{ BORE, CLIENT, FRAME("{\"Options\":true}") },
	{ BORE, CLIENT, FRAME("\"Options\"") },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"resume\":1}}") },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"refuse\":\"true\"}}") },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"resume\":true,\"resume\":true}}") },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"beat\":5000.0}}") },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"token\":\"00\"}}") },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"token\":\"" TOKEN "00\"}}") },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"token\":null}}") },
	{ BORE, CLIENT, FRAME("{\"Refuse\":{}}") },
	{ BORE, CLIENT, FRAME("{\"Refuse\":\"" ID "\"}") },
	{ BORE, CLIENT, FRAME("{\"Refuse\":{\"id\":\"" ID "\",\"why\":0}}") },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"visitor\":1}}") },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"move\":null}}") },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"ready\":true}}") },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"ready\":64.0}}") },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"ready\":\"64\"}}") },
	{ BORE, CLIENT, FRAME("{\"Options\":{\"ready\":9223372036854775808}}") },
	{ BORE, SERVER, FRAME("{\"Options\":{\"key\":1}}") },
	{ BORE, SERVER, FRAME("{\"Options\":{\"key\":\"" TOKEN "00\"}}") },
	{ BORE, CLIENT, FRAME("{\"Ready\":\"\"}") },
	{ BORE, CLIENT, FRAME("{\"Ready\":1}") },
	{ BORE, CLIENT, FRAME("\"Ready\"") },
	{ BORE, SERVER, FRAME("{\"Ready\":\"" ID "\"}") },
	{ BORE, CLIENT, FRAME("\"Move\"") },
	{ BORE, SERVER, FRAME("{\"Move\":9000}") },
	{ BORE, SERVER, FRAME("{\"Visitor\":\"" ID "\"}") },
	{ BORE, SERVER, FRAME("{\"Visitor\":{\"id\":\"" ID "\"}}") },
	{ BORE, SERVER, FRAME("{\"Visitor\":{\"from\":\"192.0.2.1:80\"}}") },
	{ BORE, SERVER, FRAME("{\"Visitor\":{\"id\":\"" ID "\",\"from\":null}}") },
	{ BORE, SERVER, FRAME("{\"Visitor\":{\"id\":\"" ID "\",\"from\":\"\\u0000\"}}") },
	{ BORE, SERVER, FRAME("{\"Visitor\":{\"id\":1,\"from\":\"192.0.2.1:80\"}}") },
	{ BORE, CLIENT, FRAME("{\"Visitor\":{\"id\":\"" ID "\",\"from\":\"192.0.2.1:80\"}}") },
	/* A NUL inside ends the frame there. */
	{ BORE, CLIENT, FRAME("{\"Hel\0lo\":1}") },
	{ BORE, CLIENT, FRAME("\0{\"Hello\":1}") },
	/* Of many levels and never closed: the parser's depth is bounded by the frame. */
	{ BORE, CLIENT,
		FRAME("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[") },
	{ BORE, CLIENT, FRAME("\x16\x03\x01") },

	{ LINE, CLIENT, LINE_("") },
	{ LINE, CLIENT, LINE_("\r") },
	{ LINE, CLIENT, LINE_("HELLO") },
	{ LINE, CLIENT, LINE_("HELLO one") },
	{ LINE, CLIENT, LINE_("HELLO  1") },
	{ LINE, CLIENT, LINE_("HELLO 1 ") },
	{ LINE, CLIENT, LINE_(" HELLO 1") },
	{ LINE, CLIENT, LINE_("hello 1") },
	{ LINE, CLIENT, LINE_("HEAD / HTTP/1.1\r") },
	{ LINE, CLIENT, LINE_("AUTHsecret") },
	{ LINE, CLIENT, LINE_("AUTH s\r\r") },
	{ LINE, CLIENT, LINE_("AUTH a\0b") },
	{ LINE, CLIENT, LINE_("PORT") },
	{ LINE, CLIENT, LINE_("PORT -1") },
	{ LINE, CLIENT, LINE_("65536") },
	{ LINE, CLIENT, LINE_("80a") },
	{ LINE, CLIENT, LINE_("8\0") },
	{ LINE, CLIENT, LINE_("8.0") },
	{ LINE, CLIENT, LINE_("ACCEPT") },
	{ LINE, CLIENT, LINE_("READY " ID) },
	{ LINE, CLIENT, LINE_("ACCEPT {" ID "}") },
	{ LINE, CLIENT, LINE_("OK 1") },
	{ LINE, CLIENT, LINE_("PING") },
	{ LINE, SERVER, LINE_("OK") },
	{ LINE, SERVER, LINE_("OK 0x10") },
	{ LINE, SERVER, LINE_("PING ") },
	{ LINE, SERVER, LINE_("PING 1") },
	{ LINE, SERVER, LINE_("CONN 1") },
	{ LINE, SERVER, LINE_("8080") },
	{ LINE, SERVER, LINE_("HELLO 1") },
	{ LINE, SERVER, LINE_("{\"Challenge\":\"" ID "\"}") },
};

static void assert_same(const struct msg *a, const struct msg *b)
{
	assert_string_equal(msg_type_name(a->type), msg_type_name(b->type));
	assert_int_equal(a->port, b->port);
	assert_true(uuid_equal(&a->id, &b->id));
	assert_int_equal(a->text_len, b->text_len);
	assert_memory_equal(a->text, b->text, a->text_len + 1);
	assert_int_equal(a->options.resume, b->options.resume);
	assert_int_equal(a->options.has_token, b->options.has_token);
	assert_memory_equal(a->options.token, b->options.token, OPTIONS_TOKEN_LEN);
	assert_int_equal(a->options.beat_ms, b->options.beat_ms);
	assert_int_equal(a->options.refuse, b->options.refuse);
	assert_int_equal(a->options.visitor, b->options.visitor);
	assert_int_equal(a->options.move, b->options.move);
	assert_int_equal(a->options.ready, b->options.ready);
	assert_int_equal(a->options.has_key, b->options.has_key);
	assert_true(uuid_equal(&a->options.key, &b->options.key));
}

static void test_good_are_read(void **state)
{
	uint8_t wire[2 * MSG_WIRE_MAX];
	struct msg msg;
	size_t used;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		memset(wire, 'x', sizeof wire);
		memcpy(wire, good[i].wire, good[i].len);
		for (size_t len = 0; len < good[i].len; len++)
			assert_int_equal(
				msg_decode(good[i].dialect, good[i].from, wire, len, &msg, &used),
				MSG_PARTIAL);
		for (size_t len = good[i].len; len <= sizeof wire;
			len += sizeof wire - good[i].len) {
			assert_int_equal(
				msg_decode(good[i].dialect, good[i].from, wire, len, &msg, &used),
				MSG_COMPLETE);
			assert_int_equal(used, good[i].len);
			assert_same(&msg, &good[i].msg);
		}
	}
}

static void test_good_are_written(void **state)
{
	uint8_t wire[MSG_WIRE_MAX];
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		const char *text = good[i].canonical ? good[i].canonical : good[i].wire;
		size_t text_len = good[i].canonical ? strlen(text) : good[i].len - 1;

		assert_int_equal(
			msg_encode(good[i].dialect, good[i].from, &good[i].msg, wire, &len), 0);
		assert_int_equal(len, text_len + 1);
		assert_memory_equal(wire, text, text_len);
		assert_int_equal(wire[text_len], good[i].dialect == LINE ? '\n' : '\0');
	}
}

static void test_bad_are_refused(void **state)
{
	struct msg msg;
	size_t used;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int r = msg_decode(bad[i].dialect, bad[i].from, (const uint8_t *)bad[i].wire,
			bad[i].len, &msg, &used);

		if (r != -EBADMSG)
			fail_msg("case %zu, \"%s\": %d", i, bad[i].wire, r);
	}
}

/* Exactly MSG_MAX bytes are read, one more is refused, and no end mark has to come for that. */
static void test_length(void **state)
{
	static const struct {
		enum dialect dialect;
		const char *head, *tail;
	} cases[] = {
		{ BORE, "{\"Error\":\"", "\"}" },
		{ LINE, "ERR ", "" },
	};
	uint8_t wire[MSG_WIRE_MAX + 64];
	struct msg msg;
	size_t used;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t len = MSG_MAX - 1; len <= MSG_MAX + 2; len++) {
			bool fits = len <= MSG_MAX;
			enum dialect dialect = cases[i].dialect;

			memset(wire, 'e', sizeof wire);
			memcpy(wire, cases[i].head, strlen(cases[i].head));
			memcpy(wire + len - strlen(cases[i].tail), cases[i].tail,
				strlen(cases[i].tail));
			assert_int_equal(msg_decode(dialect, SERVER, wire, len, &msg, &used),
				fits ? MSG_PARTIAL : -EMSGSIZE);
			wire[len] = dialect == LINE ? '\n' : '\0';
			assert_int_equal(msg_decode(dialect, SERVER, wire, len + 1, &msg, &used),
				fits ? MSG_COMPLETE : -EMSGSIZE);
		}
		memset(wire, 'e', sizeof wire);
		assert_int_equal(
			msg_decode(cases[i].dialect, SERVER, wire, sizeof wire, &msg, &used),
			-EMSGSIZE);
	}
}

static void test_several_in_one_read(void **state)
{
	static const char wire[] =
		"\"Heartbeat\"\0{\"Connection\":\"" ID "\"}\0\"Heartbeat\"\0\"He";
	static const enum msg_type types[] = { MSG_HEARTBEAT, MSG_CONNECTION, MSG_HEARTBEAT };
	const uint8_t *at = (const uint8_t *)wire, *end = at + sizeof wire - 1;
	struct msg msg;
	size_t used;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		assert_int_equal(msg_decode(BORE, SERVER, at, (size_t)(end - at), &msg, &used),
			MSG_COMPLETE);
		assert_int_equal(msg.type, types[i]);
		at += used;
	}
	assert_int_equal(
		msg_decode(BORE, SERVER, at, (size_t)(end - at), &msg, &used), MSG_PARTIAL);
	assert_int_equal(end - at, 3);
}

/* A message that is not for this dialect or role, or whose text can't be carried, isn't written. */
static void test_unwritable(void **state)
{
	static const struct {
		enum dialect dialect;
		enum role from;
		struct msg msg;
		int r;
	} cases[] = {
		{ BORE, SERVER, { MSG_ACCEPT }, -EINVAL },
		{ BORE, CLIENT, { MSG_ERROR }, -EINVAL },
		{ BORE, CLIENT, { MSG_GREETING, .port = 1 }, -EINVAL },
		{ BORE, CLIENT, { MSG_WANT }, -EINVAL },
		{ BORE, CLIENT, { MSG_AUTHENTICATE, TEXT("\xff") }, -EMSGSIZE },
		{ LINE, CLIENT, { MSG_HEARTBEAT }, -EINVAL },
		{ LINE, CLIENT, { MSG_OPTIONS }, -EINVAL },
		{ LINE, CLIENT, { MSG_REFUSE }, -EINVAL },
		{ LINE, CLIENT, { MSG_READY }, -EINVAL },
		{ BORE, SERVER, { MSG_READY }, -EINVAL },
		{ LINE, SERVER, { MSG_CHALLENGE }, -EINVAL },
		{ LINE, SERVER, { MSG_OPTIONS }, -EINVAL },
		{ LINE, SERVER, { MSG_VISITOR, TEXT("192.0.2.1:80") }, -EINVAL },
		{ LINE, CLIENT, { MSG_AUTHENTICATE, TEXT("a\nb") }, -EINVAL },
		{ LINE, CLIENT, { MSG_AUTHENTICATE, TEXT("a\r") }, -EINVAL },
		{ LINE, CLIENT, { MSG_AUTHENTICATE, TEXT("a\0b") }, -EINVAL },
	};
	uint8_t wire[MSG_WIRE_MAX];
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(
			msg_encode(cases[i].dialect, cases[i].from, &cases[i].msg, wire, &len),
			cases[i].r);
}

/* A secret or tag is never cut, a reason is: between characters, and never inside an escape. */
static void test_long_texts(void **state)
{
	static const struct {
		enum dialect dialect;
		enum role from;
		enum msg_type type;
		const char *unit; /* repeated to the end of the text */
		int r;
		size_t kept; /* bytes of text that are read back */
	} cases[] = {
		{ BORE, CLIENT, MSG_AUTHENTICATE, "s", -EMSGSIZE },
		{ LINE, CLIENT, MSG_AUTHENTICATE, "s", -EMSGSIZE },
		{ BORE, SERVER, MSG_ERROR, "e", 0, MSG_MAX - 12 },
		{ BORE, SERVER, MSG_ERROR, "\"", 0, (MSG_MAX - 12) / 2 },
		{ BORE, SERVER, MSG_ERROR, "\x01", 0, (MSG_MAX - 12) / 6 },
		{ BORE, SERVER, MSG_ERROR, "\xe2\x82\xac", 0, (MSG_MAX - 12) / 3 * 3 },
		{ BORE, CLIENT, MSG_REFUSE, "e", 0, MSG_MAX - 65 },
		{ BORE, SERVER, MSG_VISITOR, "e", 0, MSG_MAX - 67 },
		{ LINE, SERVER, MSG_ERROR, "e", 0, MSG_MAX - 4 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct msg msg = { .type = cases[i].type, .text_len = MSG_MAX }, back;
		uint8_t wire[MSG_WIRE_MAX];
		size_t len, used;
		int r;

		for (size_t at = 0; at < MSG_MAX; at++)
			msg.text[at] = cases[i].unit[at % strlen(cases[i].unit)];
		r = msg_encode(cases[i].dialect, cases[i].from, &msg, wire, &len);
		assert_int_equal(r, cases[i].r);
		if (r < 0)
			continue;
		assert_int_equal(
			msg_decode(cases[i].dialect, cases[i].from, wire, len, &back, &used),
			MSG_COMPLETE);
		assert_int_equal(used, len);
		assert_int_equal(back.text_len, cases[i].kept);
		assert_memory_equal(back.text, msg.text, back.text_len);
	}
}

static void test_append(void **state)
{
	struct msg ping = { .type = MSG_HEARTBEAT };
	struct buf out;

	buf_init(&out, 12);
	assert_int_equal(msg_append(BORE, SERVER, &ping, &out), 0);
	assert_int_equal(buf_len(&out), 12);
	assert_memory_equal(buf_head(&out), "\"Heartbeat\"", 12);
	assert_int_equal(msg_append(BORE, SERVER, &ping, &out), -ENOBUFS);
	assert_int_equal(buf_len(&out), 12);
	buf_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_are_read),
		cmocka_unit_test(test_good_are_written),
		cmocka_unit_test(test_bad_are_refused),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_several_in_one_read),
		cmocka_unit_test(test_unwritable),
		cmocka_unit_test(test_long_texts),
		cmocka_unit_test(test_append),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
