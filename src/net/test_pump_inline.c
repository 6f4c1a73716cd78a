/* SPDX-License-Identifier: MIT */
/* The control loop's worker where it waits in libuv's place, and what it watches beside pumps. */
#include "net/test_pump_fixture.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/lang.h"
#include "net/watch.h"

#define WAITING pool_of(.inline_turns = PUMP_INLINE_TURNS, .waits = true)
#define QUIET_PUMPS 2
#define BUSY_TURNS 64
#define TURN_LATE_MS 60000

struct trial {
	struct fixture *fixture;
	int ends[2][2]; /* socket pairs: the second one is watched */
	struct watch watches[2];
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned told, ticks, ended;
	bool polled;
	int peers[QUIET_PUMPS][PUMP_SIDES]; /* the test's ends */
};

static void trial_open(struct trial *t, const struct pump_pool_config *config)
{
	memset(t, 0, sizeof(*t));
	t->fixture = fixture_new(config);
	for (size_t i = 0; i < ARRAY_LEN(t->ends); i++)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, t->ends[i]), 0);
	assert_int_equal(uv_timer_init(&t->fixture->loop, &t->timer), 0);
	t->timer.data = t;
}

static void trial_close(struct trial *t)
{
	uv_close((uv_handle_t *)&t->timer, NULL);
	fixture_free(t->fixture);
	for (size_t i = 0; i < ARRAY_LEN(t->ends); i++) {
		(void)close(t->ends[i][0]);
		(void)close(t->ends[i][1]);
	}
}

static void run(struct trial *t)
{
	(void)uv_run(&t->fixture->loop, UV_RUN_DEFAULT);
}

static void on_polled(uv_poll_t *poll, int status, int events)
{
	struct trial *t = poll->data;

	assert_int_equal(status, 0);
	t->polled = true;
	uv_close((uv_handle_t *)poll, NULL);
	uv_stop(poll->loop);
}

/* libuv puts what it is to watch into its set only when it is about to wait. */
static void on_pumped(void *owner, const struct pump_result *result)
{
	struct trial *t = owner;

	assert_int_equal(result->end, PUMP_END_CLOSED);
	assert_int_equal(uv_poll_init(&t->fixture->loop, &t->poll, t->ends[0][1]), 0);
	t->poll.data = t;
	assert_int_equal(uv_poll_start(&t->poll, UV_READABLE, on_polled), 0);
}

static void test_what_a_completion_begins_is_served(void **state)
{
	struct pump_job job = { .done = on_pumped };
	struct trial t;
	int peer[PUMP_SIDES];

	trial_open(&t, WAITING);
	job.owner = &t;
	for (int side = 0; side < PUMP_SIDES; side++) {
		test_tcp_pair(0, &peer[side], &job.fd[side]);
		assert_int_equal(shutdown(peer[side], SHUT_WR), 0);
	}
	assert_int_equal(write(t.ends[0][0], "x", 1), 1);
	assert_int_equal(pump_pool_add(t.fixture->pool, &job, NULL), 0);
	run(&t);
	assert_true(t.polled);
	for (int side = 0; side < PUMP_SIDES; side++)
		(void)close(peer[side]);
	trial_close(&t);
}

static struct trial *trial_of(struct watch *watch, size_t at)
{
	return container_of(watch - at, struct trial, watches[0]);
}

static void on_idle(void *owner, const struct pump_result *result);

static void add_quiet(struct trial *t)
{
	struct pump_job job = { .owner = t, .done = on_idle };

	for (int side = 0; side < PUMP_SIDES; side++)
		test_tcp_pair(0, &t->peers[t->ended][side], &job.fd[side]);
	assert_int_equal(pump_pool_add(t->fixture->pool, &job, NULL), 0);
}

static void on_idle(void *owner, const struct pump_result *result)
{
	struct trial *t = owner;

	assert_int_equal(result->end, PUMP_END_IDLE);
	for (int side = 0; side < PUMP_SIDES; side++)
		(void)close(t->peers[t->ended][side]);
	if (++t->ended < QUIET_PUMPS)
		add_quiet(t);
	else
		uv_stop(&t->fixture->loop);
}

/* No event comes: the first is added before the loop is run, the next from within a completion. */
static void test_deadlines_are_met_while_it_waits(void **state)
{
	struct trial t;

	trial_open(&t,
		pool_of(.inline_turns = PUMP_INLINE_TURNS, .waits = true, .idle_timeout_ms = 200));
	add_quiet(&t);
	run(&t);
	assert_int_equal(t.ended, QUIET_PUMPS);
	trial_close(&t);
}

static void on_busy_end(void *owner, const struct pump_result *result)
{
}

/* Each of its turns begins a pump that has something to do, and has libuv watch something new. */
static void on_busy(uv_poll_t *poll, int status, int events)
{
	struct trial *t = poll->data;
	struct pump_job job = { .owner = t, .done = on_busy_end };
	int peer;

	assert_int_equal(status, 0);
	if (t->ticks++ == 0)
		assert_int_equal(write(t->ends[1][0], "x", 1), 1);
	for (int side = 0; side < PUMP_SIDES; side++) {
		test_tcp_pair(0, &peer, &job.fd[side]);
		(void)close(peer);
		job.early[side] = "x";
		job.early_len[side] = 1;
	}
	assert_int_equal(pump_pool_add(t->fixture->pool, &job, NULL), 0);
	assert_int_equal(uv_poll_start(poll, UV_READABLE, on_busy), 0);
	if (t->ticks == BUSY_TURNS)
		uv_stop(poll->loop);
}

static void on_beside_busy(struct watch *watch)
{
	struct trial *t = trial_of(watch, 0);

	pump_pool_unwatch(t->fixture->pool, watch, t->ends[1][1]);
	t->told++;
	uv_stop(&t->fixture->loop);
}

static void test_a_busy_loop_starves_nobody(void **state)
{
	struct trial t;

	trial_open(&t, WAITING);
	assert_int_equal(uv_poll_init(&t.fixture->loop, &t.poll, t.ends[0][1]), 0);
	t.poll.data = &t;
	assert_int_equal(uv_poll_start(&t.poll, UV_READABLE, on_busy), 0);
	assert_int_equal(write(t.ends[0][0], "x", 1), 1);
	watch_init(&t.watches[0], on_beside_busy);
	assert_int_equal(pump_pool_watch(t.fixture->pool, &t.watches[0], t.ends[1][1]), 0);
	run(&t);
	assert_int_equal(t.told, 1);
	uv_close((uv_handle_t *)&t.poll, NULL);
	trial_close(&t);
}

static void on_tick(uv_timer_t *timer)
{
	struct trial *t = timer->data;

	if (++t->ticks == 3)
		uv_stop(timer->loop);
}

static void test_timers_fire_while_it_waits(void **state)
{
	struct trial t;

	trial_open(&t, WAITING);
	assert_int_equal(uv_timer_start(&t.timer, on_tick, 1, 1), 0);
	run(&t);
	assert_int_equal(t.ticks, 3);
	trial_close(&t);
}

static void on_told(struct watch *watch)
{
	struct trial *t = trial_of(watch, 0);

	if (++t->told < 3)
		return;
	pump_pool_unwatch(t->fixture->pool, watch, t->ends[0][1]);
	uv_stop(&t->fixture->loop);
}

static void test_a_watch_is_told_as_long_as_it_is_readable(void **state)
{
	struct trial t;

	trial_open(&t, WAITING);
	watch_init(&t.watches[0], on_told);
	assert_int_equal(pump_pool_watch(t.fixture->pool, &t.watches[0], t.ends[0][1]), 0);
	assert_int_equal(write(t.ends[0][0], "x", 1), 1);
	run(&t);
	assert_int_equal(t.told, 3);
	/* And not any more. */
	assert_int_equal(uv_timer_start(&t.timer, on_tick, 1, 1), 0);
	run(&t);
	assert_int_equal(t.told, 3);
	trial_close(&t);
}

static void on_turn_ends(void *owner)
{
	struct trial *t = owner;

	t->ended++;
	if (t->told)
		uv_stop(&t->fixture->loop);
}

static void on_told_once(struct watch *watch)
{
	struct trial *t = trial_of(watch, 0);

	t->told++;
	pump_pool_unwatch(t->fixture->pool, watch, t->ends[0][1]);
}

static void on_too_late(uv_timer_t *timer)
{
	fail_msg("the turn has not ended before the loop waited again");
}

/* What a watch has begun doesn't wait for libuv, which has nothing to do. */
static void check_turn_ends(const struct pump_pool_config *config)
{
	struct trial t;

	trial_open(&t, config);
	pump_pool_set_turn_ends(t.fixture->pool, on_turn_ends, &t);
	watch_init(&t.watches[0], on_told_once);
	assert_int_equal(pump_pool_watch(t.fixture->pool, &t.watches[0], t.ends[0][1]), 0);
	assert_int_equal(write(t.ends[0][0], "x", 1), 1);
	assert_int_equal(uv_timer_start(&t.timer, on_too_late, TURN_LATE_MS, 0), 0);
	run(&t);
	assert_int_equal(t.told, 1);
	assert_true(t.ended > 0);
	pump_pool_set_turn_ends(t.fixture->pool, NULL, NULL);
	trial_close(&t);
}

static void test_a_turn_ends_before_the_loop_waits(void **state)
{
	check_turn_ends(WAITING);
	check_turn_ends(pool_of(.inline_turns = PUMP_INLINE_TURNS));
}

/* Whichever is told first removes both. */
static void remove_both(struct trial *t)
{
	t->told++;
	for (size_t i = 0; i < ARRAY_LEN(t->watches); i++)
		pump_pool_unwatch(t->fixture->pool, &t->watches[i], t->ends[i][1]);
	uv_stop(&t->fixture->loop);
}

static void on_first(struct watch *watch)
{
	remove_both(trial_of(watch, 0));
}

static void on_second(struct watch *watch)
{
	remove_both(trial_of(watch, 1));
}

static void test_a_watch_can_be_removed_by_another(void **state)
{
	struct trial t;

	trial_open(&t, WAITING);
	watch_init(&t.watches[0], on_first);
	watch_init(&t.watches[1], on_second);
	for (size_t i = 0; i < ARRAY_LEN(t.watches); i++) {
		assert_int_equal(pump_pool_watch(t.fixture->pool, &t.watches[i], t.ends[i][1]), 0);
		assert_int_equal(write(t.ends[i][0], "x", 1), 1);
	}
	run(&t);
	assert_int_equal(t.told, 1);
	trial_close(&t);
}

/* --- a socket that serves one stream after the other --- */

#define END "\2\0\0"
#define END_LEN sizeof(END)

struct seat {
	struct trial trial;
	struct watch watch;
	int peer[PUMP_SIDES];
	struct pump *pump;
	struct pump_result result;
	uint32_t events_at_end;
};

static struct seat *seat_of(struct watch *watch)
{
	return container_of(watch, struct seat, watch);
}

static void seat_on_ready(struct watch *watch)
{
	struct trial *t = &seat_of(watch)->trial;

	t->told++;
	uv_stop(&t->fixture->loop);
}

static void seat_on_pumped(void *owner, const struct pump_result *result)
{
	struct seat *s = owner;

	s->result = *result;
	s->events_at_end = s->watch.events;
	assert_null(s->watch.pump);
	uv_stop(&s->trial.fixture->loop);
}

static void seat_open(struct seat *s, const struct pump_pool_config *config)
{
	struct pump_job job = {
		.done = seat_on_pumped, .owner = s, .wire = { [PUMP_OUTER] = PUMP_WIRE_BLOCKS }
	};

	memset(s, 0, sizeof(*s));
	trial_open(&s->trial, config);
	watch_init(&s->watch, seat_on_ready);
	for (int side = 0; side < PUMP_SIDES; side++)
		test_tcp_pair(0, &s->peer[side], &job.fd[side]);
	job.watch[PUMP_OUTER] = &s->watch;
	assert_int_equal(
		pump_pool_watch_socket(s->trial.fixture->pool, &s->watch, job.fd[PUMP_OUTER]), 0);
	assert_int_equal(pump_pool_add(s->trial.fixture->pool, &job, &s->pump), 0);
}

static void seat_close(struct seat *s)
{
	int fd = s->result.fd[PUMP_OUTER];

	pump_pool_unwatch(s->trial.fixture->pool, &s->watch, fd);
	if (fd >= 0)
		(void)close(fd);
	for (int side = 0; side < PUMP_SIDES; side++)
		(void)close(s->peer[side]);
	trial_close(&s->trial);
}

static void test_a_socket_is_watched_between_its_streams(void **state)
{
	struct seat s;

	seat_open(&s, WAITING);
	assert_int_equal(write(s.peer[PUMP_OUTER], END, END_LEN), END_LEN);
	assert_int_equal(shutdown(s.peer[PUMP_INNER], SHUT_WR), 0);
	run(&s.trial);
	assert_int_equal(s.result.end, PUMP_END_CLOSED);
	assert_true(s.result.fd[PUMP_OUTER] >= 0 && s.watch.watched);
	assert_int_equal(s.events_at_end, 0);
	assert_int_equal(s.trial.told, 0);
	assert_int_equal(write(s.peer[PUMP_OUTER], "x", 1), 1);
	run(&s.trial);
	assert_int_equal(s.trial.told, 1);
	assert_true(s.watch.events & EPOLLIN);
	seat_close(&s);
}

/* The edge comes while the pump has the socket, which has no use for it. */
static void on_step(uv_timer_t *timer)
{
	struct seat *s = container_of((struct trial *)timer->data, struct seat, trial);

	s->trial.ticks++;
	if (s->trial.ticks == 1)
		assert_int_equal(write(s->peer[PUMP_OUTER], END, END_LEN), END_LEN);
	else if (s->trial.ticks == 3)
		assert_int_equal(write(s->peer[PUMP_OUTER], "next", 4), 4);
	else if (s->trial.ticks == 5)
		assert_int_equal(shutdown(s->peer[PUMP_INNER], SHUT_WR), 0);
}

static void test_what_comes_behind_an_end_is_told_after_it(void **state)
{
	char data[8];
	struct seat s;

	seat_open(&s, WAITING);
	assert_int_equal(uv_timer_start(&s.trial.timer, on_step, 1, 1), 0);
	run(&s.trial);
	assert_int_equal(s.result.end, PUMP_END_CLOSED);
	assert_int_equal(s.result.rest_len, 0);
	assert_true(s.events_at_end & EPOLLIN);
	assert_int_equal(recv(s.result.fd[PUMP_OUTER], data, sizeof(data), MSG_DONTWAIT), 4);
	seat_close(&s);
}

static void on_full_step(uv_timer_t *timer)
{
	enum { BYTES = PUMP_AHEAD_MAX - 4 - END_LEN }; /* of the stream: one read is full of it */
	static uint8_t said[PUMP_AHEAD_MAX + 4] = { 1, 0, BYTES >> 8, BYTES & 0xff };
	struct seat *s = container_of((struct trial *)timer->data, struct seat, trial);

	s->trial.ticks++;
	if (s->trial.ticks == 1) {
		assert_int_equal(shutdown(s->peer[PUMP_INNER], SHUT_WR), 0);
	} else if (s->trial.ticks == 3) {
		memcpy(said + 4 + BYTES, END "\0next", END_LEN + 4);
		assert_int_equal(write(s->peer[PUMP_OUTER], said, sizeof(said)), sizeof(said));
		assert_int_equal(shutdown(s->peer[PUMP_OUTER], SHUT_WR), 0);
	} else if (s->trial.ticks > 3) {
		(void)recv(s->peer[PUMP_INNER], NULL, BYTES, MSG_TRUNC | MSG_DONTWAIT);
	}
}

/* TCP's end was told to a pump that has read its END and no more: who reads the rest is told. */
static void test_an_end_of_tcp_is_told_behind_that_of_a_stream(void **state)
{
	struct seat s;

	seat_open(&s, WAITING);
	assert_int_equal(uv_timer_start(&s.trial.timer, on_full_step, 1, 1), 0);
	run(&s.trial);
	assert_int_equal(s.result.end, PUMP_END_CLOSED);
	assert_int_equal(s.result.rest_len, 0);
	assert_true(s.events_at_end & EPOLLIN);
	assert_true(s.events_at_end & EPOLLRDHUP);
	seat_close(&s);
}

static void test_a_socket_that_a_thread_has_had_is_not_watched(void **state)
{
	struct seat s;

	seat_open(&s, pool_of(.inline_turns = 1, .waits = true));
	assert_int_equal(uv_timer_start(&s.trial.timer, on_step, 1, 1), 0);
	run(&s.trial);
	assert_int_equal(s.result.end, PUMP_END_CLOSED);
	assert_true(s.result.fd[PUMP_OUTER] >= 0);
	assert_false(s.watch.watched);
	seat_close(&s);
}

static void test_a_socket_that_is_closed_is_not_watched(void **state)
{
	struct seat s;

	seat_open(&s, WAITING);
	pump_abort(s.trial.fixture->pool, s.pump);
	run(&s.trial);
	assert_int_equal(s.result.end, PUMP_END_ABORTED);
	assert_int_equal(s.result.fd[PUMP_OUTER], -1);
	assert_false(s.watch.watched);
	seat_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_completion_begins_is_served),
		cmocka_unit_test(test_deadlines_are_met_while_it_waits),
		cmocka_unit_test(test_a_busy_loop_starves_nobody),
		cmocka_unit_test(test_timers_fire_while_it_waits),
		cmocka_unit_test(test_a_watch_is_told_as_long_as_it_is_readable),
		cmocka_unit_test(test_a_turn_ends_before_the_loop_waits),
		cmocka_unit_test(test_a_watch_can_be_removed_by_another),
		cmocka_unit_test(test_a_socket_is_watched_between_its_streams),
		cmocka_unit_test(test_what_comes_behind_an_end_is_told_after_it),
		cmocka_unit_test(test_an_end_of_tcp_is_told_behind_that_of_a_stream),
		cmocka_unit_test(test_a_socket_that_a_thread_has_had_is_not_watched),
		cmocka_unit_test(test_a_socket_that_is_closed_is_not_watched),
	};

	return cmocka_run_group_tests_name("net/pump_inline", tests, NULL, NULL);
}
