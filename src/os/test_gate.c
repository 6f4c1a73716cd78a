/* SPDX-License-Identifier: MIT */
/* What visitors meet while nobody serves: the gate, and os/unserved.h behind it. */
#include "os/gate.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/lang.h"
#include "net/test_turn.h"
#include "os/supervisor_fixture.h"

/* Nobody hangs while nothing runs; while something is to come, everybody waits for it. */
static void test_gate(void **state)
{
	struct fixture f = { 0 };
	char text[TEXT_MAX];
	int http, other, waiting;

	fixture_open(&f, "ready; exec sleep 1000");
	http = fixture_visit(&f, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	other = fixture_visit(&f, "\x16\x03\x01 TLS");
	fixture_read_answer(&f, http, text);
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	assert_non_null(strstr(text, "\r\n\r\nThe application is not running\n"));
	fixture_read_answer(&f, other, text);
	assert_string_equal(text, "");
	fd_close(http);
	fd_close(other);

	supervisor_start(f.supervisor);
	waiting = fixture_visit(&f, "GET / HTTP/1.1\r\n\r\n");
	fixture_await(&f, "starting running ");
	assert_int_equal(recv(waiting, text, sizeof text, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	/* This guest takes none; once it has stopped, they are told. */
	supervisor_stop(f.supervisor);
	fixture_read_answer(&f, waiting, text);
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	fd_close(waiting);
	/* One that says nothing is no reason to stay. */
	waiting = fixture_visit(&f, "");
	fixture_close(&f);
	fd_close(waiting);
}

static void turn(struct fixture *f)
{
	for (int i = 0; i < 5; i++)
		uv_run(&f->loop, UV_RUN_NOWAIT);
}

static const struct {
	const char *pieces[3];
	bool http;
} speeches[] = {
	{ { "G", "ET / HTTP/1.1\r\n\r\n" }, true },
	{ { "GE", "T", " / HTTP/1.1\r\n\r\n" }, true },
	{ { "GET", " " }, true },
	{ { "M", "-SEARCH * HTTP/1.1\r\n\r\n" }, true },
	{ { "UPDATEREDIRECT", "REF /a HTTP/1.1\r\n\r\n" }, true },
	{ { "g", "et / HTTP/1.1\r\n\r\n" }, false },
	{ { "S", "SH-2.0-OpenSSH_9.2\r\n" }, false },
	{ { "\x16", "\x03\x01" }, false },
	{ { "A", " " }, false },
	{ { "ABCDEFGHIJKL", "ABCDEFGHIJKLM", " " }, false },
};

/* A first read of "G" or "GE" was taken for all that the visitor says, who got no answer. */
static void test_gate_pieces(void **state)
{
	struct fixture f = { 0 };
	char text[TEXT_MAX];

	fixture_open(&f, "");
	for (size_t i = 0; i < ARRAY_LEN(speeches); i++) {
		int visitor = fixture_visit(&f, speeches[i].pieces[0]);

		turn(&f);
		for (size_t k = 1; k < 3 && speeches[i].pieces[k]; k++) {
			(void)send(visitor, speeches[i].pieces[k], strlen(speeches[i].pieces[k]),
				MSG_NOSIGNAL);
			turn(&f);
		}
		fixture_read_answer(&f, visitor, text);
		assert_int_equal(strncmp(text, "HTTP/1.1 503 ", 13) == 0, speeches[i].http);
		assert_int_equal(*text != '\0', speeches[i].http);
		fd_close(visitor);
	}
	fixture_close(&f);
}

/* The answer was lost to a reset when the visitor still sent two seconds later. */
static void test_gate_upload(void **state)
{
	struct fixture f = { 0 };
	char text[TEXT_MAX];
	int visitor;

	fixture_open(&f, "");
	visitor = fixture_visit(&f, "POST / HTTP/1.1\r\nContent-Length: 400000\r\n\r\n");
	memset(text, 'x', sizeof text);
	for (uint64_t end = uv_hrtime() + UINT64_C(2500000000); uv_hrtime() < end;) {
		turn(&f);
		assert_int_equal(send(visitor, text, 1000, MSG_NOSIGNAL), 1000);
		(void)poll(NULL, 0, 50);
	}
	turn(&f);
	fixture_read_answer(&f, visitor, text);
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	fd_close(visitor);
	fixture_close(&f);
}

/* As many silent visitors as the gate looks at left it without a word for all others. */
static void test_gate_is_full(void **state)
{
	int silent[UNSERVED_MAX + 10], visitor;
	struct fixture f = { 0 };
	char text[TEXT_MAX];

	fixture_open(&f, "");
	for (size_t i = 0; i < ARRAY_LEN(silent); i++) {
		silent[i] = fixture_visit(&f, "");
		turn(&f);
	}
	visitor = fixture_visit(&f, "GET / HTTP/1.1\r\n\r\n");
	fixture_read_answer(&f, visitor, text);
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	/* The oldest made room; the others are still listened to. */
	assert_int_equal(recv(silent[0], text, 1, MSG_DONTWAIT), 0);
	assert_int_equal(recv(silent[ARRAY_LEN(silent) - 1], text, 1, MSG_DONTWAIT), -1);
	fd_close(visitor);
	for (size_t i = 0; i < ARRAY_LEN(silent); i++)
		fd_close(silent[i]);
	fixture_close(&f);
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
	fixture_await(&f, "building ");
	waiting = fixture_visit(&f, "GET / HTTP/1.1\r\n\r\n");
	fixture_read_answer(&f, waiting, text);
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	assert_int_equal(fixture_status(&f).state, SUPERVISOR_BUILDING);
	fd_close(waiting);
	fixture_close(&f);
}

static unsigned turns;

static void on_turn(uv_check_t *check)
{
	turns++;
}

/* Without a descriptor to accept with the loop spun: the socket stays readable. */
static void test_gate_without_descriptors(void **state)
{
	struct fixture f = { 0 };
	char text[TEXT_MAX];
	struct rlimit old, none;
	uv_check_t check;
	int visitor;

	fixture_open(&f, "");
	assert_int_equal(uv_check_init(&f.loop, &check), 0);
	assert_int_equal(uv_check_start(&check, on_turn), 0);
	visitor = fixture_visit(&f, "GET / HTTP/1.1\r\n\r\n");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (uint64_t end = uv_hrtime() + UINT64_C(1000000000); uv_hrtime() < end;)
		uv_run(&f.loop, UV_RUN_ONCE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_in_range(turns, 1, 30);
	fixture_read_answer(&f, visitor, text);
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	fd_close(visitor);
	uv_close((uv_handle_t *)&check, NULL);
	fixture_close(&f);
}

static void on_gate_closed(void *owner)
{
	bool *closed = owner;

	*closed = true;
}

/* A pause that is over while the gate is being closed is no reason to look at its socket again. */
static void test_gate_closed_in_a_pause(void **state)
{
	bool closed = false;
	struct gate gate = { .closed = on_gate_closed, .owner = &closed };
	struct sockaddr_in to = { .sin_family = AF_INET };
	int visitor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct rlimit old, none;
	struct fixture f = { 0 };

	fixture_open(&f, "");
	assert_int_equal(gate_open(&gate, &f.loop, 0), 0);
	to.sin_port = htons(gate.port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(visitor, (struct sockaddr *)&to, sizeof to), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	while (!gate.said_short)
		test_turn(&f.loop);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	(void)poll(NULL, 0, (int)uv_timer_get_due_in(&gate.pause) + 1);
	gate_close(&gate);
	while (!closed)
		test_turn(&f.loop);
	fd_close(visitor);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_gate_pieces),
		cmocka_unit_test(test_gate_upload),
		cmocka_unit_test(test_gate_is_full),
		cmocka_unit_test(test_gate_while_building),
		cmocka_unit_test(test_gate_without_descriptors),
		cmocka_unit_test(test_gate_closed_in_a_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
