/* SPDX-License-Identifier: MIT */
/* The lines of --connection-log, and a file system that doesn't answer. */
#include "os/conn_file.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/lang.h"
#include "net/test_turn.h"
#include "os/conn_log.h"

#define POOL_THREADS 4 /* libuv's */
#define LINES_MAX 40000

struct fixture {
	uv_loop_t loop;
	uv_work_t works[POOL_THREADS];
	sem_t hold;
	struct conn_file *file;
	char path[sizeof("conn-file-XXXXXX")];
	bool closed;
};

static void fixture_open(struct fixture *f)
{
	int fd;

	*f = (struct fixture){ .path = "conn-file-XXXXXX" };
	fd = mkstemp(f->path);
	assert_true(fd >= 0);
	(void)fd_close(fd);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(sem_init(&f->hold, 0, 0), 0);
	assert_int_equal(conn_file_new(&f->loop, f->path, &f->file), 0);
}

static void on_closed(void *owner)
{
	((struct fixture *)owner)->closed = true;
}

static void fixture_close(struct fixture *f)
{
	/* What came before took its time, which isn't the end's. */
	uv_update_time(&f->loop);
	conn_file_close(f->file, on_closed, f);
	assert_false(f->closed);
	while (!f->closed)
		test_turn(&f->loop);
}

static void fixture_deinit(struct fixture *f)
{
	assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_int_equal(unlink(f->path), 0);
}

static void on_hold(uv_work_t *work)
{
	(void)sem_wait(work->data);
}

static void on_held(uv_work_t *work, int status)
{
}

/* Occupies the thread pool: to the log it is a file system that doesn't answer. */
static void hold_pool(struct fixture *f)
{
	for (size_t i = 0; i < POOL_THREADS; i++) {
		f->works[i].data = &f->hold;
		assert_int_equal(uv_queue_work(&f->loop, &f->works[i], on_hold, on_held), 0);
	}
}

static void let_pool_go(struct fixture *f)
{
	for (size_t i = 0; i < POOL_THREADS; i++)
		assert_int_equal(sem_post(&f->hold), 0);
}

static void add(struct fixture *f, const char *to)
{
	struct conn conn = { .kind = CONN_OUTWARD, .id = "1", .why = "closed" };

	(void)snprintf(conn.to, sizeof(conn.to), "%s", to);
	conn_file_add(f->file, &conn);
}

/* Reads a line as JSON, which the caller owns; NULL: there is none. */
static json_t *next_line(FILE *file)
{
	static char line[4096];
	json_t *json;

	if (!fgets(line, sizeof(line), file))
		return NULL;
	for (const char *c = line; *c; c++)
		assert_true(*c == '\n' || (*c >= ' ' && *c <= '~'));
	json = json_loads(line, 0, NULL);
	assert_non_null(json);
	return json;
}

static void assert_next_to(FILE *file, const char *to)
{
	json_t *json = next_line(file);

	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "to")), to);
	assert_string_equal(json_string_value(json_object_get(json, "end")), "closed");
	json_decref(json);
}

/* The end waits for what was said last. */
static void test_lines(void **state)
{
	struct fixture f;
	struct stat st;
	FILE *file;

	fixture_open(&f);
	add(&f, "one:1");
	add(&f, "caf\xc3\xa9\x1b\n:2");
	fixture_close(&f);
	assert_int_equal(stat(f.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, CONN_FILE_MODE);
	file = fopen(f.path, "r");
	assert_non_null(file);
	assert_next_to(file, "one:1");
	assert_next_to(file, "caf\xc3\xa9\x1b\n:2");
	assert_null(next_line(file));
	(void)fclose(file);
	fixture_deinit(&f);
}

/* A rotated file gets what came before, and the new one the rest. */
static void test_opened_anew(void **state)
{
	char old[sizeof("conn-file-XXXXXX.1")];
	struct fixture f;
	FILE *file;

	fixture_open(&f);
	add(&f, "one:1");
	while (uv_loop_alive(&f.loop))
		(void)uv_run(&f.loop, UV_RUN_ONCE);
	(void)snprintf(old, sizeof(old), "%s.1", f.path);
	assert_int_equal(rename(f.path, old), 0);
	conn_file_reopen(f.file);
	add(&f, "two:2");
	fixture_close(&f);
	file = fopen(old, "r");
	assert_non_null(file);
	assert_next_to(file, "one:1");
	assert_null(next_line(file));
	(void)fclose(file);
	file = fopen(f.path, "r");
	assert_non_null(file);
	assert_next_to(file, "two:2");
	(void)fclose(file);
	assert_int_equal(unlink(old), 0);
	fixture_deinit(&f);
}

/* Nothing waits for it, and what finds no room is counted. */
static void test_file_system_that_does_not_answer(void **state)
{
	struct fixture f;
	uint64_t said = 0;
	json_t *json;
	FILE *file;

	fixture_open(&f);
	hold_pool(&f);
	for (int i = 0; i < LINES_MAX; i++)
		add(&f, "host:1");
	let_pool_go(&f);
	/* All is written, in whatever time: the end waits but for CONN_FILE_CLOSE_MS. */
	(void)uv_run(&f.loop, UV_RUN_DEFAULT);
	fixture_close(&f);
	file = fopen(f.path, "r");
	assert_non_null(file);
	for (said = 0; (json = next_line(file)); json_decref(json)) {
		json_t *lost = json_object_get(json, "lines_lost");

		said += lost ? (uint64_t)json_integer_value(lost) : 1;
	}
	assert_int_equal(said, LINES_MAX);
	assert_true(ftell(file) < 2 * CONN_FILE_WAITING_MAX);
	(void)fclose(file);
	fixture_deinit(&f);
}

/* The end doesn't wait for ever. */
static void test_end_before_the_answer(void **state)
{
	struct fixture f;

	fixture_open(&f);
	hold_pool(&f);
	add(&f, "host:1");
	fixture_close(&f);
	let_pool_go(&f);
	fixture_deinit(&f);
}

static void test_no_file(void **state)
{
	struct conn_file *file;
	uv_loop_t loop;

	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(conn_file_new(&loop, "/nonexistent/log", &file), -ENOENT);
	assert_int_equal(conn_file_new(&loop, "/", &file), -EISDIR);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_opened_anew),
		cmocka_unit_test(test_file_system_that_does_not_answer),
		cmocka_unit_test(test_end_before_the_answer),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
