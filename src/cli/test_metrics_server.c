/* SPDX-License-Identifier: MIT */
/* Requests as a table, and the server over loopback: answers, the limit, and closing with clients
 * connected. */
#include "cli/metrics_server.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/lang.h"
#include "base/clock.h"
#include "net/chan.h"

#define PATIENCE_MS 20000

static const struct {
	const char *request;
	int status;
} cases[] = {
	{ "", 0 },
	{ "GET /metrics HTTP/1.1\r\n", 0 },
	{ "GET /metrics HTTP/1.1\r\nHost: x\r\n\r", 0 },
	{ "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200 },
	{ "GET /metrics HTTP/1.0\r\n\r\n", 200 },
	{ "GET / HTTP/1.1\r\n\r\n", 404 },
	{ "GET /metricsx HTTP/1.1\r\n\r\n", 404 },
	{ "POST /metrics HTTP/1.1\r\n\r\n", 405 },
	{ "GETS /metrics HTTP/1.1\r\n\r\n", 405 },
	{ "GET /metrics HTTP/2.0\r\n\r\n", 400 },
	{ "GET /metrics\r\n\r\n", 400 },
	{ "GET /metrics HTTP/1.1 x\r\n\r\n", 400 },
	{ "\r\n\r\n", 400 },
	{ "\x16\x03\x01\r\n\r\n", 400 },
};

static void test_requests(void **state)
{
	static char flood[CHAN_IN_MAX];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(metrics_request_status(cases[i].request, strlen(cases[i].request)),
			cases[i].status);
	memset(flood, 'x', sizeof flood);
	assert_int_equal(metrics_request_status(flood, sizeof flood - 1), 0);
	assert_int_equal(metrics_request_status(flood, sizeof flood), 400);
}

struct fixture {
	uv_loop_t loop;
	struct metrics_server server;
	unsigned closed;
};

static void on_write(void *owner, FILE *out)
{
	fputs("bore_test 1\n", out);
}

static void on_closed(void *owner)
{
	struct fixture *f = owner;

	f->closed++;
}

static int setup(void **state)
{
	static struct fixture f;
	struct addr addr;

	memset(&f, 0, sizeof f);
	assert_int_equal(addr_parse_ip("127.0.0.1", 0, &addr), 0);
	assert_int_equal(uv_loop_init(&f.loop), 0);
	f.server.write = on_write;
	f.server.closed = on_closed;
	f.server.owner = &f;
	assert_int_equal(metrics_server_open(&f.server, &f.loop, &addr), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	metrics_server_close(&f->server);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->closed, 1);
	assert_int_equal(f->server.count, 0);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	return 0;
}

static int connect_client(struct fixture *f, const char *request)
{
	const struct addr *to = &f->server.listener.addr;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, &to->sa, addr_len(to)), 0);
	assert_int_equal(
		send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
	return fd;
}

/* Runs the loop until the connection has ended; what came is in `text`. */
static void read_all(struct fixture *f, int fd, char *text, size_t size)
{
	uint64_t end_ms = clock_now_ms() + PATIENCE_MS;
	size_t len = 0;
	ssize_t n;

	for (;;) {
		assert_true(clock_now_ms() < end_ms);
		n = recv(fd, text + len, size - 1 - len, MSG_DONTWAIT);
		if (n > 0)
			len += (size_t)n;
		else if (n == 0 || errno != EAGAIN)
			break;
		uv_run(&f->loop, UV_RUN_NOWAIT);
	}
	text[len] = '\0';
}

static void test_answers(void **state)
{
	char text[1024];
	int fd;

	fd = connect_client(*state, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	read_all(*state, fd, text, sizeof text);
	close(fd);
	assert_string_equal(text,
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
		"Content-Length: 12\r\nConnection: close\r\n\r\nbore_test 1\n");

	fd = connect_client(*state, "DELETE /metrics HTTP/1.1\r\n\r\n");
	read_all(*state, fd, text, sizeof text);
	close(fd);
	assert_string_equal(text, "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\n"
				  "Content-Length: 0\r\nConnection: close\r\n\r\n");
}

static void test_limit(void **state)
{
	struct fixture *f = *state;
	uint64_t end_ms = clock_now_ms() + PATIENCE_MS;
	int fds[METRICS_CONNS_MAX], extra;
	char text[16];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = connect_client(f, "G");
	while (f->server.count < METRICS_CONNS_MAX) {
		assert_true(clock_now_ms() < end_ms);
		uv_run(&f->loop, UV_RUN_NOWAIT);
	}
	/* One too many is closed without a word; the others are still there for the teardown. */
	extra = connect_client(f, "GET /metrics HTTP/1.1\r\n\r\n");
	read_all(f, extra, text, sizeof text);
	assert_string_equal(text, "");
	assert_int_equal(f->server.count, METRICS_CONNS_MAX);
	close(extra);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
