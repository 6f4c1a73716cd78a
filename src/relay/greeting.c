/* SPDX-License-Identifier: MIT */
/*
 * From the accept to the end of the handshake:
 *
 *   greeting_accept()        the first step, on the stack. Without a secret the client's Accept has
 *                            mostly come before the connection is accepted, and then neither a
 *                            session nor a handle of the loop is ever made for it. What isn't done
 *                            in one step becomes a session; the places for those are limited.
 *   greeting_read()          the session has more bytes
 *   greeting_on_challenge()  the client has not spoken: it may be one that waits for the challenge
 *   greeting_on_late()       the deadline is over
 *
 * All of them end in greeting_step(), which hands the session on when the handshake is done. The
 * conversation itself is proto/server_handshake.c. What may stand before it, a proxy's word for its
 * client and a request for an upgrade, is front/preamble.c's: behind it `from` is the client.
 *
 * Any newcomer may be a data connection, whose client takes what comes for its visitor's bytes, an
 * ordinary end included. Until it is known to be none, it is closed with a reset, and hears no word
 * that isn't an answer to its own.
 */
#include "relay/greeting.h"

#include <errno.h>
#include <string.h>
#include "base/lang.h"
#include "base/fd.h"
#include "base/log.h"
#include "front/preamble.h"
#include "net/sockopt.h"
#include "relay/relay_internal.h"
#include "relay/session.h"
#include "relay/stream.h"

/* What is said before there is a chan: the answer to an upgrade, a challenge, an error. */
#define GREETING_FIRST_OUT (UPGRADE_OUT_MAX + 1024)

static void greeting_failed(struct session *s)
{
	struct relay *relay = s->relay;

	relay->counts.handshakes_failed++;
	if (s->hs.failure == HANDSHAKE_WRONG_SECRET) {
		relay->counts.bad_secrets++;
		limits_bad_secret(&relay->limits, &s->from, uv_now(relay->loop));
		relay_tell(relay, &(struct relay_event){
					  .type = RELAY_TUNNEL_REFUSED,
					  .addr = &s->from,
					  .why = ERROR_WRONG_SECRET,
				  });
	}
	session_end(s, s->preamble.why ? s->preamble.why : handshake_failure_text(s->hs.failure));
}

/* The handshake has said `r`, and its words are in the chan's queue. */
static void greeting_step(struct session *s, int r)
{
	struct relay *relay = s->relay;

	chan_flush(&s->chan);
	if (r == HANDSHAKE_MORE)
		return;
	if (r == HANDSHAKE_FAILED) {
		greeting_failed(s);
		return;
	}
	if (r < 0) {
		relay->counts.handshakes_failed++;
		session_end(s, strerror(-r));
		return;
	}
	if (relay->auth) {
		limits_good_secret(&relay->limits, &s->from);
		/* Behind an upgrade nobody has to be told apart. */
		if (!s->preamble.upgraded)
			limits_learn_dialect(&relay->limits, &s->from,
				s->hs.dialect == DIALECT_BORE, uv_now(relay->loop));
	}
	if (s->hs.request == SERVER_TUNNEL)
		session_want_port(s);
	else
		session_become_data(s);
}

/* Closed before a word, or before another word. */
static bool greeting_penalised(struct relay *relay, const struct addr *from)
{
	if (!limits_penalised(&relay->limits, from, uv_now(relay->loop)))
		return false;
	relay->counts.penalised++;
	return true;
}

/* --- what stands before the handshake --- */

/* The operator trusts a proxy that doesn't say who its clients are; told once. */
static void greeting_hint_silent(struct relay *relay, const struct preamble *p)
{
	char text[ADDR_TEXT_MAX];

	if (relay->silence_hinted)
		return;
	relay->silence_hinted = true;
	log_warn("relay",
		"nothing is taken from %s, since it is a --trusted-proxy and says neither an "
		"upgrade "
		"nor a PROXY header: turn that on there (nginx: proxy_protocol on), or don't trust "
		"it",
		addr_format_ip(&p->peer, text));
}

/*
 * A front that passes its clients' addresses on to somebody who doesn't believe it. On loopback its
 * clients are exempt from the limits, all strangers among them, which nobody means.
 */
static void greeting_hint_trust(struct relay *relay, const struct preamble *p)
{
	bool exempt = addr_is_loopback(&p->peer);
	char text[ADDR_TEXT_MAX];

	if (relay->trust_hinted || trusted_has(p->trusted, &p->peer) ||
		!trusted_is_told(&p->request.head))
		return;
	relay->trust_hinted = true;
	(void)addr_format_ip(&p->peer, text);
	log_write(exempt ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "relay",
		"an HTTP front at %s names its clients, but is not trusted: the limits count them "
		"%s%s; if it is yours, --trusted-proxy %s lets them be told apart",
		text,
		exempt ? "not at all, nor their wrong secrets, as whatever comes from " : "all as ",
		exempt ? "loopback" : text, text);
}

/*
 * Answers an upgrade; behind it the relay may speak first. Where it has done so already, since this
 * address was known for clients that await it, the front has taken the challenge for an answer: the
 * next of its requests is waited for.
 */
static int greeting_upgrade(
	struct relay *relay, struct preamble *p, struct server_handshake *hs, struct buf *out)
{
	bool wait;
	int r;

	greeting_hint_trust(relay, p);
	if (relay->auth)
		limits_learn_front(&relay->limits, &p->peer, uv_now(relay->loop));
	if (hs->challenged) {
		p->why = "an HTTP front has spoken behind the challenge";
		return HANDSHAKE_FAILED;
	}
	if (greeting_penalised(relay, &p->from)) {
		p->request.refusal = UPGRADE_PENALISED;
		hs->told = true;
		r = upgrade_write_refusal(&p->request, out);
		return r < 0 ? r : HANDSHAKE_FAILED;
	}
	relay->counts.upgrades++;
	r = upgrade_write_accept(&p->request, out);
	return r < 0 ? r : server_handshake_start(hs, true, out, &wait);
}

/* Whether the challenge waits for the client's first byte, or is said at once. */
static int greeting_begin(struct relay *relay, const struct preamble *p,
	struct server_handshake *hs, struct buf *out, bool *ret_wait)
{
	uint64_t now = uv_now(relay->loop);

	/* A challenge must not come before the preamble, however long a front takes for that. */
	*ret_wait = !preamble_is_awaited(p) && relay->auth &&
		    limits_is_front(&relay->limits, &p->from, now);
	if (preamble_is_awaited(p) || *ret_wait)
		return HANDSHAKE_MORE;
	return server_handshake_start(hs,
		relay->auth && limits_speaks_json(&relay->limits, &p->from, now), out, ret_wait);
}

/* What stands before the handshake; MORE: it may go on, if p->done. */
static int greeting_enter(struct relay *relay, struct preamble *p, struct server_handshake *hs,
	const uint8_t *data, size_t len, size_t *ret_used, struct buf *out, bool *ret_wait)
{
	bool awaited = preamble_is_awaited(p);
	enum preamble_result result = preamble_feed(p, data, len, ret_used);
	/* The client is known now, who may be one that awaits the challenge. */
	bool begins = awaited && p->proxied && (p->done || *ret_used == len);
	int r = HANDSHAKE_MORE;

	switch (result) {
	case PREAMBLE_MORE:
	case PREAMBLE_PLAIN:
		if (begins && !greeting_penalised(relay, &p->from))
			return greeting_begin(relay, p, hs, out, ret_wait);
		r = begins ? HANDSHAKE_FAILED : HANDSHAKE_MORE;
		break;
	case PREAMBLE_UPGRADE:
		r = greeting_upgrade(relay, p, hs, out);
		break;
	case PREAMBLE_REFUSED:
		relay->counts.upgrades_refused++;
		hs->told = true;
		r = upgrade_write_refusal(&p->request, out);
		r = r < 0 ? r : HANDSHAKE_FAILED;
		break;
	case PREAMBLE_BAD:
		greeting_hint_silent(relay, p);
		r = HANDSHAKE_FAILED;
		break;
	}
	if (r == HANDSHAKE_FAILED)
		hs->failure = HANDSHAKE_NOT_BORE;
	return r;
}

/* What has come, whatever it is of. As server_handshake_feed(). */
static int greeting_feed(struct relay *relay, struct preamble *p, struct server_handshake *hs,
	const uint8_t *data, size_t len, size_t *ret_used, struct buf *out, bool *ret_wait)
{
	size_t before = 0, used = 0;
	int r = HANDSHAKE_MORE;

	if (!p->done)
		r = greeting_enter(relay, p, hs, data, len, &before, out, ret_wait);
	if (r == HANDSHAKE_MORE && p->done)
		r = server_handshake_feed(hs, data + before, len - before, &used, out);
	if (r >= 0)
		*ret_used = before + used;
	return r;
}

/* False: the handshake waits for more, or the session has ended. */
bool greeting_read(struct session *s)
{
	struct buf *in = &s->chan.in;
	bool wait = false;
	size_t used = 0;
	int r;

	/* Recheck, or N handshakes opened in parallel get N guesses at the secret. */
	if (!preamble_is_awaited(&s->preamble) && greeting_penalised(s->relay, &s->from)) {
		session_end(s, "penalised for a bad secret");
		return false;
	}
	r = greeting_feed(s->relay, &s->preamble, &s->hs, buf_head(in), buf_len(in), &used,
		&s->chan.out, &wait);
	if (r >= 0)
		buf_consume(in, used);
	s->from = s->preamble.from;
	if (wait)
		timeouts_arm(&s->relay->challenges, &s->challenge);
	greeting_step(s, r);
	return r == HANDSHAKE_DONE && s->state != SESSION_ENDED;
}

/* --- a new connection --- */

/* Closes a connection before a word was said on it. Without a secret it may be a data connection,
 * whose client would take an ordinary end for its visitor's; with one, the client still awaits the
 * challenge. */
static void greeting_hang_up(const struct relay *relay, int fd)
{
	if (!relay->auth)
		sockopt_set_reset(fd);
	(void)fd_close(fd);
}

/*
 * Who makes room for a newcomer whose address has a tunnel: the oldest of that address, where it
 * has others, so that it can crowd out nobody but itself; else the oldest of all.
 */
static struct session *greeting_victim(struct relay *relay, const struct addr *from)
{
	struct addr_key own = addr_limit_key(from), key;

	list_for_each(pos, &relay->greeting) {
		struct session *s = list_entry(pos, struct session, link);

		key = addr_limit_key(&s->from);
		if (memcmp(&key, &own, sizeof(key)) == 0)
			return s;
	}
	return list_entry(list_first(&relay->greeting), struct session, link);
}

static bool greeting_admit(struct relay *relay, const struct addr *from)
{
	switch (limits_admit(&relay->limits, from, relay->greeting_count)) {
	case LIMITS_EVICT:
		session_end(greeting_victim(relay, from), "made room for another handshake");
		relay->counts.handshakes_dropped++;
		return true;
	case LIMITS_DROP:
		relay->counts.handshakes_dropped++;
		return false;
	default:
		return true;
	}
}

/* A handshake in its first step, before it is known whether it needs a session at all. */
struct first_step {
	struct preamble preamble;
	struct server_handshake hs;
	struct buf out;
	bool wait_challenge;
	int result;
	size_t used, len; /* of data */
	uint8_t data[CHAN_IN_MAX];
};

/* Without a secret the client speaks first, and mostly it has done so already. */
static int first_step_read(struct relay *relay, struct first_step *step, int fd)
{
	ssize_t n = recv(fd, step->data, sizeof(step->data), 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	step->len = (size_t)n;
	step->result = greeting_feed(relay, &step->preamble, &step->hs, step->data, step->len,
		&step->used, &step->out, &step->wait_challenge);
	return 0;
}

static int first_step_take(
	struct relay *relay, struct first_step *step, int fd, const struct addr *from)
{
	int r;

	preamble_init(&step->preamble, &relay->config.trusted, from);
	step->hs = (struct server_handshake){
		.auth = relay->auth,
		.line_dialect = relay->config.line_dialect,
	};
	r = greeting_begin(relay, &step->preamble, &step->hs, &step->out, &step->wait_challenge);
	if (r < 0)
		return r;
	step->result = r;
	return relay->auth && !preamble_is_awaited(&step->preamble)
		       ? 0
		       : first_step_read(relay, step, fd);
}

/* Goes on in a session. One that is done or has failed in its first step goes through it as well,
 * so that there is one way for what follows. */
static void first_step_continue(struct relay *relay, struct first_step *step, int fd)
{
	const struct addr *from = &step->preamble.from;
	struct session *s;

	if (step->result == HANDSHAKE_MORE && !greeting_admit(relay, from)) {
		greeting_hang_up(relay, fd);
		return;
	}
	if (session_new(relay, fd, &step->preamble, &step->hs, &s) < 0) {
		relay->counts.handshakes_failed++;
		greeting_hang_up(relay, fd);
		return;
	}
	/* Both fit, if there is memory: the queues of a new chan are empty, and larger. */
	if (buf_append(&s->chan.out, buf_head(&step->out), buf_len(&step->out)) < 0 ||
		buf_append(&s->chan.in, step->data + step->used, step->len - step->used) < 0) {
		relay->counts.handshakes_failed++;
		session_end(s, "out of memory");
		return;
	}
	if (step->wait_challenge)
		timeouts_arm(&relay->challenges, &s->challenge);
	greeting_step(s, step->result);
	if (step->result == HANDSHAKE_DONE)
		session_read(s);
}

void greeting_accept(struct relay *relay, int fd, const struct addr *from)
{
	struct first_step step;

	relay->counts.handshakes++;
	/* What a client did whom a trusted proxy has not named is on that one's account, and must
	 * not shut out those whom it will name. */
	if (!trusted_has(&relay->config.trusted, from) && greeting_penalised(relay, from)) {
		greeting_hang_up(relay, fd);
		return;
	}
	step.used = step.len = 0;
	step.wait_challenge = false;
	buf_init(&step.out, GREETING_FIRST_OUT);
	if (first_step_take(relay, &step, fd, from) < 0) {
		relay->counts.handshakes_failed++;
		greeting_hang_up(relay, fd);
	} else if (step.result == HANDSHAKE_DONE && step.hs.request != SERVER_TUNNEL &&
		   !buf_len(&step.out)) {
		stream_take_data(relay, &step.hs, &step.preamble, fd, step.data + step.used,
			step.len - step.used);
	} else {
		first_step_continue(relay, &step, fd);
	}
	buf_deinit(&step.out);
}

/* --- deadlines --- */

void greeting_on_late(struct timeouts *q, struct timeout *t)
{
	struct session *s = container_of(t, struct session, timeout);

	/* Half a preamble is nobody's, and a proxy's silence none of bore. */
	if (preamble_is_awaited(&s->preamble) || (!s->preamble.done && buf_len(&s->chan.in))) {
		if (!buf_len(&s->chan.in))
			greeting_hint_silent(s->relay, &s->preamble);
		s->hs.failure = HANDSHAKE_SILENT;
		greeting_failed(s);
		return;
	}
	/* Without a tunnel there is no visitor, and so this is no data connection. */
	(void)server_handshake_expire(&s->hs, s->relay->serving_count > 0, &s->chan.out);
	chan_flush(&s->chan);
	greeting_failed(s);
}

void greeting_on_challenge(struct timeouts *q, struct timeout *t)
{
	struct session *s = container_of(t, struct session, challenge);
	int r;

	/* A request has begun to come: its answer is awaited first. */
	if (!s->preamble.done && buf_len(&s->chan.in))
		return;
	r = server_handshake_challenge(&s->hs, &s->chan.out);

	if (r < 0)
		session_end(s, strerror(-r));
	else
		chan_flush(&s->chan);
}
