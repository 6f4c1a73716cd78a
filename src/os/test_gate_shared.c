/* SPDX-License-Identifier: MIT */
/* What an instance does to the listener's open file and options, while the gate turns visitors
 * away by it. */
#include "os/gate.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/lang.h"

#define DEADLINE_MS 20000
#define ANSWER_MAX 1024
#define REQUEST "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

struct fixture {
	uv_loop_t loop;
	uv_timer_t deadline, tick;
	struct gate gate;
	bool closed;
};

int __real_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);

static int blocks = -1; /* of this one O_NONBLOCK is taken right before each accept4(2) */

int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	if (fd == blocks)
		assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	return __real_accept4(fd, addr, len, flags);
}

static void on_deadline(uv_timer_t *timer)
{
	fail_msg("nothing has happened for %d ms", DEADLINE_MS);
}

static void on_tick(uv_timer_t *timer)
{
}

static void on_closed(void *owner)
{
	((struct fixture *)owner)->closed = true;
}

static void open_all(struct fixture *f)
{
	*f = (struct fixture){ .gate.closed = on_closed, .gate.owner = f };
	assert_int_equal(uv_loop_init(&f->loop), 0);
	(void)uv_timer_init(&f->loop, &f->deadline);
	(void)uv_timer_init(&f->loop, &f->tick);
	(void)uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0);
	(void)uv_timer_start(&f->tick, on_tick, 1, 1);
	assert_int_equal(gate_open(&f->gate, &f->loop, 0), 0);
}

static void close_all(struct fixture *f)
{
	gate_close(&f->gate);
	while (!f->closed)
		(void)uv_run(&f->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&f->deadline, NULL);
	uv_close((uv_handle_t *)&f->tick, NULL);
	(void)uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
}

static int visit(const struct fixture *f, const char *request)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(f->gate.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	return fd;
}

/* The whole of it, up to an ordinary end. */
static void expect_answer(struct fixture *f, int fd)
{
	char text[ANSWER_MAX] = "";
	size_t len = 0;
	ssize_t n;

	for (;;) {
		n = recv(fd, text + len, sizeof text - 1 - len, MSG_DONTWAIT);
		if (n == 0)
			break;
		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		len += n < 0 ? 0 : (size_t)n;
		(void)uv_run(&f->loop, UV_RUN_ONCE);
	}
	assert_memory_equal(text, "HTTP/1.1 503 ", 13);
	assert_non_null(strstr(text, "\r\n\r\nThe application is not running\n"));
	(void)fd_close(fd);
}

/* The gate waited for a second visitor behind the first one, and everybody for that. */
static void test_blocks(void **state)
{
	uint64_t began = uv_hrtime();
	struct fixture f;
	sigset_t blocked;

	/* As a parent may have left it to us: the stall's signal. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGRTMIN);
	assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, NULL), 0);
	open_all(&f);
	blocks = f.gate.fd;
	expect_answer(&f, visit(&f, REQUEST));
	/* It was made to wait, and looks for others later; by the loop's clock, which may be
	 * behind.
	 */
	expect_answer(&f, visit(&f, REQUEST));
	assert_true(uv_hrtime() - began > STALL_REST_MS / 2 * UINT64_C(1000000));
	blocks = -1;
	close_all(&f);
}

/* All that the filter lets an instance set. */
static void test_options(void **state)
{
	static const struct linger reset = { .l_onoff = 1 }, waits = { 1, 1000 };
	static const struct timeval soon = { .tv_usec = 1 };
	static const int one = 1, none = 0;
	static const struct {
		const char *what;
		int level, name;
		const void *value;
		socklen_t len;
	} options[] = {
		{ "a reset", SOL_SOCKET, SO_LINGER, &reset, sizeof reset },
		{ "a wait", SOL_SOCKET, SO_LINGER, &waits, sizeof waits },
		{ "little to send", SOL_SOCKET, SO_SNDBUF, &one, sizeof one },
		{ "little to receive", SOL_SOCKET, SO_RCVBUF, &one, sizeof one },
		{ "no time to send", SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon },
		{ "no time to receive", SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon },
		{ "one hop", IPPROTO_IP, IP_TTL, &one, sizeof one },
		{ "a cork", IPPROTO_TCP, TCP_CORK, &one, sizeof one },
		{ "no delay", IPPROTO_TCP, TCP_NODELAY, &one, sizeof one },
		{ "late acknowledgements", IPPROTO_TCP, TCP_QUICKACK, &none, sizeof none },
		{ "keepalive", SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one },
		{ "soon", IPPROTO_TCP, TCP_KEEPIDLE, &one, sizeof one },
		{ "often", IPPROTO_TCP, TCP_KEEPINTVL, &one, sizeof one },
		{ "once", IPPROTO_TCP, TCP_KEEPCNT, &one, sizeof one },
		{ "a port for itself", SOL_SOCKET, SO_REUSEADDR, &none, sizeof none },
	};
	struct fixture f;
	int silent;

	open_all(&f);
	/* Each on top of those before, but for the two of SO_LINGER. */
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (setsockopt(f.gate.fd, options[i].level, options[i].name, options[i].value,
			    options[i].len) < 0)
			fail_msg("%s: %s", options[i].what, strerror(errno));
		expect_answer(&f, visit(&f, REQUEST));
	}
	/* Who is silent has an end, not a reset. */
	(void)setsockopt(f.gate.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	silent = visit(&f, "");
	while (!f.gate.unserved.count)
		(void)uv_run(&f.loop, UV_RUN_ONCE);
	close_all(&f);
	assert_int_equal(recv(silent, &(char){ 0 }, 1, 0), 0);
	(void)fd_close(silent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
