/* SPDX-License-Identifier: MIT */
/* A flow whose end is dialled. connect_addr() is ours (ld's --wrap), for what a dial can meet. */
#include "net/test_flow_fixture.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/owner.h"
#include "net/connect.h"
#include "net/test_turn.h"

static int connect_result;  /* of the next connect_addr() */
static int connect_fd = -1; /* what it gives */

int __wrap_connect_addr(struct local_ports *ports, const struct addr *addr, int *ret_fd);

int __wrap_connect_addr(struct local_ports *ports, const struct addr *addr, int *ret_fd)
{
	*ret_fd = take_fd(&connect_fd);
	return connect_result;
}

/* That side is dialled: connect_addr() returns `result`, with the end's descriptor. */
static void trial_dial(struct trial *t, struct dial_target *target, enum pump_side side, int result)
{
	struct flow_wish wish = { .fd = { t->end[PUMP_OUTER].fd, t->end[PUMP_INNER].fd } };

	wish.target[side] = &target->target;
	assert_int_equal(dial_target_init(target, &t->fixture->loop, "127.0.0.1", 9), 0);
	connect_result = result;
	connect_fd = take_fd(&wish.fd[side]);
	assert_int_equal(flow_start(&t->flow, &t->set, &wish), 0);
	connect_fd = fd_close(connect_fd);
	t->end[PUMP_OUTER].fd = t->end[PUMP_INNER].fd = -1;
}

/* At once, as on loopback, and later. */
static void test_dialled(void **state)
{
	struct dial_target target;
	struct trial t;

	(void)state;
	for (int result = 0; result <= 1; result++) {
		trial_open(&t, WAY_FD, WAY_FD);
		assert_int_equal(send(t.link.visitor, "world", 5, 0), 5);
		trial_dial(&t, &target, PUMP_INNER, result);
		assert_int_equal(t.flow.state, result ? FLOW_OPEN : FLOW_OPENING);
		while (!t.opened)
			test_turn(&t.fixture->loop);
		assert_int_equal(shutdown(t.link.visitor, SHUT_WR), 0);
		assert_int_equal(shutdown(t.link.app, SHUT_WR), 0);
		expect_all(t.link.app, "world", 0);
		trial_await_end(&t);
		trial_expect(&t, FLOW_END_CLOSED, "closed");
		trial_close(&t);
	}
}

static void test_dial_fails(void **state)
{
	struct dial_target target;
	struct trial t;

	(void)state;
	trial_open(&t, WAY_FD, WAY_FD);
	trial_dial(&t, &target, PUMP_INNER, -ECONNREFUSED);
	assert_int_equal(t.error, -ECONNREFUSED);
	expect_all(t.link.visitor, "", 0);
	trial_close(&t);
}

/* An application that accepted and reset at once was taken for one that can't be reached. From the
 * other side a reset while connecting is a failure, as any. */
static void test_dial_is_accepted_and_reset(void **state)
{
	struct dial_target target;
	struct trial t;

	(void)state;
	trial_open(&t, WAY_FD, WAY_FD);
	trial_dial(&t, &target, PUMP_INNER, -ECONNRESET);
	assert_int_equal(t.failed[PUMP_INNER], 0);
	assert_int_equal(t.opened, 1);
	trial_await_end(&t);
	trial_expect(&t, FLOW_END_RESET, "reset by the application");
	expect_all(t.link.visitor, "", ECONNRESET);
	trial_close(&t);

	trial_open(&t, WAY_FD, WAY_FD);
	t.refuses = true;
	trial_dial(&t, &target, PUMP_OUTER, -ECONNRESET);
	assert_int_equal(t.failed[PUMP_OUTER], 1);
	trial_expect(&t, FLOW_END_STOPPED, turned_away);
	trial_close(&t);
}

/* The flow is gone at once, and the set is idle when libuv has let go of the dial, too. */
static void test_closed_while_dialling(void **state)
{
	struct dial_target target;
	struct trial t;

	(void)state;
	trial_open(&t, WAY_FD, WAY_FD);
	trial_dial(&t, &target, PUMP_INNER, 0);
	flow_close(&t.flow, "enough");
	trial_expect(&t, FLOW_END_STOPPED, "enough");
	assert_int_equal(t.idle, 0);
	assert_false(flow_set_idle(&t.set));
	while (!t.idle)
		test_turn(&t.fixture->loop);
	expect_all(t.link.visitor, "", 0);
	trial_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialled),
		cmocka_unit_test(test_dial_fails),
		cmocka_unit_test(test_dial_is_accepted_and_reset),
		cmocka_unit_test(test_closed_while_dialling),
	};

	return cmocka_run_group_tests_name("net/target", tests, NULL, NULL);
}
