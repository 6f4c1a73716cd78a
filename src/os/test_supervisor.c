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
#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "os/log_ring.h"
#include "os/run_config.h"
#include "os/supervisor_state.h"

#define DEADLINE_MS 60000
#define HISTORY_MAX 1024
#define TEXT_MAX 4096

struct fixture {
	char dir[64], guest[96], module[96];
	uv_loop_t loop;
	uv_timer_t deadline;
	struct os_run_config run;
	struct log_ring *ring;
	struct supervisor *supervisor;
	char history[HISTORY_MAX]; /* the states, with a blank behind each */
	bool closed;
};

static void on_state(
	void *owner, enum supervisor_state old, enum supervisor_state new_state, const char *cause)
{
	struct fixture *f = owner;
	size_t len = strlen(f->history);

	assert_true(supervisor_edge(old, new_state));
	snprintf(
		f->history + len, sizeof f->history - len, "%s ", supervisor_state_name(new_state));
}

static void on_closed(void *owner)
{
	struct fixture *f = owner;

	f->closed = true;
}

static void on_deadline(uv_timer_t *timer)
{
	struct fixture *f = timer->data;

	fail_msg("nothing more has happened behind '%s'", f->history);
}

static void write_file(const char *path, const void *text, size_t len)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(text, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(path, 0700), 0);
}

/* `script` runs in the project's folder, with what the supervisor gives to wasmrun-guest. */
static void fixture_open_for(struct fixture *f, const char *script, uint64_t start_timeout_ms)
{
	const struct supervisor_events events = { .state = on_state, .owner = f };
	struct supervisor_config config = {
		.run = &f->run, .guest_program = f->guest, .start_timeout_ms = start_timeout_ms
	};
	char text[TEXT_MAX];

	snprintf(f->dir, sizeof f->dir, "/tmp/test_supervisor.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	setenv("XDG_CACHE_HOME", f->dir, 1);
	snprintf(f->guest, sizeof f->guest, "%s/guest", f->dir);
	snprintf(f->module, sizeof f->module, "%s/app.wasm", f->dir);
	snprintf(text, sizeof text, "#!/bin/sh\nready() { echo >&4; exec 4>&-; }\n%s\n", script);
	write_file(f->guest, text, strlen(text));
	write_file(f->module, "\0asm\1\0\0\0", 8);
	f->run.project_path = f->dir;
	f->ring = log_ring_new();
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(uv_timer_init(&f->loop, &f->deadline), 0);
	f->deadline.data = f;
	assert_int_equal(supervisor_new(&f->loop, &config, f->ring, &events, &f->supervisor), 0);
}

static void fixture_open(struct fixture *f, const char *script)
{
	fixture_open_for(f, script, 0);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	return remove(path);
}

static void fixture_close(struct fixture *f)
{
	if (!f->closed)
		supervisor_close(f->supervisor, on_closed, f);
	uv_close((uv_handle_t *)&f->deadline, NULL);
	assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
	assert_true(f->closed);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	log_ring_free(f->ring);
	assert_int_equal(nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Runs the loop until the states were exactly these. */
static void await_history(struct fixture *f, const char *history)
{
	assert_int_equal(uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0), 0);
	while (strcmp(f->history, history) != 0) {
		if (strncmp(f->history, history, strlen(f->history)) != 0)
			fail_msg("'%s' instead of '%s'", f->history, history);
		uv_run(&f->loop, UV_RUN_ONCE);
	}
	uv_timer_stop(&f->deadline);
}

static struct supervisor_status status_of(struct fixture *f)
{
	struct supervisor_status status;

	supervisor_status(f->supervisor, &status);
	return status;
}

static bool has_line(struct fixture *f, enum log_stream stream, const char *text)
{
	struct log_line line;

	for (uint64_t seq = log_ring_first(f->ring); seq < log_ring_next(f->ring); seq++)
		if (log_ring_get(f->ring, seq, &line) && line.stream == stream &&
			strcmp(line.text, text) == 0)
			return true;
	return false;
}

static void await_line(struct fixture *f, enum log_stream stream, const char *text)
{
	assert_int_equal(uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0), 0);
	while (!has_line(f, stream, text))
		uv_run(&f->loop, UV_RUN_ONCE);
	uv_timer_stop(&f->deadline);
}

static void test_run_and_stop(void **state)
{
	struct fixture f = { 0 };
	struct supervisor_status status;

	fixture_open(&f, "echo $* $A; pwd; echo oops >&2; printf half; ready; exec sleep 1000");
	f.run.app.args = (struct option_list){ .items = { "-x", "a b" }, .count = 2 };
	f.run.app.env = (struct option_list){ .items = { "A=1" }, .count = 1 };
	status = status_of(&f);
	assert_int_equal(status.state, SUPERVISOR_STOPPED);
	assert_int_equal(status.pid, 0);
	assert_true(status.port > 0);
	assert_null(status.exit_reason);

	supervisor_start(f.supervisor);
	supervisor_start(f.supervisor);
	await_history(&f, "starting running ");
	status = status_of(&f);
	assert_true(status.pid > 0);
	assert_true(status.memory_bytes > 0);
	assert_string_equal(status.kind, "cgi");
	char expected[TEXT_MAX];
	snprintf(expected, sizeof expected,
		"--cgi --listen-fd=3 --status-fd=4 --cache=%s/wasmrun/modules --env A -- %s -x a b "
		"1",
		f.dir, f.module);
	assert_true(has_line(&f, LOG_STREAM_STDOUT, expected));
	assert_true(has_line(&f, LOG_STREAM_STDOUT, f.dir));
	assert_true(has_line(&f, LOG_STREAM_STDERR, "oops"));

	supervisor_stop(f.supervisor);
	supervisor_stop(f.supervisor);
	await_history(&f, "starting running stopping stopped ");
	assert_true(has_line(&f, LOG_STREAM_STDOUT, "half"));
	assert_int_equal(status_of(&f).pid, 0);
	assert_int_equal(status_of(&f).restarts, 0);
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
	port = status_of(&f).port;
	supervisor_start(f.supervisor);
	await_history(&f, "starting running restarting starting running restarting starting "
			  "running ");
	await_line(&f, LOG_STREAM_STDOUT, "1");
	status = status_of(&f);
	assert_int_equal(status.restarts, 2);
	assert_string_equal(status.exit_reason, "exit code 7");
	assert_int_equal(status.port, port);
	fixture_close(&f);
}

static const struct {
	const char *script, *history, *reason;
} ends[] = {
	{ "exit 3", "starting failed ", "it ended before it took a connection: exit code 3" },
	{ "exit 0", "starting failed ", "it ended before it took a connection: exit code 0" },
	{ "exit 134", "starting failed ",
		"it ended before it took a connection: trapped (exit code 134)" },
	{ "kill -ABRT $$", "starting failed ",
		"it ended before it took a connection: killed by signal 6 (Aborted)" },
	{ "echo first >&2; echo 'no \"memory\"' >&2; exit 199", "starting failed ",
		"exit code 199: no \"memory\"" },
	{ "ready; exit 0", "starting running stopped ", "it ended by itself: exit code 0" },
};

static void test_ends(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct fixture f = { 0 };

		fixture_open(&f, ends[i].script);
		supervisor_start(f.supervisor);
		await_history(&f, ends[i].history);
		assert_string_equal(status_of(&f).exit_reason, ends[i].reason);
		fixture_close(&f);
	}
}

static void test_restart(void **state)
{
	struct fixture f = { 0 };
	pid_t first;

	fixture_open(&f, "ready; exec sleep 1000");
	supervisor_restart(f.supervisor);
	await_history(&f, "starting running ");
	first = status_of(&f).pid;
	supervisor_restart(f.supervisor);
	supervisor_restart(f.supervisor);
	assert_true(status_of(&f).starts_again);
	await_history(&f, "starting running stopping starting running ");
	assert_false(status_of(&f).starts_again);
	assert_int_not_equal(status_of(&f).pid, first);
	assert_int_equal(status_of(&f).restarts, 0);
	/* The last wish counts. */
	supervisor_restart(f.supervisor);
	supervisor_stop(f.supervisor);
	assert_false(status_of(&f).starts_again);
	await_history(&f, "starting running stopping starting running stopping stopped ");
	fixture_close(&f);
}

/* One that ignores SIGTERM; the second close is the user's second Ctrl-C. */
static void test_stubborn(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f, "trap '' TERM; ready; while :; do sleep 1000; done");
	supervisor_start(f.supervisor);
	await_history(&f, "starting running ");
	supervisor_close(f.supervisor, on_closed, &f);
	supervisor_close(f.supervisor, on_closed, &f);
	assert_int_equal(uv_timer_start(&f.deadline, on_deadline, DEADLINE_MS, 0), 0);
	while (!f.closed)
		uv_run(&f.loop, UV_RUN_ONCE);
	fixture_close(&f);
}

static void test_build(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f, "ready; exec sleep 1000");
	f.run.app.wasm = "out.wasm";
	f.run.app.build = "echo compiling; echo warning >&2; cp app.wasm out.wasm";
	supervisor_start(f.supervisor);
	await_history(&f, "building starting running ");
	assert_true(has_line(&f, LOG_STREAM_BUILD, "compiling"));
	assert_true(has_line(&f, LOG_STREAM_BUILD, "warning"));
	f.run.app.build = "echo no way; exit 2";
	supervisor_restart(f.supervisor);
	await_history(&f, "building starting running stopping building failed ");
	assert_true(has_line(&f, LOG_STREAM_BUILD, "no way"));
	assert_string_equal(
		status_of(&f).exit_reason, "the build with 'sh' has failed: exit code 2");
	f.run.app.build = "echo nonsense >out.wasm";
	supervisor_start(f.supervisor);
	await_history(&f, "building starting running stopping building failed building failed ");
	assert_non_null(strstr(status_of(&f).exit_reason, "is no WebAssembly module"));
	fixture_close(&f);
}

static void test_stop_build(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f, "ready; exec sleep 1000");
	f.run.app.wasm = "app.wasm";
	f.run.app.build = "echo begun; sleep 1000; echo never";
	supervisor_start(f.supervisor);
	await_line(&f, LOG_STREAM_BUILD, "begun");
	assert_int_equal(status_of(&f).pid, 0);
	supervisor_stop(f.supervisor);
	await_history(&f, "building stopping stopped ");
	fixture_close(&f);
}

static void test_never_listens(void **state)
{
	struct fixture f = { 0 };

	fixture_open_for(&f, "exec sleep 1000", 10);
	supervisor_start(f.supervisor);
	await_history(&f, "starting stopping failed ");
	assert_string_equal(status_of(&f).exit_reason,
		"it has not turned to its listening socket in 10ms: a server takes connections "
		"from the one that it is given");
	fixture_close(&f);
}

/* A start that comes while it is given up is no less a wish. */
static void test_start_while_given_up(void **state)
{
	struct fixture f = { 0 };
	char path[96];

	fixture_open_for(&f,
		"trap 'until [ -e go ]; do sleep 0.01; done; exit' TERM; sleep 1000 & wait", 1000);
	supervisor_start(f.supervisor);
	await_history(&f, "starting stopping ");
	supervisor_start(f.supervisor);
	snprintf(path, sizeof path, "%s/go", f.dir);
	write_file(path, "", 0);
	await_history(&f, "starting stopping starting ");
	fixture_close(&f);
}

static void test_nothing_there(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f, "");
	assert_int_equal(truncate(f.module, 5), 0);
	supervisor_start(f.supervisor);
	await_history(&f, "failed ");
	assert_non_null(strstr(status_of(&f).exit_reason, "app.wasm' is truncated"));
	assert_int_equal(unlink(f.module), 0);
	supervisor_start(f.supervisor);
	await_history(&f, "failed failed ");
	assert_non_null(strstr(status_of(&f).exit_reason, "there is nothing to run in"));
	supervisor_stop(f.supervisor);
	await_history(&f, "failed failed stopped ");
	/* Whatever stood in the way is gone. */
	write_file(f.module, "\0asm\1\0\0\0", 8);
	assert_int_equal(unlink(f.guest), 0);
	supervisor_start(f.supervisor);
	await_history(&f, "failed failed stopped failed ");
	assert_non_null(strstr(status_of(&f).exit_reason, "guest': No such file or directory"));
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
	await_line(&f, LOG_STREAM_STDOUT, "a\rb");
	memset(piece, 'x', sizeof piece);
	piece[LOG_RING_LINE_MAX] = '\0';
	assert_true(has_line(&f, LOG_STREAM_STDOUT, piece));
	piece[5000 - LOG_RING_LINE_MAX] = '\0';
	assert_true(has_line(&f, LOG_STREAM_STDOUT, piece));
	fixture_close(&f);
}

/* Empty lines are the most that a buffer can hold: one turn of the loop must not take many. */
static void test_flood(void **state)
{
	struct fixture f = { 0 };

	fixture_open(&f, "ready; exec yes ''");
	supervisor_start(f.supervisor);
	await_history(&f, "starting running ");
	for (uint64_t last, next = log_ring_next(f.ring); next < 10 * LOG_RING_LINES;) {
		uv_run(&f.loop, UV_RUN_ONCE);
		last = next;
		next = log_ring_next(f.ring);
		assert_in_range(next - last, 0, LOG_RING_LINE_MAX);
	}
	fixture_close(&f);
}

static int visit(struct fixture *f, const char *words)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(status_of(f).port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	assert_int_equal(send(fd, words, strlen(words), MSG_NOSIGNAL), strlen(words));
	return fd;
}

/* Reads to the end while the loop runs; a reset fails the test. */
static void read_answer(struct fixture *f, int fd, char text[TEXT_MAX])
{
	size_t len = 0;
	ssize_t n = -1;

	assert_int_equal(uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0), 0);
	while (n != 0) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
		n = recv(fd, text + len, TEXT_MAX - 1 - len, MSG_DONTWAIT);
		assert_true(n >= 0 || errno == EAGAIN);
		if (n > 0)
			len += (size_t)n;
		else if (n < 0)
			(void)poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 1);
	}
	uv_timer_stop(&f->deadline);
	text[len] = '\0';
}

/* Nobody hangs while nothing runs; while something is to come, everybody waits for it. */
static void test_gate(void **state)
{
	struct fixture f = { 0 };
	char text[TEXT_MAX];
	int http, other, waiting;

	fixture_open(&f, "ready; exec sleep 1000");
	http = visit(&f, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	other = visit(&f, "\x16\x03\x01 TLS");
	read_answer(&f, http, text);
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	assert_non_null(strstr(text, "\r\n\r\nThe application is not running\n"));
	read_answer(&f, other, text);
	assert_string_equal(text, "");
	fd_close(http);
	fd_close(other);

	supervisor_start(f.supervisor);
	waiting = visit(&f, "GET / HTTP/1.1\r\n\r\n");
	await_history(&f, "starting running ");
	assert_int_equal(recv(waiting, text, sizeof text, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	/* This guest takes none; once it has stopped, they are told. */
	supervisor_stop(f.supervisor);
	read_answer(&f, waiting, text);
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	fd_close(waiting);
	/* One that says nothing is no reason to stay. */
	waiting = visit(&f, "");
	fixture_close(&f);
	fd_close(waiting);
}

/* A long build is no pause. */
static void test_gate_while_building(void **state)
{
	struct fixture f = { 0 };
	char text[TEXT_MAX];
	int waiting;

	fixture_open(&f, "ready; exec sleep 1000");
	f.run.app.wasm = "app.wasm";
	f.run.app.build = "exec sleep 1000";
	supervisor_start(f.supervisor);
	await_history(&f, "building ");
	waiting = visit(&f, "GET / HTTP/1.1\r\n\r\n");
	read_answer(&f, waiting, text);
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	assert_int_equal(status_of(&f).state, SUPERVISOR_BUILDING);
	fd_close(waiting);
	fixture_close(&f);
}

static void test_port_taken(void **state)
{
	const struct supervisor_events events = { .state = on_state };
	struct fixture f = { 0 };
	struct os_run_config run = { 0 };
	const struct supervisor_config config = { .run = &run };
	struct supervisor *second = NULL;

	fixture_open(&f, "");
	run.app.port = status_of(&f).port;
	assert_int_equal(supervisor_new(&f.loop, &config, f.ring, &events, &second), -EADDRINUSE);
	assert_null(second);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_and_stop),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_stubborn),
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_stop_build),
		cmocka_unit_test(test_never_listens),
		cmocka_unit_test(test_start_while_given_up),
		cmocka_unit_test(test_nothing_there),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_gate_while_building),
		cmocka_unit_test(test_port_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
