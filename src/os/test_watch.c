/* SPDX-License-Identifier: MIT */
/* Each test does something to a folder, and hears of it or doesn't. */
#include "os/watch.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <ftw.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lang.h"
#include "conf/option_table.h"
#include "net/test_turn.h"

#define DEADLINE_MS 60000
#define PATH_SIZE 256
#define POOL_THREADS 4 /* libuv's, unless UV_THREADPOOL_SIZE says otherwise */

struct fixture {
	char dir[32], project[64];
	uv_loop_t loop;
	uv_timer_t deadline;
	struct option_list dirs;
	struct watch *watch;
	unsigned changes;
	bool watching, closed;
};

static void on_changed(void *owner)
{
	struct fixture *f = owner;

	f->changes++;
}

static void on_watching(void *owner)
{
	struct fixture *f = owner;

	f->watching = true;
}

static void on_closed(void *owner)
{
	struct fixture *f = owner;

	f->closed = true;
}

static void on_deadline(uv_timer_t *timer)
{
	fail_msg("no change was told");
}

/* A path below the folder of the test. */
static const char *at(struct fixture *f, const char *name)
{
	static char path[PATH_SIZE + sizeof f->dir];

	snprintf(path, sizeof path, "%s/%s", f->dir, name);
	return path;
}

static void touch(struct fixture *f, const char *name)
{
	FILE *out = fopen(at(f, name), "w");

	assert_non_null(out);
	assert_int_equal(fclose(out), 0);
}

static void make_dir(struct fixture *f, const char *name)
{
	assert_int_equal(mkdir(at(f, name), 0700), 0);
}

static void move(struct fixture *f, const char *from, const char *to)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof path, "%s/%s", f->dir, from);
	assert_int_equal(rename(path, at(f, to)), 0);
}

static void await_change(struct fixture *f)
{
	unsigned seen = f->changes;

	assert_int_equal(uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0), 0);
	while (f->changes == seen)
		test_turn(&f->loop);
	assert_int_equal(f->changes, seen + 1);
	uv_timer_stop(&f->deadline);
}

static void on_quiet(uv_timer_t *timer)
{
	bool *over = timer->data;

	*over = true;
}

/* Nothing is told of what was done. A slow machine may miss a mistake here, but makes none up. */
static void assert_silent(struct fixture *f)
{
	unsigned seen = f->changes;
	bool over = false;

	f->deadline.data = &over;
	assert_int_equal(uv_timer_start(&f->deadline, on_quiet, 2 * WATCH_QUIET_MS, 0), 0);
	while (!over)
		test_turn(&f->loop);
	assert_int_equal(f->changes, seen);
}

static void fixture_open(struct fixture *f)
{
	snprintf(f->dir, sizeof f->dir, "/tmp/test_watch.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	make_dir(f, "project");
	make_dir(f, "project/src");
	make_dir(f, "project/src/deep");
	make_dir(f, "elsewhere");
	snprintf(f->project, sizeof f->project, "%s/project", f->dir);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(uv_timer_init(&f->loop, &f->deadline), 0);
	const struct watch_events events = {
		.changed = on_changed, .watching = on_watching, .owner = f
	};
	assert_int_equal(watch_new(&f->loop, &events, &f->watch), 0);
}

/* What happens from then on is seen. */
static void set_target(struct fixture *f, const struct watch_target *target)
{
	int r = watch_set(f->watch, target);

	assert_true(r == 0 || r == WATCH_WALKS);
	f->watching = r == 0;
	assert_int_equal(uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0), 0);
	while (!f->watching)
		test_turn(&f->loop);
	uv_timer_stop(&f->deadline);
}

static void aim(struct fixture *f, const char *file, const char *made)
{
	const struct watch_target target = {
		.folder = f->project, .file = file, .made = made, .dirs = &f->dirs
	};

	set_target(f, &target);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

/* The watch is being closed. */
static void fixture_end(struct fixture *f)
{
	uv_close((uv_handle_t *)&f->deadline, NULL);
	assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
	assert_true(f->closed);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_int_equal(nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void fixture_close(struct fixture *f)
{
	watch_close(f->watch, on_closed, f);
	fixture_end(f);
}

static void test_files(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f);
	aim(&f, NULL, NULL);
	touch(&f, "project/a.c");
	touch(&f, "project/src/deep/b.c");
	await_change(&f);
	move(&f, "project/a.c", "project/src/a.c");
	await_change(&f);
	assert_int_equal(unlink(at(&f, "project/src/a.c")), 0);
	await_change(&f);
	assert_int_equal(symlink("b.c", at(&f, "project/src/deep/c.c")), 0);
	await_change(&f);
	fixture_close(&f);
}

static void test_folders(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f);
	aim(&f, NULL, NULL);
	/* A tree that comes at once. */
	make_dir(&f, "elsewhere/new");
	make_dir(&f, "elsewhere/new/deep");
	move(&f, "elsewhere/new", "project/new");
	await_change(&f);
	touch(&f, "project/new/deep/a.c");
	await_change(&f);
	/* One that has gone elsewhere is nobody's business any more, though its files live on. */
	move(&f, "project/src", "elsewhere/src");
	await_change(&f);
	touch(&f, "elsewhere/src/a.c");
	touch(&f, "elsewhere/src/deep/a.c");
	assert_silent(&f);
	/* Renamed within, it is still watched. */
	move(&f, "project/new", "project/old");
	await_change(&f);
	touch(&f, "project/old/deep/a.c");
	await_change(&f);
	fixture_close(&f);
}

/* The project is exchanged as a whole, as some do it to publish a version. */
static void test_project_replaced(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f);
	aim(&f, NULL, NULL);
	make_dir(&f, "next");
	move(&f, "project", "last");
	move(&f, "next", "project");
	await_change(&f);
	touch(&f, "last/a.c");
	touch(&f, "last/src/a.c");
	assert_silent(&f);
	touch(&f, "project/a.c");
	await_change(&f);
	/* Gone for a while. */
	move(&f, "project", "gone");
	uv_run(&f.loop, UV_RUN_ONCE);
	move(&f, "gone", "project");
	await_change(&f);
	touch(&f, "project/a.c");
	await_change(&f);
	fixture_close(&f);
}

static void test_left_out(void **state)
{
	static const char *const quiet[] = { ".hidden", "a.c~", "#a.c#", "app.wasm", "wasmrun.toml",
		"node_modules/a.js", "target/a", "dist/a.js", "__pycache__/a", "cached/a", ".git/a",
		"data/a", "public/a" };
	struct fixture f = { .dirs = { .items = (const char *[]){ "data::/data", ".::/all" },
				     .count = 2 } };
	char made[PATH_SIZE + 16];

	fixture_open(&f);
	for (size_t i = 5; i < ARRAY_LEN(quiet); i++) {
		char name[PATH_SIZE];

		snprintf(name, sizeof name, "project/%.*s", (int)strcspn(quiet[i], "/"), quiet[i]);
		make_dir(&f, name);
	}
	touch(&f, "project/cached/CACHEDIR.TAG");
	snprintf(made, sizeof made, "%s/app.wasm", f.project);
	aim(&f, NULL, made);
	for (size_t i = 0; i < ARRAY_LEN(quiet) - 1; i++) {
		char name[PATH_SIZE];

		snprintf(name, sizeof name, "project/%s", quiet[i]);
		touch(&f, name);
	}
	assert_silent(&f);
	/* What the build makes may be a folder. */
	snprintf(made, sizeof made, "%s/public", f.project);
	aim(&f, NULL, made);
	touch(&f, "project/public/a");
	assert_silent(&f);
	touch(&f, "project/app.wasm");
	await_change(&f);
	fixture_close(&f);
}

static void test_one_file(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f);
	aim(&f, "app.wasm", NULL);
	touch(&f, "project/other.wasm");
	touch(&f, "project/src/app.wasm");
	assert_silent(&f);
	touch(&f, "project/app.wasm");
	await_change(&f);
	move(&f, "project/other.wasm", "project/app.wasm");
	await_change(&f);
	/* Its folder is made anew by what makes the file. */
	move(&f, "project", "gone");
	make_dir(&f, "project");
	touch(&f, "project/app.wasm");
	await_change(&f);
	touch(&f, "project/app.wasm");
	await_change(&f);
	fixture_close(&f);
}

static void write_text(struct fixture *f, const char *name, const char *text)
{
	FILE *out = fopen(at(f, name), "w");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static void on_tick(uv_timer_t *timer)
{
	static unsigned number;
	struct fixture *f = timer->data;
	char name[PATH_SIZE];

	snprintf(name, sizeof name, "project/tick%u", number++);
	touch(f, name);
}

/* What is there at the first look is no change, and nobody tells when that was. */
static void await_first_look(struct fixture *f)
{
	uv_timer_t tick = { .data = f };
	unsigned seen = f->changes;

	assert_int_equal(uv_timer_init(&f->loop, &tick), 0);
	assert_int_equal(uv_timer_start(&tick, on_tick, 0, 100), 0);
	while (f->changes == seen)
		test_turn(&f->loop);
	uv_close((uv_handle_t *)&tick, NULL);
	/* A file of the last tick may be told of once more. */
	watch_build_began(f->watch);
	watch_build_ended(f->watch);
	uv_run(&f->loop, UV_RUN_ONCE);
}

/* Where the kernel tells of nothing, the files are looked at: no change of another machine on NFS,
 * or of Docker Desktop's host, was ever seen. */
static void test_looks(void **state)
{
	struct fixture f = { 0 };
	const struct watch_target target = { .folder = f.project, .looks = true };

	fixture_open(&f);
	set_target(&f, &target);
	await_first_look(&f);
	write_text(&f, "project/src/deep/a.c", "1");
	await_change(&f);
	write_text(&f, "project/src/deep/a.c", "22");
	await_change(&f);
	move(&f, "project/src/deep/a.c", "project/b.c");
	await_change(&f);
	make_dir(&f, "project/new");
	touch(&f, "project/new/c.c");
	await_change(&f);
	assert_int_equal(unlink(at(&f, "project/new/c.c")), 0);
	await_change(&f);
	/* What changes during a build is told when it has ended. */
	watch_build_began(f.watch);
	write_text(&f, "project/b.c", "333");
	watch_build_ended(f.watch);
	await_change(&f);
	/* Nothing is told of what doesn't count; the next change is told alone. */
	touch(&f, "project/.hidden");
	touch(&f, "project/a.c~");
	write_text(&f, "project/b.c", "4444");
	await_change(&f);
	/* Gone for a while. */
	move(&f, "project", "gone");
	uv_run(&f.loop, UV_RUN_ONCE);
	move(&f, "gone", "project");
	await_change(&f);
	fixture_close(&f);
}

/* The watch may be closed while a look is under way. */
static void test_closed_while_it_looks(void **state)
{
	struct fixture f = { 0 };
	const struct watch_target target = { .folder = f.project, .looks = true };

	fixture_open(&f);
	assert_int_equal(watch_set(f.watch, &target), WATCH_WALKS);
	fixture_close(&f);
	fixture_open(&f);
	assert_int_equal(watch_set(f.watch, &target), WATCH_WALKS);
	watch_build_began(f.watch);
	watch_build_ended(f.watch);
	uv_run(&f.loop, UV_RUN_ONCE);
	watch_build_ended(f.watch);
	f.closed = false;
	fixture_close(&f);
}

/* The look at what a build has changed isn't waited for any more where something else is to be
 * watched: it never came, and no change was told. */
static void test_another_target_behind_a_build(void **state)
{
	struct fixture f = { 0 };
	const struct watch_target target = { .folder = f.project, .looks = true };

	fixture_open(&f);
	assert_int_equal(watch_set(f.watch, &target), WATCH_WALKS);
	watch_build_began(f.watch);
	watch_build_ended(f.watch);
	aim(&f, "app.wasm", NULL);
	touch(&f, "project/app.wasm");
	await_change(&f);
	fixture_close(&f);
}

static void on_hold(uv_work_t *work)
{
	(void)sem_wait(work->data);
}

static void on_held(uv_work_t *work, int status)
{
}

/* A look that takes longer than all else of the close was read from after it had been freed. Now
 * nobody waits for it. */
static void test_closed_by_a_long_look(void **state)
{
	struct fixture f = { 0 };
	const struct watch_target target = { .folder = f.project, .looks = true };
	uv_work_t works[POOL_THREADS];
	sem_t hold;

	fixture_open(&f);
	assert_int_equal(sem_init(&hold, 0, 0), 0);
	for (size_t i = 0; i < POOL_THREADS; i++) {
		works[i].data = &hold;
		assert_int_equal(uv_queue_work(&f.loop, &works[i], on_hold, on_held), 0);
	}
	assert_int_equal(watch_set(f.watch, &target), WATCH_WALKS);
	watch_close(f.watch, on_closed, &f);
	/* A handle in each turn. */
	for (unsigned i = 0; i < 3; i++)
		uv_run(&f.loop, UV_RUN_NOWAIT);
	assert_true(f.closed);
	for (size_t i = 0; i < POOL_THREADS; i++)
		assert_int_equal(sem_post(&hold), 0);
	fixture_end(&f);
	assert_int_equal(sem_destroy(&hold), 0);
}

/* The module above a project that is a part of it; the project's settings and folders stay its own.
 */
static void test_folder_above(void **state)
{
	struct fixture f = { .dirs = { .items = (const char *[]){ "data::/data" }, .count = 1 } };
	char project[PATH_SIZE];
	const struct watch_target target = {
		.folder = f.project, .project = project, .dirs = &f.dirs
	};

	fixture_open(&f);
	snprintf(project, sizeof project, "%s/src", f.project);
	make_dir(&f, "project/data");
	make_dir(&f, "project/src/data");
	set_target(&f, &target);
	touch(&f, "project/src/data/a");
	touch(&f, "project/src/wasmrun.toml");
	assert_silent(&f);
	touch(&f, "project/data/a");
	await_change(&f);
	touch(&f, "project/wasmrun.toml");
	await_change(&f);
	touch(&f, "project/a.c");
	await_change(&f);
	fixture_close(&f);
}

/* More events than the kernel keeps: nobody knows which, so something has changed. */
static void test_overflow(void **state)
{
	struct fixture f = { 0 };
	unsigned max = 0;
	FILE *in = fopen("/proc/sys/fs/inotify/max_queued_events", "re");

	assert_non_null(in);
	assert_int_equal(fscanf(in, "%u", &max), 1);
	(void)fclose(in);
	if (max > 100000)
		skip();
	fixture_open(&f);
	aim(&f, NULL, NULL);
	for (unsigned i = 0; i < max; i++) {
		touch(&f, i % 2 ? "project/.a" : "project/.b");
		if (i == max - 1)
			make_dir(&f, "project/late");
	}
	await_change(&f);
	touch(&f, "project/late/a.c");
	await_change(&f);
	fixture_close(&f);
}

/* Its owner may be gone when the change that it has seen is due. */
static void test_closed_with_a_change(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f);
	aim(&f, NULL, NULL);
	touch(&f, "project/a.c");
	uv_run(&f.loop, UV_RUN_NOWAIT);
	(void)poll(NULL, 0, WATCH_QUIET_MS + 1);
	fixture_close(&f);
	assert_int_equal(f.changes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_project_replaced),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_one_file),
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_closed_while_it_looks),
		cmocka_unit_test(test_another_target_behind_a_build),
		cmocka_unit_test(test_closed_by_a_long_look),
		cmocka_unit_test(test_folder_above),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_closed_with_a_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
