/* SPDX-License-Identifier: MIT */
/* A supervisor whose project is on a file system that doesn't answer. */
#include "os/supervisor.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <semaphore.h>
#include <stdio.h>
#include <uv.h>

#include "os/supervisor_fixture.h"

#define POOL_THREADS 4 /* libuv's, unless UV_THREADPOOL_SIZE says otherwise */

static void on_hold(uv_work_t *work)
{
	(void)sem_wait(work->data);
}

static void on_held(uv_work_t *work, int status)
{
}

/* Occupies the thread pool: to the supervisor it is a file system that doesn't answer. */
static void hold_pool(struct fixture *f, uv_work_t works[POOL_THREADS], sem_t *hold)
{
	for (size_t i = 0; i < POOL_THREADS; i++) {
		works[i].data = hold;
		assert_int_equal(uv_queue_work(&f->loop, &works[i], on_hold, on_held), 0);
	}
}

static void let_pool_go(sem_t *hold)
{
	for (size_t i = 0; i < POOL_THREADS; i++)
		assert_int_equal(sem_post(hold), 0);
}

/* The project's folder is a mount whose server is gone: nothing but the start waits for it. */
static void test_folder_does_not_answer(void **state)
{
	uv_work_t works[POOL_THREADS];
	struct fixture f = { 0 };
	char path[96];
	sem_t hold;

	fixture_open(&f, "ready; until [ -e .crash ]; do sleep 0.01; done; exit 1");
	assert_int_equal(sem_init(&hold, 0, 0), 0);
	hold_pool(&f, works, &hold);
	supervisor_start(f.supervisor);
	assert_int_equal(fixture_status(&f).state, SUPERVISOR_BUILDING);
	supervisor_stop(f.supervisor);
	fixture_await(&f, "stopping stopped ");
	supervisor_start(f.supervisor);
	supervisor_restart(f.supervisor);
	supervisor_stop(f.supervisor);
	supervisor_start(f.supervisor);
	assert_int_equal(fixture_status(&f).state, SUPERVISOR_STOPPING);
	let_pool_go(&hold);
	fixture_await(&f, "stopping starting running ");
	/* A crash, and what was meant to look at the module. */
	supervisor_stop(f.supervisor);
	fixture_await(&f, "stopping stopped ");
	supervisor_start(f.supervisor);
	fixture_await(&f, "starting running ");
	hold_pool(&f, works, &hold);
	snprintf(path, sizeof path, "%s/.crash", f.dir);
	fixture_write_file(path, "", 0);
	fixture_await_state(&f, SUPERVISOR_RESTARTING);
	supervisor_start(f.supervisor);
	supervisor_stop(f.supervisor);
	assert_int_equal(fixture_status(&f).state, SUPERVISOR_STOPPED);
	/* It can be closed while a job is at work. */
	supervisor_start(f.supervisor);
	fixture_close_twice(&f);
	let_pool_go(&hold);
	fixture_close(&f);
	assert_int_equal(sem_destroy(&hold), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folder_does_not_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
