/* SPDX-License-Identifier: MIT */
/*
 * The relay's end. The client's first byte tells the dialect. Stock clients with a secret say
 * nothing before the challenge, so it is sent before that byte where need be; a client that speaks
 * lines passes it over. What may come in which step is one table (`rules`); all else ends the
 * handshake.
 *
 * A client says its Accept without waiting for an answer, and takes whatever comes behind it (in
 * answer to a challenge: behind that) for its visitor's bytes; behind a Ready, for a visitor's
 * beginning. So an Error is said only to a client that can't have said either yet (`is_stream`).
 */
#include "proto/server_handshake.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/lang.h"
#include "proto/line.h"

enum server_step {
	STEP_FIRST_BYTE, /* the dialect is not known yet */
	STEP_GREETING,   /* line: HELLO 1 */
	STEP_AUTH,       /* the answer to the challenge; line: AUTH, which may be missing */
	STEP_REQUEST,
	STEP_LOCAL_PORT, /* line: PORT has been said */
	STEP_END,
};

/*
 * `text` NULL: the client is told nothing, as with stock where a peer speaks another protocol or is
 * out of step. A data connection is never told anything.
 */
static int server_fail(struct server_handshake *hs, enum handshake_failure failure,
	const char *text, struct buf *out)
{
	struct msg error = { .type = MSG_ERROR };

	hs->failure = failure;
	hs->step = STEP_END;
	if (text && !hs->is_stream) {
		error.text_len = strlen(text);
		memcpy(error.text, text, error.text_len);
		/* Without memory for the words it fails all the same, and a wrong secret is
		 * counted. */
		hs->told = msg_append(hs->dialect, ROLE_SERVER, &error, out) == 0;
	}
	return HANDSHAKE_FAILED;
}

/* Always a JSON frame, also in front of lines. */
static int server_say_challenge(struct server_handshake *hs, struct buf *out)
{
	struct msg challenge = { .type = MSG_CHALLENGE };
	int r = uuid_random(&challenge.id);

	if (r < 0)
		return r;
	hs->challenge = challenge.id;
	hs->challenged = true;
	return msg_append(DIALECT_BORE, ROLE_SERVER, &challenge, out);
}

static int server_done(struct server_handshake *hs, enum server_request request)
{
	hs->request = request;
	hs->step = STEP_END;
	return HANDSHAKE_DONE;
}

static int server_take_greeting(struct server_handshake *hs, const struct msg *msg, struct buf *out)
{
	if (msg->port != LINE_VERSION)
		return server_fail(hs, HANDSHAKE_UNEXPECTED, ERROR_VERSION, out);
	hs->step = STEP_AUTH;
	return HANDSHAKE_MORE;
}

static int server_take_tag(struct server_handshake *hs, const struct msg *msg, struct buf *out)
{
	assert(hs->challenged);
	if (!auth_check_tag(hs->auth, &hs->challenge, msg->text, msg->text_len))
		return server_fail(hs, HANDSHAKE_WRONG_SECRET, ERROR_WRONG_SECRET, out);
	hs->step = STEP_REQUEST;
	return HANDSHAKE_MORE;
}

/* Without a secret of its own, the relay lets any AUTH line pass. */
static int server_take_secret(struct server_handshake *hs, const struct msg *msg, struct buf *out)
{
	if (hs->auth && !auth_check_text(hs->auth, msg->text, msg->text_len))
		return server_fail(hs, HANDSHAKE_WRONG_SECRET, ERROR_WRONG_SECRET, out);
	hs->auth_line = true;
	hs->step = STEP_REQUEST;
	return HANDSHAKE_MORE;
}

static int server_take_hello(struct server_handshake *hs, const struct msg *msg, struct buf *out)
{
	hs->port = msg->port;
	return server_done(hs, SERVER_TUNNEL);
}

static int server_take_want(struct server_handshake *hs, const struct msg *msg, struct buf *out)
{
	hs->port = msg->port;
	hs->step = STEP_LOCAL_PORT;
	return HANDSHAKE_MORE;
}

static int server_take_local_port(
	struct server_handshake *hs, const struct msg *msg, struct buf *out)
{
	return server_done(hs, SERVER_TUNNEL);
}

/*
 * A client that has sent AUTH can't know whether a challenge is still on its way, and raw bytes
 * follow: so it gets exactly one in any case.
 */
static int server_take_accept(struct server_handshake *hs, const struct msg *msg, struct buf *out)
{
	int r = 0;

	if (hs->auth_line && !hs->challenged)
		r = server_say_challenge(hs, out);
	if (r < 0)
		return r;
	hs->id = msg->id;
	return server_done(hs, SERVER_STREAM);
}

static int server_take_ready(struct server_handshake *hs, const struct msg *msg, struct buf *out)
{
	hs->id = msg->id;
	return server_done(hs, SERVER_READY);
}

static const struct server_rule {
	enum dialect dialect;
	enum server_step step;
	enum msg_type type;
	int (*take)(struct server_handshake *hs, const struct msg *msg, struct buf *out);
} rules[] = {
	{ DIALECT_BORE, STEP_AUTH, MSG_AUTHENTICATE, server_take_tag },
	{ DIALECT_BORE, STEP_REQUEST, MSG_HELLO, server_take_hello },
	{ DIALECT_BORE, STEP_REQUEST, MSG_ACCEPT, server_take_accept },
	{ DIALECT_BORE, STEP_REQUEST, MSG_READY, server_take_ready },
	{ DIALECT_LINE, STEP_GREETING, MSG_GREETING, server_take_greeting },
	{ DIALECT_LINE, STEP_AUTH, MSG_AUTHENTICATE, server_take_secret },
	{ DIALECT_LINE, STEP_REQUEST, MSG_WANT, server_take_want },
	{ DIALECT_LINE, STEP_REQUEST, MSG_HELLO, server_take_local_port },
	{ DIALECT_LINE, STEP_REQUEST, MSG_ACCEPT, server_take_accept },
	{ DIALECT_LINE, STEP_LOCAL_PORT, MSG_HELLO, server_take_local_port },
};

static int server_take(struct server_handshake *hs, const struct msg *msg, struct buf *out)
{
	if (hs->step == STEP_AUTH && msg->type != MSG_AUTHENTICATE) {
		if (hs->auth)
			return server_fail(
				hs, HANDSHAKE_SECRET_REQUIRED, ERROR_SECRET_REQUIRED, out);
		hs->step = STEP_REQUEST;
	}
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		const struct server_rule *rule = &rules[i];

		if (rule->dialect == hs->dialect && rule->step == (enum server_step)hs->step &&
			rule->type == msg->type)
			return rule->take(hs, msg, out);
	}
	return server_fail(hs, HANDSHAKE_UNEXPECTED,
		hs->dialect == DIALECT_LINE ? ERROR_UNEXPECTED : NULL, out);
}

static int server_take_garbage(struct server_handshake *hs, int error, struct buf *out)
{
	/* Stock answers this only while it awaits the tag; a person at a terminal wants it always.
	 */
	bool told = hs->step == STEP_AUTH || (hs->dialect == DIALECT_LINE && hs->step > STEP_AUTH);
	const char *text = error == -EMSGSIZE ? ERROR_TOO_LONG : ERROR_UNPARSABLE;

	return server_fail(hs, HANDSHAKE_NOT_BORE, told ? text : NULL, out);
}

static int server_take_first_byte(struct server_handshake *hs, uint8_t byte, struct buf *out)
{
	if (byte == 'H' && hs->line_dialect) {
		hs->dialect = DIALECT_LINE;
		hs->step = STEP_GREETING;
		return HANDSHAKE_MORE;
	}
	if (!msg_begins_json(byte))
		return server_fail(hs, HANDSHAKE_NOT_BORE, NULL, out);
	hs->step = hs->auth ? STEP_AUTH : STEP_REQUEST;
	return HANDSHAKE_MORE;
}

/* Whether the client is a data connection's. */
static bool server_is_data(const struct msg *msg)
{
	return msg->type == MSG_ACCEPT || msg->type == MSG_READY;
}

/* Whether `msg`, or the message at `rest` behind it, is an Accept or Ready. */
static bool server_ends_in_data(
	const struct server_handshake *hs, const struct msg *msg, const uint8_t *rest, size_t len)
{
	struct msg next;
	size_t used;

	if (server_is_data(msg))
		return true;
	return msg_decode(hs->dialect, ROLE_CLIENT, rest, len, &next, &used) == MSG_COMPLETE &&
	       server_is_data(&next);
}

/*
 * Takes a whole message, or bytes that are none (a negative `error`). A client that speaks JSON is
 * challenged now, if it has not been; but not one that begins with an Accept or Ready: it is a data
 * connection without the secret.
 */
static int server_take_whole(
	struct server_handshake *hs, int error, const struct msg *msg, struct buf *out)
{
	bool is_data = error == MSG_COMPLETE && server_is_data(msg);
	int r = 0;

	if (hs->auth && hs->dialect == DIALECT_BORE && !hs->challenged && !is_data)
		r = server_say_challenge(hs, out);
	if (r < 0)
		return r;
	return error < 0 ? server_take_garbage(hs, error, out) : server_take(hs, msg, out);
}

int server_handshake_start(
	struct server_handshake *hs, bool speaks_json, struct buf *out, bool *ret_wait)
{
	bool wait = hs->auth && hs->line_dialect && !speaks_json;
	int r = 0;

	if (hs->auth && !wait)
		r = server_say_challenge(hs, out);
	if (r < 0)
		return r;
	*ret_wait = wait;
	return HANDSHAKE_MORE;
}

int server_handshake_challenge(struct server_handshake *hs, struct buf *out)
{
	int r = 0;

	if (hs->auth && hs->dialect == DIALECT_BORE && !hs->challenged)
		r = server_say_challenge(hs, out);
	return r < 0 ? r : HANDSHAKE_MORE;
}

int server_handshake_feed(struct server_handshake *hs, const uint8_t *data, size_t len,
	size_t *ret_used, struct buf *out)
{
	size_t at = 0, used;
	struct msg msg;
	int r = HANDSHAKE_MORE;

	assert(hs->step != STEP_END);
	if (len && hs->step == STEP_FIRST_BYTE)
		r = server_take_first_byte(hs, data[0], out);
	while (at < len && r == HANDSHAKE_MORE) {
		r = msg_decode(hs->dialect, ROLE_CLIENT, data + at, len - at, &msg, &used);
		if (r == MSG_PARTIAL) {
			r = HANDSHAKE_MORE;
			break;
		}
		if (r == MSG_COMPLETE) {
			at += used;
			hs->is_stream = server_ends_in_data(hs, &msg, data + at, len - at);
		}
		r = server_take_whole(hs, r, &msg, out);
	}
	if (r >= 0)
		*ret_used = at;
	return r;
}

int server_handshake_expire(struct server_handshake *hs, bool may_be_stream, struct buf *out)
{
	/* As with garbage, stock says nothing once the secret has been checked. */
	bool told = hs->dialect == DIALECT_LINE ||
		    (hs->auth && (hs->step == STEP_FIRST_BYTE || hs->step == STEP_AUTH));

	hs->is_stream |= may_be_stream;
	return server_fail(hs, HANDSHAKE_SILENT, told ? ERROR_TIMED_OUT : NULL, out);
}
