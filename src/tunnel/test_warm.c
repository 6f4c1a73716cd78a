/* SPDX-License-Identifier: MIT */
/* Warm connections without a tunnel round them: a fake relay, and visitors that the test decides.
 */
#include "tunnel/warm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/log.h"
#include "base/owner.h"
#include "base/secret.h"
#include "net/flow.h"
#include "proto/auth.h"
#include "tunnel/test_fake_relay.h"

#define ID "11111111-2222-3333-4444-555555555555"
#define KEY "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
#define READY "{\"Ready\":\"" KEY "\"}|"
#define VISITOR "{\"Visitor\":{\"id\":\"" ID "\",\"from\":\"192.0.2.1:50000\"}}|"
#define TAKEN_END "\4|||\2|||"

struct trial {
	uv_loop_t loop;
	struct pump_pool *pool;
	struct flow_set set;
	struct data_relay to;
	struct fake_relay relay;
	struct warm warm;
	unsigned visitors;
	bool closed, set_closed;
};

static struct trial *trial_of(struct warm *r)
{
	return container_of(r, struct trial, warm);
}

/* As a tunnel does that can have no flow for him. */
static void refuse(
	struct warm *r, struct warm_conn *c, const struct uuid *id, const struct addr *from)
{
	(void)id;
	assert_non_null(from);
	trial_of(r)->visitors++;
	warm_refuse(c);
	warm_note_visitor(r);
}

static const struct warm_events refusing = { .visitor = refuse };

static void grant(struct trial *t, unsigned limit)
{
	struct uuid key;

	assert_int_equal(uuid_parse(KEY, strlen(KEY), &key), 0);
	warm_grant(&t->warm, limit, &key);
}

/* So many wait then, of one or two: a client dials no more before anybody comes. */
static void grant_and_await(struct trial *t, unsigned limit)
{
	grant(t, limit);
	for (unsigned n = 0; n < limit; n++)
		fake_relay_await(&t->relay, n, READY);
}

static void trial_open_at(struct trial *t, const struct fake_script *scripts, size_t count)
{
	static const struct pump_pool_config pool = { .workers = 1 };
	static const struct flow_kind kind = { 0 };

	memset(t, 0, sizeof(*t));
	assert_int_equal(uv_loop_init(&t->loop), 0);
	fake_relay_open(&t->relay, &t->loop, scripts, count);
	assert_int_equal(pump_pool_new(&t->loop, &pool, &t->pool), 0);
	flow_set_init(&t->set, &t->loop, t->pool, &kind);
	t->to = (struct data_relay){ .loop = &t->loop, .set = &t->set };
	assert_int_equal(dialer_init(&t->to.dialer, &t->loop, "127.0.0.1", t->relay.port), 0);
	warm_init(&t->warm, &t->loop, &t->to, &refusing);
}

static void trial_open(struct trial *t)
{
	static const struct fake_script keeps_all[] = { { 0 } };

	trial_open_at(t, keeps_all, ARRAY_LEN(keeps_all));
}

static void on_closed(struct warm *r)
{
	trial_of(r)->closed = true;
}

static void on_set_closed(struct flow_set *set)
{
	container_of(set, struct trial, set)->set_closed = true;
}

static void trial_close(struct trial *t)
{
	warm_stop(&t->warm);
	warm_close(&t->warm, on_closed);
	flow_set_close(&t->set, on_set_closed);
	fake_relay_close(&t->relay);
	pump_pool_close(t->pool, NULL, NULL);
	(void)uv_run(&t->loop, UV_RUN_DEFAULT);
	assert_true(t->closed && t->set_closed && flow_set_idle(&t->set));
	for (int state = 0; state < WARM_STATES; state++)
		assert_int_equal(t->warm.count[state], 0);
	assert_int_equal(uv_loop_close(&t->loop), 0);
}

static bool has_ended(const void *arg)
{
	return ((const struct fake_conn *)arg)->ended;
}

/* Too many visitors at once: the connection once stayed counted as one that serves. */
static void test_refused(void **state)
{
	struct trial t;

	(void)state;
	trial_open(&t);
	grant_and_await(&t, 2);
	for (unsigned n = 0; n < 4; n++) {
		fake_conn_say(&t.relay.conns[n], VISITOR "\1||\4ping");
		fake_relay_await(&t.relay, n, READY TAKEN_END);
		fake_run_until(&t.loop, has_ended, &t.relay.conns[n]);
		/* Another one takes its place. */
		fake_relay_await(&t.relay, n + 2, READY);
		assert_int_equal(t.warm.count[WARM_SERVING], 0);
		assert_int_equal(t.warm.count[WARM_WAITING], 2);
	}
	assert_int_equal(t.visitors, 4);
	trial_close(&t);
}

/* The relay may have given a visitor before it said that the session is over. */
static void test_left(void **state)
{
	struct trial t;

	(void)state;
	trial_open(&t);
	grant_and_await(&t, 2);
	warm_leave(&t.warm);
	warm_reset(&t.warm);
	assert_int_equal(t.warm.count[WARM_LEFT], 2);
	fake_conn_say(&t.relay.conns[0], VISITOR);
	fake_relay_await(&t.relay, 0, READY TAKEN_END);
	fake_run_until(&t.loop, has_ended, &t.relay.conns[0]);
	assert_int_equal(t.visitors, 1);
	assert_int_equal(t.warm.count[WARM_LEFT], 1);
	trial_close(&t);
}

static void test_limit(void **state)
{
	struct trial t;

	(void)state;
	trial_open(&t);
	grant(&t, 0);
	assert_int_equal(t.warm.count[WARM_DIALLING], 0);
	grant_and_await(&t, 1);
	for (int n = 0; n < 100; n++)
		warm_note_visitor(&t.warm);
	assert_int_equal(t.warm.count[WARM_WAITING] + t.warm.count[WARM_DIALLING], 1);
	/* The same session, and more of them: no more than so many dials at a turn of the loop. */
	grant(&t, 1000);
	assert_int_equal(t.warm.limit, DEMAND_MAX);
	assert_in_range(
		t.warm.count[WARM_WAITING] + t.warm.count[WARM_DIALLING], 2, 1 + WARM_DIALS_MAX);
	trial_close(&t);
}

static struct warm_conn *kept;

/* As a tunnel does whose application is still being connected. */
static void keep(
	struct warm *r, struct warm_conn *c, const struct uuid *id, const struct addr *from)
{
	(void)id;
	(void)from;
	trial_of(r)->visitors++;
	kept = c;
}

static const struct warm_events keeping = { .visitor = keep };

static bool is_given(const void *arg)
{
	(void)arg;
	return kept;
}

/* Bulk, whose connection isn't used again, earns a dial as one that is does. */
static void test_budget_is_earned(void **state)
{
	static const struct {
		uint64_t moved, spent;
	} table[] = { { DIAL_BUDGET_BYTES - 1, 5000 }, { DIAL_BUDGET_BYTES, 4000 } };
	struct trial t;

	(void)state;
	trial_open(&t);
	t.warm.events = &keeping;
	grant_and_await(&t, ARRAY_LEN(table));
	/* Nothing is spent any more. */
	warm_freeze(&t.warm);
	t.warm.budget.spent = 5000;
	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		kept = NULL;
		fake_conn_say(&t.relay.conns[i], VISITOR);
		fake_run_until(&t.loop, is_given, NULL);
		(void)close(take_fd(&kept->fd));
		warm_ended(kept, table[i].moved, -1, NULL, 0);
		assert_int_equal(t.warm.budget.spent, table[i].spent);
	}
	trial_close(&t);
}

/* As much as a pump can have read ahead of the end of the visitor before: all of it is kept. */
static void test_much_behind_a_frame(void **state)
{
	static uint8_t rest[PUMP_AHEAD_MAX];
	const size_t frame = sizeof(VISITOR) - 1;
	struct trial t;

	(void)state;
	trial_open(&t);
	t.warm.events = &keeping;
	grant_and_await(&t, 1);
	fake_conn_say(&t.relay.conns[0], VISITOR);
	fake_relay_await(&t.relay, 0, READY "\4|||");
	for (size_t i = 0; i < sizeof(rest); i++)
		rest[i] = (uint8_t)(i % 251);
	memcpy(rest, VISITOR, frame);
	rest[frame - 1] = '\0';
	/* The first one has ended, and so the second begins. */
	warm_ended(kept, 0, take_fd(&kept->fd), rest, sizeof(rest));
	assert_int_equal(t.visitors, 2);
	assert_false(kept->no_memory);
	assert_ptr_not_equal(kept->early, rest + frame);
	assert_int_equal(kept->early_len, sizeof(rest) - frame);
	assert_memory_equal(kept->early, rest + frame, sizeof(rest) - frame);
	warm_refuse(kept);
	trial_close(&t);
}

/* Nobody listens there: one is tried, and the next ones come alone, after a while. */
static void test_nobody_there(void **state)
{
	struct trial t;
	uint16_t port;
	int fd = fake_refusing_port(&port);

	(void)state;
	trial_open(&t);
	assert_int_equal(dialer_init(&t.to.dialer, &t.loop, "127.0.0.1", port), 0);
	grant(&t, 64);
	for (int n = 0; n < 100; n++)
		warm_note_visitor(&t.warm);
	assert_true(t.warm.in_trouble);
	assert_in_range(t.warm.failures, 1, 100);
	assert_true(uv_is_active((uv_handle_t *)&t.warm.timer));
	assert_int_equal(t.warm.count[WARM_WAITING] + t.warm.count[WARM_DIALLING], 0);
	/* The relay is back. */
	assert_int_equal(dialer_init(&t.to.dialer, &t.loop, "127.0.0.1", t.relay.port), 0);
	fake_relay_await(&t.relay, 0, READY);
	assert_int_equal(t.warm.count[WARM_WAITING], 1);
	assert_int_equal(t.relay.count, 1);
	/* It is of use, so all is well. */
	fake_conn_say(&t.relay.conns[0], VISITOR);
	fake_relay_await(&t.relay, 0, READY TAKEN_END);
	assert_false(t.warm.in_trouble);
	trial_close(&t);
	(void)fd_close(fd);
}

static bool is_in_trouble(const void *arg)
{
	return ((const struct warm *)arg)->in_trouble;
}

static uint64_t longest(uint64_t bound)
{
	return bound;
}

static bool has_a_third(const void *arg)
{
	return ((const struct fake_relay *)arg)->count >= 3;
}

static bool waits_for_one(const void *arg)
{
	return ((const struct warm *)arg)->count[WARM_WAITING] == 1;
}

/* It takes the connection, and its challenge never comes. */
static void test_relay_that_says_nothing(void **state)
{
	struct secret secret = { 0 };
	struct auth *auth;
	struct trial t;

	(void)state;
	trial_open(&t);
	assert_int_equal(secret_set(&secret, "s3cret", 6), 0);
	assert_int_equal(auth_new(&secret, false, &auth), 0);
	t.to.auth = auth;
	t.warm.dials.delay_ms = 50;
	t.warm.backoff.random = longest;
	grant(&t, 64);
	assert_int_equal(t.warm.count[WARM_DIALLING], 2);
	fake_run_until(&t.loop, is_in_trouble, &t.warm);
	t.warm.dials.delay_ms = WARM_DIAL_MS;
	fake_run_until(&t.loop, has_ended, &t.relay.conns[0]);
	fake_run_until(&t.loop, has_ended, &t.relay.conns[1]);
	/* With its challenge all is well. */
	fake_run_until(&t.loop, has_a_third, &t.relay);
	fake_conn_say(&t.relay.conns[2], "{\"Challenge\":\"" ID "\"}|");
	fake_relay_await(&t.relay, 2, "\"}|" READY);
	fake_run_until(&t.loop, waits_for_one, &t.warm);
	trial_close(&t);
	(void)auth_free(auth);
	secret_clear(&secret);
}

static bool has_visitor(const void *arg)
{
	return ((const struct trial *)arg)->visitors > 0;
}

static bool has_failed_thrice(const void *arg)
{
	return ((const struct warm *)arg)->failures >= 3;
}

/* The relay takes one, and no more: that this one serves visitors is no reason to dial others. Each
 * visitor once was. */
static void test_relay_that_is_full(void **state)
{
	static const struct fake_script takes_one[] = { { 0 }, { .hang_up = true } };
	struct trial t;

	(void)state;
	trial_open_at(&t, takes_one, ARRAY_LEN(takes_one));
	t.warm.events = &keeping;
	grant(&t, 64);
	fake_run_until(&t.loop, is_in_trouble, &t.warm);
	fake_relay_await(&t.relay, 0, READY);
	fake_conn_say(&t.relay.conns[0], VISITOR);
	fake_run_until(&t.loop, has_visitor, &t);
	assert_true(t.warm.in_trouble);
	/* Others are dialled one at a time, each behind its backoff. */
	fake_run_until(&t.loop, has_failed_thrice, &t.warm);
	assert_in_range(t.relay.count, 4, 5);
	warm_refuse(kept);
	trial_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_left),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_budget_is_earned),
		cmocka_unit_test(test_much_behind_a_frame),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_relay_that_is_full),
		cmocka_unit_test(test_relay_that_says_nothing),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests_name("tunnel/warm", tests, NULL, NULL);
}
