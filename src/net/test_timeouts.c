/* SPDX-License-Identifier: MIT */
/* A queue of deadlines on a loop: order, disarming, arming from within. */
#include "net/timeouts.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <unistd.h>
#include <cmocka.h>

#define DELAY_MS 20

struct fixture {
	uv_loop_t loop;
	struct timeouts queue;
	struct timeout items[4];
	struct timeout *expired[8];
	unsigned count, again;
	int wake_fd;            /* to be written to */
	struct timeout *disarm; /* by the first that expires */
};

static void on_expired(struct timeouts *q, struct timeout *t)
{
	struct fixture *f = q->owner;

	assert_true(list_empty(&t->link));
	assert_true(uv_now(&f->loop) >= t->at_ms);
	f->expired[f->count++] = t;
	if (f->disarm)
		timeout_disarm(f->disarm);
	if (f->again) {
		f->again--;
		timeouts_arm(q, t);
	}
}

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ 0 };
	uv_loop_init(&f.loop);
	timeouts_init(&f.queue, &f.loop, DELAY_MS, on_expired, &f);
	for (size_t i = 0; i < 4; i++)
		timeout_init(&f.items[i]);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	timeouts_close(&f->queue, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	return 0;
}

static void test_order_and_disarming(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < 4; i++)
		timeouts_arm(&f->queue, &f->items[i]);
	timeout_disarm(&f->items[1]);
	timeouts_arm(&f->queue, &f->items[0]); /* now the last */
	timeout_disarm(&f->items[1]);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->count, 3);
	assert_ptr_equal(f->expired[0], &f->items[2]);
	assert_ptr_equal(f->expired[1], &f->items[3]);
	assert_ptr_equal(f->expired[2], &f->items[0]);
}

static void test_callbacks_may_arm_and_disarm(void **state)
{
	struct fixture *f = *state;

	f->again = 2;
	f->disarm = &f->items[1];
	timeouts_arm(&f->queue, &f->items[0]);
	timeouts_arm(&f->queue, &f->items[1]);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_ptr_equal(f->expired[i], &f->items[0]);
}

/* Those that wait keep their order, and none waits for one that was armed before. */
static void test_another_delay(void **state)
{
	struct fixture *f = *state;
	uint64_t armed_ms;

	timeouts_set_delay(&f->queue, 3600000);
	timeouts_arm(&f->queue, &f->items[0]);
	armed_ms = f->items[0].at_ms - 3600000;
	timeouts_set_delay(&f->queue, DELAY_MS);
	assert_int_equal(f->items[0].at_ms, armed_ms + DELAY_MS);
	timeouts_arm(&f->queue, &f->items[1]);
	timeouts_set_delay(&f->queue, 2 * DELAY_MS);
	assert_int_equal(f->items[0].at_ms, armed_ms + 2 * DELAY_MS);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->count, 2);
	assert_ptr_equal(f->expired[0], &f->items[0]);
	assert_ptr_equal(f->expired[1], &f->items[1]);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	struct fixture *f = handle->data;

	(void)status;
	(void)events;
	timeout_disarm(&f->items[0]);
	(void)uv_poll_stop(handle);
}

/* The loop stood still till all was over: what has come meanwhile comes first. */
static void test_what_was_there_in_time(void **state)
{
	struct fixture *f = *state;
	int pipe_fd[2];
	uv_poll_t reader;

	assert_int_equal(pipe(pipe_fd), 0);
	assert_int_equal(uv_poll_init(&f->loop, &reader, pipe_fd[0]), 0);
	reader.data = f;
	assert_int_equal(uv_poll_start(&reader, UV_READABLE, on_readable), 0);
	timeouts_arm(&f->queue, &f->items[0]);
	timeouts_arm(&f->queue, &f->items[1]);
	assert_int_equal(write(pipe_fd[1], "x", 1), 1);
	(void)usleep(2000 * DELAY_MS);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->count, 1);
	assert_ptr_equal(f->expired[0], &f->items[1]);
	uv_close((uv_handle_t *)&reader, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	(void)close(pipe_fd[0]);
	(void)close(pipe_fd[1]);
}

/* The same, while the loop asks for events because another was over. */
static void on_stalled(uv_poll_t *handle, int status, int events)
{
	struct fixture *f = handle->data;

	(void)status;
	(void)events;
	(void)uv_poll_stop(handle);
	assert_int_equal(f->count, 0);
	timeouts_arm(&f->queue, &f->items[0]);
	(void)usleep(2000 * DELAY_MS);
	assert_int_equal(write(f->wake_fd, "x", 1), 1);
}

static void test_what_was_there_in_time_after_another(void **state)
{
	struct fixture *f = *state;
	int first[2], second[2];
	uv_poll_t stalls, reader;

	assert_int_equal(pipe(first), 0);
	assert_int_equal(pipe(second), 0);
	assert_int_equal(uv_poll_init(&f->loop, &stalls, first[0]), 0);
	assert_int_equal(uv_poll_init(&f->loop, &reader, second[0]), 0);
	stalls.data = reader.data = f;
	assert_int_equal(uv_poll_start(&stalls, UV_READABLE, on_stalled), 0);
	assert_int_equal(uv_poll_start(&reader, UV_READABLE, on_readable), 0);
	f->wake_fd = second[1];
	timeouts_arm(&f->queue, &f->items[1]);
	(void)usleep(2000 * DELAY_MS);
	assert_int_equal(write(first[1], "x", 1), 1);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->count, 1);
	assert_ptr_equal(f->expired[0], &f->items[1]);
	uv_close((uv_handle_t *)&stalls, NULL);
	uv_close((uv_handle_t *)&reader, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	for (int i = 0; i < 2; i++) {
		(void)close(first[i]);
		(void)close(second[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order_and_disarming, setup, teardown),
		cmocka_unit_test_setup_teardown(test_callbacks_may_arm_and_disarm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_delay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_was_there_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_was_there_in_time_after_another, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
