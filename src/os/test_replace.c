/* SPDX-License-Identifier: MIT */
/* An application that is replaced while it runs: by a restart, and by a change of the project. */
#include "os/supervisor.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/fd.h"
#include "base/owner.h"
#include "os/child.h"
#include "os/supervisor_fixture.h"

/* $n is the number of the instance. */
#define COUNT "n=$(($(cat .n 2>/dev/null || echo 0) + 1)); echo $n >.n; echo instance $n\n"
#define WAIT "while :; do sleep 1000 & wait; done\n"
#define SERVE "trap \"echo drained $n; exit\" USR1; ready; echo serves $n\n" WAIT

/* Is through when there is a file `.built`. */
#define SLOW_BUILD "until [ -e .built ]; do sleep 0.01; done"

#define NEW_MODULE "\0asm\1\0\0\0\0\1\0"

static void write_project(struct fixture *f, const char *name, const char *text, size_t len)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", f->dir, name);
	fixture_write_file(path, text, len);
}

static void remove_from_project(struct fixture *f, const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", f->dir, name);
	assert_int_equal(unlink(path), 0);
}

/* Its build is what the file `build.sh` says. */
static void set_build(struct fixture *f, const char *command)
{
	f->run.app.wasm = "app.wasm";
	f->run.app.build = ". ./build.sh";
	write_project(f, "build.sh", command, strlen(command));
}

/* It runs, and nothing has to be built. */
static void open_running(
	struct fixture *f, const char *script, uint64_t start_timeout_ms, uint64_t drain_timeout_ms)
{
	fixture_open_for(f, script, start_timeout_ms, drain_timeout_ms);
	supervisor_start(f->supervisor);
	fixture_await(f, "starting running ");
}

/* It runs, and was built. */
static void open_built(struct fixture *f, const char *script)
{
	fixture_open(f, script);
	set_build(f, "true");
	supervisor_start(f->supervisor);
	fixture_await(f, "building starting running ");
}

/* What is to replace it, by that command. */
static void begin_to_build(struct fixture *f, const char *command)
{
	set_build(f, command);
	supervisor_restart(f->supervisor);
	fixture_await(f, "next-building ");
}

static void test_switch(void **state)
{
	struct fixture f = { 0 };
	struct supervisor_status status;
	pid_t first;
	uint16_t port;

	fixture_open(&f, COUNT SERVE);
	supervisor_restart(f.supervisor);
	fixture_await(&f, "starting running ");
	first = fixture_status(&f).pid;
	port = fixture_status(&f).port;
	supervisor_restart(f.supervisor);
	assert_int_equal(fixture_status(&f).next, SUPERVISOR_NEXT_BUILDING);
	fixture_await(&f, "next-starting ");
	status = fixture_status(&f);
	assert_int_equal(status.state, SUPERVISOR_RUNNING);
	assert_int_equal(status.next, SUPERVISOR_NEXT_STARTING);
	assert_int_equal(status.pid, first);
	fixture_await(&f, "replaced ");
	fixture_await_line(&f, LOG_STREAM_STDOUT, "drained 1");
	status = fixture_status(&f);
	assert_int_equal(status.next, SUPERVISOR_NEXT_NONE);
	assert_int_not_equal(status.pid, first);
	assert_int_equal(status.restarts, 0);
	assert_int_equal(status.port, port);
	assert_null(status.exit_reason);
	/* The old one's end changes nothing. */
	supervisor_stop(f.supervisor);
	fixture_await(&f, "stopping stopped ");
	fixture_close(&f);
}

/* One that doesn't end in time is ended; more than a few at once aren't kept. */
static void test_drain(void **state)
{
	static const char script[] = COUNT "trap \"echo drains $n\" USR1\n"
					   "trap \"echo ended $n; exit\" TERM\n"
					   "ready\n" WAIT;
	struct fixture f = { 0 };
	char line[32];

	open_running(&f, script, 0, 10);
	supervisor_restart(f.supervisor);
	fixture_await_line(&f, LOG_STREAM_STDOUT, "ended 1");
	assert_int_equal(fixture_status(&f).state, SUPERVISOR_RUNNING);
	fixture_close(&f);

	f = (struct fixture){ 0 };
	open_running(&f, script, 0, DEADLINE_MS);
	for (unsigned i = 1; i <= 4; i++) {
		supervisor_restart(f.supervisor);
		snprintf(line, sizeof line, "drains %u", i);
		fixture_await_line(&f, LOG_STREAM_STDOUT, line);
	}
	fixture_await_line(&f, LOG_STREAM_STDOUT, "ended 1");
	assert_false(fixture_has_line(&f, LOG_STREAM_STDOUT, "ended 2"));
	/* A stop waits for the others, too. */
	supervisor_stop(f.supervisor);
	fixture_await_line(&f, LOG_STREAM_SUPERVISOR, "stopping -> stopped (stopped on request)");
	for (unsigned i = 2; i <= 5; i++) {
		snprintf(line, sizeof line, "ended %u", i);
		assert_true(fixture_has_line(&f, LOG_STREAM_STDOUT, line));
	}
	fixture_close(&f);
}

/* Whatever is wrong with the next one, the old one goes on. */
static void test_kept(void **state)
{
	static const struct {
		const char *script, *reason;
	} cases[] = {
		{ "exit 3", "it ended before it took a connection: exit code 3" },
		{ "exit 0", "it ended before it took a connection: exit code 0" },
		{ "exit 134", "it ended before it took a connection: exit code 134" },
		{ "echo 'no \"memory\"' >&$status; exit 199", "no \"memory\"" },
		{ "exec sleep 1000", "it has not turned to its listening socket in 5s: it has no "
				     "call to take connections with, so it is run for each request "
				     "(CGI); a server doesn't listen "
				     "by itself, but takes its connections from descriptor 3, by "
				     "sock_accept(3, ...)" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fixture f = { 0 };
		char script[TEXT_MAX];
		pid_t first;

		snprintf(script, sizeof script,
			COUNT "[ $n = 2 ] && { %s; }\n"
			      "echo 'an old line' >&2\n" SERVE,
			cases[i].script);
		open_running(&f, script, 5000, 0);
		first = fixture_status(&f).pid;
		supervisor_restart(f.supervisor);
		fixture_await(&f, "next-starting kept ");
		assert_int_equal(fixture_status(&f).pid, first);
		assert_int_equal(fixture_status(&f).restarts, 0);
		assert_string_equal(fixture_status(&f).exit_reason, cases[i].reason);
		supervisor_restart(f.supervisor);
		fixture_await(&f, "next-starting replaced ");
		assert_null(fixture_status(&f).exit_reason);
		fixture_close(&f);
	}
}

static void test_build_kept(void **state)
{
	struct fixture f = { 0 };
	pid_t first;

	open_built(&f, COUNT SERVE);
	first = fixture_status(&f).pid;
	begin_to_build(&f, "echo no way; exit 2");
	fixture_await(&f, "kept ");
	assert_string_equal(
		fixture_status(&f).exit_reason, "the build with 'sh' has failed: exit code 2");
	begin_to_build(&f, "echo nonsense >app.wasm");
	fixture_await(&f, "kept ");
	assert_non_null(strstr(fixture_status(&f).exit_reason, "is no WebAssembly module"));
	f.run.app.build = NULL;
	assert_int_equal(truncate(f.module, 3), 0);
	supervisor_restart(f.supervisor);
	fixture_await(&f, "kept ");
	assert_int_equal(fixture_status(&f).pid, first);
	fixture_close(&f);
}

/* A restart that comes while another one builds may mean sources that this one has not seen. */
static void test_restart_while_building(void **state)
{
	struct fixture f = { 0 };

	open_built(&f, COUNT SERVE);
	begin_to_build(&f, "echo begun; " SLOW_BUILD);
	/* The shell has read it. */
	fixture_await_line(&f, LOG_STREAM_BUILD, "begun");
	set_build(&f, "echo second");
	supervisor_restart(f.supervisor);
	supervisor_restart(f.supervisor);
	write_project(&f, ".built", "", 0);
	fixture_await(&f, "next-starting replaced next-building next-starting replaced ");
	assert_true(fixture_has_line(&f, LOG_STREAM_BUILD, "second"));
	fixture_close(&f);
}

/* The application ends while the next one is on its way, which takes its place. */
static void test_crash_while_starting(void **state)
{
	struct fixture f = { 0 };

	open_running(&f, COUNT "[ $n = 2 ] && until [ -e .go ]; do sleep 0.01; done\n" SERVE, 0, 0);
	supervisor_restart(f.supervisor);
	fixture_await(&f, "next-starting ");
	fixture_await_line(&f, LOG_STREAM_STDOUT, "instance 2");
	assert_int_equal(kill(fixture_status(&f).pid, SIGKILL), 0);
	fixture_await(&f, "starting ");
	assert_int_equal(fixture_status(&f).next, SUPERVISOR_NEXT_NONE);
	assert_int_equal(fixture_status(&f).restarts, 1);
	write_project(&f, ".go", "", 0);
	fixture_await(&f, "running ");
	assert_string_equal(fixture_status(&f).exit_reason, "killed by signal 9 (Killed)");
	fixture_close(&f);
}

/* It crashes twice: the first time it is restarted, the second time while it starts again. */
static void test_crash_while_next_starts(void **state)
{
	struct fixture f = { 0 };

	open_built(&f, COUNT "[ $n = 2 ] && { until [ -e .crash ]; do sleep 0.01; done; exit 1; }\n"
			     "[ $n = 3 ] && until [ -e .go ]; do sleep 0.01; done\n" SERVE);
	begin_to_build(&f, SLOW_BUILD);
	assert_int_equal(kill(fixture_status(&f).pid, SIGKILL), 0);
	fixture_await(&f, "restarting starting ");
	fixture_await_line(&f, LOG_STREAM_STDOUT, "instance 2");
	write_project(&f, ".built", "", 0);
	fixture_await(&f, "next-starting ");
	fixture_await_line(&f, LOG_STREAM_STDOUT, "instance 3");
	write_project(&f, ".crash", "", 0);
	fixture_await(&f, "starting ");
	write_project(&f, ".go", "", 0);
	fixture_await(&f, "running ");
	assert_int_equal(fixture_status(&f).restarts, 2);
	fixture_close(&f);
}

/* Ready before the one that it replaces is back. */
static void test_overtake(void **state)
{
	struct fixture f = { 0 };

	open_built(&f, COUNT "[ $n = 2 ] && exec sleep 1000\n" SERVE);
	begin_to_build(&f, SLOW_BUILD);
	assert_int_equal(kill(fixture_status(&f).pid, SIGKILL), 0);
	fixture_await(&f, "restarting starting ");
	fixture_await_line(&f, LOG_STREAM_STDOUT, "instance 2");
	write_project(&f, ".built", "", 0);
	fixture_await(&f, "next-starting running replaced ");
	fixture_await_line(&f, LOG_STREAM_STDOUT, "serves 3");
	fixture_close(&f);
}

/* It ends by itself, or can't be started any more, while the next one is built. */
static void test_end_while_building(void **state)
{
	struct fixture f = { 0 };

	open_built(&f, COUNT "[ $n = 1 ] && { ready; until [ -e .end ]; do sleep 0.01; done\n"
			     "exit 0; }\n" SERVE);
	begin_to_build(&f, SLOW_BUILD);
	write_project(&f, ".end", "", 0);
	fixture_await(&f, "stopped ");
	/* A start adopts the build. */
	supervisor_start(f.supervisor);
	fixture_await(&f, "building ");
	write_project(&f, ".built", "", 0);
	fixture_await(&f, "starting running ");
	fixture_close(&f);

	f = (struct fixture){ 0 };
	open_built(&f, COUNT SERVE);
	begin_to_build(&f, SLOW_BUILD "; mv .wasm app.wasm");
	write_project(&f, ".wasm", "\0asm\1\0\0\0", 8);
	assert_int_equal(unlink(f.module), 0);
	assert_int_equal(kill(fixture_status(&f).pid, SIGKILL), 0);
	fixture_await(&f, "restarting failed ");
	write_project(&f, ".built", "", 0);
	fixture_await(&f, "starting running ");
	fixture_close(&f);
}

/* It has ended by itself; a stop then ends the build, which is nothing that a start could adopt. */
static void test_stop_when_ended(void **state)
{
	struct fixture f = { 0 };

	open_built(&f, COUNT "[ $n = 1 ] && { ready; until [ -e .end ]; do sleep 0.01; done\n"
			     "exit 0; }\n" SERVE);
	begin_to_build(&f, "exec sleep 1000");
	write_project(&f, ".end", "", 0);
	fixture_await(&f, "stopped ");
	supervisor_stop(f.supervisor);
	set_build(&f, "true");
	supervisor_start(f.supervisor);
	fixture_await(&f, "stopping building starting running ");
	fixture_close(&f);
}

/* A stop in the middle leaves nothing behind. */
static void test_stop(void **state)
{
	struct fixture f = { 0 };
	pid_t first;

	open_running(&f, "[ -e .slow ] && exec sleep 1000\n" SERVE, 0, 0);
	first = fixture_status(&f).pid;
	write_project(&f, ".slow", "", 0);
	supervisor_restart(f.supervisor);
	fixture_await(&f, "next-starting ");
	supervisor_restart(f.supervisor);
	supervisor_stop(f.supervisor);
	fixture_await(&f, "stopping stopped ");
	assert_int_equal(kill(first, 0), -1);
	remove_from_project(&f, ".slow");
	set_build(&f, "echo begun; exec sleep 1000");
	supervisor_start(f.supervisor);
	fixture_await_line(&f, LOG_STREAM_BUILD, "begun");
	supervisor_restart(f.supervisor);
	assert_true(fixture_status(&f).starts_again);
	set_build(&f, "true");
	fixture_await(&f, "building stopping building starting running ");
	begin_to_build(&f, "exec sleep 1000");
	/* Nothing can be started again: it waits in vain, and the build beside it goes on. */
	assert_int_equal(unlink(f.module), 0);
	assert_int_equal(kill(fixture_status(&f).pid, SIGKILL), 0);
	fixture_await(&f, "restarting failed ");
	supervisor_stop(f.supervisor);
	fixture_await(&f, "stopping stopped ");
	fixture_close(&f);
}

/* It crashes again and again, while the next one is built. */
static void test_stop_while_restarting(void **state)
{
	struct fixture f = { 0 };

	open_built(&f, "ready; until [ -e .crash ]; do sleep 0.01; done; exit 1");
	begin_to_build(&f, "exec sleep 1000");
	write_project(&f, ".crash", "", 0);
	fixture_await_state(&f, SUPERVISOR_RESTARTING);
	assert_int_equal(fixture_status(&f).next, SUPERVISOR_NEXT_BUILDING);
	supervisor_stop(f.supervisor);
	assert_int_equal(fixture_status(&f).state, SUPERVISOR_STOPPING);
	fixture_await_state(&f, SUPERVISOR_STOPPED);
	assert_int_equal(fixture_status(&f).next, SUPERVISOR_NEXT_NONE);
	fixture_close(&f);
}

static void test_close(void **state)
{
	struct fixture f = { 0 };

	open_running(&f, COUNT "trap '' USR1; [ $n = 3 ] && exec sleep 1000\nready\n" WAIT, 0,
		DEADLINE_MS);
	supervisor_restart(f.supervisor);
	fixture_await(&f, "next-starting replaced ");
	supervisor_restart(f.supervisor);
	fixture_await(&f, "next-starting ");
	fixture_close(&f);
}

/* The module. What it has in common with the one before is never gone. */
static void write_in_place(struct fixture *f, const char *text, size_t len)
{
	int fd = open(f->module, O_WRONLY | O_CLOEXEC);

	assert_int_equal(write(fd, text, len), len);
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	fd_close(fd);
}

static void test_watch_module(void **state)
{
	struct fixture f = { .run.watch = true };

	open_running(&f, COUNT SERVE, 0, 0);
	/* Other files are nothing to it. */
	write_project(&f, "data.txt", "x", 1);
	write_project(&f, ".new.wasm", NEW_MODULE, sizeof NEW_MODULE - 1);
	/* In place, cut off in the middle: it isn't taken before it is whole. */
	write_in_place(&f, NEW_MODULE, sizeof NEW_MODULE - 2);
	fixture_await(&f, "kept ");
	assert_non_null(strstr(fixture_status(&f).exit_reason, "is truncated"));
	write_in_place(&f, NEW_MODULE, 8);
	fixture_await(&f, "next-starting replaced ");
	/* Atomically. */
	char path[128];
	snprintf(path, sizeof path, "%s/.new.wasm", f.dir);
	assert_int_equal(rename(path, f.module), 0);
	fixture_await(&f, "next-starting replaced ");
	fixture_close(&f);
}

/* The build is the only one to write beside its sources: it comes to rest. */
static void test_watch_build(void **state)
{
	struct fixture f = { .run.watch = true };

	fixture_open(&f, COUNT SERVE);
	set_build(&f, "date +%N >app.o; echo >tmp.$$; rm tmp.$$; echo built; touch app.wasm");
	supervisor_start(f.supervisor);
	fixture_await(&f, "building starting running next-building next-starting replaced "
			  "next-building next-starting replaced ");
	/* A source, in a folder that is new. */
	char path[128];
	snprintf(path, sizeof path, "%s/src", f.dir);
	assert_int_equal(mkdir(path, 0700), 0);
	fixture_await(&f, "next-building next-starting replaced ");
	write_project(&f, "src/main.c", "x", 1);
	fixture_await(&f, "next-building next-starting replaced ");
	/* Hidden files, backups and what tools keep don't count; the next one does. */
	write_project(&f, ".main.c.swp", "x", 1);
	write_project(&f, "main.c~", "x", 1);
	set_build(&f, "false");
	fixture_await(&f, "next-building kept ");
	set_build(&f, "true");
	fixture_await(&f, "next-building next-starting replaced ");
	fixture_close(&f);
}

static struct fixture *changes_next; /* its project does, when the next child was started */

int __real_child_start(struct child *c, uv_loop_t *loop, const struct spawn_config *config,
	enum log_stream out, enum log_stream err);
int __wrap_child_start(struct child *c, uv_loop_t *loop, const struct spawn_config *config,
	enum log_stream out, enum log_stream err);

int __wrap_child_start(struct child *c, uv_loop_t *loop, const struct spawn_config *config,
	enum log_stream out, enum log_stream err)
{
	int r = __real_child_start(c, loop, config, out, err);

	if (changes_next)
		write_project(take_ptr(changes_next), "main.c", "x", 1);
	return r;
}

/* A change right behind the start of a build, which may have missed it, was taken to be in it. */
static void test_watch_change_behind_the_start(void **state)
{
	struct fixture f = { .run.watch = true };

	fixture_open(&f, COUNT SERVE);
	set_build(&f, "true");
	changes_next = &f;
	supervisor_start(f.supervisor);
	fixture_await(&f, "building starting running next-building next-starting replaced ");
	fixture_close(&f);
}

/* It waits for a change where it could do nothing else. */
static void test_watch_failed(void **state)
{
	struct fixture f = { .run.watch = true };

	fixture_open(&f, COUNT "[ $n = 2 ] && { ready; exit 0; }\n" SERVE);
	set_build(&f, "false");
	supervisor_start(f.supervisor);
	fixture_await(&f, "building failed ");
	set_build(&f, "true");
	fixture_await(&f, "building starting running ");
	supervisor_restart(f.supervisor);
	fixture_await(&f, "next-building next-starting replaced stopped ");
	set_build(&f, ":");
	fixture_await(&f, "building starting running ");
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_switch),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_build_kept),
		cmocka_unit_test(test_restart_while_building),
		cmocka_unit_test(test_crash_while_starting),
		cmocka_unit_test(test_crash_while_next_starts),
		cmocka_unit_test(test_overtake),
		cmocka_unit_test(test_end_while_building),
		cmocka_unit_test(test_stop_when_ended),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_stop_while_restarting),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_watch_module),
		cmocka_unit_test(test_watch_build),
		cmocka_unit_test(test_watch_change_behind_the_start),
		cmocka_unit_test(test_watch_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
