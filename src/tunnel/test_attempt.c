/* SPDX-License-Identifier: MIT */
/* Conversations of one attempt with relays of all kinds, over loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/lang.h"
#include "base/log.h"
#include "net/dial.h"
#include "tunnel/attempt.h"
#include "tunnel/test_fake_relay.h"

#define SECRET "open sesame"
#define CHALLENGE "{\"Challenge\":\"11111111-2222-3333-4444-555555555555\"}|"

/* One attempt and its outcome. */
struct trial {
	uv_loop_t loop;
	struct fake_relay relay;
	struct dialer dialer;
	struct auth *auth;
	struct attempt *attempt;
	struct attempt_config config;
	unsigned outcomes;
	bool up, gone;
	enum dialect dialect;
	uint16_t public_port;
	struct failure failure;
	struct chan *chan; /* ours after success */
};

static void on_link_data(struct chan *chan)
{
	(void)chan;
}

static void on_link_end(struct chan *chan, int error)
{
	(void)chan;
	(void)error;
}

static void on_link_closed(struct chan *chan)
{
	free(chan);
}

static void on_done(void *owner, struct attempt_link *link, const struct failure *failure)
{
	struct trial *t = owner;

	t->outcomes++;
	t->attempt = attempt_free(t->attempt);
	t->up = link != NULL;
	if (!link) {
		t->failure = *failure;
		return;
	}
	t->dialect = link->dialect;
	t->public_port = link->public_port;
	t->chan = link->chan;
	t->chan->data = on_link_data;
	t->chan->end = on_link_end;
	t->chan->closed = on_link_closed;
}

static void on_gone(void *owner)
{
	struct trial *t = owner;

	t->gone = true;
}

static bool is_gone(const void *arg)
{
	const struct trial *t = arg;

	return t->gone;
}

static void trial_open(
	struct trial *t, const char *secret, const struct fake_script *scripts, size_t script_count)
{
	struct secret s = { 0 };

	memset(t, 0, sizeof(*t));
	assert_int_equal(uv_loop_init(&t->loop), 0);
	fake_relay_open(&t->relay, &t->loop, scripts, script_count);
	assert_int_equal(dialer_init(&t->dialer, &t->loop, "127.0.0.1", t->relay.port), 0);
	if (secret) {
		assert_int_equal(secret_set(&s, secret, strlen(secret)), 0);
		assert_int_equal(auth_new(&s, true, &t->auth), 0);
		secret_clear(&s);
	}
	t->config = (struct attempt_config){
		.loop = &t->loop,
		.dialer = &t->dialer,
		.relay = "relay:7835",
		.option_prefix = "tunnel-",
		.auth = t->auth,
		.local_port = 3000,
		.offer = { .resume = true, .beat_ms = OPTIONS_BEAT_MS, .refuse = true },
	};
}

static void trial_start(struct trial *t)
{
	const struct attempt_events events = { .done = on_done, .gone = on_gone, .owner = t };

	assert_int_equal(attempt_start(&t->config, &events, &t->attempt), 0);
	assert_int_equal(t->outcomes, 0);
}

static void trial_run(struct trial *t)
{
	trial_start(t);
	fake_run_until(&t->loop, is_gone, t);
	assert_int_equal(t->outcomes, 1);
}

/* Nothing of the attempt may be left on the loop. */
static void trial_close(struct trial *t)
{
	if (t->chan)
		chan_close(t->chan, false);
	fake_relay_close(&t->relay);
	(void)uv_run(&t->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&t->loop), 0);
	(void)auth_free(t->auth);
}

static void assert_begins(const char *text, const char *want)
{
	if (strncmp(text, want, strlen(want)) != 0)
		fail_msg("'%s' does not begin with '%s'", text, want);
}

static void assert_has(const char *text, const char *want)
{
	if (!strstr(text, want))
		fail_msg("'%s' is not in '%s'", want, text);
}

static void test_stock_relay(void **state)
{
	static const struct fake_script scripts[] = {
		{ .answer = "{\"Hello\":4000}|\"Heartbeat\"|" }
	};
	struct trial t;

	(void)state;
	trial_open(&t, NULL, scripts, ARRAY_LEN(scripts));
	trial_run(&t);
	assert_true(t.up);
	assert_int_equal(t.public_port, 4000);
	assert_int_equal(t.dialect, DIALECT_BORE);
	assert_begins(t.relay.conns[0].got, "{\"Hello\":0}|{\"Options\":{");
	/* What comes behind the handshake is not the attempt's. */
	fake_run_until(&t.loop, is_gone, &t);
	assert_int_equal(buf_len(&t.chan->in), sizeof("\"Heartbeat\""));
	trial_close(&t);
}

static void test_secret_is_signed_when_asked_for(void **state)
{
	static const struct fake_script scripts[] = { { .greeting = CHALLENGE,
		.answer = "{\"Hello\":4000}|" } };
	struct trial t;

	(void)state;
	trial_open(&t, SECRET, scripts, ARRAY_LEN(scripts));
	t.config.port = 4000;
	trial_run(&t);
	assert_true(t.up);
	assert_begins(t.relay.conns[0].got, "{\"Authenticate\":\"");
	assert_has(t.relay.conns[0].got, "\"}|{\"Hello\":4000}|{\"Options\":{");
	trial_close(&t);
}

/* Whatever answers, it gets no secret in clear and, unless it is a bore server, not a byte. */
static void test_garbage_never_sees_the_secret(void **state)
{
	static const char *const garbage[] = { "HTTP/1.1 400 Bad Request\r\n\r\n",
		"SSH-2.0-OpenSSH_9.2\r\n", "OK 4000\n", "ERR HELLO\n", "HELLO 1\n",
		"{\"Challenge\":5}|", "{\"Challenge\":\"AUTH\"}|", "null|", "||||",
		"\x16\x03\x01" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
		const struct fake_script script = { .greeting = garbage[i] };
		struct trial t;

		trial_open(&t, SECRET, &script, 1);
		trial_run(&t);
		assert_false(t.up);
		assert_int_equal(t.failure.kind, TUNNEL_NOT_BORE);
		/* Never in lines: those would carry it in clear. */
		assert_int_equal(t.relay.count, 1);
		assert_string_equal(t.relay.conns[0].got, "");
		trial_close(&t);
	}
}

static void test_line_relay_is_found_out(void **state)
{
	static const struct fake_script scripts[] = {
		{ .answer = "ERR bad greeting\n", .hang_up = true }, { .answer = "OK 4000\n" }
	};
	struct trial t;

	(void)state;
	trial_open(&t, NULL, scripts, ARRAY_LEN(scripts));
	trial_run(&t);
	assert_true(t.up);
	assert_int_equal(t.dialect, DIALECT_LINE);
	assert_int_equal(t.public_port, 4000);
	assert_int_equal(t.relay.count, 2);
	assert_string_equal(t.relay.conns[1].got, "HELLO 1\n3000\n");
	trial_close(&t);
}

static void test_both_dialects_fail(void **state)
{
	static const struct fake_script scripts[] = { { .answer = "220 mail.example ESMTP\r\n",
		.hang_up = true } };
	struct trial t;

	(void)state;
	trial_open(&t, NULL, scripts, ARRAY_LEN(scripts));
	trial_run(&t);
	assert_int_equal(t.relay.count, 2);
	assert_int_equal(t.failure.kind, TUNNEL_NOT_BORE);
	assert_int_equal(t.failure.verdict, MACHINE_PASSING);
	assert_begins(t.failure.text, "relay:7835 is no bore server");
	trial_close(&t);
}

static void test_bore_alone_tries_no_lines(void **state)
{
	static const struct fake_script scripts[] = { { .answer = "ERR what\n" } };
	struct trial t;

	(void)state;
	trial_open(&t, NULL, scripts, ARRAY_LEN(scripts));
	t.config.protocol = TUNNEL_BORE;
	trial_run(&t);
	assert_int_equal(t.relay.count, 1);
	assert_int_equal(t.failure.kind, TUNNEL_NOT_BORE);
	trial_close(&t);
}

/* A server that does not bear our extension gets the stock words on the next connection. */
static void test_closed_at_the_options(void **state)
{
	static const struct fake_script scripts[] = { { .answer = "", .hang_up = true },
		{ .answer = "{\"Hello\":4000}|" } };
	struct trial t;

	(void)state;
	trial_open(&t, NULL, scripts, ARRAY_LEN(scripts));
	trial_run(&t);
	assert_true(t.up);
	assert_int_equal(t.relay.count, 2);
	assert_string_equal(t.relay.conns[1].got, "{\"Hello\":0}|");
	trial_close(&t);
}

static void test_closed_every_time(void **state)
{
	static const struct fake_script scripts[] = { { .answer = "", .hang_up = true } };
	struct trial t;

	(void)state;
	trial_open(&t, NULL, scripts, ARRAY_LEN(scripts));
	trial_run(&t);
	assert_int_equal(t.relay.count, 2);
	assert_int_equal(t.failure.kind, TUNNEL_NOT_BORE);
	assert_has(t.failure.text, "closed the connection before its answer");
	trial_close(&t);
}

/* With a secret, a close before the challenge says nothing about our Options: they weren't sent. */
static void test_closed_before_the_challenge(void **state)
{
	static const struct fake_script scripts[] = { { .hang_up = true } };
	struct trial t;

	(void)state;
	trial_open(&t, SECRET, scripts, ARRAY_LEN(scripts));
	trial_run(&t);
	assert_int_equal(t.relay.count, 1);
	assert_int_equal(t.failure.kind, TUNNEL_NOT_BORE);
	trial_close(&t);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *answer;
		enum tunnel_failure kind;
		enum machine_verdict verdict;
		const char *text;
	} rows[] = {
		{ "{\"Error\":\"port already in use\"}|", TUNNEL_PORT, MACHINE_PORT_TAKEN,
			"ask for another with --tunnel-port, or for any by leaving it away; if a "
			"dead "
			"connection of yours holds it, --tunnel-retry goes on" },
		{ "{\"Error\":\"client port number not in allowed range\"}|", TUNNEL_PORT,
			MACHINE_FINAL, "does not allow the public port 4000" },
		{ "{\"Error\":\"permission denied\"}|", TUNNEL_PORT, MACHINE_PASSING,
			"could not open the public port 4000" },
		{ "{\"Error\":\"failed to find an available port\"}|", TUNNEL_PORT, MACHINE_PASSING,
			"no free public port" },
		{ "{\"Error\":\"too many tunnels\"}|", TUNNEL_REFUSED, MACHINE_PASSING,
			"('too many tunnels')" },
		{ CHALLENGE, TUNNEL_SECRET, MACHINE_FINAL, "asks for a secret" },
		/* What a relay says reaches no terminal as it is. */
		{ "{\"Error\":\"\\u001b[2J'\"}|", TUNNEL_REFUSED, MACHINE_PASSING,
			"('\\x1b[2J\\'')" },
		{ "{\"Connection\":\"11111111-2222-3333-4444-555555555555\"}|", TUNNEL_NOT_BORE,
			MACHINE_PASSING, "no place here" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct fake_script script = { .answer = rows[i].answer, .hang_up = true };
		struct trial t;

		trial_open(&t, NULL, &script, 1);
		t.config.port = 4000;
		trial_run(&t);
		assert_false(t.up);
		assert_int_equal(t.failure.kind, rows[i].kind);
		assert_int_equal(t.failure.verdict, rows[i].verdict);
		assert_has(t.failure.text, rows[i].text);
		assert_int_equal(t.relay.count, 1);
		trial_close(&t);
	}
}

static void test_wrong_secret(void **state)
{
	static const struct fake_script scripts[] = { { .greeting = CHALLENGE,
		.answer = "{\"Error\":\"invalid secret\"}|",
		.hang_up = true } };
	struct trial t;

	(void)state;
	trial_open(&t, SECRET, scripts, ARRAY_LEN(scripts));
	trial_run(&t);
	assert_int_equal(t.failure.kind, TUNNEL_SECRET);
	assert_int_equal(t.failure.verdict, MACHINE_FINAL);
	assert_null(strstr(t.failure.text, SECRET));
	trial_close(&t);
}

/* Takes the handshake's 3 s. */
static void test_mute_relay(void **state)
{
	static const struct fake_script scripts[] = { { 0 } };
	struct trial t;

	(void)state;
	trial_open(&t, NULL, scripts, ARRAY_LEN(scripts));
	t.config.protocol = TUNNEL_BORE;
	trial_run(&t);
	assert_int_equal(t.failure.kind, TUNNEL_NOT_BORE);
	assert_has(t.failure.text, "did not answer in time");
	trial_close(&t);
}

static void test_secret_that_fits_in_no_line(void **state)
{
	static const struct fake_script scripts[] = { { 0 } };
	struct trial t;

	(void)state;
	trial_open(&t, "two\nlines", scripts, ARRAY_LEN(scripts));
	t.config.protocol = TUNNEL_LINE;
	trial_run(&t);
	assert_int_equal(t.failure.kind, TUNNEL_SECRET);
	assert_int_equal(t.failure.verdict, MACHINE_FINAL);
	trial_close(&t);
	assert_string_equal(t.relay.conns[0].got, "");
}

static void test_refused_connection(void **state)
{
	static const struct fake_script scripts[] = { { 0 } };
	struct trial t;
	uint16_t port;
	int fd;

	(void)state;
	trial_open(&t, NULL, scripts, ARRAY_LEN(scripts));
	fd = fake_refusing_port(&port);
	assert_int_equal(dialer_init(&t.dialer, &t.loop, "127.0.0.1", port), 0);
	trial_run(&t);
	assert_int_equal(t.failure.kind, TUNNEL_UNREACHABLE);
	assert_begins(t.failure.text, "could not connect to relay:7835: connection refused; is ");
	trial_close(&t);
	(void)close(fd);
}

static void test_name_that_does_not_resolve(void **state)
{
	static const struct fake_script scripts[] = { { 0 } };
	struct trial t;

	(void)state;
	trial_open(&t, NULL, scripts, ARRAY_LEN(scripts));
	/* RFC 6761: never exists. */
	assert_int_equal(dialer_init(&t.dialer, &t.loop, "relay.invalid", 7835), 0);
	trial_run(&t);
	assert_int_equal(t.failure.kind, TUNNEL_UNRESOLVED);
	assert_begins(t.failure.text, "could not resolve relay.invalid: ");
	trial_close(&t);
}

static bool has_connected(const void *arg)
{
	const struct trial *t = arg;

	return t->relay.count > 0;
}

/* An attempt that is freed in any phase says nothing any more and leaves nothing behind. */
static void test_free_in_any_phase(void **state)
{
	static const struct fake_script scripts[] = { { 0 } };
	struct trial t;
	unsigned told;

	(void)state;
	for (int phase = 0; phase < 3; phase++) {
		trial_open(&t, NULL, scripts, ARRAY_LEN(scripts));
		if (phase == 1)
			assert_int_equal(dialer_init(&t.dialer, &t.loop, "relay.invalid", 7835), 0);
		trial_start(&t);
		if (phase == 1)
			(void)uv_run(&t.loop, UV_RUN_NOWAIT);
		if (phase == 2)
			fake_run_until(&t.loop, has_connected, &t);
		/* Where there is no name server, a name may have failed by now. */
		told = t.outcomes;
		t.attempt = attempt_free(t.attempt);
		fake_run_until(&t.loop, is_gone, &t);
		assert_int_equal(t.outcomes, told);
		trial_close(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stock_relay),
		cmocka_unit_test(test_secret_is_signed_when_asked_for),
		cmocka_unit_test(test_garbage_never_sees_the_secret),
		cmocka_unit_test(test_line_relay_is_found_out),
		cmocka_unit_test(test_both_dialects_fail),
		cmocka_unit_test(test_bore_alone_tries_no_lines),
		cmocka_unit_test(test_closed_at_the_options),
		cmocka_unit_test(test_closed_every_time),
		cmocka_unit_test(test_closed_before_the_challenge),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_wrong_secret),
		cmocka_unit_test(test_mute_relay),
		cmocka_unit_test(test_secret_that_fits_in_no_line),
		cmocka_unit_test(test_refused_connection),
		cmocka_unit_test(test_name_that_does_not_resolve),
		cmocka_unit_test(test_free_in_any_phase),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
