/* SPDX-License-Identifier: MIT */
/* For the tests of flows: one flow between ends that do what the test says, over a real pool. */
#ifndef NET_TEST_FLOW_FIXTURE_H
#define NET_TEST_FLOW_FIXTURE_H

#include <stdbool.h>

#include "net/flow.h"
#include "net/target.h"
#include "net/test_pump_fixture.h"

/* What an end does when it is opened. */
enum way {
	WAY_NOW,   /* it is there */
	WAY_LATER, /* the test says when, with end_opens() or flow_failed() */
	WAY_HELD, /* the same, and it has early bytes, and keeps the descriptor until it is taken */
	WAY_FAILS, /* at once */
	WAY_FD,    /* it is no target, but a descriptor */
};

/* A target of one flow, and its holder. */
struct end {
	struct target target;
	enum way way;
	int fd; /* ours until the flow has it */
	const char *early;
	bool opened, cancelled, taken, takes_nothing;
};

struct trial {
	struct fixture *fixture;
	struct link link; /* the visitor is outside, the application inside */
	struct flow_set set;
	struct flow flow;
	struct end end[PUMP_SIDES];
	bool refuses; /* the answer of `refuse` */
	enum pump_wire wire[PUMP_SIDES];
	unsigned refused, reached[PUMP_SIDES], failed[PUMP_SIDES], opened, closed, idle;
	int error;
	struct flow_result result;
	char why[FLOW_WHY_MAX];
	bool set_closed;
};

/* The reason that its owner gives where a target fails. */
extern const char turned_away[];
extern const struct flow_kind trial_kind;

void trial_open(struct trial *t, enum way outer, enum way inner);
void trial_open_with(
	struct trial *t, const struct pump_pool_config *config, enum way outer, enum way inner);
/* As flow_start(). */
int trial_start(struct trial *t, const char *turn_away);
/* An end that is opened later is there. */
void end_opens(struct trial *t, enum pump_side side);
/* Runs the loop until the flow has ended. */
void trial_await_end(struct trial *t);
void trial_expect(const struct trial *t, enum flow_end end, const char *why);
/* Of a flow that has ended; what must hold then is part of every test. */
void trial_close(struct trial *t);

/* The peer has had `text`, and then an ordinary end or `error`. */
void expect_all(int fd, const char *text, int error);

#endif
