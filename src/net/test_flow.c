/* SPDX-License-Identifier: MIT */
/* A flow's set-up in every order and way, and every end of it. Allocations of this thread pass
 * through us (ld's --wrap), for the want of memory. */
#include "net/test_flow_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/owner.h"
#include "net/sockopt.h"

static _Thread_local unsigned countdown; /* to the allocation that fails; 0: none will */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_malloc(size_t size)
{
	return countdown && !--countdown ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return countdown && !--countdown ? NULL : __real_calloc(count, size);
}

/* --- set-up --- */

/* Both peers say something and end: it comes behind what was early. */
static void expect_whole_conversation(struct trial *t)
{
	const struct end *outer = &t->end[PUMP_OUTER], *inner = &t->end[PUMP_INNER];
	char visitor[64], app[64];

	assert_int_equal(send(t->link.visitor, "ping", 4, 0), 4);
	assert_int_equal(send(t->link.app, "pong", 4, 0), 4);
	assert_int_equal(shutdown(t->link.visitor, SHUT_WR), 0);
	assert_int_equal(shutdown(t->link.app, SHUT_WR), 0);
	(void)snprintf(visitor, sizeof(visitor), "%spong", inner->taken ? inner->early : "");
	(void)snprintf(app, sizeof(app), "%sping", outer->taken ? outer->early : "");
	expect_all(t->link.visitor, visitor, 0);
	expect_all(t->link.app, app, 0);
	trial_await_end(t);
	trial_expect(t, FLOW_END_CLOSED, "closed");
	assert_true(t->result.joined);
	assert_int_equal(t->result.bytes[PUMP_OUTER], strlen(app));
	assert_int_equal(t->result.bytes[PUMP_INNER], strlen(visitor));
}

static void test_orders(void **state)
{
	static const struct {
		enum way way[PUMP_SIDES];
		enum pump_side first; /* of those that the test opens */
	} table[] = {
		{ { WAY_NOW, WAY_NOW }, PUMP_OUTER },
		{ { WAY_FD, WAY_NOW }, PUMP_OUTER },
		{ { WAY_FD, WAY_LATER }, PUMP_INNER },
		{ { WAY_FD, WAY_HELD }, PUMP_INNER },
		{ { WAY_NOW, WAY_LATER }, PUMP_INNER },
		{ { WAY_LATER, WAY_NOW }, PUMP_OUTER },
		{ { WAY_LATER, WAY_LATER }, PUMP_OUTER },
		{ { WAY_LATER, WAY_LATER }, PUMP_INNER },
		{ { WAY_LATER, WAY_HELD }, PUMP_OUTER },
		{ { WAY_LATER, WAY_HELD }, PUMP_INNER },
		{ { WAY_HELD, WAY_LATER }, PUMP_OUTER },
		{ { WAY_HELD, WAY_LATER }, PUMP_INNER },
		{ { WAY_HELD, WAY_HELD }, PUMP_OUTER },
		{ { WAY_HELD, WAY_HELD }, PUMP_INNER },
		{ { WAY_HELD, WAY_NOW }, PUMP_OUTER },
	};
	struct trial t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const enum way *way = table[i].way;

		trial_open(&t, way[PUMP_OUTER], way[PUMP_INNER]);
		assert_int_equal(trial_start(&t, NULL), 0);
		for (unsigned n = 0; n < PUMP_SIDES; n++) {
			enum pump_side side = (table[i].first + n) % PUMP_SIDES;

			if (way[side] != WAY_LATER && way[side] != WAY_HELD)
				continue;
			assert_int_equal(t.flow.state, FLOW_OPENING);
			assert_int_equal(t.opened, 0);
			end_opens(&t, side);
		}
		assert_int_equal(t.flow.state, FLOW_OPEN);
		assert_int_equal(t.opened, 1);
		assert_int_equal(t.set.setup_count, 0);
		assert_int_equal(t.set.open_count, 1);
		for (int side = 0; side < PUMP_SIDES; side++) {
			assert_int_equal(t.reached[side], way[side] != WAY_FD);
			assert_int_equal(t.end[side].taken, way[side] == WAY_HELD);
			assert_false(t.end[side].cancelled);
		}
		expect_whole_conversation(&t);
		trial_close(&t);
	}
}

/* The end that comes last may bring its early bytes along. */
static void test_last_end_brings_early_bytes(void **state)
{
	struct trial t;

	(void)state;
	for (int side = 0; side < PUMP_SIDES; side++) {
		trial_open(&t, WAY_LATER, WAY_LATER);
		assert_int_equal(trial_start(&t, NULL), 0);
		end_opens(&t, side == PUMP_OUTER ? PUMP_INNER : PUMP_OUTER);
		flow_opened(&t.flow, (enum pump_side)side, take_fd(&t.end[side].fd), "early", 5);
		assert_int_equal(shutdown(t.link.visitor, SHUT_WR), 0);
		assert_int_equal(shutdown(t.link.app, SHUT_WR), 0);
		expect_all(t.link.app, side == PUMP_OUTER ? "early" : "", 0);
		expect_all(t.link.visitor, side == PUMP_INNER ? "early" : "", 0);
		trial_await_end(&t);
		trial_close(&t);
	}
}

/* Until the flow is open our death is a reset to whoever is outside, and its own end is none. */
static void test_outer_end_is_reset_by_our_death(void **state)
{
	struct linger linger = { 0 };
	socklen_t len = sizeof(linger);
	struct trial t;
	int fd;

	(void)state;
	trial_open(&t, WAY_FD, WAY_LATER);
	fd = t.end[PUMP_OUTER].fd;
	assert_int_equal(trial_start(&t, NULL), 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len), 0);
	assert_int_equal(linger.l_onoff, 1);
	flow_close(&t.flow, "enough");
	expect_all(t.link.visitor, "", 0);
	trial_close(&t);
}

/* --- ends that can't be had --- */

static void test_inner_end_fails(void **state)
{
	/* Whether the outer end is there, and else whether `refuse` can tell. */
	static const struct {
		enum way outer;
		bool at_once, refuses;
		unsigned refused;
		enum flow_state after;
	} table[] = {
		{ WAY_NOW, true, false, 0, FLOW_ENDED },
		{ WAY_FD, false, false, 0, FLOW_ENDED },
		{ WAY_LATER, true, true, 1, FLOW_ENDED },
		{ WAY_LATER, false, true, 1, FLOW_ENDED },
		{ WAY_HELD, false, true, 1, FLOW_ENDED },
		{ WAY_LATER, true, false, 1, FLOW_TURNED_AWAY },
		{ WAY_LATER, false, false, 1, FLOW_TURNED_AWAY },
		{ WAY_HELD, false, false, 1, FLOW_TURNED_AWAY },
	};
	struct trial t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		trial_open(&t, table[i].outer, table[i].at_once ? WAY_FAILS : WAY_LATER);
		t.refuses = table[i].refuses;
		assert_int_equal(trial_start(&t, NULL), 0);
		if (!table[i].at_once) {
			t.end[PUMP_INNER].fd = fd_close(t.end[PUMP_INNER].fd);
			flow_failed(&t.flow, PUMP_INNER, -ECONNREFUSED);
		}
		assert_int_equal(t.error, -ECONNREFUSED);
		assert_int_equal(t.refused, table[i].refused);
		assert_int_equal(t.flow.state, table[i].after);
		if (table[i].after == FLOW_TURNED_AWAY) {
			assert_int_equal(t.closed, 0);
			end_opens(&t, PUMP_OUTER);
		}
		trial_expect(&t, FLOW_END_STOPPED, turned_away);
		assert_false(t.result.joined);
		assert_false(t.end[PUMP_INNER].cancelled);
		expect_all(t.link.visitor, "", 0);
		trial_close(&t);
	}
}

static void test_outer_end_fails(void **state)
{
	struct trial t;

	(void)state;
	for (int at_once = 0; at_once < 2; at_once++) {
		trial_open(&t, at_once ? WAY_FAILS : WAY_LATER, WAY_LATER);
		assert_int_equal(trial_start(&t, NULL), 0);
		assert_int_equal(t.end[PUMP_INNER].opened, !at_once);
		if (!at_once) {
			t.end[PUMP_OUTER].fd = fd_close(t.end[PUMP_OUTER].fd);
			flow_failed(&t.flow, PUMP_OUTER, -ECONNREFUSED);
			assert_true(t.end[PUMP_INNER].cancelled);
		}
		/* Whoever is outside is told, if that is possible, but not awaited. */
		assert_int_equal(t.refused, 1);
		trial_expect(&t, FLOW_END_STOPPED, turned_away);
		trial_close(&t);
	}
}

/* He who is turned away, and whose end then fails, was told before. */
static void test_outer_end_fails_behind_the_inner_one(void **state)
{
	struct trial t;

	(void)state;
	trial_open(&t, WAY_LATER, WAY_FAILS);
	assert_int_equal(trial_start(&t, NULL), 0);
	assert_int_equal(t.flow.state, FLOW_TURNED_AWAY);
	t.end[PUMP_OUTER].fd = fd_close(t.end[PUMP_OUTER].fd);
	flow_failed(&t.flow, PUMP_OUTER, -ETIMEDOUT);
	assert_int_equal(t.refused, 1);
	trial_expect(&t, FLOW_END_STOPPED, turned_away);
	trial_close(&t);
}

static void test_turned_away_from_the_start(void **state)
{
	static const enum way ways[] = { WAY_LATER, WAY_NOW, WAY_FD, WAY_FAILS };
	struct trial t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		trial_open(&t, ways[i], WAY_NOW);
		assert_int_equal(trial_start(&t, turned_away), 0);
		if (ways[i] == WAY_LATER) {
			assert_int_equal(t.flow.state, FLOW_TURNED_AWAY);
			end_opens(&t, PUMP_OUTER);
		}
		trial_expect(&t, FLOW_END_STOPPED, turned_away);
		assert_int_equal(t.refused, 1);
		assert_false(t.end[PUMP_INNER].opened);
		trial_close(&t);
	}
	trial_open(&t, WAY_NOW, WAY_NOW);
	t.refuses = true;
	assert_int_equal(trial_start(&t, turned_away), 0);
	trial_expect(&t, FLOW_END_STOPPED, turned_away);
	assert_false(t.end[PUMP_OUTER].opened || t.end[PUMP_INNER].opened);
	trial_close(&t);
}

/* A descriptor whose turn never came was left open when the other end had ended the flow. */
static void test_descriptors_end_with_the_flow(void **state)
{
	struct trial t;

	trial_open(&t, WAY_FAILS, WAY_FD);
	assert_int_equal(trial_start(&t, NULL), 0);
	trial_expect(&t, FLOW_END_STOPPED, turned_away);
	expect_all(t.link.app, "", 0);
	trial_close(&t);

	trial_open(&t, WAY_FD, WAY_FD);
	t.refuses = true;
	assert_int_equal(trial_start(&t, turned_away), 0);
	trial_expect(&t, FLOW_END_STOPPED, turned_away);
	expect_all(t.link.visitor, "", 0);
	expect_all(t.link.app, "", 0);
	trial_close(&t);
}

static void test_deadline(void **state)
{
	static const struct {
		enum way outer, inner;
	} table[] = {
		{ WAY_LATER, WAY_LATER }, { WAY_NOW, WAY_LATER }, { WAY_HELD, WAY_NOW },
		{ WAY_LATER, WAY_FAILS }, /* turned away, and nobody comes for it */
	};
	struct trial t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		trial_open(&t, table[i].outer, table[i].inner);
		assert_int_equal(t.set.deadlines.delay_ms, FLOW_SETUP_MS);
		t.set.deadlines.delay_ms = 20;
		/* The loop's idea of now is that of its last wakeup. */
		uv_update_time(&t.fixture->loop);
		assert_int_equal(trial_start(&t, NULL), 0);
		trial_await_end(&t);
		trial_expect(&t, FLOW_END_LATE, "it took too long");
		assert_true(t.result.duration_ms >= 19);
		trial_close(&t);
	}
}

/* --- closing --- */

static void test_closed_in_setup(void **state)
{
	static const struct {
		enum way outer, inner;
		bool outer_opens, inner_opens;
	} table[] = {
		{ WAY_LATER, WAY_LATER, false, false },
		{ WAY_LATER, WAY_LATER, true, false },
		{ WAY_LATER, WAY_LATER, false, true },
		{ WAY_HELD, WAY_LATER, true, false },
		{ WAY_LATER, WAY_HELD, false, true },
		{ WAY_LATER, WAY_FAILS, false, false },
	};
	struct trial t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		trial_open(&t, table[i].outer, table[i].inner);
		assert_int_equal(trial_start(&t, NULL), 0);
		if (table[i].outer_opens)
			end_opens(&t, PUMP_OUTER);
		if (table[i].inner_opens)
			end_opens(&t, PUMP_INNER);
		assert_int_equal(flow_has(&t.flow, PUMP_OUTER), table[i].outer_opens);
		assert_int_equal(flow_has(&t.flow, PUMP_INNER), table[i].inner_opens);
		flow_close(&t.flow, "enough");
		trial_expect(&t, FLOW_END_STOPPED, "enough");
		/* Who has an end of a flow that has ended lets go of it. */
		assert_int_equal(t.end[PUMP_OUTER].cancelled,
			!table[i].outer_opens || table[i].outer == WAY_HELD);
		assert_int_equal(t.end[PUMP_INNER].cancelled,
			table[i].inner != WAY_FAILS &&
				(!table[i].inner_opens || table[i].inner == WAY_HELD));
		expect_all(t.link.visitor, "", 0);
		trial_close(&t);
	}
}

/* An open one is reset on both sides; the first reason is told, once. */
static void test_closed_while_open(void **state)
{
	struct trial t;

	(void)state;
	trial_open(&t, WAY_NOW, WAY_NOW);
	assert_int_equal(trial_start(&t, NULL), 0);
	flow_close(&t.flow, "enough");
	assert_int_equal(t.flow.state, FLOW_ABORTING);
	flow_close(&t.flow, "more than enough");
	assert_int_equal(t.closed, 0);
	trial_await_end(&t);
	trial_expect(&t, FLOW_END_STOPPED, "enough");
	assert_true(t.result.joined);
	expect_all(t.link.visitor, "", ECONNRESET);
	expect_all(t.link.app, "", ECONNRESET);
	trial_close(&t);
}

static void test_pool_closed_while_open(void **state)
{
	struct trial t;

	(void)state;
	trial_open(&t, WAY_NOW, WAY_NOW);
	assert_int_equal(trial_start(&t, NULL), 0);
	pump_pool_close(take_ptr(t.fixture->pool), NULL, NULL);
	t.fixture->closed = true;
	trial_await_end(&t);
	trial_expect(&t, FLOW_END_STOPPED, "the process is ending");
	trial_close(&t);
}

/* --- how the pump ends it --- */

static void test_resets(void **state)
{
	struct trial t;

	(void)state;
	for (int side = 0; side < PUMP_SIDES; side++) {
		trial_open(&t, WAY_NOW, WAY_NOW);
		assert_int_equal(trial_start(&t, NULL), 0);
		reset_fd(side == PUMP_OUTER ? &t.link.visitor : &t.link.app);
		trial_await_end(&t);
		trial_expect(&t, FLOW_END_RESET,
			side == PUMP_OUTER ? "reset by the visitor or the relay"
					   : "reset by the application");
		trial_close(&t);
	}
}

static void test_timeouts(void **state)
{
	struct pump_pool_config idle = { .workers = 1, .idle_timeout_ms = 50 };
	struct pump_pool_config half_closed = { .workers = 1, .half_close_timeout_ms = 50 };
	struct trial t;

	(void)state;
	trial_open_with(&t, &idle, WAY_NOW, WAY_NOW);
	assert_int_equal(trial_start(&t, NULL), 0);
	trial_await_end(&t);
	trial_expect(&t, FLOW_END_IDLE, "idle for too long");
	trial_close(&t);

	trial_open_with(&t, &half_closed, WAY_NOW, WAY_NOW);
	assert_int_equal(trial_start(&t, NULL), 0);
	assert_int_equal(shutdown(t.link.visitor, SHUT_WR), 0);
	trial_await_end(&t);
	trial_expect(&t, FLOW_END_HALF_CLOSED, "half closed for too long");
	trial_close(&t);
}

/* Every end of a pump has its own, and words. */
static void test_words(void **state)
{
	static const struct {
		struct pump_result result;
		enum flow_end end;
		const char *text;
	} table[] = {
		{ { .end = PUMP_END_CLOSED }, FLOW_END_CLOSED, "closed" },
		{ { .end = PUMP_END_RESET, .side = PUMP_OUTER, .error = ECONNRESET },
			FLOW_END_RESET, "reset by the visitor or the relay" },
		{ { .end = PUMP_END_RESET, .side = PUMP_INNER, .error = EPIPE }, FLOW_END_RESET,
			"reset by the application" },
		{ { .end = PUMP_END_RESET, .side = PUMP_OUTER, .error = ETIMEDOUT },
			FLOW_END_VANISHED, "the relay has vanished" },
		{ { .end = PUMP_END_RESET, .side = PUMP_INNER, .error = ETIMEDOUT },
			FLOW_END_VANISHED, "the application has vanished" },
		{ { .end = PUMP_END_HALF_CLOSED }, FLOW_END_HALF_CLOSED,
			"half closed for too long" },
		{ { .end = PUMP_END_IDLE }, FLOW_END_IDLE, "idle for too long" },
		{ { .end = PUMP_END_ABORTED }, FLOW_END_STOPPED, "the process is ending" },
		{ { .end = PUMP_END_NO_MEMORY }, FLOW_END_NO_MEMORY, "out of memory" },
	};
	char text[FLOW_WHY_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		assert_int_equal(flow_end_of(&table[i].result), table[i].end);
		assert_string_equal(
			flow_end_text(&trial_kind.words, table[i].end, table[i].result.side, text),
			table[i].text);
	}
	assert_string_equal(flow_end_text(&trial_kind.words, FLOW_END_LATE, PUMP_OUTER, text),
		"it took too long");
}

/* --- want of memory --- */

static void without_memory(enum pump_wire inner, int inner_error)
{
	unsigned number = 0;
	struct trial t;
	int r;

	do {
		trial_open(&t, WAY_FD, WAY_HELD);
		t.wire[PUMP_INNER] = inner;
		t.end[PUMP_INNER].early = inner == PUMP_WIRE_BLOCKS ? "\1" : "early";
		/* As one that has served a stream before comes. */
		sockopt_set_reset(t.end[PUMP_INNER].fd);
		countdown = ++number;
		r = trial_start(&t, NULL);
		if (r == 0)
			end_opens(&t, PUMP_INNER);
		if (r < 0) {
			assert_int_equal(number, 1);
			assert_int_equal(r, -ENOMEM);
			assert_int_equal(t.closed + t.idle, 0);
			assert_true(flow_set_idle(&t.set));
			/* trial_close() expects the end of a flow. */
			countdown = 0;
			assert_int_equal(trial_start(&t, NULL), 0);
			flow_close(&t.flow, "enough");
		} else if (countdown == 0) {
			trial_expect(&t, FLOW_END_NO_MEMORY, "out of memory");
			assert_false(t.result.joined);
			assert_true(t.end[PUMP_INNER].taken);
			expect_all(t.link.visitor, "", 0);
			expect_all(t.link.app, "", inner_error);
		} else {
			countdown = 0;
			flow_close(&t.flow, "enough");
			trial_await_end(&t);
			number = 0;
		}
		trial_close(&t);
	} while (number);
}

/* Without memory for the set-up nothing is taken; without any for the pump, whoever is inside hears
 * a reset, and whoever is outside that nothing comes. */
static void test_no_memory(void **state)
{
	(void)state;
	without_memory(PUMP_WIRE_RAW, ECONNRESET);
}

/* A reset would take away the END of the stream before, while that is on its way. */
static void test_no_memory_behind_blocks(void **state)
{
	(void)state;
	without_memory(PUMP_WIRE_BLOCKS, 0);
}

/* A holder whose own last words still wait in user space can't be taken. */
static void test_end_that_is_not_to_be_taken(void **state)
{
	struct trial t;

	(void)state;
	trial_open(&t, WAY_HELD, WAY_NOW);
	t.end[PUMP_OUTER].takes_nothing = true;
	assert_int_equal(trial_start(&t, NULL), 0);
	end_opens(&t, PUMP_OUTER);
	trial_expect(&t, FLOW_END_NO_MEMORY, "out of memory");
	assert_true(t.end[PUMP_OUTER].cancelled);
	trial_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_last_end_brings_early_bytes),
		cmocka_unit_test(test_outer_end_is_reset_by_our_death),
		cmocka_unit_test(test_inner_end_fails),
		cmocka_unit_test(test_outer_end_fails),
		cmocka_unit_test(test_outer_end_fails_behind_the_inner_one),
		cmocka_unit_test(test_turned_away_from_the_start),
		cmocka_unit_test(test_descriptors_end_with_the_flow),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_closed_in_setup),
		cmocka_unit_test(test_closed_while_open),
		cmocka_unit_test(test_pool_closed_while_open),
		cmocka_unit_test(test_resets),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_no_memory_behind_blocks),
		cmocka_unit_test(test_end_that_is_not_to_be_taken),
	};

	return cmocka_run_group_tests_name("net/flow", tests, NULL, NULL);
}
