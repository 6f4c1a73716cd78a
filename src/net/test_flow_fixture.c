/* SPDX-License-Identifier: MIT */
/* The fixture of the flows' tests: see its header. */
#include "net/test_flow_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/owner.h"
#include "net/sockopt.h"
#include "net/test_turn.h"

const char turned_away[] = "turned away by the test";

static struct trial *trial_of(const struct flow *f)
{
	return container_of(f, struct trial, flow);
}

/* --- the owner --- */

static const char *trial_name(const struct flow *f, char text[FLOW_NAME_MAX])
{
	return "trial";
}

static bool trial_refuse(struct flow *f, const char *why)
{
	assert_non_null(why);
	trial_of(f)->refused++;
	return trial_of(f)->refuses;
}

static void trial_on_reached(struct flow *f, enum pump_side side)
{
	trial_of(f)->reached[side]++;
}

static const char *trial_on_failed(struct flow *f, enum pump_side side, int error)
{
	trial_of(f)->failed[side]++;
	trial_of(f)->error = error;
	return turned_away;
}

static void trial_on_opened(struct flow *f)
{
	assert_int_equal(f->state, FLOW_OPEN);
	trial_of(f)->opened++;
}

static void trial_on_closed(struct flow *f, const struct flow_result *result)
{
	struct trial *t = trial_of(f);

	assert_int_equal(f->state, FLOW_ENDED);
	t->closed++;
	t->result = *result;
	(void)snprintf(t->why, sizeof(t->why), "%s", result->why);
}

static void trial_on_idle(struct flow_set *set)
{
	container_of(set, struct trial, set)->idle++;
}

static void trial_on_set_closed(struct flow_set *set)
{
	container_of(set, struct trial, set)->set_closed = true;
}

const struct flow_kind trial_kind = {
	.words = {
		.resetter = { "the visitor or the relay", "the application" },
		.peer = { "the relay", "the application" },
		.late = "it took too long",
	},
	.name = trial_name,
	.refuse = trial_refuse,
	.reached = trial_on_reached,
	.failed = trial_on_failed,
	.opened = trial_on_opened,
	.closed = trial_on_closed,
	.idle = trial_on_idle,
};

/* --- the ends --- */

static void end_cancel(void *holder)
{
	struct end *e = holder;

	assert_false(e->cancelled || e->taken);
	e->cancelled = true;
	e->fd = fd_close(e->fd);
}

static int end_take(void *holder, const void **ret_early, size_t *ret_early_len)
{
	struct end *e = holder;

	assert_false(e->cancelled || e->taken);
	if (e->takes_nothing)
		return -EAGAIN;
	e->taken = true;
	*ret_early = e->early;
	*ret_early_len = strlen(e->early);
	return take_fd(&e->fd);
}

static int end_open(const struct target *target, struct flow *f, enum pump_side side, int *ret_fd)
{
	static const struct holder_ops ops = { .cancel = end_cancel, .take = end_take };
	struct end *e = container_of(target, struct end, target);

	assert_false(e->opened);
	e->opened = true;
	switch (e->way) {
	case WAY_NOW:
		*ret_fd = take_fd(&e->fd);
		return 1;
	case WAY_FAILS:
		return -ECONNREFUSED;
	default:
		flow_hold(f, side, &ops, e);
		return 0;
	}
}

void end_opens(struct trial *t, enum pump_side side)
{
	struct end *e = &t->end[side];

	flow_opened(&t->flow, side, e->way == WAY_HELD ? -1 : take_fd(&e->fd), NULL, 0);
}

/* --- a trial --- */

void trial_open_with(
	struct trial *t, const struct pump_pool_config *config, enum way outer, enum way inner)
{
	static const char *const early[] = { "from the visitor, ", "from the application, " };

	memset(t, 0, sizeof(*t));
	t->fixture = fixture_new(config);
	link_open(t->fixture, &t->link, 0);
	/* The set has its own say of that. */
	for (int side = 0; side < PUMP_SIDES; side++)
		sockopt_lift_reset(t->link.pump_fd[side]);
	flow_set_init(&t->set, &t->fixture->loop, t->fixture->pool, &trial_kind);
	for (int side = 0; side < PUMP_SIDES; side++)
		t->end[side] = (struct end){
			.target.open = end_open,
			.way = side == PUMP_OUTER ? outer : inner,
			.fd = t->link.pump_fd[side],
			.early = early[side],
		};
}

void trial_open(struct trial *t, enum way outer, enum way inner)
{
	const struct pump_pool_config config = { .workers = 1 };

	trial_open_with(t, &config, outer, inner);
}

int trial_start(struct trial *t, const char *turn_away)
{
	struct flow_wish wish = { .turn_away = turn_away };
	int r;

	for (int side = 0; side < PUMP_SIDES; side++) {
		wish.fd[side] = t->end[side].fd;
		wish.wire[side] = t->wire[side];
		if (t->end[side].way != WAY_FD)
			wish.target[side] = &t->end[side].target;
	}
	r = flow_start(&t->flow, &t->set, &wish);
	for (int side = 0; side < PUMP_SIDES && r == 0; side++)
		if (t->end[side].way == WAY_FD)
			t->end[side].fd = -1;
	return r;
}

void trial_await_end(struct trial *t)
{
	while (!t->closed)
		test_turn(&t->fixture->loop);
}

void trial_close(struct trial *t)
{
	assert_int_equal(t->closed, 1);
	assert_true(flow_set_idle(&t->set));
	assert_int_equal(t->idle, 1);
	assert_int_equal(t->set.setup_count + t->set.open_count, 0);
	for (int side = 0; side < PUMP_SIDES; side++)
		assert_true(t->end[side].fd < 0 || !t->end[side].opened ||
			    t->end[side].way == WAY_FAILS);
	flow_set_close(&t->set, trial_on_set_closed);
	while (!t->set_closed)
		test_turn(&t->fixture->loop);
	for (int side = 0; side < PUMP_SIDES; side++)
		t->end[side].fd = fd_close(t->end[side].fd);
	link_close(&t->link);
	fixture_free(t->fixture);
}

void trial_expect(const struct trial *t, enum flow_end end, const char *why)
{
	assert_int_equal(t->result.end, end);
	assert_string_equal(t->why, why);
}

void expect_all(int fd, const char *text, int error)
{
	char got[128];
	size_t len = strlen(text);

	assert_true(!len || recv(fd, got, len, MSG_WAITALL) == (ssize_t)len);
	assert_int_equal(memcmp(got, text, len), 0);
	assert_int_equal(recv(fd, got, 1, 0), error ? -1 : 0);
	if (error)
		assert_int_equal(errno, error);
}
