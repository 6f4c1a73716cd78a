/* SPDX-License-Identifier: MIT */
/*
 * The supervisor with shell scripts in place of wasmrun-guest: each test is a script, what is done
 * to it, and the states that follow.
 */
#include "os/supervisor.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/fd.h"
#include "net/test_turn.h"
#include "os/gate.h"
#include "base/hash.h"
#include "os/supervisor_fixture.h"

static void touch(struct fixture *f, const char *name)
{
	char path[96];

	snprintf(path, sizeof path, "%s/%s", f->dir, name);
	fixture_write_file(path, "", 0);
}

static void test_run_and_stop(void **state)
{
	struct fixture f = { 0 };
	struct supervisor_status status;

	fixture_open(&f, "echo $* $A; pwd; echo oops >&2; printf half; ready; exec sleep 1000");
	f.run.app.args =
		(struct option_list){ .items = (const char *[]){ "-x", "a b" }, .count = 2 };
	f.run.app.env = (struct option_list){ .items = (const char *[]){ "A=1" }, .count = 1 };
	status = fixture_status(&f);
	assert_int_equal(status.state, SUPERVISOR_STOPPED);
	assert_int_equal(status.pid, 0);
	assert_true(status.port > 0);
	assert_null(status.exit_reason);

	supervisor_start(f.supervisor);
	supervisor_start(f.supervisor);
	fixture_await(&f, "starting running ");
	status = fixture_status(&f);
	assert_true(status.pid > 0);
	assert_true(status.memory_bytes > 0);
	assert_string_equal(status.kind, "cgi");
	char expected[TEXT_MAX], pattern[128];
	glob_t codes;
	snprintf(pattern, sizeof pattern, "%s/wasmrun/modules/*/*", f.cache);
	assert_int_equal(glob(pattern, 0, NULL, &codes), 0);
	assert_int_equal(codes.gl_pathc, 1);
	snprintf(expected, sizeof expected,
		"--cgi --timeout=none --listen-fd=3 --status-fd=4 --cache=%s --env A -- %s -x a b "
		"1",
		codes.gl_pathv[0], f.module);
	globfree(&codes);
	assert_true(fixture_has_line(&f, LOG_STREAM_STDOUT, expected));
	assert_true(fixture_has_line(&f, LOG_STREAM_STDOUT, f.dir));
	assert_true(fixture_has_line(&f, LOG_STREAM_STDERR, "oops"));

	supervisor_stop(f.supervisor);
	supervisor_stop(f.supervisor);
	fixture_await(&f, "stopping stopped ");
	assert_true(fixture_has_line(&f, LOG_STREAM_STDOUT, "half"));
	assert_int_equal(fixture_status(&f).pid, 0);
	assert_int_equal(fixture_status(&f).restarts, 0);
	fixture_close(&f);
}

/* The socket is the same one all the time: who has connected meanwhile waits in its queue. */
static void test_crash(void **state)
{
	struct fixture f = { 0 };
	struct supervisor_status status;
	uint16_t port;

	fixture_open(&f, "readlink /proc/self/fd/3 >>sockets\nready\n"
			 "[ $(wc -l <sockets) -lt 3 ] && exit 7\nuniq sockets | wc -l\n"
			 "exec sleep 1000");
	port = fixture_status(&f).port;
	supervisor_start(f.supervisor);
	fixture_await(
		&f, "starting running restarting starting running restarting starting running ");
	fixture_await_line(&f, LOG_STREAM_STDOUT, "1");
	status = fixture_status(&f);
	assert_int_equal(status.restarts, 2);
	assert_string_equal(status.exit_reason, "exit code 7");
	assert_int_equal(status.port, port);
	fixture_close(&f);
}

static unsigned count_lines(const struct fixture *f, const char *part)
{
	struct log_line line;
	unsigned count = 0;

	for (uint64_t seq = log_ring_first(f->ring); seq < log_ring_next(f->ring); seq++)
		count += log_ring_get(f->ring, seq, &line) && strstr(line.text, part) != NULL;
	return count;
}

/*
 * Each instance but the first ends on a scanner's junk before it has answered anybody: who waits
 * behind that waited for half a minute. Now each is started for him, and the log has two lines.
 */
static void test_ended_by_visitors(void **state)
{
	struct fixture f = { 0 };
	char text[TEXT_MAX];
	int visitor;

	fixture_open(&f,
		"echo >>starts\necho >&$status\necho >&$status\n[ -e answered ] || echo >&$status\n"
		"touch answered\n[ $(wc -l <starts) -lt 30 ] && exit 7\n"
		"exec sleep 1000");
	supervisor_start(f.supervisor);
	visitor = fixture_visit(&f, "GET / HTTP/1.1\r\n\r\n");
	while (fixture_status(&f).restarts < 29)
		test_turn(&f.loop);
	fixture_await_state(&f, SUPERVISOR_RUNNING);
	assert_int_equal(recv(visitor, text, sizeof text, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(f.crash_lines, 1);
	assert_int_equal(count_lines(&f, "restarting ("), 1);
	supervisor_stop(f.supervisor);
	fixture_await_state(&f, SUPERVISOR_STOPPED);
	assert_int_equal(f.crash_lines, 2);
	assert_int_equal(count_lines(&f, "crashed 29 times in "), 1);
	fixture_read_answer(&f, visitor, text);
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	fd_close(visitor);
	fixture_close(&f);
}

static const struct {
	const char *script, *history, *reason;
} ends[] = {
	{ "exit 3", "starting failed ", "it ended before it took a connection: exit code 3" },
	{ "exit 0", "starting failed ", "it ended before it took a connection: exit code 0" },
	{ "exit 134", "starting failed ", "it ended before it took a connection: exit code 134" },
	{ "kill -ABRT $$", "starting failed ",
		"it ended before it took a connection: killed by signal 6 (Aborted)" },
	{ "echo first >&2; exit 199", "starting failed ",
		"it ended before it took a connection: exit code 199" },
	{ "echo first >&$status; echo \"'a' has no \\\"memory\\\"\" >&$status; echo last >&2; exit "
	  "199",
		"starting failed ", "'a' has no \"memory\"" },
	{ "echo >&$status; printf 'cut \\303\\244 short' >&$status; exit 0",
		"starting running stopped ", "cut \303\244 short" },
	{ "ready; exit 0", "starting running stopped ", "it ended by itself: exit code 0" },
	/* A visitor must not be able to end it for all others. */
	{ "echo >&$status; echo >&$status; exit 0", "starting running restarting ",
		"it ended by itself: exit code 0" },
};

static void test_ends(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct fixture f = { 0 };

		fixture_open(&f, ends[i].script);
		supervisor_start(f.supervisor);
		fixture_await(&f, ends[i].history);
		assert_string_equal(fixture_status(&f).exit_reason, ends[i].reason);
		fixture_close(&f);
	}
}

/* What can be asked for between a crash and the next start. */
static void test_while_restarting(void **state)
{
	struct fixture f = { 0 };

	fixture_open(
		&f, "[ -e .over ] && exit 0; ready; [ -e .steady ] || exit 1; exec sleep 1000");
	supervisor_start(f.supervisor);
	fixture_await_state(&f, SUPERVISOR_RESTARTING);
	supervisor_stop(f.supervisor);
	assert_int_equal(fixture_status(&f).state, SUPERVISOR_STOPPED);
	supervisor_start(f.supervisor);
	fixture_await_state(&f, SUPERVISOR_RESTARTING);
	supervisor_start(f.supervisor);
	fixture_await_state(&f, SUPERVISOR_STARTING);
	fixture_await_state(&f, SUPERVISOR_RESTARTING);
	f.run.app.wasm = "app.wasm";
	f.run.app.build = "echo begun; exec sleep 1000";
	supervisor_restart(f.supervisor);
	assert_int_equal(fixture_status(&f).state, SUPERVISOR_BUILDING);
	supervisor_stop(f.supervisor);
	fixture_await_state(&f, SUPERVISOR_STOPPED);
	/* Content, before it took a connection again. */
	f.run.app.build = NULL;
	supervisor_start(f.supervisor);
	fixture_await_state(&f, SUPERVISOR_RESTARTING);
	touch(&f, ".over");
	fixture_await_state(&f, SUPERVISOR_STOPPED);
	assert_string_equal(fixture_status(&f).exit_reason, "it ended by itself: exit code 0");
	fixture_close(&f);
}

/* One that ignores SIGTERM; the second close is the user's second Ctrl-C. */
static void test_stubborn(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f, "trap '' TERM; ready; while :; do sleep 1000; done");
	supervisor_start(f.supervisor);
	fixture_await(&f, "starting running ");
	fixture_close_twice(&f);
	fixture_close(&f);
}

static void test_build(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f, "ready; exec sleep 1000");
	f.run.app.wasm = "out.wasm";
	f.run.app.build = "echo compiling; echo warning >&2; cp app.wasm out.wasm";
	supervisor_start(f.supervisor);
	fixture_await(&f, "building starting running ");
	assert_true(fixture_has_line(&f, LOG_STREAM_BUILD, "compiling"));
	assert_true(fixture_has_line(&f, LOG_STREAM_BUILD, "warning"));
	fixture_close(&f);
}

static void test_build_fails(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f, "ready; exec sleep 1000");
	f.run.app.wasm = "out.wasm";
	f.run.app.build = "echo no way; exit 2";
	supervisor_start(f.supervisor);
	fixture_await(&f, "building failed ");
	assert_true(fixture_has_line(&f, LOG_STREAM_BUILD, "no way"));
	assert_string_equal(
		fixture_status(&f).exit_reason, "the build with 'sh' has failed: exit code 2");
	f.run.app.build = "echo nonsense >out.wasm";
	supervisor_start(f.supervisor);
	fixture_await(&f, "building failed ");
	assert_non_null(strstr(fixture_status(&f).exit_reason, "is no WebAssembly module"));
	fixture_close(&f);
}

static void test_stop_build(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f, "ready; exec sleep 1000");
	f.run.app.wasm = "app.wasm";
	f.run.app.build = "echo begun; sleep 1000; echo never";
	supervisor_start(f.supervisor);
	fixture_await_line(&f, LOG_STREAM_BUILD, "begun");
	assert_int_equal(fixture_status(&f).pid, 0);
	supervisor_stop(f.supervisor);
	fixture_await(&f, "building stopping stopped ");
	fixture_close(&f);
}

static void test_never_listens(void **state)
{
	struct fixture f = { 0 };

	fixture_open_for(&f, "exec sleep 1000", 10, 0);
	supervisor_start(f.supervisor);
	fixture_await(&f, "starting stopping failed ");
	assert_string_equal(fixture_status(&f).exit_reason,
		"it has not turned to its listening socket in 10ms: it has no call to take "
		"connections with, so it is run for each request (CGI); a server doesn't listen by "
		"itself, but takes its connections from descriptor 3, by sock_accept(3, ...)");
	fixture_close(&f);
}

/*
 * An engine on a file server that is away: the exec waits for it, as it does here for a lease that
 * is not given back (fcntl(2), F_SETLEASE). The supervisor waited along, with everybody else.
 */
static void test_exec_hangs(void **state)
{
	struct fixture f = { 0 };
	char path[128];
	int fd;

	fixture_open_for(&f, "ready; exec sleep 1000", 100, 0);
	/* No code is kept in a file, so no compiler is started before. */
	snprintf(path, sizeof path, "%s/wasmrun", f.cache);
	assert_int_equal(mkdir(path, 0700), 0);
	touch(&f, ".cache/wasmrun/modules");
	fd = open(f.guest, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	signal(SIGIO, SIG_IGN);
	if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0) {
		print_message("no leases on this file system\n");
	} else {
		/* Where the child has not come to its exec in time, another one is to. */
		do {
			supervisor_start(f.supervisor);
			fixture_await(&f, "starting stopping failed ");
		} while (fcntl(fd, F_GETLEASE) == F_WRLCK);
	}
	fd_close(fd);
	fixture_close(&f);
}

/* One that was too late to start, and ends once there is the file "go". */
static void open_given_up(struct fixture *f)
{
	fixture_open_for(f,
		"trap 'until [ -e go ]; do sleep 0.01; done; exit' TERM; sleep 1000 & wait", 1000,
		0);
	supervisor_start(f->supervisor);
	fixture_await(f, "starting stopping ");
}

/* A start that comes while it is given up is no less a wish. */
static void test_start_while_given_up(void **state)
{
	struct fixture f = { 0 };

	open_given_up(&f);
	supervisor_start(f.supervisor);
	touch(&f, "go");
	fixture_await(&f, "starting ");
	fixture_close(&f);
}

/* A stop that came while it was given up left it failed. */
static void test_stop_while_given_up(void **state)
{
	struct fixture f = { 0 };

	open_given_up(&f);
	supervisor_stop(f.supervisor);
	touch(&f, "go");
	fixture_await(&f, "stopped ");
	assert_string_equal(fixture_status(&f).exit_reason, "stopped on request");
	fixture_close(&f);
}

static void test_nothing_there(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f, "");
	assert_int_equal(truncate(f.module, 5), 0);
	supervisor_start(f.supervisor);
	fixture_await(&f, "failed ");
	assert_non_null(strstr(fixture_status(&f).exit_reason, "app.wasm' is truncated"));
	assert_int_equal(unlink(f.module), 0);
	supervisor_start(f.supervisor);
	fixture_await(&f, "failed ");
	assert_non_null(strstr(fixture_status(&f).exit_reason, "there is nothing to run in"));
	supervisor_stop(f.supervisor);
	fixture_await(&f, "stopped ");
	/* Whatever stood in the way is gone. */
	fixture_write_file(f.module, "\0asm\1\0\0\0", 8);
	assert_int_equal(unlink(f.guest), 0);
	supervisor_start(f.supervisor);
	fixture_await(&f, "failed ");
	assert_non_null(
		strstr(fixture_status(&f).exit_reason, "guest': No such file or directory"));
	fixture_close(&f);
}

/* Not that the program is missing. */
static void test_folder_is_gone(void **state)
{
	struct fixture f = { 0 };
	char folder[96];

	fixture_open(&f, "ready; rmdir \"$PWD\"; exit 1");
	snprintf(folder, sizeof folder, "%s/project", f.dir);
	assert_int_equal(mkdir(folder, 0700), 0);
	f.run.project_path = folder;
	f.run.app.wasm = f.module;
	supervisor_start(f.supervisor);
	fixture_await(&f, "starting running restarting starting failed ");
	assert_non_null(strstr(fixture_status(&f).exit_reason, "can't run in the folder '"));
	fixture_close(&f);
}

/* Long lines come in pieces, bytes of any value pass. */
static void test_output(void **state)
{
	struct fixture f = { 0 };
	char piece[LOG_RING_LINE_MAX + 1];

	fixture_open(&f, "head -c 5000 /dev/zero | tr '\\0' x; echo; printf 'a\\rb\\n'; ready\n"
			 "exec sleep 1000");
	supervisor_start(f.supervisor);
	fixture_await_line(&f, LOG_STREAM_STDOUT, "a\rb");
	memset(piece, 'x', sizeof piece);
	piece[LOG_RING_LINE_MAX] = '\0';
	assert_true(fixture_has_line(&f, LOG_STREAM_STDOUT, piece));
	piece[5000 - LOG_RING_LINE_MAX] = '\0';
	assert_true(fixture_has_line(&f, LOG_STREAM_STDOUT, piece));
	fixture_close(&f);
}

/* Empty lines are the most that a buffer can hold: one turn of the loop must not take many. */
static void test_flood(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f, "ready; exec yes ''");
	supervisor_start(f.supervisor);
	fixture_await(&f, "starting running ");
	for (uint64_t last, next = log_ring_next(f.ring); next < 10 * LOG_RING_LINES;) {
		test_turn(&f.loop);
		last = next;
		next = log_ring_next(f.ring);
		assert_in_range(next - last, 0, LOG_RING_LINE_MAX);
	}
	fixture_close(&f);
}

static void test_port_taken(void **state)
{
	const struct supervisor_events events = { 0 };
	struct fixture f = { 0 };
	struct os_run_config run = { 0 };
	const struct supervisor_config config = { .run = &run };
	struct supervisor *second = NULL;

	fixture_open(&f, "");
	run.app.port = fixture_status(&f).port;
	assert_int_equal(supervisor_new(&f.loop, &config, f.ring, &events, &second), -EADDRINUSE);
	assert_null(second);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_and_stop),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_ended_by_visitors),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_while_restarting),
		cmocka_unit_test(test_stubborn),
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_build_fails),
		cmocka_unit_test(test_stop_build),
		cmocka_unit_test(test_never_listens),
		cmocka_unit_test(test_exec_hangs),
		cmocka_unit_test(test_start_while_given_up),
		cmocka_unit_test(test_stop_while_given_up),
		cmocka_unit_test(test_nothing_there),
		cmocka_unit_test(test_folder_is_gone),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_port_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
