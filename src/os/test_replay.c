/* SPDX-License-Identifier: MIT */
/* The ends of a replay: its limits, and an application that isn't as it should be. */
#include "os/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/owner.h"
#include "net/test_turn.h"
#include "os/run_config.h"
#include "record/recorder.h"

#define REQUEST "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

struct fixture {
	uv_loop_t loop;
	struct recorder *recorder;
	struct replay *replay;
	unsigned ended;
	bool closed;
	int listener;
	uint16_t port;
};

/* The application: a thread that takes one connection, and does with it as it is told. */
struct app {
	int listener;
	uint64_t size; /* of its response, with the head; 0: none */
	uint64_t lie;  /* so many bytes more are in its length, and never come */
	bool reset;    /* in place of one */
	bool holds;    /* until the other side ends it */
	bool gone;     /* the other side has ended it before all was said */
};

/* What a replay's time was set to; 1: let it be. */
static uint64_t late_ms = 1;

int __real_uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat);
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat);

static struct {
	uv_timer_t *timer;
	uv_timer_cb cb;
	bool answered; /* the head of an answer is awaited first */
} late;
static atomic_bool app_has_said_all;

/* Its time passes as soon as the application is where the test wants it. */
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
	if (late_ms != 0 || timeout != REPLAY_TIMEOUT_MS)
		return __real_uv_timer_start(timer, cb, timeout, repeat);
	late_ms = timeout;
	late.timer = timer;
	late.cb = cb;
	return __real_uv_timer_start(timer, cb, timeout, repeat);
}

static void on_changed(void *owner, const struct exchange *e)
{
}

static void on_ended(void *owner)
{
	((struct fixture *)owner)->ended++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct recorder_config config = { .changed = on_changed };
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);

	assert_non_null(f);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	config.loop = &f->loop;
	config.owner = f;
	assert_int_equal(recorder_new(&config, &f->recorder), 0);
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(inet_pton(AF_INET, OS_APP_HOST, &addr.sin_addr), 1);
	assert_int_equal(bind(f->listener, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(f->listener, (struct sockaddr *)&addr, &len), 0);
	f->port = ntohs(addr.sin_port);
	*state = f;
	return 0;
}

static void on_closed(void *owner)
{
	((struct fixture *)owner)->closed = true;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	recorder_close(f->recorder, on_closed, f);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_true(f->closed);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_int_equal(close(f->listener), 0);
	free(f);
	return 0;
}

/* --- the application --- */

static bool app_send(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* The length has always as many digits, so that the head's own is known before. */
static void app_answer(struct app *app, int fd)
{
	static const char format[] = "HTTP/1.1 200 OK\r\nContent-Length: %010llu\r\n\r\n";
	static const char block[1 << 20];
	char head[sizeof(format) + 10];
	size_t len = (size_t)snprintf(head, sizeof(head), format, 0ULL);
	uint64_t left = app->size - len;

	(void)snprintf(head, sizeof(head), format, (unsigned long long)(left + app->lie));
	app->gone = !app_send(fd, head, len);
	while (left > 0 && !app->gone) {
		size_t n = left < sizeof(block) ? (size_t)left : sizeof(block);

		app->gone = !app_send(fd, block, n);
		left -= n;
	}
}

static void app_run(void *arg)
{
	struct app *app = arg;
	int fd = accept4(app->listener, NULL, NULL, SOCK_CLOEXEC);
	char request[sizeof(REQUEST)];

	assert_true(fd >= 0);
	assert_int_equal(recv(fd, request, sizeof(REQUEST) - 1, MSG_WAITALL), sizeof(REQUEST) - 1);
	assert_memory_equal(request, REQUEST, sizeof(REQUEST) - 1);
	if (app->size)
		app_answer(app, fd);
	app_has_said_all = true;
	if (app->holds)
		(void)!recv(fd, request, 1, 0);
	if (app->reset)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 },
			sizeof(struct linger));
	assert_int_equal(close(fd), 0);
}

/* --- a replay --- */

static uint64_t begin(struct fixture *f)
{
	const struct replay_config config = {
		.loop = &f->loop,
		.recorder = f->recorder,
		.port = f->port,
		.ended = on_ended,
		.owner = f,
	};
	struct buf request;
	uint64_t id = 0;

	buf_init(&request, sizeof(REQUEST));
	assert_int_equal(buf_append(&request, REQUEST, sizeof(REQUEST) - 1), 0);
	assert_int_equal(replay_start(&config, 7, &request, &f->replay, &id), 0);
	assert_int_equal(f->ended, 0);
	return id;
}

static const struct exchange *end(struct fixture *f, uint64_t id)
{
	const struct exchange *e;

	while (late.timer && !f->ended) {
		(void)uv_run(&f->loop, UV_RUN_NOWAIT);
		sched_yield();
		if (app_has_said_all && (!late.answered || recorder_find(f->recorder, id)->status))
			(void)__real_uv_timer_start(take_ptr(late.timer), late.cb, 0, 0);
	}
	while (!f->ended)
		test_turn(&f->loop);
	assert_int_equal(f->ended, 1);
	e = recorder_find(f->recorder, id);
	assert_non_null(e);
	assert_int_equal(e->origin.replay_of, 7);
	return e;
}

static const struct exchange *run(struct fixture *f, struct app *app)
{
	const struct exchange *e;
	uv_thread_t thread;

	app->listener = f->listener;
	app_has_said_all = false;
	assert_int_equal(listen(f->listener, 1), 0);
	assert_int_equal(uv_thread_create(&thread, app_run, app), 0);
	e = end(f, begin(f));
	assert_int_equal(uv_thread_join(&thread), 0);
	return e;
}

static void need_cut(const struct exchange *e, const char *why)
{
	assert_int_equal(e->state, EXCHANGE_CUT);
	assert_string_equal(e->why, why);
}

static void test_no_answer_in_time(void **state)
{
	struct app app = { .holds = true };

	late_ms = 0;
	need_cut(run(*state, &app), "a replay may last 30 s");
	assert_int_equal(late_ms, 30000);
}

static void test_no_end_in_time(void **state)
{
	struct app app = { .holds = true, .size = 4096, .lie = 1 };
	const struct exchange *e;

	late_ms = 0;
	late.answered = true;
	e = run(*state, &app);
	need_cut(e, "a replay may last 30 s");
	assert_int_equal(e->status, 200);
}

/* Nobody waits for the end of the connection where the response has its own. */
static void test_end_of_the_response(void **state)
{
	struct app app = { .holds = true, .size = 4096 };

	assert_int_equal(run(*state, &app)->state, EXCHANGE_DONE);
}

static void test_longest_answer(void **state)
{
	struct app app = { .size = REPLAY_ANSWER_MAX };
	const struct exchange *e = run(*state, &app);

	assert_int_equal(e->state, EXCHANGE_DONE);
	assert_false(app.gone);
}

static void test_longer_answer(void **state)
{
	struct app app = { .size = REPLAY_ANSWER_MAX + (32U << 20) };
	const struct exchange *e = run(*state, &app);

	need_cut(e, "a replay's answer may have 64 MiB");
	assert_int_equal(e->status, 200);
	assert_true(app.gone);
}

static void test_reset(void **state)
{
	struct app app = { .reset = true };

	need_cut(run(*state, &app), "the application has reset the connection");
}

static void test_nobody_listens(void **state)
{
	struct fixture *f = *state;

	need_cut(end(f, begin(f)), "the application can't be reached");
}

static void test_cancelled(void **state)
{
	struct fixture *f = *state;
	uint64_t id = begin(f);

	replay_cancel(f->replay);
	need_cut(end(f, id), "wasmrun was ended");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_answer_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_end_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_of_the_response, setup, teardown),
		cmocka_unit_test_setup_teardown(test_longest_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_longer_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_listens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
