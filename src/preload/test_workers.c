/* SPDX-License-Identifier: MIT */
/* Threads of each way of life, looked at as often as they have used the processor. */
#include "preload/workers.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define LIMIT_MS 30000
#define TICK_MS 1000
#define LOOKS 30

enum life { COMPUTES, SERVES, SLEEPS };

struct thread {
	pthread_t id;
	enum life life;
	atomic_uint looks; /* at which it is to be seen */
	atomic_uint ready; /* for so many of them */
	atomic_bool ends;
};

static uint64_t own_us(void)
{
	struct timespec used;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

static void nap(void)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
}

/* Between two looks it uses a fiftieth of a tick, as among very many it would. */
static void *live(void *arg)
{
	struct thread *t = arg;

	workers_return();
	while (!t->ends) {
		uint64_t until_us = own_us() + TICK_MS * 1000 / 50;

		if (t->ready > t->looks) {
			nap();
			continue;
		}
		while (t->life != SLEEPS && own_us() < until_us)
			;
		if (t->life == SERVES)
			workers_return();
		t->ready++;
	}
	return NULL;
}

/* After how many looks, a tick from each to the next, it counts as stuck; 0: after none. */
static unsigned looks_until_stuck(enum life life)
{
	struct thread t = { .life = life };
	unsigned found = 0;

	assert_int_equal(pthread_create(&t.id, NULL, live, &t), 0);
	for (unsigned i = 0; i <= LOOKS + 1 && !found; i++) {
		while (t.ready <= t.looks)
			nap();
		if (workers_stuck(1000000 + (uint64_t)i * TICK_MS, TICK_MS, LIMIT_MS))
			found = i;
		t.looks++;
	}
	t.ends = true;
	assert_int_equal(pthread_join(t.id, NULL), 0);
	/* It isn't there any more. */
	assert_false(workers_stuck(2000000, TICK_MS, LIMIT_MS));
	return found;
}

static void test_stuck(void **state)
{
	assert_int_equal(looks_until_stuck(COMPUTES), LOOKS);
	assert_int_equal(looks_until_stuck(SERVES), 0);
	assert_int_equal(looks_until_stuck(SLEEPS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_stuck) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
