/* SPDX-License-Identifier: MIT */
/*
 * Starts, stops, restarts, changes, crashes, late and stubborn instances in any order, also from
 * within the supervisor's events. The supervisor asserts what holds after each; here is asserted
 * what others see of it, that every row of events comes to rest, and that nobody is left behind.
 * SEED and ROUNDS in the environment make it another row, and a longer one.
 */
#include "os/supervisor.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/lang.h"
#include "os/supervisor_fixture.h"

#define EVENTS 60 /* of a round */

static const char script[] = "read mode <.mode\n"
			     "case $mode in\n"
			     "silent) exec sleep 1000 ;;\n"
			     "fails) exit 1 ;;\n"
			     "ends) exit 0 ;;\n"
			     "stubborn) trap '' USR1 ;;\n"
			     "esac\n"
			     "echo >&$status\n"
			     "[ $mode = crashes ] && exit 1\n"
			     "[ $mode = visited ] && { echo >&$status; echo >&$status; exit 0; }\n"
			     "exec sleep 1000\n";

static const char *const modes[] = { "serves", "serves", "serves", "silent", "fails", "ends",
	"stubborn", "crashes", "visited" };
static const char *const builds[] = { NULL, NULL, "true", "exit 1", "sleep 0.05" };

static unsigned chance_below(unsigned bound)
{
	return (unsigned)random() % bound;
}

static void chance_call(struct fixture *f)
{
	void (*const calls[])(struct supervisor * s) = { supervisor_start, supervisor_stop,
		supervisor_restart, supervisor_restart };

	calls[chance_below(ARRAY_LEN(calls))](f->supervisor);
}

static void on_told(struct fixture *f)
{
	if (chance_below(20) == 0)
		chance_call(f);
}

/* A machine that is slow enough makes any instance late. */
static void on_told_at_rest(struct fixture *f)
{
	if (fixture_status(f).state == SUPERVISOR_FAILED)
		supervisor_start(f->supervisor);
}

static void chance_set_mode(struct fixture *f, const char *mode)
{
	char path[96];

	snprintf(path, sizeof path, "%s/.mode", f->dir);
	fixture_write_file(path, mode, strlen(mode));
}

static void chance_happen(struct fixture *f)
{
	pid_t pid = fixture_status(f).pid;

	switch (chance_below(8)) {
	case 0:
		chance_set_mode(f, modes[chance_below(ARRAY_LEN(modes))]);
		break;
	case 1:
		f->run.app.build = builds[chance_below(ARRAY_LEN(builds))];
		break;
	case 2:
		if (pid > 0)
			(void)kill(pid, SIGKILL);
		break;
	case 3:
		fixture_write_file(f->module, "\0asm\1\0\0\0", 8); /* a change */
		break;
	case 4:
		(void)fd_close(fixture_visit(f, "x"));
		break;
	default:
		chance_call(f);
	}
}

static void chance_check(struct fixture *f)
{
	struct supervisor_status status = fixture_status(f);
	bool runs = status.state == SUPERVISOR_STARTING || status.state == SUPERVISOR_RUNNING;

	assert_true(runs || status.state == SUPERVISOR_STOPPING || status.pid == 0);
	assert_true(!runs || status.kind);
	assert_true(status.next != SUPERVISOR_NEXT_STARTING || runs);
	assert_true(status.next == SUPERVISOR_NEXT_NONE || status.state != SUPERVISOR_BUILDING);
	assert_true(!status.starts_again || status.state == SUPERVISOR_STOPPING);
	assert_true(status.state != SUPERVISOR_FAILED || status.exit_reason);
	f->history[0] = '\0';
}

static void chance_turn(struct fixture *f)
{
	for (unsigned turns = chance_below(4); turns > 0; turns--) {
		(void)poll(NULL, 0, (int)chance_below(4));
		uv_run(&f->loop, UV_RUN_NOWAIT);
		chance_check(f);
	}
}

static void test_any_order(void **state)
{
	const char *seed = getenv("SEED"), *rounds = getenv("ROUNDS");
	struct fixture f = { .run = { .watch = true, .app.wasm = "app.wasm" }, .told = on_told };

	srandom(seed ? (unsigned)atoi(seed) : 1);
	fixture_open_for(&f, script, 200, 50);
	for (int left = rounds ? atoi(rounds) : 20; left > 0; left--) {
		for (unsigned n = 0; n < EVENTS; n++) {
			chance_happen(&f);
			chance_check(&f);
			chance_turn(&f);
		}
		/* From wherever that has led: nobody is left when it is stopped, */
		f.told = NULL;
		supervisor_stop(f.supervisor);
		fixture_await_state(&f, SUPERVISOR_STOPPED);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
		assert_int_equal(errno, ECHILD);
		/* and it runs when nothing stands in the way. */
		chance_set_mode(&f, "serves");
		f.run.app.build = NULL;
		f.told = on_told_at_rest;
		supervisor_start(f.supervisor);
		fixture_await_state(&f, SUPERVISOR_RUNNING);
		f.told = on_told;
	}
	f.told = NULL;
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
