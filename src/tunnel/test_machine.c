/* SPDX-License-Identifier: MIT */
/*
 * Every row of the table of states, and every deadline, with a clock that moves when we say so and
 * a backoff without jitter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/lang.h"
#include "base/log.h"
#include "tunnel/machine.h"

#define T0 1000000 /* the clock's start, as good as any */
#define PORT 40000
#define OTHER_PORT 40001

struct seen {
	unsigned calls;
	enum tunnel_state old, new_state;
};

static struct seen seen;

static uint64_t random_most(uint64_t bound)
{
	return bound;
}

static void on_changed(
	void *owner, enum tunnel_state old, enum tunnel_state new_state, const char *cause)
{
	struct seen *s = owner;

	assert_non_null(cause);
	s->calls++;
	s->old = old;
	s->new_state = new_state;
}

static const struct machine_config usual = {
	.name = "relay:7835",
	.reconnect = true,
	.reconnect_timeout_ms = 3600000,
};

static void setup(struct machine *m, const struct machine_config *config)
{
	seen = (struct seen){ 0 };
	machine_init(m, config, random_most, on_changed, &seen);
}

/* --- the rows --- */

static void reach(struct machine *m, enum tunnel_state state)
{
	if (state == TUNNEL_NOT_STARTED)
		return;
	machine_start(m, T0);
	if (state == TUNNEL_DISCONNECTED)
		machine_stop(m, "test");
	else if (state == TUNNEL_FAILED)
		machine_give_up(m, "test");
	else if (state != TUNNEL_CONNECTING)
		machine_up(m, T0, PORT);
	if (state == TUNNEL_RECONNECTING)
		machine_lost(m, T0, "test");
	assert_int_equal(m->state, state);
}

static void apply(struct machine *m, enum machine_event event)
{
	switch (event) {
	case MACHINE_START:
		machine_start(m, T0);
		break;
	case MACHINE_STOP:
		machine_stop(m, "test");
		break;
	case MACHINE_UP:
		machine_up(m, T0, PORT);
		break;
	case MACHINE_DOWN:
		machine_lost(m, T0, "test");
		break;
	case MACHINE_RETRY:
		machine_attempt_failed(m, T0, MACHINE_PASSING, "test");
		break;
	case MACHINE_GIVE_UP:
		machine_give_up(m, "test");
		break;
	case MACHINE_EVENTS:
		fail();
	}
}

struct row {
	const char *name;
	enum tunnel_state from;
	enum machine_event event;
	enum tunnel_state to;
	bool told;
};

static struct row rows[] = {
	{ "Not started, start", TUNNEL_NOT_STARTED, MACHINE_START, TUNNEL_CONNECTING, true },
	{ "Disconnected, start", TUNNEL_DISCONNECTED, MACHINE_START, TUNNEL_CONNECTING, true },
	{ "Failed, start", TUNNEL_FAILED, MACHINE_START, TUNNEL_CONNECTING, true },
	{ "Connecting, up", TUNNEL_CONNECTING, MACHINE_UP, TUNNEL_CONNECTED, true },
	{ "Connecting, retry", TUNNEL_CONNECTING, MACHINE_RETRY, TUNNEL_CONNECTING, true },
	{ "Connecting, give up", TUNNEL_CONNECTING, MACHINE_GIVE_UP, TUNNEL_FAILED, true },
	{ "Connected, down", TUNNEL_CONNECTED, MACHINE_DOWN, TUNNEL_RECONNECTING, true },
	{ "Connected, give up", TUNNEL_CONNECTED, MACHINE_GIVE_UP, TUNNEL_FAILED, true },
	{ "Reconnecting, up", TUNNEL_RECONNECTING, MACHINE_UP, TUNNEL_CONNECTED, true },
	{ "Reconnecting, retry", TUNNEL_RECONNECTING, MACHINE_RETRY, TUNNEL_RECONNECTING, true },
	{ "Reconnecting, give up", TUNNEL_RECONNECTING, MACHINE_GIVE_UP, TUNNEL_FAILED, true },
	{ "Not started, stop", TUNNEL_NOT_STARTED, MACHINE_STOP, TUNNEL_NOT_STARTED, false },
	{ "Disconnected, stop", TUNNEL_DISCONNECTED, MACHINE_STOP, TUNNEL_DISCONNECTED, false },
	{ "Connecting, stop", TUNNEL_CONNECTING, MACHINE_STOP, TUNNEL_DISCONNECTED, true },
	{ "Connected, stop", TUNNEL_CONNECTED, MACHINE_STOP, TUNNEL_DISCONNECTED, true },
	{ "Reconnecting, stop", TUNNEL_RECONNECTING, MACHINE_STOP, TUNNEL_DISCONNECTED, true },
	{ "Failed, stop", TUNNEL_FAILED, MACHINE_STOP, TUNNEL_DISCONNECTED, true },
};

static void test_row(void **state)
{
	const struct row *row = *state;
	struct machine_config config = usual;
	struct machine m;
	unsigned before;

	config.retry = true;
	setup(&m, &config);
	reach(&m, row->from);
	before = seen.calls;
	apply(&m, row->event);
	assert_int_equal(m.state, row->to);
	assert_int_equal(seen.calls - before, row->told);
	if (row->told) {
		assert_int_equal(seen.old, row->from);
		assert_int_equal(seen.new_state, row->to);
	}
}

/* The rows above are the table, no less and no more. */
static void test_table_is_whole(void **state)
{
	size_t edges = 0;

	(void)state;
	for (int from = 0; from < TUNNEL_STATES; from++)
		for (int event = 0; event < MACHINE_EVENTS; event++)
			edges += machine_edge((enum tunnel_state)from, (enum machine_event)event) !=
				 NULL;
	assert_int_equal(edges, ARRAY_LEN(rows));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(machine_edge(rows[i].from, rows[i].event)->to, rows[i].to);
}

static void test_start_joins_what_is_under_way(void **state)
{
	static const enum tunnel_state active[] = { TUNNEL_CONNECTING, TUNNEL_CONNECTED,
		TUNNEL_RECONNECTING };
	struct machine m;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(active); i++) {
		unsigned before;

		setup(&m, &usual);
		reach(&m, active[i]);
		before = seen.calls;
		machine_start(&m, T0);
		assert_int_equal(m.state, active[i]);
		assert_int_equal(seen.calls, before);
	}
}

/* --- attempts --- */

static void test_first_attempt_is_the_only_one(void **state)
{
	struct machine m;

	(void)state;
	setup(&m, &usual);
	machine_start(&m, T0);
	assert_int_equal(machine_deadline(&m), T0);
	assert_int_equal(machine_tick(&m, T0), MACHINE_ATTEMPT);
	assert_int_equal(machine_tick(&m, T0), MACHINE_NOTHING);
	assert_int_equal(machine_deadline(&m), MACHINE_NEVER);
	machine_attempt_failed(&m, T0 + 3, MACHINE_PASSING, "refused");
	assert_int_equal(m.state, TUNNEL_FAILED);
	assert_int_equal(machine_deadline(&m), MACHINE_NEVER);
}

static void test_retry_goes_on_with_the_wanted_port(void **state)
{
	struct machine_config config = usual;
	uint64_t now = T0;
	struct machine m;

	(void)state;
	config.retry = true;
	config.port = PORT;
	setup(&m, &config);
	machine_start(&m, now);
	for (uint64_t delay = 250; delay <= 16000; delay *= 2) {
		assert_int_equal(machine_tick(&m, now), MACHINE_ATTEMPT);
		/* Nobody has this port yet, so another one wouldn't do. */
		assert_int_equal(machine_port(&m, now), PORT);
		machine_attempt_failed(&m, now, MACHINE_PORT_TAKEN, "taken");
		assert_int_equal(m.state, TUNNEL_CONNECTING);
		assert_int_equal(machine_deadline(&m), now + delay);
		assert_int_equal(machine_tick(&m, now + delay - 1), MACHINE_NOTHING);
		now += delay;
	}
	assert_int_equal(machine_tick(&m, now), MACHINE_ATTEMPT);
	machine_attempt_failed(&m, now, MACHINE_FINAL, "wrong secret");
	assert_int_equal(m.state, TUNNEL_FAILED);
}

static void test_lost_without_reconnect_is_failed(void **state)
{
	struct machine_config config = usual;
	struct machine m;

	(void)state;
	config.reconnect = false;
	setup(&m, &config);
	reach(&m, TUNNEL_CONNECTED);
	machine_lost(&m, T0, "eof");
	assert_int_equal(m.state, TUNNEL_FAILED);
}

static void test_wrong_secret_ends_reconnecting(void **state)
{
	struct machine m;

	(void)state;
	setup(&m, &usual);
	reach(&m, TUNNEL_RECONNECTING);
	machine_attempt_failed(&m, T0, MACHINE_FINAL, "wrong secret");
	assert_int_equal(m.state, TUNNEL_FAILED);
}

static void test_reconnect_timeout(void **state)
{
	struct machine m;

	(void)state;
	setup(&m, &usual);
	reach(&m, TUNNEL_RECONNECTING);
	assert_int_equal(machine_tick(&m, T0 + 250), MACHINE_ATTEMPT);
	/* An attempt under way doesn't hold it up. */
	assert_int_equal(machine_deadline(&m), T0 + 3600000);
	assert_int_equal(machine_tick(&m, T0 + 3600000 - 1), MACHINE_NOTHING);
	assert_int_equal(machine_tick(&m, T0 + 3600000), MACHINE_TIME_UP);
}

static void test_reconnect_timeout_0_is_none(void **state)
{
	struct machine_config config = usual;
	struct machine m;

	(void)state;
	config.reconnect_timeout_ms = 0;
	setup(&m, &config);
	reach(&m, TUNNEL_RECONNECTING);
	assert_int_equal(machine_tick(&m, T0 + 250), MACHINE_ATTEMPT);
	assert_int_equal(machine_deadline(&m), MACHINE_NEVER);
}

/* The timeout counts from the loss, not from the first one ever. */
static void test_success_renews_the_timeout(void **state)
{
	struct machine m;

	(void)state;
	setup(&m, &usual);
	reach(&m, TUNNEL_RECONNECTING);
	machine_up(&m, T0 + 3000000, PORT);
	machine_lost(&m, T0 + 3010000, "eof");
	assert_int_equal(machine_tick(&m, T0 + 3010250), MACHINE_ATTEMPT);
	assert_int_equal(machine_deadline(&m), T0 + 3010000 + 3600000);
}

static void test_backoff_is_kept_over_short_connections(void **state)
{
	uint64_t now = T0;
	struct machine m;

	(void)state;
	setup(&m, &usual);
	reach(&m, TUNNEL_CONNECTED);
	for (uint64_t delay = 250; delay <= 16000; delay *= 2) {
		now += MACHINE_STEADY_MS - 1;
		machine_lost(&m, now, "eof");
		assert_int_equal(machine_deadline(&m), now + delay);
		now += delay;
		machine_up(&m, now, PORT);
	}
	now += MACHINE_STEADY_MS;
	machine_lost(&m, now, "eof");
	assert_int_equal(machine_deadline(&m), now + BACKOFF_FIRST_MS);
}

/* The next relay is there already. Who says so all the time is a relay like one that is lost. */
static void test_moved_is_at_once(void **state)
{
	struct machine_config config = usual;
	struct machine m;

	(void)state;
	setup(&m, &usual);
	reach(&m, TUNNEL_CONNECTED);
	machine_moved(&m, T0 + MACHINE_HURRY_MS - 1, "moved");
	assert_int_equal(machine_deadline(&m), T0 + MACHINE_HURRY_MS - 1 + BACKOFF_FIRST_MS);
	machine_up(&m, T0 + 5000, PORT);
	machine_moved(&m, T0 + 5000 + MACHINE_HURRY_MS, "moved");
	assert_int_equal(m.state, TUNNEL_RECONNECTING);
	assert_int_equal(machine_tick(&m, T0 + 5000 + MACHINE_HURRY_MS), MACHINE_ATTEMPT);
	assert_int_equal(machine_port(&m, T0 + 5000 + MACHINE_HURRY_MS), PORT);
	config.reconnect = false;
	setup(&m, &config);
	reach(&m, TUNNEL_CONNECTED);
	machine_moved(&m, T0 + 5000, "moved");
	assert_int_equal(m.state, TUNNEL_FAILED);
}

static void test_hurry_skips_the_wait(void **state)
{
	struct machine m;

	(void)state;
	setup(&m, &usual);
	reach(&m, TUNNEL_RECONNECTING);
	assert_int_equal(machine_tick(&m, T0 + 1), MACHINE_NOTHING);
	machine_hurry(&m, T0 + 1);
	assert_int_equal(machine_tick(&m, T0 + 1), MACHINE_ATTEMPT);
	/* One that is under way is not made twice. */
	machine_hurry(&m, T0 + 2);
	assert_int_equal(machine_tick(&m, T0 + 2), MACHINE_NOTHING);
	machine_up(&m, T0 + 3, PORT);
	machine_hurry(&m, T0 + 3);
	assert_int_equal(machine_tick(&m, T0 + 3), MACHINE_NOTHING);
}

/* A network that changes all the time makes no storm of attempts. */
static void test_hurry_is_bounded(void **state)
{
	const uint64_t lost = T0 + 60000, end = lost + 10 * MACHINE_HURRY_MS;
	unsigned attempts = 0;
	struct machine m;

	(void)state;
	setup(&m, &usual);
	reach(&m, TUNNEL_CONNECTED);
	machine_lost(&m, lost, "test");
	for (uint64_t now = lost; now < end; now++) {
		machine_hurry(&m, now);
		if (machine_tick(&m, now) != MACHINE_ATTEMPT)
			continue;
		/* The first one comes at once. */
		assert_int_equal(now, lost + attempts++ * MACHINE_HURRY_MS);
		m.backoff.ceiling_ms = BACKOFF_MAX_MS;
		machine_attempt_failed(&m, now, MACHINE_PASSING, "test");
	}
	assert_int_equal(attempts, 10);
	/* One that is due sooner is not put off. */
	assert_int_equal(machine_tick(&m, end), MACHINE_ATTEMPT);
	m.backoff.ceiling_ms = 1;
	machine_attempt_failed(&m, end, MACHINE_PASSING, "test");
	machine_hurry(&m, end);
	assert_int_equal(machine_deadline(&m), end + 1);
}

/* --- the public port --- */

static void test_same_port_for_30_s_then_any(void **state)
{
	uint64_t now = T0 + 250, taken = now;
	struct machine m;

	(void)state;
	setup(&m, &usual);
	reach(&m, TUNNEL_RECONNECTING);
	while (now < taken + MACHINE_SAME_PORT_MS) {
		assert_int_equal(machine_tick(&m, now), MACHINE_ATTEMPT);
		assert_int_equal(machine_port(&m, now), PORT);
		machine_attempt_failed(&m, now, MACHINE_PORT_TAKEN, "taken");
		now = machine_deadline(&m);
	}
	/* The longest delay would have been 16 s, but this moment isn't slept through. */
	assert_int_equal(now, taken + MACHINE_SAME_PORT_MS);
	assert_int_equal(machine_tick(&m, now), MACHINE_ATTEMPT);
	assert_int_equal(machine_port(&m, now), 0);
	machine_up(&m, now, OTHER_PORT);
	machine_lost(&m, now, "eof");
	/* From now on that is the tunnel's port. */
	assert_int_equal(machine_port(&m, now), OTHER_PORT);
}

/* A relay that is away for long has not refused the port. */
static void test_same_port_after_a_long_outage(void **state)
{
	struct machine m;

	(void)state;
	setup(&m, &usual);
	reach(&m, TUNNEL_RECONNECTING);
	machine_attempt_failed(&m, T0, MACHINE_PASSING, "refused");
	assert_int_equal(machine_port(&m, T0 + 3000000), PORT);
}

static void test_start_asks_for_the_configured_port(void **state)
{
	struct machine_config config = usual;
	struct machine m;

	(void)state;
	setup(&m, &config);
	reach(&m, TUNNEL_CONNECTED);
	machine_stop(&m, "test");
	machine_start(&m, T0);
	assert_int_equal(machine_port(&m, T0), 0);
}

/* --- silence --- */

static void test_silence_of_8_s(void **state)
{
	struct machine m;

	(void)state;
	setup(&m, &usual);
	reach(&m, TUNNEL_CONNECTED);
	assert_int_equal(machine_tick(&m, T0 + 7999), MACHINE_NOTHING);
	for (int i = 1; i <= 20; i++)
		machine_heard(&m, T0 + (uint64_t)i * 500);
	assert_int_equal(machine_deadline(&m), T0 + 10000 + 8000);
	assert_int_equal(machine_tick(&m, T0 + 18000), MACHINE_SILENT);
}

static void test_silence_follows_the_longest_pause(void **state)
{
	struct machine m;

	(void)state;
	setup(&m, &usual);
	reach(&m, TUNNEL_CONNECTED);
	machine_heard(&m, T0 + 7000);
	machine_heard(&m, T0 + 7500);
	assert_int_equal(machine_deadline(&m), T0 + 7500 + 3 * 7000);
	machine_heard(&m, T0 + 27500);
	assert_int_equal(machine_deadline(&m), T0 + 27500 + 3 * 20000);
	/* Pauses are those of one connection. */
	machine_lost(&m, T0 + 28000, "eof");
	machine_up(&m, T0 + 29000, PORT);
	assert_int_equal(machine_deadline(&m), T0 + 29000 + 8000);
}

static void test_silence_ends_at_10_min(void **state)
{
	uint64_t now = T0;
	struct machine m;

	(void)state;
	setup(&m, &usual);
	reach(&m, TUNNEL_CONNECTED);
	for (int i = 0; i < 20; i++) {
		now = machine_deadline(&m) - 1;
		assert_int_equal(machine_tick(&m, now), MACHINE_NOTHING);
		machine_heard(&m, now);
	}
	assert_int_equal(machine_deadline(&m), now + 600000);
}

/* A process that was stopped (SIGSTOP, a paused machine) must not blame the relay for it. */
static void test_own_sleep_is_no_silence(void **state)
{
	uint64_t woken = T0 + 60000;
	struct machine m;

	(void)state;
	setup(&m, &usual);
	reach(&m, TUNNEL_CONNECTED);
	assert_int_equal(machine_tick(&m, woken), MACHINE_NOTHING);
	assert_int_equal(machine_deadline(&m), woken + MACHINE_LATE_MS);
	assert_int_equal(machine_tick(&m, woken + MACHINE_LATE_MS), MACHINE_SILENT);
}

int main(void)
{
	struct CMUnitTest row_tests[ARRAY_LEN(rows)] = { 0 };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_is_whole),
		cmocka_unit_test(test_start_joins_what_is_under_way),
		cmocka_unit_test(test_first_attempt_is_the_only_one),
		cmocka_unit_test(test_retry_goes_on_with_the_wanted_port),
		cmocka_unit_test(test_lost_without_reconnect_is_failed),
		cmocka_unit_test(test_wrong_secret_ends_reconnecting),
		cmocka_unit_test(test_reconnect_timeout),
		cmocka_unit_test(test_reconnect_timeout_0_is_none),
		cmocka_unit_test(test_success_renews_the_timeout),
		cmocka_unit_test(test_backoff_is_kept_over_short_connections),
		cmocka_unit_test(test_moved_is_at_once),
		cmocka_unit_test(test_hurry_skips_the_wait),
		cmocka_unit_test(test_hurry_is_bounded),
		cmocka_unit_test(test_same_port_for_30_s_then_any),
		cmocka_unit_test(test_same_port_after_a_long_outage),
		cmocka_unit_test(test_start_asks_for_the_configured_port),
		cmocka_unit_test(test_silence_of_8_s),
		cmocka_unit_test(test_silence_follows_the_longest_pause),
		cmocka_unit_test(test_silence_ends_at_10_min),
		cmocka_unit_test(test_own_sleep_is_no_silence),
	};

	log_set_level(LOG_LEVEL_ERROR);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		row_tests[i].name = rows[i].name;
		row_tests[i].test_func = test_row;
		row_tests[i].initial_state = &rows[i];
	}
	return cmocka_run_group_tests(row_tests, NULL, NULL) +
	       cmocka_run_group_tests(tests, NULL, NULL);
}
