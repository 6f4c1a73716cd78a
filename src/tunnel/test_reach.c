/* SPDX-License-Identifier: MIT */
/* Each outcome of the question whether the public URL works, with the words for it. */
#include "tunnel/reach.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lang.h"
#include "net/test_turn.h"

#define LOOPBACK "127.0.0.1"
#define OK "HTTP/1.1 204 No Content\r\n\r\n"

/* Who is asked: one connection, and what it has said. */
struct server {
	uv_tcp_t listener, conn;
	uv_write_t write;
	const char *answer; /* NULL: none; "": only the end */
	bool arrives;       /* what comes is a visitor of the tunnel */
	uint64_t visit_ms;  /* wall clock: who has come then; 0: none has */
	size_t heard;
	char request[4096];
	uint16_t port;
};

struct question {
	struct reach reach;
	struct server *server;
	struct reach_result result;
	unsigned results;
};

struct fixture {
	uv_loop_t loop;
	struct question questions[2];
	struct server server;
};

/* By its length, as of a relay that doesn't name its visitors. */
static bool on_search(void *owner, const struct reach_mark *mark)
{
	const struct server *s = ((struct question *)owner)->server;

	assert_true(strncmp(mark->from, LOOPBACK ":", strlen(LOOPBACK ":")) == 0);
	return s->visit_ms >= mark->since_wall_ms && s->heard == mark->bytes;
}

static void on_done(void *owner, const struct reach_result *result)
{
	struct question *q = owner;

	q->result = *result;
	q->results++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	for (size_t i = 0; i < ARRAY_LEN(f->questions); i++) {
		f->questions[i].server = &f->server;
		reach_init(&f->questions[i].reach, &(struct reach_config){ .loop = &f->loop,
							   .arrived = on_search,
							   .done = on_done,
							   .owner = &f->questions[i] });
	}
	*state = f;
	return 0;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
	struct fixture *f = arg;

	if (handle == (uv_handle_t *)&f->server.listener ||
		handle == (uv_handle_t *)&f->server.conn)
		if (!uv_is_closing(handle))
			uv_close(handle, NULL);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(f->questions); i++)
		reach_cancel(&f->questions[i].reach);
	uv_walk(&f->loop, close_handle, f);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	free(f);
	return 0;
}

/* --- who is asked --- */

static void server_on_written(uv_write_t *write, int status)
{
	uv_close((uv_handle_t *)write->handle, NULL);
}

static void server_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct server *s = container_of((uv_tcp_t *)handle, struct server, conn);

	*buf = uv_buf_init(s->request + s->heard, (unsigned)(sizeof(s->request) - 1 - s->heard));
}

static void server_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *unused)
{
	struct server *s = container_of((uv_tcp_t *)stream, struct server, conn);
	uv_buf_t answer = uv_buf_init((char *)s->answer, s->answer ? strlen(s->answer) : 0);

	if (n < 0)
		return;
	s->heard += (size_t)n;
	if (!strstr(s->request, "\r\n\r\n"))
		return;
	if (s->arrives)
		s->visit_ms = clock_wall_ms();
	if (s->answer)
		assert_int_equal(uv_write(&s->write, stream, &answer, 1, server_on_written), 0);
}

static void server_on_visitor(uv_stream_t *listener, int status)
{
	struct server *s = container_of((uv_tcp_t *)listener, struct server, listener);

	assert_int_equal(status, 0);
	assert_int_equal(uv_tcp_init(listener->loop, &s->conn), 0);
	assert_int_equal(uv_accept(listener, (uv_stream_t *)&s->conn), 0);
	assert_int_equal(
		uv_read_start((uv_stream_t *)&s->conn, server_on_alloc, server_on_read), 0);
}

static uint16_t port_of(const uv_tcp_t *tcp)
{
	struct sockaddr_in addr;
	int len = sizeof(addr);

	assert_int_equal(uv_tcp_getsockname(tcp, (struct sockaddr *)&addr, &len), 0);
	return ntohs(addr.sin_port);
}

static void serve(struct fixture *f, const char *answer, bool arrives)
{
	struct server *s = &f->server;
	struct sockaddr_in addr;

	s->answer = answer;
	s->arrives = arrives;
	assert_int_equal(uv_ip4_addr(LOOPBACK, 0, &addr), 0);
	assert_int_equal(uv_tcp_init(&f->loop, &s->listener), 0);
	assert_int_equal(uv_tcp_bind(&s->listener, (const struct sockaddr *)&addr, 0), 0);
	s->port = port_of(&s->listener);
	assert_int_equal(uv_listen((uv_stream_t *)&s->listener, 8, server_on_visitor), 0);
}

/* --- asking --- */

static void ask(struct fixture *f, size_t i, const char *host, uint16_t port)
{
	assert_int_equal(reach_start(&f->questions[i].reach, host, port), 0);
	assert_true(reach_runs(&f->questions[i].reach));
	assert_int_equal(f->questions[i].results, 0);
}

static const struct reach_result *result_of(struct fixture *f, size_t i)
{
	struct question *q = &f->questions[i];

	while (q->results == 0)
		test_turn(&f->loop);
	assert_int_equal(q->results, 1);
	assert_false(reach_runs(&q->reach));
	return &q->result;
}

static void need(const struct reach_result *result, enum reach_outcome outcome, const char *says)
{
	assert_string_equal(reach_outcome_names[result->outcome], reach_outcome_names[outcome]);
	if (!strstr(result->text, says))
		fail_msg("'%s' doesn't say '%s'", result->text, says);
	assert_true(result->time_ms > 0);
}

/* What somebody answers, and whether it comes to the application. */
static const struct {
	const char *answer;
	bool arrives;
	enum reach_outcome outcome;
	unsigned status;
	const char *says;
} answers[] = {
	{ OK, true, REACH_WORKS, 204, "the application has answered with status 204" },
	{ "hello\n", true, REACH_WORKS, 0, "the application has answered but not by HTTP/1" },
	{ OK, false, REACH_OTHER, 204, "something else has answered with status 204" },
	{ "SSH-2.0-x\r\n", false, REACH_OTHER, 0, "something else has answered but not by" },
	{ "", true, REACH_UNANSWERED, 0,
		"closes it without an answer. The request has come to the application" },
	{ "", false, REACH_UNANSWERED, 0, "The request has not come here" },
	{ "HTTP/1.1 2x4 No\r\n", true, REACH_WORKS, 0, "but not by HTTP/1" },
};

static void test_answers(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		void *own = NULL;
		struct fixture *f;
		const struct reach_result *result;

		assert_int_equal(setup(&own), 0);
		f = own;
		serve(f, answers[i].answer, answers[i].arrives);
		ask(f, 0, LOOPBACK, f->server.port);
		result = result_of(f, 0);
		need(result, answers[i].outcome, answers[i].says);
		assert_int_equal(result->status, answers[i].status);
		assert_int_equal(result->arrived, answers[i].arrives);
		assert_int_equal(teardown(&own), 0);
	}
}

/* Bound to a port of loopback, so that nobody else can listen there. */
static int take_port(uint16_t *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	uint16_t port;
	int fd = take_port(&port);

	ask(f, 0, LOOPBACK, port);
	need(result_of(f, 0), REACH_REFUSED, "--bind-tunnels");
	assert_int_equal(close(fd), 0);
}

/* The kernel connects no TCP to a broadcast address, whatever routes there are. */
static void test_unreachable(void **state)
{
	struct fixture *f = *state;

	ask(f, 0, "255.255.255.255", 80);
	need(result_of(f, 0), REACH_UNREACHABLE,
		"255.255.255.255:80 can't be connected from here: network is unreachable");
}

/* RFC 6761, 6.4: it never has an address. */
static void test_unresolved(void **state)
{
	struct fixture *f = *state;

	ask(f, 0, "relay.invalid", 80);
	need(result_of(f, 0), REACH_UNRESOLVED, "'relay.invalid' has no address here");
}

/* A listener whose queue is full drops what asks for more, as a firewall does; another one takes
 * the connection, and says nothing. Both at once, since each takes the whole time. */
static void test_nothing_in_time(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in addr = { .sin_family = AF_INET };
	uint16_t port;
	int full = take_port(&port), fillers[4];

	assert_int_equal(listen(full, 0), 0);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr.sin_port = htons(port);
	for (size_t i = 0; i < ARRAY_LEN(fillers); i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(fillers[i], (const struct sockaddr *)&addr, sizeof(addr));
	}
	serve(f, NULL, true);
	ask(f, 0, LOOPBACK, port);
	ask(f, 1, LOOPBACK, f->server.port);
	need(result_of(f, 0), REACH_SILENT, "in 5 s. A firewall at the relay probably drops it");
	assert_true(f->questions[0].result.duration_ms >= REACH_TIMEOUT_MS);
	need(result_of(f, 1), REACH_UNANSWERED,
		"nothing was answered in 5 s. The request has come");
	for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
		assert_int_equal(close(fillers[i]), 0);
	assert_int_equal(close(full), 0);
}

/* At any moment; and one can be asked anew. */
static void test_cancelled(void **state)
{
	struct fixture *f = *state;
	uint16_t port;
	int fd = take_port(&port);

	assert_int_equal(listen(fd, 16), 0);
	for (int turns = 0; turns < 6; turns++) {
		ask(f, 0, turns % 2 ? "relay.invalid" : LOOPBACK, port);
		for (int i = 0; i < turns && f->questions[0].results == 0; i++)
			(void)uv_run(&f->loop, UV_RUN_NOWAIT);
		reach_cancel(&f->questions[0].reach);
		assert_false(reach_runs(&f->questions[0].reach));
		f->questions[0].results = 0;
	}
	for (int i = 0; i < 100; i++)
		(void)uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(f->questions[0].results, 0);
	assert_int_equal(close(fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreachable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unresolved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
