/* SPDX-License-Identifier: MIT */
/* A whole tunnel between a fake relay and a fake application, over loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/lang.h"
#include "base/log.h"
#include "net/pump_pool.h"
#include "tunnel/test_fake_relay.h"
#include "tunnel/tunnel.h"

#define ID "11111111-2222-3333-4444-555555555555"
#define OTHER_ID "11111111-2222-3333-4444-555555555550"
#define CHALLENGE "{\"Challenge\":\"" ID "\"}|"
#define VISITOR(from) "{\"Visitor\":{\"id\":\"" ID "\",\"from\":\"" from "\"}}|"
#define HELLO "{\"Hello\":4000}|"
#define CONNECTION "{\"Connection\":\"" ID "\"}|"
#define OTHER_CONNECTION "{\"Connection\":\"" OTHER_ID "\"}|"
#define ACCEPT "{\"Accept\":\"" ID "\"}|"
#define TOKEN "000102030405060708090a0b0c0d0e0f"
#define GRANTED                                                                                \
	"{\"Options\":{\"resume\":true,\"token\":\"" TOKEN "\",\"beat\":1000,\"refuse\":true," \
	"\"visitor\":true}}|"

#define KEY "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
#define GRANTED_READY \
	"{\"Options\":{\"visitor\":true,\"refuse\":true,\"ready\":2,\"key\":\"" KEY "\"}}|"
#define READY "{\"Ready\":\"" KEY "\"}|"
/* Blocks (proto/block.h). */
#define DATA4 "\1||\4"
#define END "\2|||"
#define TAKEN "\4|||"

struct trial {
	uv_loop_t loop;
	struct pump_pool *pool;
	struct fake_relay relay, app;
	struct fake_script scripts[2]; /* the relay's */
	struct tunnel *tunnel;
	struct secret secret;
	unsigned opened, ended, noted;
	/* So often a visit is told by another id than the relay's: somebody has that. */
	unsigned renamed, to_be_renamed;
	const char *why;
	char from[ADDR_TEXT_MAX]; /* of the last visit, "-": not known */
	bool drained, closed;
};

static const struct fake_script app_scripts[] = { { .answer = "pong" } };

static void on_state(
	void *owner, enum tunnel_state old, enum tunnel_state new_state, const char *cause)
{
	(void)owner;
	(void)old;
	(void)new_state;
	assert_non_null(cause);
}

static void on_visit(void *owner, const struct tunnel_visit *visit)
{
	struct trial *t = owner;

	t->renamed += strcmp(visit->id, ID) != 0 && strcmp(visit->id, OTHER_ID) != 0;
	/* What the owner notes when it is opened is there when it has ended. */
	if (visit->opened)
		*visit->note = t;
	else
		t->noted += *visit->note == t;
	t->opened += visit->opened;
	t->ended += !visit->opened;
	t->why = visit->why;
	(void)snprintf(t->from, sizeof(t->from), "%s", visit->from ? visit->from : "-");
}

static void on_drained(void *owner)
{
	((struct trial *)owner)->drained = true;
}

static void on_closed(void *owner)
{
	((struct trial *)owner)->closed = true;
}

static bool is_closed(const void *arg)
{
	return ((const struct trial *)arg)->closed;
}

static enum tunnel_state state_of(const struct trial *t)
{
	struct tunnel_status status;

	tunnel_status(t->tunnel, &status);
	return status.state;
}

static bool is_connected(const void *arg)
{
	return state_of(arg) == TUNNEL_CONNECTED;
}

static bool is_reconnecting(const void *arg)
{
	return state_of(arg) == TUNNEL_RECONNECTING;
}

static bool is_disconnected(const void *arg)
{
	return state_of(arg) == TUNNEL_DISCONNECTED;
}

static bool is_ended(const void *arg)
{
	return ((const struct trial *)arg)->ended > 0;
}

static bool has_moved_8_and_8(const void *arg)
{
	struct tunnel_status status;

	tunnel_status(((const struct trial *)arg)->tunnel, &status);
	return status.bytes_in == 8 && status.bytes_out == 8;
}

/*
 * Connects a tunnel. The relay answers the control connection with `hello`; to the others it says
 * `stream`: with a secret at once, where a challenge has its place, else to their first word.
 */
static void trial_open(struct trial *t, const char *secret, const char *hello, const char *stream)
{
	const struct pump_pool_config pool = { .workers = 1 };
	const struct tunnel_events events = { .state = on_state, .visit = on_visit, .owner = t };
	struct tunnel_config config = { .relay = { .name = "127.0.0.1" },
		.local_host = "127.0.0.1",
		.reconnect = true,
		.reconnect_timeout_ms = 60000,
		.option_prefix = "" };

	memset(t, 0, sizeof(*t));
	assert_int_equal(uv_loop_init(&t->loop), 0);
	assert_int_equal(pump_pool_new(&t->loop, &pool, &t->pool), 0);
	t->scripts[0] =
		(struct fake_script){ .greeting = secret ? CHALLENGE : NULL, .answer = hello };
	if (secret)
		t->scripts[1].greeting = stream;
	else
		t->scripts[1].answer = stream;
	fake_relay_open(&t->relay, &t->loop, t->scripts, ARRAY_LEN(t->scripts));
	fake_relay_open(&t->app, &t->loop, app_scripts, ARRAY_LEN(app_scripts));
	if (secret) {
		assert_int_equal(secret_set(&t->secret, secret, strlen(secret)), 0);
		config.secret = &t->secret;
	}
	config.relay.port = t->relay.port;
	config.local_port = t->app.port;
	assert_int_equal(tunnel_new(&t->loop, t->pool, &config, &events, &t->tunnel), 0);
	secret_clear(&t->secret);
	assert_int_equal(state_of(t), TUNNEL_NOT_STARTED);
	tunnel_start(t->tunnel);
	fake_run_until(&t->loop, is_connected, t);
}

static void trial_close(struct trial *t)
{
	tunnel_close(t->tunnel, on_closed, t);
	fake_run_until(&t->loop, is_closed, t);
	assert_int_equal(t->renamed, t->to_be_renamed);
	fake_relay_close(&t->relay);
	if (t->app.fd >= 0)
		fake_relay_close(&t->app);
	pump_pool_close(t->pool, NULL, NULL);
	(void)uv_run(&t->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&t->loop), 0);
}

/* With a visitor, whose "ping" the application has answered. */
static void trial_open_visited(struct trial *t, const char *hello)
{
	trial_open(t, NULL, hello, "ping");
	fake_conn_say(&t->relay.conns[0], CONNECTION);
	fake_relay_await(&t->relay, 1, ACCEPT "pong");
}

static bool has_hung_up(const void *arg)
{
	return ((const struct fake_conn *)arg)->ended;
}

static void test_visitor(void **state)
{
	struct tunnel_status status;
	struct trial t;

	trial_open(&t, NULL, HELLO, "ping");
	fake_conn_say(&t.relay.conns[0], "\"Heartbeat\"|" CONNECTION);
	fake_relay_await(&t.relay, 1, ACCEPT "pong");
	fake_relay_await(&t.app, 0, "ping");
	tunnel_status(t.tunnel, &status);
	assert_int_equal(status.conns_open, 1);
	assert_int_equal(status.public_port, 4000);
	fake_conn_hang_up(&t.relay.conns[1]);
	fake_run_until(&t.loop, has_hung_up, &t.app.conns[0]);
	fake_conn_hang_up(&t.app.conns[0]);
	fake_run_until(&t.loop, is_ended, &t);
	assert_int_equal(t.opened, 1);
	assert_int_equal(t.ended, 1);
	tunnel_status(t.tunnel, &status);
	assert_int_equal(status.conns_open, 0);
	assert_int_equal(status.conns_total, 1);
	assert_int_equal(status.bytes_in, 4);
	assert_int_equal(status.bytes_out, 4);
	trial_close(&t);
}

/* Authenticate and Accept go out together, and what came behind the challenge is the visitor's. */
static void test_visitor_with_a_secret(void **state)
{
	struct trial t;

	trial_open(&t, "open sesame", HELLO, CHALLENGE "early");
	fake_conn_say(&t.relay.conns[0], CONNECTION);
	fake_relay_await(&t.app, 0, "early");
	fake_relay_await(&t.relay, 1, "\"}|" ACCEPT "pong");
	trial_close(&t);
}

/* A visitor that sends all it has and shuts down has not gone: its answer is on the way. */
static void test_early_eof_is_kept(void **state)
{
	struct trial t;

	trial_open(&t, "open sesame", HELLO, CHALLENGE "early");
	fake_conn_say(&t.relay.conns[0], CONNECTION);
	fake_relay_await(&t.relay, 1, ACCEPT);
	assert_int_equal(shutdown(t.relay.conns[1].chan.fd, SHUT_WR), 0);
	fake_relay_await(&t.app, 0, "early");
	fake_relay_await(&t.relay, 1, ACCEPT "pong");
	trial_close(&t);
}

static void trial_stop_app(struct trial *t)
{
	fake_relay_close(&t->app);
	t->app.fd = -1;
}

/* A stock relay knows no Refuse: its visitor is taken and closed, rather than left to its 10 s. */
static void test_application_is_down(void **state)
{
	struct trial t;

	trial_open(&t, NULL, HELLO, NULL);
	trial_stop_app(&t);
	fake_conn_say(&t.relay.conns[0], CONNECTION);
	fake_relay_await(&t.relay, 1, ACCEPT);
	fake_run_until(&t.loop, has_hung_up, &t.relay.conns[1]);
	fake_run_until(&t.loop, is_ended, &t);
	assert_int_equal(t.opened, 0);
	assert_string_equal(t.why, "the local application can't be reached");
	trial_close(&t);
}

/* While the data connection still waits for its challenge, ours is told. */
static void test_application_is_down_and_refuse_is_known(void **state)
{
	struct trial t;

	trial_open(&t, "open sesame", HELLO GRANTED, NULL);
	trial_stop_app(&t);
	fake_conn_say(&t.relay.conns[0], CONNECTION);
	fake_relay_await(&t.relay, 0, "{\"Refuse\":{\"id\":\"" ID "\"");
	fake_run_until(&t.loop, is_ended, &t);
	trial_close(&t);
}

/* Who it is, and that a relay which says nonsense loses nobody his connection. */
static void test_visitor_is_told(void **state)
{
	static const struct {
		const char *said, *from;
	} table[] = {
		{ VISITOR("192.0.2.1:50000"), "192.0.2.1:50000" },
		{ VISITOR("[2001:DB8::0:1]:50000"), "[2001:db8::1]:50000" },
		{ VISITOR("[::ffff:192.0.2.1]:50000"), "192.0.2.1:50000" },
		{ VISITOR("[fe80::1%lo]:50000"), "-" },
		{ VISITOR("192.0.2.1"), "-" },
		{ VISITOR("\\u001b[2J"), "-" },
		{ VISITOR(""), "-" },
		{ CONNECTION, "-" },
	};
	struct trial t;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		trial_open(&t, NULL, HELLO GRANTED, NULL);
		fake_conn_say(&t.relay.conns[0], table[i].said);
		fake_relay_await(&t.relay, 1, ACCEPT);
		fake_conn_say(&t.relay.conns[1], "ping");
		fake_relay_await(&t.relay, 1, "pong");
		assert_int_equal(t.opened, 1);
		assert_string_equal(t.from, table[i].from);
		fake_conn_hang_up(&t.relay.conns[1]);
		fake_conn_hang_up(&t.app.conns[0]);
		fake_run_until(&t.loop, is_ended, &t);
		assert_string_equal(t.from, table[i].from);
		assert_int_equal(t.noted, 1);
		trial_close(&t);
	}
}

/* What was not agreed on is passed over, as other messages without need. */
static void test_visitor_without_agreement(void **state)
{
	struct trial t;

	trial_open(&t, NULL, HELLO, NULL);
	fake_conn_say(&t.relay.conns[0], VISITOR("192.0.2.1:50000") CONNECTION);
	fake_relay_await(&t.relay, 1, ACCEPT);
	fake_conn_say(&t.relay.conns[1], "ping");
	fake_relay_await(&t.relay, 1, "pong");
	assert_int_equal(t.relay.count, 2);
	assert_string_equal(t.from, "-");
	trial_close(&t);
}

static void test_visitor_without_id_is_no_message(void **state)
{
	struct trial t;

	trial_open(&t, NULL, HELLO GRANTED, NULL);
	fake_conn_say(&t.relay.conns[0], "{\"Visitor\":{\"from\":\"192.0.2.1:50000\"}}|");
	fake_run_until(&t.loop, is_reconnecting, &t);
	assert_int_equal(t.opened + t.ended, 0);
	trial_close(&t);
}

static void test_beat_is_sent_when_granted(void **state)
{
	struct trial t;

	trial_open(&t, NULL, HELLO GRANTED, NULL);
	fake_relay_await(&t.relay, 0, "\"Heartbeat\"|\"Heartbeat\"|");
	trial_close(&t);
}

/* The same port is asked for, and the token of the last time presented. */
static void test_reconnection_resumes(void **state)
{
	struct tunnel_status status;
	struct trial t;

	trial_open(&t, NULL, HELLO GRANTED, HELLO GRANTED);
	assert_null(strstr(t.relay.conns[0].got, "token"));
	fake_relay_await(&t.relay, 0, "\"Heartbeat\"|");
	fake_conn_hang_up(&t.relay.conns[0]);
	fake_run_until(&t.loop, is_reconnecting, &t);
	tunnel_status(t.tunnel, &status);
	assert_int_equal(status.public_port, 4000);
	assert_non_null(status.error);
	tunnel_hurry(t.tunnel);
	fake_run_until(&t.loop, is_connected, &t);
	fake_relay_await(&t.relay, 1, "{\"Hello\":4000}|{\"Options\":");
	fake_relay_await(&t.relay, 1, TOKEN);
	tunnel_status(t.tunnel, &status);
	assert_int_equal(status.reconnects, 1);
	assert_null(status.error);
	trial_close(&t);
}

static void test_garbage_on_the_control_connection(void **state)
{
	struct trial t;

	trial_open(&t, NULL, HELLO, NULL);
	fake_conn_say(&t.relay.conns[0], "\"Heartbeat\"|{\"Nonsense\":1}|");
	fake_run_until(&t.loop, is_reconnecting, &t);
	trial_close(&t);
}

/* Messages in one read, the last of them cut in two. */
static void test_split_announcement(void **state)
{
	struct trial t;

	trial_open(&t, NULL, HELLO "\"Heart", "ping");
	fake_conn_say(&t.relay.conns[0], "beat\"|{\"Connection\":\"11111111-2222-");
	(void)uv_run(&t.loop, UV_RUN_NOWAIT);
	fake_conn_say(&t.relay.conns[0], "3333-4444-555555555555\"}|");
	fake_relay_await(&t.relay, 1, ACCEPT "pong");
	trial_close(&t);
}

static void test_stop_ends_open_visitors(void **state)
{
	struct trial t;

	trial_open_visited(&t, HELLO);
	tunnel_stop(t.tunnel);
	assert_int_equal(state_of(&t), TUNNEL_DISCONNECTED);
	fake_run_until(&t.loop, is_ended, &t);
	assert_string_equal(t.why, "the tunnel was stopped");
	/* And it can be started again. */
	tunnel_start(t.tunnel);
	assert_int_equal(state_of(&t), TUNNEL_CONNECTING);
	trial_close(&t);
}

/* A tunnel that is replaced by another once took its visitors along without a word: the log of
 * connections had them open for ever. */
static void test_close_tells_of_open_visitors(void **state)
{
	struct trial t;

	trial_open_visited(&t, HELLO);
	assert_int_equal(t.opened, 1);
	trial_close(&t);
	assert_int_equal(t.ended, 1);
	assert_string_equal(t.why, "the tunnel was stopped");
}

static bool is_drained(const void *arg)
{
	return ((const struct trial *)arg)->drained;
}

static void test_drain(void **state)
{
	struct trial t;

	trial_open_visited(&t, HELLO GRANTED);
	tunnel_drain(t.tunnel, 600000, on_drained, &t);
	fake_conn_say(&t.relay.conns[0], CONNECTION);
	fake_relay_await(&t.relay, 0, "{\"Refuse\":{\"id\":\"" ID "\"");
	assert_false(t.drained);
	fake_conn_hang_up(&t.relay.conns[1]);
	fake_conn_hang_up(&t.app.conns[0]);
	fake_run_until(&t.loop, is_drained, &t);
	assert_int_equal(state_of(&t), TUNNEL_DISCONNECTED);
	t.to_be_renamed = 1;
	trial_close(&t);
}

static void test_drain_of_an_idle_tunnel(void **state)
{
	struct trial t;

	trial_open(&t, NULL, HELLO, NULL);
	tunnel_drain(t.tunnel, 600000, on_drained, &t);
	/* Never from within. */
	assert_false(t.drained);
	fake_run_until(&t.loop, is_drained, &t);
	trial_close(&t);
}

/* A relay that goes away while we drain is not looked for again. */
static void test_relay_lost_while_draining(void **state)
{
	struct trial t;

	trial_open_visited(&t, HELLO);
	tunnel_drain(t.tunnel, 600000, on_drained, &t);
	fake_conn_hang_up(&t.relay.conns[0]);
	fake_run_until(&t.loop, is_disconnected, &t);
	/* The open stream goes on without it. */
	assert_false(t.drained);
	assert_int_equal(t.ended, 0);
	fake_conn_hang_up(&t.relay.conns[1]);
	fake_conn_hang_up(&t.app.conns[0]);
	fake_run_until(&t.loop, is_drained, &t);
	trial_close(&t);
}

static void test_drain_ends_at_the_grace(void **state)
{
	struct trial t;

	trial_open_visited(&t, HELLO);
	tunnel_drain(t.tunnel, 50, on_drained, &t);
	fake_run_until(&t.loop, is_drained, &t);
	trial_close(&t);
}

/* Two connections wait; one of them serves a visitor, and then another. */
static void test_warm_visitors(void **state)
{
	struct tunnel_status status;
	struct trial t;

	trial_open(&t, NULL, HELLO GRANTED_READY, NULL);
	fake_relay_await(&t.relay, 1, READY);
	fake_relay_await(&t.relay, 2, READY);
	fake_conn_say(&t.relay.conns[2], VISITOR("192.0.2.1:50000") DATA4 "ping");
	fake_relay_await(&t.relay, 2, READY TAKEN DATA4 "pong");
	assert_string_equal(t.from, "192.0.2.1:50000");
	fake_conn_say(&t.relay.conns[2], END);
	fake_run_until(&t.loop, has_hung_up, &t.app.conns[0]);
	fake_conn_hang_up(&t.app.conns[0]);
	fake_relay_await(&t.relay, 2, "pong" END);
	fake_run_until(&t.loop, is_ended, &t);
	assert_int_equal(t.ended, 1);
	/* The second one, whose frame comes in pieces. */
	fake_conn_say(&t.relay.conns[2], "{\"Visitor\":{\"id\":\"" ID "\",");
	(void)uv_run(&t.loop, UV_RUN_NOWAIT);
	fake_conn_say(&t.relay.conns[2], "\"from\":\"[2001:db8::1]:50000\"}}|" DATA4);
	fake_relay_await(&t.relay, 2, "pong" END TAKEN);
	fake_conn_say(&t.relay.conns[2], "ping");
	fake_relay_await(&t.relay, 2, "pong" END TAKEN DATA4 "pong");
	assert_string_equal(t.from, "[2001:db8::1]:50000");
	tunnel_status(t.tunnel, &status);
	assert_int_equal(status.conns_open, 1);
	assert_int_equal(status.conns_total, 2);
	/* A worker counts what it has sent when its peer may already have read it. */
	fake_run_until(&t.loop, has_moved_8_and_8, &t);
	trial_close(&t);
	assert_int_equal(t.ended, 2);
}

/* Who has no application gets his end, and Refuse is for those who were announced. */
static void test_application_is_down_for_a_warm_visitor(void **state)
{
	struct trial t;

	trial_open(&t, NULL, HELLO GRANTED_READY, NULL);
	fake_relay_await(&t.relay, 1, READY);
	trial_stop_app(&t);
	fake_conn_say(&t.relay.conns[1], VISITOR("192.0.2.1:50000") DATA4 "ping");
	fake_relay_await(&t.relay, 1, READY TAKEN END);
	fake_run_until(&t.loop, has_hung_up, &t.relay.conns[1]);
	fake_run_until(&t.loop, is_ended, &t);
	assert_int_equal(t.opened, 0);
	assert_string_equal(t.why, "the local application can't be reached");
	assert_null(strstr(t.relay.conns[0].got, "Refuse"));
	trial_close(&t);
}

static void test_drain_turns_warm_visitors_away(void **state)
{
	struct trial t;

	trial_open(&t, NULL, HELLO GRANTED_READY, NULL);
	fake_relay_await(&t.relay, 1, READY);
	fake_conn_say(&t.relay.conns[0], CONNECTION);
	fake_relay_await(&t.relay, 3, ACCEPT);
	tunnel_drain(t.tunnel, 600000, on_drained, &t);
	fake_conn_say(&t.relay.conns[1], VISITOR("192.0.2.1:50000"));
	fake_relay_await(&t.relay, 1, READY TAKEN END);
	assert_false(t.drained);
	fake_conn_hang_up(&t.relay.conns[3]);
	fake_conn_hang_up(&t.app.conns[0]);
	fake_run_until(&t.loop, is_drained, &t);
	fake_run_until(&t.loop, has_hung_up, &t.relay.conns[2]);
	t.to_be_renamed = 1;
	trial_close(&t);
}

/* With a secret, the challenge comes first; what is behind it may already be a visitor. */
static void test_warm_visitor_with_a_secret(void **state)
{
	struct trial t;

	trial_open(&t, "open sesame", HELLO GRANTED_READY,
		CHALLENGE VISITOR("192.0.2.1:50000") DATA4 "ping");
	fake_relay_await(&t.relay, 1, "\"}|" READY TAKEN DATA4 "pong");
	fake_relay_await(&t.relay, 2, "\"}|" READY TAKEN DATA4 "pong");
	/* Both have one, who is opened and ended by the same id. */
	t.to_be_renamed = 2;
	trial_close(&t);
}

/* Those that wait go with their session, and what serves a visitor goes on, but isn't used again.
 */
static void test_warm_connections_of_an_old_session(void **state)
{
	struct trial t;

	trial_open(&t, NULL, HELLO GRANTED_READY, NULL);
	fake_relay_await(&t.relay, 1, READY);
	fake_relay_await(&t.relay, 2, READY);
	fake_conn_say(&t.relay.conns[1], VISITOR("192.0.2.1:50000") DATA4 "ping");
	fake_relay_await(&t.relay, 1, TAKEN DATA4 "pong");
	fake_conn_hang_up(&t.relay.conns[0]);
	fake_run_until(&t.loop, is_reconnecting, &t);
	fake_run_until(&t.loop, has_hung_up, &t.relay.conns[2]);
	assert_int_equal(t.ended, 0);
	fake_conn_say(&t.relay.conns[1], END);
	fake_run_until(&t.loop, has_hung_up, &t.app.conns[0]);
	fake_conn_hang_up(&t.app.conns[0]);
	fake_relay_await(&t.relay, 1, "pong" END);
	fake_run_until(&t.loop, has_hung_up, &t.relay.conns[1]);
	trial_close(&t);
}

/* Closed while a visitor is in every stage of its set-up. */
static void test_close_in_any_phase(void **state)
{
	struct trial t;

	for (int turns = 0; turns < 4; turns++) {
		trial_open(&t, "open sesame", HELLO, NULL);
		fake_conn_say(&t.relay.conns[0], CONNECTION OTHER_CONNECTION);
		for (int i = 0; i < turns; i++)
			(void)uv_run(&t.loop, UV_RUN_NOWAIT);
		trial_close(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_visitor),
		cmocka_unit_test(test_visitor_with_a_secret),
		cmocka_unit_test(test_early_eof_is_kept),
		cmocka_unit_test(test_application_is_down),
		cmocka_unit_test(test_application_is_down_and_refuse_is_known),
		cmocka_unit_test(test_visitor_is_told),
		cmocka_unit_test(test_visitor_without_agreement),
		cmocka_unit_test(test_visitor_without_id_is_no_message),
		cmocka_unit_test(test_beat_is_sent_when_granted),
		cmocka_unit_test(test_reconnection_resumes),
		cmocka_unit_test(test_garbage_on_the_control_connection),
		cmocka_unit_test(test_split_announcement),
		cmocka_unit_test(test_stop_ends_open_visitors),
		cmocka_unit_test(test_close_tells_of_open_visitors),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_drain_of_an_idle_tunnel),
		cmocka_unit_test(test_relay_lost_while_draining),
		cmocka_unit_test(test_drain_ends_at_the_grace),
		cmocka_unit_test(test_warm_visitors),
		cmocka_unit_test(test_application_is_down_for_a_warm_visitor),
		cmocka_unit_test(test_drain_turns_warm_visitors_away),
		cmocka_unit_test(test_warm_visitor_with_a_secret),
		cmocka_unit_test(test_warm_connections_of_an_old_session),
		cmocka_unit_test(test_close_in_any_phase),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
