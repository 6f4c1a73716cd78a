/* SPDX-License-Identifier: MIT */
/*
 * Handshakes as conversations: who says what, and how it ends. Each one is held several times, the
 * peer's bytes coming whole and in pieces down to one byte. In the texts '|' is a NUL, '$' the
 * challenge's UUID and '%' the tag that answers it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "proto/client_handshake.h"
#include "proto/server_handshake.h"

#define BORE DIALECT_BORE
#define LINE DIALECT_LINE

#define ID "89abcdef-0123-4567-89ab-cdef01234567"
#define ID_BYTES                                                                                \
	{                                                                                       \
		{                                                                               \
			0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, \
				0x01, 0x23, 0x45, 0x67                                          \
		}                                                                               \
	}
#define CHALLENGE "{\"Challenge\":\"$\"}|"
#define TAG "{\"Authenticate\":\"%\"}|"
#define WRONG_TAG                                                                         \
	"{\"Authenticate\":\"00000000000000000000000000000000000000000000000000000000000" \
	"00000\"}|"
#define HELLO_0 "{\"Hello\":0}|"
#define HELLO_9000 "{\"Hello\":9000}|"
#define ACCEPT "{\"Accept\":\"" ID "\"}|"
#define READY "{\"Ready\":\"" ID "\"}|"
#define ERROR(text) "{\"Error\":\"" text "\"}|"
#define LONG_64 "................................................................"
#define LONG_256 LONG_64 LONG_64 LONG_64 LONG_64

#define BUF_MAX 4096

enum turn_type {
	END,
	HEARS,        /* the peer's bytes come */
	SAYS,         /* this is all that it has said since */
	WAITS,        /* server: HANDSHAKE_CHALLENGE_WAIT_MS pass */
	EXPIRES,      /* server: HANDSHAKE_TIMEOUT_MS pass, and it has no tunnel */
	EXPIRES_MUTE, /* the same, where it may be a data connection */
};

struct turn {
	enum turn_type type;
	const char *text;
};

static const struct options offer = {
	.resume = true, .beat_ms = OPTIONS_BEAT_MS, .refuse = true, .visitor = true
};
#define OFFER "{\"Options\":{\"resume\":true,\"beat\":5000,\"refuse\":true,\"visitor\":true}}|"

static const struct client_case {
	const char *name;
	const char *secret;
	struct client_handshake hs;
	struct turn turns[6];
	int result;
	enum handshake_failure failure; /* MORE: what a timeout means */
	uint16_t public_port;
	const char *error, *rest;
} client_cases[] = {
	{ "any port", NULL, { BORE, CLIENT_TUNNEL }, { { SAYS, HELLO_0 }, { HEARS, HELLO_9000 } },
		HANDSHAKE_DONE, .public_port = 9000 },
	{ "a port; heartbeats behind the answer", NULL, { BORE, CLIENT_TUNNEL, .port = 9000 },
		{ { SAYS, HELLO_9000 }, { HEARS, HELLO_9000 "\"Heartbeat\"|\"Heart" } },
		HANDSHAKE_DONE, .public_port = 9000, .rest = "\"Heartbeat\"|\"Heart" },
	{ "the offer goes with Hello", NULL, { BORE, CLIENT_TUNNEL, .offer = &offer },
		{ { SAYS, HELLO_0 OFFER }, { HEARS, HELLO_9000 } }, HANDSHAKE_DONE,
		.public_port = 9000 },
	{ "with a secret, all in one go", "secret", { BORE, CLIENT_TUNNEL, .offer = &offer },
		{ { SAYS, "" }, { HEARS, CHALLENGE }, { SAYS, TAG HELLO_0 OFFER },
			{ HEARS, HELLO_9000 } },
		HANDSHAKE_DONE, .public_port = 9000 },
	{ "an empty secret is a secret", "", { BORE, CLIENT_TUNNEL },
		{ { SAYS, "" }, { HEARS, CHALLENGE }, { SAYS, TAG HELLO_0 },
			{ HEARS, HELLO_9000 } },
		HANDSHAKE_DONE, .public_port = 9000 },
	{ "a stream waits for nothing", NULL, { BORE, CLIENT_STREAM, .id = ID_BYTES },
		{ { SAYS, ACCEPT }, { HEARS, "raw|bytes" } }, HANDSHAKE_DONE, .rest = "raw|bytes" },
	{ "a stream with a secret; the visitor speaks first", "secret",
		{ BORE, CLIENT_STREAM, .id = ID_BYTES },
		{ { SAYS, "" }, { HEARS, CHALLENGE }, { SAYS, TAG ACCEPT }, { HEARS, "raw|" } },
		HANDSHAKE_DONE, .rest = "raw|" },
	{ "a warm connection with a secret", "secret", { BORE, CLIENT_READY, .id = ID_BYTES },
		{ { SAYS, "" }, { HEARS, CHALLENGE }, { SAYS, TAG READY }, { HEARS, "visitor|" } },
		HANDSHAKE_DONE, .rest = "visitor|" },

	{ "wrong secret", "secret", { BORE, CLIENT_TUNNEL },
		{ { HEARS, CHALLENGE }, { SAYS, TAG HELLO_0 }, { HEARS, ERROR("invalid secret") } },
		HANDSHAKE_FAILED, HANDSHAKE_WRONG_SECRET, .error = "invalid secret" },
	{ "a secret is asked for", NULL, { BORE, CLIENT_TUNNEL },
		{ { SAYS, HELLO_0 }, { HEARS, CHALLENGE ERROR("server requires secret, but no "
							      "secret was provided") } },
		HANDSHAKE_FAILED, HANDSHAKE_SECRET_REQUIRED,
		.rest = ERROR("server requires secret, but no secret was provided") },
	{ "blanks in front of an answer, as serde takes them", NULL, { BORE, CLIENT_TUNNEL },
		{ { SAYS, HELLO_0 }, { HEARS, " \t\r\n" HELLO_9000 } }, HANDSHAKE_DONE,
		.public_port = 9000 },
	{ "a secret is not asked for", "secret", { BORE, CLIENT_TUNNEL }, { { HEARS, HELLO_9000 } },
		HANDSHAKE_FAILED, HANDSHAKE_SECRET_UNASKED },
	{ "two challenges", "secret", { BORE, CLIENT_TUNNEL },
		{ { HEARS, CHALLENGE CHALLENGE }, { SAYS, TAG HELLO_0 } }, HANDSHAKE_FAILED,
		HANDSHAKE_UNEXPECTED },
	{ "refused before the challenge", "secret", { BORE, CLIENT_TUNNEL },
		{ { HEARS, ERROR("too many tunnels") } }, HANDSHAKE_FAILED, HANDSHAKE_REFUSED,
		.error = "too many tunnels" },
	{ "port taken", NULL, { BORE, CLIENT_TUNNEL, .port = 9000 },
		{ { SAYS, HELLO_9000 }, { HEARS, ERROR("port already in use") } }, HANDSHAKE_FAILED,
		HANDSHAKE_PORT_TAKEN, .error = "port already in use" },
	{ "a heartbeat is no answer", NULL, { BORE, CLIENT_TUNNEL },
		{ { SAYS, HELLO_0 }, { HEARS, "\"Heartbeat\"|" } }, HANDSHAKE_FAILED,
		HANDSHAKE_UNEXPECTED },
	{ "port 0 is none", NULL, { BORE, CLIENT_TUNNEL },
		{ { SAYS, HELLO_0 }, { HEARS, HELLO_0 } }, HANDSHAKE_FAILED, HANDSHAKE_UNEXPECTED },
	{ "a client's message", NULL, { BORE, CLIENT_TUNNEL },
		{ { SAYS, HELLO_0 }, { HEARS, ACCEPT } }, HANDSHAKE_FAILED, HANDSHAKE_NOT_BORE,
		.rest = ACCEPT },
	{ "an ssh banner, no NUL", "secret", { BORE, CLIENT_TUNNEL }, { { HEARS, "SSH-2.0" } },
		HANDSHAKE_FAILED, HANDSHAKE_NOT_BORE, .rest = "SSH-2.0" },
	{ "too long", NULL, { BORE, CLIENT_TUNNEL },
		{ { SAYS, HELLO_0 }, { HEARS, ERROR(LONG_256) } }, HANDSHAKE_FAILED,
		HANDSHAKE_NOT_BORE, .rest = ERROR(LONG_256) },
	{ "silence", NULL, { BORE, CLIENT_TUNNEL }, { { SAYS, HELLO_0 } }, HANDSHAKE_MORE,
		HANDSHAKE_NOT_BORE },
	{ "silence where a challenge was awaited", "secret", { BORE, CLIENT_TUNNEL }, { { END } },
		HANDSHAKE_MORE, HANDSHAKE_SECRET_UNASKED },
	{ "half a frame", "secret", { BORE, CLIENT_TUNNEL }, { { HEARS, "{\"Chal" } },
		HANDSHAKE_MORE, HANDSHAKE_NOT_BORE, .rest = "{\"Chal" },
	{ "silence after the challenge", "secret", { BORE, CLIENT_TUNNEL },
		{ { HEARS, CHALLENGE }, { SAYS, TAG HELLO_0 } }, HANDSHAKE_MORE, HANDSHAKE_SILENT },

	{ "line: any port", NULL, { LINE, CLIENT_TUNNEL, .local_port = 80, .offer = &offer },
		{ { SAYS, "HELLO 1\n80\n" }, { HEARS, "OK 9000\nPING\nPI" } }, HANDSHAKE_DONE,
		.public_port = 9000, .rest = "PING\nPI" },
	{ "line: a port, a secret", "two words",
		{ LINE, CLIENT_TUNNEL, .port = 9000, .local_port = 80 },
		{ { SAYS, "HELLO 1\nAUTH two words\nPORT 9000\n80\n" }, { HEARS, "OK 9000\n" } },
		HANDSHAKE_DONE, .public_port = 9000 },
	{ "line: a challenge crosses", "", { LINE, CLIENT_TUNNEL, .local_port = 80 },
		{ { SAYS, "HELLO 1\nAUTH \n80\n" }, { HEARS, CHALLENGE "OK 9000\nPING\n" } },
		HANDSHAKE_DONE, .public_port = 9000, .rest = "PING\n" },
	{ "line: two challenges", "s", { LINE, CLIENT_TUNNEL, .local_port = 80 },
		{ { SAYS, "HELLO 1\nAUTH s\n80\n" }, { HEARS, CHALLENGE CHALLENGE } },
		HANDSHAKE_FAILED, HANDSHAKE_UNEXPECTED },
	{ "line: a secret is asked for", NULL, { LINE, CLIENT_TUNNEL, .local_port = 80 },
		{ { SAYS, "HELLO 1\n80\n" }, { HEARS, CHALLENGE } }, HANDSHAKE_FAILED,
		HANDSHAKE_SECRET_REQUIRED },
	{ "line: a stream waits for nothing", NULL, { LINE, CLIENT_STREAM, .id = ID_BYTES },
		{ { SAYS, "HELLO 1\nACCEPT " ID "\n" }, { HEARS, CHALLENGE } }, HANDSHAKE_DONE,
		.rest = CHALLENGE },
	{ "line: a stream with a secret eats one challenge", "s",
		{ LINE, CLIENT_STREAM, .id = ID_BYTES },
		{ { SAYS, "HELLO 1\nAUTH s\nACCEPT " ID "\n" }, { HEARS, CHALLENGE CHALLENGE } },
		HANDSHAKE_DONE, .rest = CHALLENGE },
	{ "line: a stream, the wrong secret", "s", { LINE, CLIENT_STREAM, .id = ID_BYTES },
		{ { SAYS, "HELLO 1\nAUTH s\nACCEPT " ID "\n" }, { HEARS, "ERR invalid secret\n" } },
		HANDSHAKE_FAILED, HANDSHAKE_WRONG_SECRET, .error = "invalid secret" },
	{ "line: OK has no place on a stream", "s", { LINE, CLIENT_STREAM, .id = ID_BYTES },
		{ { SAYS, "HELLO 1\nAUTH s\nACCEPT " ID "\n" }, { HEARS, "OK 9000\n" } },
		HANDSHAKE_FAILED, HANDSHAKE_UNEXPECTED },
	{ "line: a secret of two lines", "a\nb", { LINE, CLIENT_TUNNEL, .local_port = 80 },
		{ { SAYS, "" } }, HANDSHAKE_FAILED, HANDSHAKE_SECRET_UNFIT },
	{ "line: a secret of 251 bytes", &LONG_256[5], { LINE, CLIENT_TUNNEL, .local_port = 80 },
		{ { SAYS, "HELLO 1\nAUTH " LONG_64 LONG_64 LONG_64
			  "...........................................................\n80\n" } },
		HANDSHAKE_MORE, HANDSHAKE_NOT_BORE },
	{ "line: a secret of 252 bytes", &LONG_256[4], { LINE, CLIENT_TUNNEL, .local_port = 80 },
		{ { SAYS, "" } }, HANDSHAKE_FAILED, HANDSHAKE_SECRET_UNFIT },
	{ "line: a secret of more than a line", LONG_256 LONG_256,
		{ LINE, CLIENT_STREAM, .id = ID_BYTES }, { { SAYS, "" } }, HANDSHAKE_FAILED,
		HANDSHAKE_SECRET_UNFIT },
	{ "line: port out of range", NULL, { LINE, CLIENT_TUNNEL, .port = 1, .local_port = 80 },
		{ { SAYS, "HELLO 1\nPORT 1\n80\n" },
			{ HEARS, "ERR client port number not in allowed range\r\n" } },
		HANDSHAKE_FAILED, HANDSHAKE_PORT_RANGE,
		.error = "client port number not in allowed range" },
	{ "line: a JSON answer", NULL, { LINE, CLIENT_TUNNEL, .local_port = 80 },
		{ { SAYS, "HELLO 1\n80\n" }, { HEARS, HELLO_9000 } }, HANDSHAKE_FAILED,
		HANDSHAKE_UNEXPECTED },
	{ "line: garbage", NULL, { LINE, CLIENT_TUNNEL, .local_port = 80 },
		{ { SAYS, "HELLO 1\n80\n" }, { HEARS, "220 mail\r\n" } }, HANDSHAKE_FAILED,
		HANDSHAKE_NOT_BORE, .rest = "220 mail\r\n" },
	{ "line: silence", "s", { LINE, CLIENT_TUNNEL, .local_port = 80 },
		{ { SAYS, "HELLO 1\nAUTH s\n80\n" } }, HANDSHAKE_MORE, HANDSHAKE_NOT_BORE },
};

#define FAILS(why) .result = HANDSHAKE_FAILED, .failure = HANDSHAKE_##why

static const struct server_case {
	const char *name;
	const char *secret;
	bool no_lines, speaks_json;
	struct turn turns[8];
	int result;
	enum handshake_failure failure;
	enum dialect dialect;
	enum server_request request;
	uint16_t port;
	const char *rest;
	bool mute; /* FAILED: it may be a data connection, and was told nothing */
} server_cases[] = {
	{ "a tunnel, any port", NULL, .turns = { { SAYS, "" }, { HEARS, HELLO_0 } },
		.result = HANDSHAKE_DONE },
	{ "a port; an offer behind it", NULL, .turns = { { HEARS, HELLO_9000 OFFER } },
		.result = HANDSHAKE_DONE, .port = 9000, .rest = OFFER },
	{ "a stream; raw bytes behind it", NULL, .turns = { { HEARS, ACCEPT "raw|" } },
		.result = HANDSHAKE_DONE, .request = SERVER_STREAM, .rest = "raw|" },
	{ "a warm connection; what is behind it", NULL, .turns = { { HEARS, READY "x" } },
		.result = HANDSHAKE_DONE, .request = SERVER_READY, .rest = "x" },
	{ "a warm connection without the secret hears no word", "secret", .no_lines = true,
		.turns = { { SAYS, CHALLENGE }, { HEARS, READY }, { SAYS, "" } },
		FAILS(SECRET_REQUIRED), .mute = true },
	{ "no secret: a tag is unexpected, and not answered", NULL,
		.turns = { { HEARS, WRONG_TAG HELLO_0 } }, FAILS(UNEXPECTED), .rest = HELLO_0 },
	{ "a known JSON speaker is challenged at once", "secret", .speaks_json = true,
		.turns = { { SAYS, CHALLENGE }, { HEARS, TAG HELLO_9000 OFFER } },
		.result = HANDSHAKE_DONE, .port = 9000, .rest = OFFER },
	{ "without lines, so is everyone", "", .no_lines = true,
		.turns = { { SAYS, CHALLENGE }, { HEARS, TAG }, { SAYS, "" }, { HEARS, ACCEPT } },
		.result = HANDSHAKE_DONE, .request = SERVER_STREAM },
	{ "a stock client waits for its challenge", "secret",
		.turns = { { SAYS, "" }, { WAITS }, { SAYS, CHALLENGE }, { WAITS }, { SAYS, "" },
			{ HEARS, TAG HELLO_0 } },
		.result = HANDSHAKE_DONE },
	{ "a stock client without the secret speaks first", "secret",
		.turns = { { SAYS, "" }, { HEARS, HELLO_0 },
			{ SAYS, CHALLENGE ERROR("server requires secret, but no secret was "
						"provided") } },
		FAILS(SECRET_REQUIRED) },
	{ "a data connection without the secret hears no word, which would be its visitor's",
		"secret", .turns = { { SAYS, "" }, { HEARS, ACCEPT }, { SAYS, "" } },
		FAILS(SECRET_REQUIRED), .mute = true },
	{ "nor behind a challenge that came too early", "secret", .no_lines = true,
		.turns = { { SAYS, CHALLENGE }, { HEARS, ACCEPT }, { SAYS, "" } },
		FAILS(SECRET_REQUIRED), .mute = true },
	{ "half a message before the challenge", "secret",
		.turns = { { HEARS, "{\"Hello\"" }, { SAYS, "" }, { WAITS }, { SAYS, CHALLENGE } },
		.result = HANDSHAKE_MORE, .rest = "{\"Hello\"" },
	{ "blanks in front of a message, as serde takes them", NULL,
		.turns = { { HEARS, " \t\r\n" HELLO_9000 } }, .result = HANDSHAKE_DONE,
		.port = 9000 },
	{ "wrong secret", "secret",
		.turns = { { WAITS }, { SAYS, CHALLENGE }, { HEARS, WRONG_TAG HELLO_0 },
			{ SAYS, ERROR("invalid secret") } },
		FAILS(WRONG_SECRET), .rest = HELLO_0 },
	{ "a tag before the challenge", "secret",
		.turns = { { HEARS, WRONG_TAG }, { SAYS, CHALLENGE ERROR("invalid secret") } },
		FAILS(WRONG_SECRET) },
	{ "two tags", "secret", .turns = { { WAITS }, { SAYS, CHALLENGE }, { HEARS, TAG TAG } },
		FAILS(UNEXPECTED) },
	{ "garbage for a tag is answered as stock does", "secret",
		.turns = { { WAITS }, { SAYS, CHALLENGE }, { HEARS, "{}|" },
			{ SAYS, ERROR("unable to parse message") } },
		FAILS(NOT_BORE), .rest = "{}|" },
	{ "a tag without end", "secret",
		.turns = { { WAITS }, { SAYS, CHALLENGE }, { HEARS, "{" LONG_256 },
			{ SAYS, ERROR("frame error, invalid byte length") } },
		FAILS(NOT_BORE), .rest = "{" LONG_256 },
	{ "garbage without a secret is not answered", NULL, .turns = { { HEARS, "{}|" } },
		FAILS(NOT_BORE), .rest = "{}|" },
	{ "beats and offers have no place before Hello", NULL,
		.turns = { { HEARS, OFFER HELLO_0 } }, FAILS(UNEXPECTED), .rest = HELLO_0 },
	{ "a TLS hello", "secret", .turns = { { HEARS, "\x16\x03\x01" } }, FAILS(NOT_BORE),
		.rest = "\x16\x03\x01" },
	{ "an HTTP request", NULL, .turns = { { HEARS, "GET / HTTP/1.1\r\n" } }, FAILS(NOT_BORE),
		.rest = "GET / HTTP/1.1\r\n" },
	{ "a line where lines are not served", NULL, .no_lines = true,
		.turns = { { HEARS, "HELLO 1\n" } }, FAILS(NOT_BORE), .rest = "HELLO 1\n" },
	{ "silence without a secret", NULL, .turns = { { EXPIRES }, { SAYS, "" } }, FAILS(SILENT) },
	{ "silence with a secret", "secret",
		.turns = { { WAITS }, { SAYS, CHALLENGE }, { EXPIRES },
			{ SAYS, ERROR("timed out waiting for initial message") } },
		FAILS(SILENT) },
	{ "silence of what may be a data connection, whose answer is late", "secret",
		.turns = { { WAITS }, { SAYS, CHALLENGE }, { EXPIRES_MUTE }, { SAYS, "" } },
		FAILS(SILENT), .mute = true },
	{ "half an answer of what may be one", "secret",
		.turns = { { WAITS }, { SAYS, CHALLENGE }, { HEARS, "{\"Auth" }, { EXPIRES_MUTE },
			{ SAYS, "" } },
		FAILS(SILENT), .mute = true, .rest = "{\"Auth" },
	{ "silence behind the tag", "secret",
		.turns = { { WAITS }, { SAYS, CHALLENGE }, { HEARS, TAG }, { EXPIRES },
			{ SAYS, "" } },
		FAILS(SILENT) },

	{ "line: a tunnel", NULL, .turns = { { HEARS, "HELLO 1\n80\nmore" } },
		.result = HANDSHAKE_DONE, .dialect = LINE, .rest = "more" },
	{ "line: a port, from telnet", NULL,
		.turns = { { HEARS, "HELLO 1\r\nPORT 9000\r\n80\r\n" } }, .result = HANDSHAKE_DONE,
		.dialect = LINE, .port = 9000 },
	{ "line: a secret that nobody wants", NULL, .turns = { { HEARS, "HELLO 1\nAUTH s\n80\n" } },
		.result = HANDSHAKE_DONE, .dialect = LINE },
	{ "line: the secret, in time", "two words",
		.turns = { { SAYS, "" }, { HEARS, "HELLO 1\nAUTH two words\nPORT 9000\n80\n" } },
		.result = HANDSHAKE_DONE, .dialect = LINE, .port = 9000 },
	{ "line: the secret, late", "",
		.turns = { { WAITS }, { SAYS, CHALLENGE }, { HEARS, "HELLO 1\nAUTH\n80\n" } },
		.result = HANDSHAKE_DONE, .dialect = LINE },
	{ "line: heard in time, finished late", "s",
		.turns = { { HEARS, "H" }, { WAITS }, { SAYS, "" },
			{ HEARS, "ELLO 1\nAUTH s\n80\n" } },
		.result = HANDSHAKE_DONE, .dialect = LINE },
	{ "line: a stream", NULL, .turns = { { HEARS, "HELLO 1\nACCEPT " ID "\nraw" } },
		.result = HANDSHAKE_DONE, .dialect = LINE, .request = SERVER_STREAM,
		.rest = "raw" },
	{ "line: a stream with the secret gets a challenge", "s",
		.turns = { { HEARS, "HELLO 1\nAUTH s\nACCEPT " ID "\nraw" }, { SAYS, CHALLENGE } },
		.result = HANDSHAKE_DONE, .dialect = LINE, .request = SERVER_STREAM,
		.rest = "raw" },
	{ "line: but never two", "s",
		.turns = { { WAITS }, { SAYS, CHALLENGE },
			{ HEARS, "HELLO 1\nAUTH s\nACCEPT " ID "\n" }, { SAYS, "" } },
		.result = HANDSHAKE_DONE, .dialect = LINE, .request = SERVER_STREAM },
	{ "line: and also where its secret wasn't wanted", NULL,
		.turns = { { HEARS, "HELLO 1\nAUTH s\nACCEPT " ID "\n" }, { SAYS, CHALLENGE } },
		.result = HANDSHAKE_DONE, .dialect = LINE, .request = SERVER_STREAM },
	{ "line: wrong secret", "s",
		.turns = { { HEARS, "HELLO 1\nAUTH t\n80\n" }, { SAYS, "ERR invalid secret\n" } },
		FAILS(WRONG_SECRET), .dialect = LINE, .rest = "80\n" },
	{ "line: no secret", "s",
		.turns = { { HEARS, "HELLO 1\n80\n" },
			{ SAYS, "ERR server requires secret, but no secret was provided\n" } },
		FAILS(SECRET_REQUIRED), .dialect = LINE },
	{ "line: another version", NULL,
		.turns = { { HEARS, "HELLO 2\n" }, { SAYS, "ERR unsupported protocol version\n" } },
		FAILS(UNEXPECTED), .dialect = LINE },
	{ "line: HEAD is not HELLO", NULL, .turns = { { HEARS, "HEAD / HTTP/1.1\r\n" } },
		FAILS(NOT_BORE), .dialect = LINE, .rest = "HEAD / HTTP/1.1\r\n" },
	{ "line: garbage behind HELLO is answered", NULL,
		.turns = { { HEARS, "HELLO 1\nwhat\n" },
			{ SAYS, "ERR unable to parse message\n" } },
		FAILS(NOT_BORE), .dialect = LINE, .rest = "what\n" },
	{ "line: out of order", NULL,
		.turns = { { HEARS, "HELLO 1\nPORT 9000\nPORT 9001\n" },
			{ SAYS, "ERR unexpected message\n" } },
		FAILS(UNEXPECTED), .dialect = LINE, .port = 9000 },
	{ "line: out of order, and a data connection", NULL,
		.turns = { { HEARS, "HELLO 1\nPORT 9000\nACCEPT " ID "\n" }, { SAYS, "" } },
		FAILS(UNEXPECTED), .dialect = LINE, .port = 9000, .mute = true },
	{ "line: a data connection without the secret", "s",
		.turns = { { HEARS, "HELLO 1\nACCEPT " ID "\nraw" }, { SAYS, "" } },
		FAILS(SECRET_REQUIRED), .dialect = LINE, .rest = "raw", .mute = true },
	{ "line: what may be a data connection, and is late", NULL,
		.turns = { { HEARS, "HELLO 1\nACC" }, { EXPIRES_MUTE }, { SAYS, "" } },
		FAILS(SILENT), .dialect = LINE, .rest = "ACC", .mute = true },
	{ "line: no end", NULL,
		.turns = { { HEARS, "HELLO 1\nAUTH " LONG_256 },
			{ SAYS, "ERR frame error, invalid byte length\n" } },
		FAILS(NOT_BORE), .dialect = LINE, .rest = "AUTH " LONG_256 },
	{ "line: too slow", NULL,
		.turns = { { HEARS, "HELLO 1\n" }, { EXPIRES },
			{ SAYS, "ERR timed out waiting for initial message\n" } },
		FAILS(SILENT), .dialect = LINE },
};

static struct auth *auth_make(const char *text)
{
	struct secret secret = { 0 };
	struct auth *auth = NULL;

	if (!text)
		return NULL;
	assert_int_equal(secret_set(&secret, text, strlen(text)), 0);
	assert_int_equal(auth_new(&secret, true, &auth), 0);
	secret_clear(&secret);
	return auth;
}

/* Puts what '|', '$' and '%' stand for. */
static void expand(const char *text, const struct auth *auth, const struct uuid *challenge,
	struct buf *ret_wire)
{
	char id[UUID_TEXT_LEN + 1], tag[AUTH_TAG_LEN + 1] = "";

	buf_init(ret_wire, BUF_MAX);
	uuid_format(challenge, id);
	if (auth)
		assert_int_equal(auth_answer(auth, challenge, tag), 0);
	for (; text && *text; text++) {
		const char *piece = *text == '$' ? id : *text == '%' ? tag : text;

		assert_int_equal(*text == '|' ? buf_append(ret_wire, "", 1)
					      : buf_append(ret_wire, piece,
							piece == text ? 1 : strlen(piece)),
			0);
	}
}

static void assert_holds(const struct buf *b, const struct buf *expected, const char *name)
{
	if (buf_len(b) != buf_len(expected) ||
		(buf_len(b) && memcmp(buf_head(b), buf_head(expected), buf_len(b)) != 0))
		fail_msg("%s: '%.*s' is not '%.*s'", name, (int)buf_len(b), (char *)buf_head(b),
			(int)buf_len(expected), (char *)buf_head(expected));
}

/* One end and what stands between it and its peer. */
struct end {
	struct client_handshake *client; /* or NULL */
	struct server_handshake *server;
	struct buf in, out;
	int r;
};

/* Gives it a peer's bytes, `chunk` at a time, as a reader that keeps what was not used. */
static void end_feed(struct end *end, const struct buf *wire, size_t chunk)
{
	for (size_t at = 0; at < buf_len(wire); at += chunk) {
		size_t len = min_u64(chunk, buf_len(wire) - at), used;

		assert_int_equal(buf_append(&end->in, buf_head(wire) + at, len), 0);
		if (end->r != HANDSHAKE_MORE)
			continue;
		if (end->client)
			end->r = client_handshake_feed(end->client, buf_head(&end->in),
				buf_len(&end->in), &used, &end->out);
		else
			end->r = server_handshake_feed(end->server, buf_head(&end->in),
				buf_len(&end->in), &used, &end->out);
		assert_true(end->r >= 0);
		buf_consume(&end->in, used);
	}
}

static void end_turn(struct end *end, const struct turn *turn, const char *name,
	const struct auth *auth, const struct uuid *challenge, size_t chunk)
{
	struct buf wire;

	expand(turn->text, auth, challenge, &wire);
	if (turn->type == HEARS) {
		end_feed(end, &wire, chunk);
	} else if (turn->type == SAYS) {
		assert_holds(&end->out, &wire, name);
		buf_consume(&end->out, buf_len(&end->out));
	} else if (turn->type == WAITS) {
		end->r = server_handshake_challenge(end->server, &end->out);
	} else if (turn->type == EXPIRES || turn->type == EXPIRES_MUTE) {
		end->r =
			server_handshake_expire(end->server, turn->type == EXPIRES_MUTE, &end->out);
	}
	buf_deinit(&wire);
}

static void end_finish(struct end *end, const char *name, const char *rest)
{
	static const struct uuid challenge = ID_BYTES;
	struct buf expected;

	expand(NULL, NULL, &challenge, &expected);
	assert_holds(&end->out, &expected, name);
	expand(rest, NULL, &challenge, &expected);
	assert_holds(&end->in, &expected, name);
	buf_deinit(&expected);
	buf_deinit(&end->in);
	buf_deinit(&end->out);
}

static void end_init(
	struct end *end, struct client_handshake *client, struct server_handshake *server)
{
	*end = (struct end){ .client = client, .server = server };
	buf_init(&end->in, BUF_MAX);
	buf_init(&end->out, BUF_MAX);
}

static void client_converse(const struct client_case *c, size_t chunk)
{
	static const struct uuid challenge = ID_BYTES;
	struct auth *auth = auth_make(c->secret);
	struct client_handshake hs = c->hs;
	struct end end;

	end_init(&end, &hs, NULL);
	hs.auth = auth;
	end.r = client_handshake_start(&hs, &end.out);
	for (size_t i = 0; i < ARRAY_LEN(c->turns); i++)
		end_turn(&end, &c->turns[i], c->name, auth, &challenge, chunk);
	if (end.r != c->result)
		fail_msg("%s: ends with %d", c->name, end.r);
	if (end.r == HANDSHAKE_MORE) {
		assert_int_equal(client_handshake_cut(&hs, true), c->failure);
		assert_int_equal(client_handshake_cut(&hs, false), HANDSHAKE_CLOSED);
	} else {
		assert_int_equal(hs.failure, c->failure);
	}
	assert_int_equal(hs.public_port, c->public_port);
	assert_string_equal(hs.error, c->error ? c->error : "");
	assert_int_equal(hs.error_len, strlen(hs.error));
	end_finish(&end, c->name, c->rest);
	auth_free(auth);
}

static void server_converse(const struct server_case *c, size_t chunk)
{
	static const struct uuid id = ID_BYTES;
	struct auth *auth = auth_make(c->secret);
	struct server_handshake hs = { .auth = auth, .line_dialect = !c->no_lines };
	struct end end;
	bool wait;

	end_init(&end, NULL, &hs);
	end.r = server_handshake_start(&hs, c->speaks_json, &end.out, &wait);
	assert_int_equal(wait, c->secret && !c->no_lines && !c->speaks_json);
	for (size_t i = 0; i < ARRAY_LEN(c->turns); i++)
		end_turn(&end, &c->turns[i], c->name, auth, &hs.challenge, chunk);
	if (end.r != c->result)
		fail_msg("%s: ends with %d", c->name, end.r);
	assert_int_equal(hs.failure, c->failure);
	assert_int_equal(hs.dialect, c->dialect);
	assert_int_equal(hs.port, c->port);
	if (c->mute)
		assert_false(hs.told);
	if (end.r == HANDSHAKE_DONE) {
		assert_int_equal(hs.request, c->request);
		assert_int_equal(uuid_equal(&hs.id, &id), c->request != SERVER_TUNNEL);
	}
	end_finish(&end, c->name, c->rest);
	auth_free(auth);
}

static const size_t chunks[] = { SIZE_MAX / 2, 1, 2, 3, 7, 64 };

static void test_client(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(client_cases); i++)
		for (size_t j = 0; j < ARRAY_LEN(chunks); j++)
			client_converse(&client_cases[i], chunks[j]);
}

static void test_server(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(server_cases); i++)
		for (size_t j = 0; j < ARRAY_LEN(chunks); j++)
			server_converse(&server_cases[i], chunks[j]);
}

/* Carries bytes until neither end has something to say. */
static void converse(struct end *client, struct end *server)
{
	struct buf wire;

	while (buf_len(&client->out) || buf_len(&server->out)) {
		wire = client->out;
		buf_init(&client->out, BUF_MAX);
		end_feed(server, &wire, 1);
		buf_deinit(&wire);
		wire = server->out;
		buf_init(&server->out, BUF_MAX);
		end_feed(client, &wire, 1);
		buf_deinit(&wire);
	}
}

/*
 * What the relay said to us before it can have read our answer was once taken for the visitor's:
 * "timed out waiting for initial message", when the client had been stopped for some seconds.
 */
static void test_words_together_with_the_challenge(void **state)
{
	/* The first two are none. */
	static const char *const hears[] = { CHALLENGE, CHALLENGE "raw",
		CHALLENGE ERROR("timed out"), CHALLENGE ERROR("timed out") "more" };
	static const struct uuid challenge = ID_BYTES;
	struct auth *auth = auth_make("secret");

	for (size_t i = 0; i < ARRAY_LEN(hears); i++) {
		struct client_handshake hs = { BORE, CLIENT_STREAM, .id = ID_BYTES, .auth = auth };
		struct end end;

		end_init(&end, &hs, NULL);
		assert_int_equal(client_handshake_start(&hs, &end.out), HANDSHAKE_MORE);
		end_turn(&end, &(struct turn){ HEARS, hears[i] }, hears[i], auth, &challenge,
			SIZE_MAX / 2);
		buf_deinit(&end.in);
		assert_int_equal(end.r, i < 2 ? HANDSHAKE_DONE : HANDSHAKE_FAILED);
		assert_string_equal(hs.error, i < 2 ? "" : "timed out");
		assert_int_equal(buf_len(&end.out) > 0, i < 2);
		buf_deinit(&end.out);
	}
	auth_free(auth);
}

/*
 * A relay that was started anew with another secret has a data connection's wrong answer before it:
 * no words, if the Accept is there already. A control connection is told.
 */
static void test_wrong_answer_of_a_data_connection(void **state)
{
	static const struct {
		bool no_lines, told;
		const char *hears;
	} cases[] = {
		{ true, true, WRONG_TAG },
		{ true, true, WRONG_TAG HELLO_0 },
		{ true, false, WRONG_TAG ACCEPT "raw" },
		{ true, false, WRONG_TAG READY },
		{ false, false, TAG ACCEPT }, /* to no challenge: a relay can make anyone sign 0 */
		{ false, true, "HELLO 1\nAUTH other\n80\n" },
		{ false, false, "HELLO 1\nAUTH other\nACCEPT " ID "\n" },
	};
	struct auth *auth = auth_make("secret");

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct server_handshake hs = { .auth = auth, .line_dialect = !cases[i].no_lines };
		struct end end;
		bool wait;

		end_init(&end, NULL, &hs);
		end.r = server_handshake_start(&hs, false, &end.out, &wait);
		buf_deinit(&end.out);
		end_turn(&end, &(struct turn){ HEARS, cases[i].hears }, "", auth, &hs.challenge,
			SIZE_MAX / 2);
		buf_deinit(&end.in);
		assert_int_equal(end.r, HANDSHAKE_FAILED);
		assert_int_equal(hs.failure, HANDSHAKE_WRONG_SECRET);
		assert_int_equal(hs.told, cases[i].told);
		buf_deinit(&end.out);
	}
	auth_free(auth);
}

static const struct {
	enum dialect dialect;
	enum client_goal goal;
} ways[] = { { BORE, CLIENT_TUNNEL }, { BORE, CLIENT_STREAM }, { BORE, CLIENT_READY },
	{ LINE, CLIENT_TUNNEL }, { LINE, CLIENT_STREAM } };

/* Our two ends with each other: every dialect, goal, secret and moment of the challenge. */
static void test_pairs(void **state)
{
	struct auth *auths[] = { NULL, auth_make(""), auth_make("secret"), auth_make("other") };

	for (unsigned int i = 0; i < ARRAY_LEN(ways) * 4 * 4 * 2; i++) {
		struct auth *client_auth = auths[i / 2 % 4], *server_auth = auths[i / 8 % 4];
		struct client_handshake client = { ways[i / 32].dialect, ways[i / 32].goal,
			.port = 9000, .local_port = 80, .id = ID_BYTES, .auth = client_auth };
		struct server_handshake server = { .auth = server_auth, .line_dialect = true };
		struct end c, s;
		bool line = client.dialect == LINE, wait, early = i % 2;
		bool open = !server_auth && (!client_auth || line);

		end_init(&c, &client, NULL);
		end_init(&s, NULL, &server);
		s.r = server_handshake_start(&server, early, &s.out, &wait);
		c.r = client_handshake_start(&client, &c.out);
		converse(&c, &s);
		if (wait && s.r == HANDSHAKE_MORE)
			assert_int_equal(server_handshake_challenge(&server, &s.out), 0);
		converse(&c, &s);
		assert_int_equal(
			s.r == HANDSHAKE_DONE, open || (server_auth && client_auth == server_auth));
		if (s.r == HANDSHAKE_DONE) {
			assert_int_equal(server.dialect, client.dialect);
			assert_int_equal(server.request, (unsigned int)client.goal);
			assert_int_equal(c.r,
				client.goal == CLIENT_TUNNEL ? HANDSHAKE_MORE : HANDSHAKE_DONE);
			assert_int_equal(buf_len(&c.in), 0);
		}
		buf_deinit(&c.in);
		buf_deinit(&s.in);
	}
	for (size_t i = 0; i < ARRAY_LEN(auths); i++)
		auth_free(auths[i]);
}

static void test_failure_texts(void **state)
{
	for (unsigned int i = 0; i < HANDSHAKE_FAILURES; i++)
		assert_non_null(handshake_failure_text(i));
	assert_int_equal(handshake_failure_from_error(ERROR_PORT_FAILED), HANDSHAKE_PORT_DENIED);
	assert_int_equal(handshake_failure_from_error(""), HANDSHAKE_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_words_together_with_the_challenge),
		cmocka_unit_test(test_wrong_answer_of_a_data_connection),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_failure_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
