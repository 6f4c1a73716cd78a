/* SPDX-License-Identifier: MIT */
/*
 * The client's end. What it says, and when:
 *
 *   JSON, no secret   Hello and Options, or Accept, or Ready, at once
 *   JSON, a secret    nothing before the challenge; then Authenticate and the same in one go
 *   lines             everything at once, the secret included. The relay may have sent a challenge
 *                     before it knew the dialect: it is JSON, known by its first byte, and passed
 *                     over.
 *
 * Then a tunnel waits for Hello or Error. A data connection is done when its Accept or Ready is
 * said and, if there is a secret, the challenge has come; what follows is the visitor's.
 */
#include "proto/client_handshake.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proto/line.h"

enum client_step {
	STEP_CHALLENGE, /* awaited, or in a tunnel's line dialect at least possible */
	STEP_ANSWER,    /* to Hello */
	STEP_END,
};

static int client_fail(struct client_handshake *hs, enum handshake_failure failure)
{
	hs->failure = failure;
	hs->step = STEP_END;
	return HANDSHAKE_FAILED;
}

static int client_done(struct client_handshake *hs)
{
	hs->step = STEP_END;
	return HANDSHAKE_DONE;
}

static int client_say(const struct client_handshake *hs, const struct msg *msg, struct buf *out)
{
	return msg_append(hs->dialect, ROLE_CLIENT, msg, out);
}

static int client_say_request(const struct client_handshake *hs, struct buf *out)
{
	bool line = hs->dialect == DIALECT_LINE;
	struct msg want = { .type = MSG_WANT, .port = hs->port };
	struct msg hello = { .type = MSG_HELLO, .port = line ? hs->local_port : hs->port };
	struct msg data = { .type = MSG_ACCEPT, .id = hs->id };
	struct msg options = { .type = MSG_OPTIONS };
	int r = 0;

	if (hs->goal == CLIENT_READY)
		data.type = MSG_READY;
	if (hs->goal != CLIENT_TUNNEL)
		return client_say(hs, &data, out);
	if (line && hs->port)
		r = client_say(hs, &want, out);
	if (r == 0)
		r = client_say(hs, &hello, out);
	if (r < 0 || line || !hs->offer)
		return r;
	options.options = *hs->offer;
	return client_say(hs, &options, out);
}

/* -EINVAL or -EMSGSIZE for a secret that cannot stand in a line. */
static int client_say_secret(const struct client_handshake *hs, struct buf *out)
{
	const struct secret *secret = auth_text(hs->auth);
	struct msg msg = { .type = MSG_AUTHENTICATE };
	int r;

	assert(secret);
	if (secret->len > MSG_MAX)
		return -EMSGSIZE;
	memcpy(msg.text, secret->text, secret->len);
	msg.text_len = secret->len;
	r = client_say(hs, &msg, out);
	explicit_bzero(&msg, sizeof msg);
	return r;
}

static int client_start_line(struct client_handshake *hs, struct buf *out)
{
	struct msg greeting = { .type = MSG_GREETING, .port = LINE_VERSION };
	int r = client_say(hs, &greeting, out);

	if (r == 0 && hs->auth)
		r = client_say_secret(hs, out);
	if (r == -EINVAL || r == -EMSGSIZE) {
		buf_consume(out, buf_len(out));
		return client_fail(hs, HANDSHAKE_SECRET_UNFIT);
	}
	return r < 0 ? r : client_say_request(hs, out);
}

int client_handshake_start(struct client_handshake *hs, struct buf *out)
{
	int r = 0;

	if (hs->dialect == DIALECT_LINE)
		r = client_start_line(hs, out);
	else if (!hs->auth)
		r = client_say_request(hs, out);
	if (r != 0)
		return r;
	if (hs->goal != CLIENT_TUNNEL && !hs->auth)
		return client_done(hs);
	hs->step = hs->auth ? STEP_CHALLENGE : STEP_ANSWER;
	return HANDSHAKE_MORE;
}

static int client_take_challenge(
	struct client_handshake *hs, const struct msg *msg, struct buf *out)
{
	struct msg answer = { .type = MSG_AUTHENTICATE, .text_len = AUTH_TAG_LEN };
	int r = 0;

	if (!hs->auth)
		return client_fail(hs, HANDSHAKE_SECRET_REQUIRED);
	if (hs->step != STEP_CHALLENGE)
		return client_fail(hs, HANDSHAKE_UNEXPECTED);
	if (hs->dialect == DIALECT_BORE) {
		r = auth_answer(hs->auth, &msg->id, answer.text);
		if (r == 0)
			r = client_say(hs, &answer, out);
		if (r == 0)
			r = client_say_request(hs, out);
	}
	if (r < 0)
		return r;
	hs->step = STEP_ANSWER;
	return hs->goal == CLIENT_TUNNEL ? HANDSHAKE_MORE : client_done(hs);
}

static int client_take_hello(
	struct client_handshake *hs, enum dialect dialect, const struct msg *msg)
{
	if (hs->step == STEP_CHALLENGE && hs->dialect == DIALECT_BORE)
		return client_fail(hs, HANDSHAKE_SECRET_UNASKED);
	if (hs->goal != CLIENT_TUNNEL || dialect != hs->dialect || !msg->port)
		return client_fail(hs, HANDSHAKE_UNEXPECTED);
	hs->public_port = msg->port;
	return client_done(hs);
}

static int client_take_error(struct client_handshake *hs, const struct msg *msg)
{
	memcpy(hs->error, msg->text, sizeof hs->error);
	hs->error_len = msg->text_len;
	return client_fail(hs, handshake_failure_from_error(msg->text));
}

/*
 * An Error that has come together with the challenge of a data connection is the relay's, which
 * can't have had our answer: we were stopped, or too busy, for its patience. Later it couldn't be
 * told from a visitor's bytes.
 */
static int client_take_error_behind_challenge(
	struct client_handshake *hs, const uint8_t *data, size_t len, struct buf *out)
{
	struct msg msg;
	size_t used;

	if (hs->dialect != DIALECT_BORE ||
		msg_decode(DIALECT_BORE, ROLE_SERVER, data, len, &msg, &used) != MSG_COMPLETE ||
		msg.type != MSG_ERROR)
		return HANDSHAKE_DONE;
	buf_consume(out, buf_len(out));
	return client_take_error(hs, &msg);
}

static int client_take(
	struct client_handshake *hs, enum dialect dialect, const struct msg *msg, struct buf *out)
{
	switch (msg->type) {
	case MSG_CHALLENGE:
		return client_take_challenge(hs, msg, out);
	case MSG_HELLO:
		return client_take_hello(hs, dialect, msg);
	case MSG_ERROR:
		return client_take_error(hs, msg);
	default:
		return client_fail(hs, HANDSHAKE_UNEXPECTED);
	}
}

int client_handshake_feed(struct client_handshake *hs, const uint8_t *data, size_t len,
	size_t *ret_used, struct buf *out)
{
	size_t at = 0, used;
	struct msg msg;
	int r = HANDSHAKE_MORE;

	assert(hs->step != STEP_END);
	while (at < len && r == HANDSHAKE_MORE) {
		/* Among lines, only a challenge is JSON. */
		bool json = hs->dialect == DIALECT_BORE ? msg_begins_json(data[at])
							: data[at] == '{' || data[at] == '"';
		enum dialect dialect = json ? DIALECT_BORE : DIALECT_LINE;

		hs->heard = true;
		/* A banner of another protocol is known by its first byte. */
		if (!json && hs->dialect == DIALECT_BORE) {
			r = client_fail(hs, HANDSHAKE_NOT_BORE);
			break;
		}
		r = msg_decode(dialect, ROLE_SERVER, data + at, len - at, &msg, &used);
		if (r == MSG_PARTIAL) {
			r = HANDSHAKE_MORE;
			break;
		}
		if (r < 0) {
			r = client_fail(hs, HANDSHAKE_NOT_BORE);
			break;
		}
		at += used;
		r = client_take(hs, dialect, &msg, out);
		if (r == HANDSHAKE_DONE && msg.type == MSG_CHALLENGE)
			r = client_take_error_behind_challenge(hs, data + at, len - at, out);
	}
	if (r >= 0)
		*ret_used = at;
	return r;
}

enum handshake_failure client_handshake_cut(const struct client_handshake *hs, bool timed_out)
{
	bool answered = hs->auth && hs->step == STEP_ANSWER; /* it has challenged us */

	if (!timed_out)
		return HANDSHAKE_CLOSED;
	if (answered)
		return HANDSHAKE_SILENT;
	if (hs->auth && hs->dialect == DIALECT_BORE && !hs->heard)
		return HANDSHAKE_SECRET_UNASKED;
	return HANDSHAKE_NOT_BORE;
}
