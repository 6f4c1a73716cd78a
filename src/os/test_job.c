/* SPDX-License-Identifier: MIT */
/* Jobs that a test holds up in their thread. */
#include "os/job.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <semaphore.h>
#include <stdlib.h>

#include "base/lang.h"

#define JOBS 6 /* more than the pool has threads */

struct fixture {
	uv_loop_t loop;
	struct job_line line;
	sem_t begun, hold;
	int order[JOBS]; /* their numbers as they are done */
	size_t done, freed;
};

struct numbered {
	struct job job;
	struct fixture *f;
	int number;
	bool ran;
};

static void on_run(struct job *job)
{
	struct numbered *n = container_of(job, struct numbered, job);

	n->ran = true;
	(void)sem_post(&n->f->begun);
	(void)sem_wait(&n->f->hold);
}

static void on_done(struct job *job)
{
	struct numbered *n = container_of(job, struct numbered, job);

	assert_true(n->ran);
	n->f->order[n->f->done++] = n->number;
}

static void on_free(struct job *job)
{
	struct numbered *n = container_of(job, struct numbered, job);

	n->f->freed++;
	free(n);
}

static struct job *start(struct fixture *f, int number)
{
	struct numbered *n = calloc(1, sizeof *n);

	assert_non_null(n);
	*n = (struct numbered){
		.job = { .run = on_run, .done = on_done, .free = on_free }, .f = f, .number = number
	};
	job_start(&f->line, &n->job);
	return &n->job;
}

static void fixture_open(struct fixture *f)
{
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(sem_init(&f->begun, 0, 0), 0);
	assert_int_equal(sem_init(&f->hold, 0, 0), 0);
	job_line_init(&f->line, &f->loop);
}

static void fixture_close(struct fixture *f, size_t freed)
{
	assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_int_equal(f->freed, freed);
	assert_int_equal(sem_destroy(&f->begun), 0);
	assert_int_equal(sem_destroy(&f->hold), 0);
}

static void let_go(struct fixture *f, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_int_equal(sem_post(&f->hold), 0);
}

/* A line that is held up leaves the pool's other threads to others. */
static void test_one_behind_the_other(void **state)
{
	struct fixture f = { 0 }, other = { 0 };
	int begun;

	fixture_open(&f);
	for (int i = 0; i < JOBS; i++)
		(void)start(&f, i);
	assert_int_equal(sem_wait(&f.begun), 0);
	fixture_open(&other);
	(void)start(&other, 0);
	let_go(&other, 1);
	fixture_close(&other, 1);
	assert_int_equal(other.done, 1);
	assert_int_equal(sem_getvalue(&f.begun, &begun), 0);
	assert_int_equal(begun, 0);
	let_go(&f, JOBS);
	fixture_close(&f, JOBS);
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(f.order[i], i);
}

/* What waits is freed at once, what is at work when it has ended; neither is told as done. */
static void test_drop(void **state)
{
	struct fixture f = { 0 };
	struct job *working, *waiting;

	fixture_open(&f);
	working = start(&f, 0);
	waiting = start(&f, 1);
	(void)start(&f, 2);
	assert_int_equal(sem_wait(&f.begun), 0);
	job_drop(waiting);
	assert_int_equal(f.freed, 1);
	job_drop(working);
	job_drop(working);
	job_drop(NULL);
	assert_int_equal(f.freed, 1);
	let_go(&f, 2);
	fixture_close(&f, 3);
	assert_int_equal(f.done, 1);
	assert_int_equal(f.order[0], 2);
}

/* The line's memory may be another's by the time that its last job ends. */
static void test_close(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f);
	job_line_close(&f.line);
	for (int i = 0; i < 3; i++)
		(void)start(&f, i);
	assert_int_equal(sem_wait(&f.begun), 0);
	job_line_close(&f.line);
	assert_int_equal(f.freed, 2);
	f.line = (struct job_line){ 0 };
	let_go(&f, 1);
	fixture_close(&f, 3);
	assert_int_equal(f.done, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_behind_the_other),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
