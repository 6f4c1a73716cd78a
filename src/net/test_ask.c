/* SPDX-License-Identifier: MIT */
/* One question: who answers, closes, is silent or isn't there; and what the answer says. */
#include "net/ask.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/test_open_fds.h"
#include "net/test_turn.h"

#define PATIENT_MS 30000 /* what is awaited comes long before */
#define SHORT_MS 100     /* for what doesn't come */

struct fixture {
	uv_loop_t loop;
	uv_poll_t listener;
	int listen_fd, fd; /* of who is asked, and his connection */
	uint16_t port;
	const char *says; /* NULL: he is silent */
	bool closes;
	unsigned dones;
	struct ask_result result;
	char answer[ASK_ANSWER_MAX + 1];
	unsigned status;
};

static void on_visitor(uv_poll_t *poll, int status, int events)
{
	struct fixture *f = container_of(poll, struct fixture, listener);

	f->fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(f->fd >= 0);
	(void)uv_poll_stop(poll);
	if (f->says)
		assert_int_equal(send(f->fd, f->says, strlen(f->says), 0), strlen(f->says));
	if (f->closes)
		f->fd = fd_close(f->fd);
}

static void on_done(void *owner, const struct ask_result *result)
{
	struct fixture *f = owner;

	f->dones++;
	f->result = *result;
	memcpy(f->answer, result->answer, result->len + 1);
	f->status = ask_http_status(result);
}

static void setup(struct fixture *f)
{
	struct addr addr;

	*f = (struct fixture){ .fd = -1 };
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(addr_parse_ip("127.0.0.1", 0, &addr), 0);
	f->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->listen_fd, &addr.sa, addr_len(&addr)), 0);
	assert_int_equal(listen(f->listen_fd, 1), 0);
	assert_int_equal(addr_of_socket(f->listen_fd, &addr), 0);
	f->port = addr_port(&addr);
	assert_int_equal(uv_poll_init(&f->loop, &f->listener, f->listen_fd), 0);
	assert_int_equal(uv_poll_start(&f->listener, UV_READABLE, on_visitor), 0);
	uv_unref((uv_handle_t *)&f->listener);
}

static void teardown(struct fixture *f)
{
	uv_close((uv_handle_t *)&f->listener, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	fd_close(f->listen_fd);
	fd_close(f->fd);
}

static struct ask *start(struct fixture *f, const char *host, const char *say, uint64_t timeout_ms)
{
	struct ask_config config = {
		.loop = &f->loop,
		.host = host,
		.port = f->port,
		.say = say,
		.timeout_ms = timeout_ms,
		.done = on_done,
		.owner = f,
	};
	struct ask *ask;

	assert_int_equal(ask_start(&config, &ask), 0);
	assert_int_equal(f->dones, 0);
	return ask;
}

static const struct {
	const char *says;
	bool closes;
	enum ask_end end;
	unsigned status;
} cases[] = {
	{ "HTTP/1.1 200 OK\r\n", false, ASK_ANSWERED, 200 },
	{ "HTTP/1.0 502 Bad Gateway\r\nX: y\r\n\r\nbody", false, ASK_ANSWERED, 502 },
	{ "HTTP/1.1 404", true, ASK_ANSWERED, 404 }, /* an end is as good as a line's */
	{ "HTTP/1.1 40", true, ASK_ANSWERED, 0 },
	{ "HTTP/1.1 4x4 no\r\n", false, ASK_ANSWERED, 0 },
	{ "HTTP/2 200\r\n", false, ASK_ANSWERED, 0 },
	{ "SSH-2.0-x\r\n", false, ASK_ANSWERED, 0 },
	{ "", true, ASK_CLOSED, 0 },
};

static void test_answers(void **state)
{
	unsigned open = 0;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fixture f;

		setup(&f);
		f.says = cases[i].says;
		f.closes = cases[i].closes;
		(void)start(&f, "127.0.0.1", "hello\r\n", PATIENT_MS);
		uv_run(&f.loop, UV_RUN_DEFAULT);
		assert_int_equal(f.dones, 1);
		assert_int_equal(f.result.end, cases[i].end);
		assert_string_equal(f.answer, cases[i].says);
		assert_int_equal(f.status, cases[i].status);
		assert_true(f.result.connected);
		assert_int_equal(addr_port(&f.result.peer), f.port);
		teardown(&f);
		/* The first loop of a process leaves what all of them use. */
		if (i)
			assert_int_equal(test_open_fds(), open);
		open = test_open_fds();
	}
}

/* More than is looked at, and no line of it ends. */
static void test_long_answer(void **state)
{
	char says[2 * ASK_ANSWER_MAX];
	struct fixture f;

	memset(says, 'x', sizeof(says) - 1);
	says[sizeof(says) - 1] = '\0';
	setup(&f);
	f.says = says;
	(void)start(&f, "127.0.0.1", "hello\r\n", PATIENT_MS);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	assert_int_equal(f.result.end, ASK_ANSWERED);
	assert_int_equal(f.result.len, ASK_ANSWER_MAX);
	teardown(&f);
}

/* Half a line, and nothing more: time ends it. */
static void test_silent(void **state)
{
	struct fixture f;

	setup(&f);
	f.says = "HTTP/1.1 20";
	(void)start(&f, "127.0.0.1", "hello\r\n", SHORT_MS);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	assert_int_equal(f.dones, 1);
	assert_int_equal(f.result.end, ASK_SILENT);
	assert_true(f.result.connected);
	assert_true(f.result.duration_ms >= SHORT_MS - 1);
	teardown(&f);
}

/* Where nothing is said, a connection is the answer. */
static void test_nothing_said(void **state)
{
	struct fixture f;

	setup(&f);
	(void)start(&f, "127.0.0.1", NULL, PATIENT_MS);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	assert_int_equal(f.result.end, ASK_CLOSED);
	assert_true(f.result.connected);
	teardown(&f);
}

static void test_nobody(void **state)
{
	struct fixture f;

	setup(&f);
	/* A port that is bound and not listened on refuses. */
	assert_int_equal(shutdown(f.listen_fd, SHUT_RDWR), 0);
	(void)uv_poll_stop(&f.listener);
	(void)start(&f, "127.0.0.1", "hello\r\n", PATIENT_MS);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	assert_int_equal(f.dones, 1);
	assert_int_equal(f.result.end, ASK_UNCONNECTED);
	assert_int_equal(f.result.error, -ECONNREFUSED);
	assert_false(f.result.connected);
	teardown(&f);
}

/* Before it has begun, and while the answer is awaited: nothing follows, and nothing is left open.
 */
static void test_cancelled(void **state)
{
	unsigned open = test_open_fds();

	for (int connected = 0; connected < 2; connected++) {
		struct fixture f;
		struct ask *ask;

		setup(&f);
		ask = start(&f, "127.0.0.1", "hello\r\n", PATIENT_MS);
		while (connected && f.fd < 0)
			test_turn(&f.loop);
		ask_cancel(ask);
		uv_run(&f.loop, UV_RUN_DEFAULT);
		assert_int_equal(f.dones, 0);
		teardown(&f);
	}
	assert_int_equal(test_open_fds(), open);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_long_answer),
		cmocka_unit_test(test_silent),
		cmocka_unit_test(test_nothing_said),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
