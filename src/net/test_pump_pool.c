/* SPDX-License-Identifier: MIT */
/* The pool: many connections, too few pipes, fairness, counters, and its end. */
#include "net/test_pump_fixture.h"

#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lang.h"
#include "base/test_open_fds.h"
#include "net/pipe_pool.h"

#define MANY 150
#define OLD_MS 1100 /* more than pump_worker.c's WORKER_INLINE_AGE_MS */
#define STREAMS 8
#define STREAM_BYTES (512U * 1024U) /* over small buffers: see net/test_pump_fixture.h */

static void test_many_connections(void **state)
{
	const struct pump_pool_config config = { .workers = 2, .mode = test_mode(state) };
	struct fixture *f = fixture_new(&config);
	struct link *links = calloc(MANY, sizeof(*links));
	struct pump_stats stats;
	unsigned fds;

	/* libuv opens a few descriptors at its first loop and keeps them. */
	fixture_free(f);
	fds = test_open_fds();
	f = fixture_new(&config);
	assert_non_null(links);
	for (unsigned i = 0; i < MANY; i++) {
		link_open(f, &links[i], 0);
		link_add(&links[i], NULL, NULL);
		assert_true(stream_write(links[i].visitor, i, 100000));
	}
	pump_pool_stats(f->pool, &stats);
	assert_int_equal(stats.open, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		assert_true(stream_read(links[i].app, i, 100000));
		link_close(&links[i]);
	}
	for (unsigned i = 0; i < MANY; i++) {
		link_wait(&links[i]);
		assert_int_equal(links[i].result.end, PUMP_END_CLOSED);
		assert_int_equal(links[i].result.bytes[PUMP_OUTER], 100000);
	}
	pump_pool_stats(f->pool, &stats);
	assert_int_equal(stats.open, 0);
	assert_int_equal(stats.total, MANY);
	assert_int_equal(stats.pipes_large + stats.pipes_small, 0);
	free(links);
	fixture_free(f);
	assert_int_equal(test_open_fds(), fds);
}

/* Streams whose readers wait, so that each one holds what it has read. */
static void run_streams(enum pump_mode mode, uint32_t pipe_pages, struct pump_stats *ret_stats)
{
	const struct pump_pool_config config = {
		.workers = 2, .mode = mode, .pipe_pages = pipe_pages
	};
	struct fixture *f = fixture_new(&config);
	struct talker writers[STREAMS], readers[STREAMS];
	struct link links[STREAMS];

	for (unsigned i = 0; i < STREAMS; i++) {
		link_open(f, &links[i], 16384);
		link_add(&links[i], NULL, NULL);
		writers[i] = (struct talker){ .fd = links[i].app,
			.seed = i,
			.len = STREAM_BYTES,
			.write = true,
			.until_eof = true };
		readers[i] = (struct talker){
			.fd = links[i].visitor, .seed = i, .len = STREAM_BYTES, .until_eof = true
		};
		talker_start(&writers[i]);
	}
	for (unsigned i = 0; i < STREAMS; i++)
		link_wait_bytes(&links[i], PUMP_INNER, 4096);
	for (unsigned i = 0; i < STREAMS; i++)
		talker_start(&readers[i]);
	for (unsigned i = 0; i < STREAMS; i++) {
		assert_true(talker_join(&writers[i]));
		assert_true(talker_join(&readers[i]));
		assert_int_equal(shutdown(links[i].visitor, SHUT_WR), 0);
		link_wait(&links[i]);
		assert_int_equal(links[i].result.end, PUMP_END_CLOSED);
		link_close(&links[i]);
	}
	pump_pool_stats(f->pool, ret_stats);
	fixture_free(f);
}

static void test_pipes_run_out(void **state)
{
	struct pump_stats stats;

	(void)state;
	/* One small pipe for all of them. */
	run_streams(PUMP_SPLICE, PIPE_SMALL_BYTES / (uint32_t)sysconf(_SC_PAGESIZE), &stats);
	assert_true(stats.pipes_denied > 0);
	assert_true(stats.spliced_bytes > 0);
	assert_true(stats.spliced_bytes < STREAMS * (uint64_t)STREAM_BYTES);
}

static void test_no_pipe_at_all(void **state)
{
	struct pump_stats stats;

	(void)state;
	run_streams(PUMP_SPLICE, 1, &stats);
	assert_true(stats.pipes_denied > 0);
	assert_int_equal(stats.spliced_bytes, 0);
}

/* Small messages get their turns beside streams that never pause, all on one worker. */
static void test_fairness(void **state)
{
	const struct pump_pool_config config = { .workers = 1, .mode = test_mode(state) };
	struct fixture *f = fixture_new(&config);
	struct talker writers[4], readers[4];
	struct link bulk[4], small;

	for (unsigned i = 0; i < 4; i++) {
		link_open(f, &bulk[i], 0);
		link_add(&bulk[i], NULL, NULL);
		writers[i] =
			(struct talker){ .fd = bulk[i].app, .len = (size_t)1 << 40, .write = true };
		readers[i] = (struct talker){ .fd = bulk[i].visitor, .len = (size_t)1 << 40 };
		talker_start(&writers[i]);
		talker_start(&readers[i]);
	}
	link_open(f, &small, 0);
	link_add(&small, NULL, NULL);
	for (unsigned i = 0; i < 4; i++)
		link_wait_bytes(&bulk[i], PUMP_INNER, 1000000);
	for (uint64_t i = 0; i < 50; i++) {
		assert_true(stream_write(small.visitor, i, 100));
		assert_true(stream_read(small.app, i, 100));
	}
	link_close(&small);
	link_wait(&small);
	for (unsigned i = 0; i < 4; i++) {
		assert_false(bulk[i].done);
		pump_abort(f->pool, bulk[i].pump);
		link_wait(&bulk[i]);
		assert_false(talker_join(&writers[i]));
		assert_false(talker_join(&readers[i]));
		link_close(&bulk[i]);
	}
	fixture_free(f);
}

static void test_close_with_open_connections(void **state)
{
	const struct pump_pool_config config = {
		.workers = 2, .mode = test_mode(state), .idle_timeout_ms = FIXTURE_DEADLINE_MS
	};
	struct fixture *f = fixture_new(&config);
	struct link links[20];

	for (unsigned i = 0; i < ARRAY_LEN(links); i++) {
		link_open(f, &links[i], 0);
		link_add(&links[i], i % 2 ? "early" : NULL, NULL);
		if (i % 3 == 0)
			assert_true(stream_write(links[i].app, i, 50000));
	}
	fixture_free(f);
	for (unsigned i = 0; i < ARRAY_LEN(links); i++) {
		assert_true(links[i].done);
		assert_int_equal(links[i].result.end, PUMP_END_ABORTED);
		link_close(&links[i]);
	}
}

static unsigned count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	(void)closedir(dir);
	return count;
}

static void test_default_is_a_thread_for_each_core(void **state)
{
	struct fixture *one = fixture_new(pool_of(.inline_turns = 0));
	unsigned threads = count_threads();
	struct fixture *f = fixture_new(&(const struct pump_pool_config){ 0 });
	cpu_set_t cores;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(cores), &cores), 0);
	assert_int_equal(count_threads() - threads, CPU_COUNT(&cores));
	fixture_free(f);
	fixture_free(one);
}

/* A pump was given by the loop to a thread that had ended, and nobody heard of it again. */
static void test_close_finds_a_pump_about_to_move(void **state)
{
	unsigned threads = count_threads();
	struct fixture *f = fixture_new(pool_of(.inline_turns = 1));
	struct link l;
	uint64_t begin_ms = clock_now_ms();

	(void)state;
	link_open(f, &l, 0);
	link_add(&l, NULL, NULL);
	assert_true(stream_write(l.visitor, 1, 10));
	fixture_close_pool(f);
	/* Its first turn, which is its last on the loop, comes when the thread is gone. */
	while (count_threads() > threads)
		assert_true(clock_now_ms() - begin_ms < FIXTURE_DEADLINE_MS);
	fixture_free(f);
	assert_true(l.done);
	assert_int_equal(l.result.end, PUMP_END_ABORTED);
	link_close(&l);
}

static void on_untaken_done(void *owner, const struct pump_result *result)
{
	assert_int_equal(result->end, PUMP_END_ABORTED);
	*(bool *)owner = true;
}

/* The same for one that waits for TAKEN and has become old: its deadline, which is not over, was
 * looked at, and not that it had ended. */
static void test_close_finds_an_old_pump_untaken(void **state)
{
	unsigned threads = count_threads();
	struct fixture *f = fixture_new(pool_of(.inline_turns = 1000));
	uint64_t begin_ms = clock_now_ms();
	bool done = false;
	struct link l;

	(void)state;
	link_open(f, &l, 0);
	assert_int_equal(pump_pool_add(f->pool,
				 &(struct pump_job){
					 .fd = { l.pump_fd[PUMP_OUTER], l.pump_fd[PUMP_INNER] },
					 .wire = { [PUMP_INNER] = PUMP_WIRE_BLOCKS },
					 .awaits_taken = true,
					 .done = on_untaken_done,
					 .owner = &done,
				 },
				 NULL),
		0);
	while (clock_now_ms() - begin_ms < OLD_MS)
		(void)usleep(1000); /* the loop stands still */
	fixture_close_pool(f);
	/* The timer comes before its turn, and when the thread is gone. */
	while (count_threads() > threads)
		assert_true(clock_now_ms() - begin_ms < FIXTURE_DEADLINE_MS);
	fixture_free(f);
	assert_true(done);
	link_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: /proc still has a thread for a moment when it was joined. */
		cmocka_unit_test(test_default_is_a_thread_for_each_core),
		test_in_modes(test_many_connections),
		cmocka_unit_test(test_pipes_run_out),
		cmocka_unit_test(test_no_pipe_at_all),
		test_in_modes(test_fairness),
		test_in_modes(test_close_with_open_connections),
		cmocka_unit_test(test_close_finds_a_pump_about_to_move),
		cmocka_unit_test(test_close_finds_an_old_pump_untaken),
	};

	return cmocka_run_group_tests_name("net/pump_pool", tests, NULL, NULL);
}
