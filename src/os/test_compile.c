/* SPDX-License-Identifier: MIT */
/* The run of the engine that compiles, before the one that serves. */
#include "os/compile.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lang.h"
#include "os/supervisor.h"
#include "os/supervisor_fixture.h"

#define SERVE "ready; echo serves with $*; exec sleep 1000"
#define COUNT "[ $(ulimit -n) = " TEXT_OF(FIXTURE_OPEN_FILES) " ] && echo x >>.compiled\n"

static void set_compiler(struct fixture *f, const char *script)
{
	char path[96];

	snprintf(path, sizeof path, "%s/.compile", f->dir);
	fixture_write_file(path, script, strlen(script));
}

static unsigned compiled(const struct fixture *f)
{
	char path[96];
	struct stat st;

	snprintf(path, sizeof path, "%s/.compiled", f->dir);
	return stat(path, &st) < 0 ? 0 : (unsigned)st.st_size / 2;
}

/* Entries and what is partial. */
static size_t count_codes(const struct fixture *f)
{
	char pattern[128];
	size_t count = 0;
	glob_t found;

	snprintf(pattern, sizeof pattern, "%s/wasmrun/modules/*/*", f->cache);
	if (glob(pattern, 0, NULL, &found) == 0) {
		count = found.gl_pathc;
		globfree(&found);
	}
	return count;
}

/* Once for a module, however often that is started or crashes. */
static void test_once(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f, "ready; [ -e .crashed ] || { touch .crashed; exit 7; }; exec sleep 1000");
	set_compiler(&f, COUNT);
	supervisor_start(f.supervisor);
	fixture_await(&f, "starting running restarting starting running ");
	assert_int_equal(compiled(&f), 1);
	supervisor_stop(f.supervisor);
	fixture_await(&f, "stopping stopped ");
	supervisor_start(f.supervisor);
	fixture_await(&f, "starting running ");
	assert_int_equal(compiled(&f), 1);
	assert_int_equal(count_codes(&f), 1);

	fixture_write_file(f.module, "\0asm\1\0\0\0\0\1\0", 11);
	supervisor_restart(f.supervisor);
	fixture_await(&f, "next-starting replaced ");
	assert_int_equal(compiled(&f), 2);
	assert_int_equal(count_codes(&f), 2);
	fixture_close(&f);
}

/* What it says is why the application doesn't start. */
static void test_refused(void **state)
{
	static const struct {
		const char *script, *reason;
	} cases[] = {
		{ "echo \"'app.wasm' is not valid\" >&$status; exit 196",
			"'app.wasm' is not valid" },
		{ "echo Error: >&2; echo '    0: bad magic' >&2; exit 1",
			"it can't be compiled: exit code 1: bad magic" },
		{ "kill -9 $$", "it can't be compiled: killed by signal 9 (Killed)" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fixture f = { 0 };

		fixture_open(&f, SERVE);
		set_compiler(&f, cases[i].script);
		supervisor_start(f.supervisor);
		fixture_await(&f, "failed ");
		assert_string_equal(fixture_status(&f).exit_reason, cases[i].reason);
		assert_int_equal(count_codes(&f), 0);
		fixture_close(&f);
	}
}

/* The module is sound, but its code was not kept: who serves compiles it. */
static void test_not_kept(void **state)
{
	struct fixture f = { 0 };
	char expected[TEXT_MAX];

	fixture_open(&f, SERVE);
	set_compiler(&f, "exit 0");
	supervisor_start(f.supervisor);
	fixture_await(&f, "starting running ");
	snprintf(expected, sizeof expected,
		"serves with --cgi --timeout=none --listen-fd=3 --status-fd=4 -- %s", f.module);
	fixture_await_line(&f, LOG_STREAM_STDOUT, expected);
	assert_int_equal(count_codes(&f), 0);
	fixture_close(&f);
}

/* A folder that others can look into holds nobody up. */
static void test_not_private(void **state)
{
	struct fixture f = { 0 };
	char path[128];

	fixture_open(&f, SERVE);
	set_compiler(&f, COUNT);
	snprintf(path, sizeof path, "%s/wasmrun", f.cache);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/wasmrun/modules", f.cache);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, 0755), 0);
	supervisor_start(f.supervisor);
	fixture_await(&f, "starting running ");
	assert_int_equal(compiled(&f), 0);
	fixture_close(&f);
}

static void test_stopped(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f, SERVE);
	set_compiler(&f, "echo compiles; exec sleep 1000");
	supervisor_start(f.supervisor);
	fixture_await_line(&f, LOG_STREAM_BUILD, "compiles");
	supervisor_stop(f.supervisor);
	fixture_await(&f, "stopping stopped ");
	set_compiler(&f, "true");
	supervisor_start(f.supervisor);
	fixture_await(&f, "starting running ");
	fixture_close(&f);
}

/* It doesn't end when it is told to. */
static void test_closed(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f, SERVE);
	set_compiler(&f, "trap '' TERM; echo compiles; while :; do sleep 1000; done");
	supervisor_start(f.supervisor);
	fixture_await_line(&f, LOG_STREAM_BUILD, "compiles");
	fixture_close_twice(&f);
	fixture_close(&f);
}

/* What was there serves meanwhile, and goes on when the new one can't be compiled. */
static void test_replaced(void **state)
{
	struct fixture f = { .run.watch = true };
	pid_t first;

	fixture_open(&f, SERVE);
	supervisor_start(f.supervisor);
	fixture_await(&f, "starting running ");
	first = fixture_status(&f).pid;
	set_compiler(&f, "echo compiles; until [ -e .go ]; do sleep 0.01; done; exit $(cat .go)");
	fixture_write_file(f.module, "\0asm\1\0\0\0\0\1\0", 11);
	fixture_await_line(&f, LOG_STREAM_BUILD, "compiles");
	assert_int_equal(fixture_status(&f).state, SUPERVISOR_RUNNING);
	assert_int_equal(fixture_status(&f).pid, first);
	char path[96];
	snprintf(path, sizeof path, "%s/.go", f.dir);
	fixture_write_file(path, "3", 1);
	fixture_await(&f, "kept ");
	assert_int_equal(fixture_status(&f).pid, first);

	fixture_write_file(path, "0", 1);
	fixture_write_file(f.module, "\0asm\1\0\0\0\0\2\0\0", 12);
	fixture_await(&f, "next-starting replaced ");
	assert_int_not_equal(fixture_status(&f).pid, first);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_not_kept),
		cmocka_unit_test(test_not_private),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
