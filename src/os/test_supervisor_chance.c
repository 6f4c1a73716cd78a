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
			     "echo >&4\n"
			     "[ $mode = crashes ] && exit 1\n"
			     "[ $mode = visited ] && { echo >&4; echo >&4; exit 0; }\n"
			     "exec sleep 1000\n";

static const char *const modes[] = { "serves", "serves", "serves", "silent", "fails", "ends",
	"stubborn", "crashes", "visited" };
static const char *const builds[] = { NULL, NULL, "true", "exit 1", "sleep 0.05" };

static unsigned chance(unsigned bound)
{
	return (unsigned)random() % bound;
}

static void call(struct fixture *f)
{
	void (*const calls[])(struct supervisor * s) = { supervisor_start, supervisor_stop,
		supervisor_restart, supervisor_restart };

	calls[chance(ARRAY_LEN(calls))](f->supervisor);
}

static void on_told(struct fixture *f)
{
	if (chance(20) == 0)
		call(f);
}

static void set_mode(struct fixture *f, const char *mode)
{
	char path[96];

	snprintf(path, sizeof path, "%s/.mode", f->dir);
	write_file(path, mode, strlen(mode));
}

static void happen(struct fixture *f)
{
	pid_t pid = status_of(f).pid;

	switch (chance(8)) {
	case 0:
		set_mode(f, modes[chance(ARRAY_LEN(modes))]);
		break;
	case 1:
		f->run.app.build = builds[chance(ARRAY_LEN(builds))];
		break;
	case 2:
		if (pid > 0)
			(void)kill(pid, SIGKILL);
		break;
	case 3:
		write_file(f->module, "\0asm\1\0\0\0", 8); /* a change */
		break;
	case 4:
		(void)fd_close(visit(f, "x"));
		break;
	default:
		call(f);
	}
}

static void check(struct fixture *f)
{
	struct supervisor_status status = status_of(f);
	bool runs = status.state == SUPERVISOR_STARTING || status.state == SUPERVISOR_RUNNING;

	assert_true(runs || status.state == SUPERVISOR_STOPPING || status.pid == 0);
	assert_true(!runs || status.kind);
	assert_true(status.next != SUPERVISOR_NEXT_STARTING || runs);
	assert_true(status.next == SUPERVISOR_NEXT_NONE || status.state != SUPERVISOR_BUILDING);
	assert_true(!status.starts_again || status.state == SUPERVISOR_STOPPING);
	assert_true(status.state != SUPERVISOR_FAILED || status.exit_reason);
	f->history[0] = '\0';
}

static void turn(struct fixture *f)
{
	for (unsigned turns = chance(4); turns > 0; turns--) {
		(void)poll(NULL, 0, (int)chance(4));
		uv_run(&f->loop, UV_RUN_NOWAIT);
		check(f);
	}
}

static void test_any_order(void **state)
{
	const char *seed = getenv("SEED"), *rounds = getenv("ROUNDS");
	struct fixture f = { .run = { .watch = true, .app.wasm = "app.wasm" }, .told = on_told };

	srandom(seed ? (unsigned)atoi(seed) : 1);
	fixture_open_for(&f, script, 200, 50);
	for (int left = rounds ? atoi(rounds) : 30; left > 0; left--) {
		for (unsigned n = 0; n < EVENTS; n++) {
			happen(&f);
			check(&f);
			turn(&f);
		}
		/* From wherever that has led: nobody is left when it is stopped, */
		f.told = NULL;
		supervisor_stop(f.supervisor);
		await_state(&f, SUPERVISOR_STOPPED);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
		assert_int_equal(errno, ECHILD);
		/* and it runs when nothing stands in the way. */
		set_mode(&f, "serves");
		f.run.app.build = NULL;
		supervisor_start(f.supervisor);
		await_state(&f, SUPERVISOR_RUNNING);
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
