/* SPDX-License-Identifier: MIT */
/*
 * The limits, without the time that they take. The calls of accepted.c stand before the C library's
 * here, as they do in the wasmtime command.
 */
#include "preload/accepted.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "preload/preload.h"

#define LIMIT_MS 30000
#define MANY 500
#define REQUEST "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\n"

void preload_tell(enum preload_step to)
{
}

struct pair {
	int visitor, server;
};

static uint64_t later(uint64_t ms)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC_COARSE, &now), 0);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + ms;
}

static struct pair pair_new(void)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof name;
	struct pair p;

	assert_int_equal(bind(listener, (struct sockaddr *)&name, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &len), 0);
	p.visitor = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(p.visitor, (struct sockaddr *)&name, len), 0);
	p.server = accept(listener, NULL, NULL);
	assert_true(p.server >= 0);
	accepted_add(p.server);
	close(listener);
	return p;
}

static void pair_free(struct pair p)
{
	close(p.server);
	close(p.visitor);
}

static void ask(struct pair p, const char *text)
{
	char bytes[256];

	assert_int_equal(send(p.visitor, text, strlen(text), 0), strlen(text));
	assert_int_equal(recv(p.server, bytes, sizeof bytes, 0), strlen(text));
}

static void say(struct pair p, const char *text)
{
	assert_int_equal(send(p.server, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What the visitor is sent in all, up to the end of his connection; "" while it is open. */
static const char *told(struct pair p)
{
	static char text[256];
	ssize_t n = recv(p.visitor, text, sizeof text - 1, MSG_DONTWAIT), more;

	if (n < 0)
		return "";
	do {
		more = recv(p.visitor, text + n, sizeof text - 1 - (size_t)n, 0);
		n += more;
	} while (more > 0);
	text[n] = '\0';
	return text;
}

static const struct {
	const char *asked, *said; /* "": nothing */
	const char *told;         /* NULL: it goes on */
} cases[] = {
	{ REQUEST, "", "HTTP/1.1 504 " },
	{ "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "", "HTTP/1.1 504 " },
	{ "GET / HTTP/1.1\r\nHo", "", "HTTP/1.1 408 " },
	/* A body that doesn't come is the visitor's doing: a hundred of them ended the component.
	 */
	{ "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", "", "HTTP/1.1 408 " },
	{ "POST / HTTP/1.1\r\ntransfer-encoding:chunked\r\n\r\n1\r\na\r\n", "", "HTTP/1.1 408 " },
	{ "POST / HTTP/1.1\r\ntransfer-encoding:chunked\r\n\r\n0\r\n\r\n", "", "HTTP/1.1 504 " },
	{ "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 408 " },
	{ "", "", NULL },
	{ REQUEST, OK "content-length: 0\r\n\r\n", NULL },
	/* Those who stream. */
	{ REQUEST, OK "transfer-encoding: chunked\r\n\r\n1\r\na\r\n", NULL },
	{ REQUEST, OK "content-length: 9\r\n\r\nabc", NULL },
	{ REQUEST, "HTTP/1.0 200 OK\r\n\r\nabc", NULL },
	{ REQUEST, "HTTP/1.1 101 Switching Protocols\r\n\r\n", NULL },
	/* It is no answer yet. */
	{ REQUEST, "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 504 " },
};

static void test_turn_away(void **state)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pair p = pair_new();
		const char *last = cases[i].told ? cases[i].told : "";
		bool counts = strstr(last, "504") != NULL;
		char rest[256];

		if (*cases[i].asked)
			ask(p, cases[i].asked);
		if (*cases[i].said) {
			say(p, cases[i].said);
			assert_int_equal(
				recv(p.visitor, rest, sizeof rest, 0), strlen(cases[i].said));
		}
		assert_int_equal(accepted_turn_away(later(LIMIT_MS / 2), LIMIT_MS), 0);
		assert_string_equal(told(p), "");
		assert_int_equal(accepted_turn_away(later(LIMIT_MS), LIMIT_MS), counts);
		assert_memory_equal(told(p), last, strlen(last));
		assert_int_equal(accepted_open(), cases[i].told ? 0 : 1);
		/* Once is enough. */
		assert_int_equal(accepted_turn_away(later(2 * LIMIT_MS), LIMIT_MS), 0);
		pair_free(p);
	}
}

/* A body that the component doesn't take is its own doing, and one that comes is on its way. */
static void test_body(void **state)
{
	struct pair p = pair_new();

	ask(p, "POST / HTTP/1.1\r\ncontent-length:\t6\r\n\r\nabc");
	assert_int_equal(send(p.visitor, "de", 2, 0), 2);
	assert_int_equal(accepted_turn_away(later(LIMIT_MS), LIMIT_MS), 1);
	assert_memory_equal(told(p), "HTTP/1.1 504 ", 13);
	pair_free(p);
	p = pair_new();
	ask(p, "POST / HTTP/1.1\r\ncontent-length:6\r\n\r\nabc");
	ask(p, "def");
	assert_int_equal(accepted_turn_away(later(LIMIT_MS), LIMIT_MS), 1);
	assert_memory_equal(told(p), "HTTP/1.1 504 ", 13);
	pair_free(p);
}

/* A head in pieces counted as one without a body, so that who kept his body back had the component
 * ended after a hundred times. */
static void test_head_in_pieces(void **state)
{
	struct pair p = pair_new();

	ask(p, "POST / HTTP/1.1\r\nContent-Le");
	ask(p, "ngth: 9\r\n\r");
	ask(p, "\nabc");
	assert_int_equal(accepted_turn_away(later(LIMIT_MS), LIMIT_MS), 0);
	assert_memory_equal(told(p), "HTTP/1.1 408 ", 13);
	pair_free(p);
	p = pair_new();
	ask(p, "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r");
	ask(p, "\nabcdefghi");
	assert_int_equal(accepted_turn_away(later(LIMIT_MS), LIMIT_MS), 1);
	assert_memory_equal(told(p), "HTTP/1.1 504 ", 13);
	pair_free(p);
}

/* An answer that comes at last must not stand behind the words that took its place. */
static void test_too_late(void **state)
{
	struct pair p = pair_new();

	ask(p, REQUEST);
	assert_int_equal(accepted_turn_away(later(LIMIT_MS), LIMIT_MS), 1);
	assert_int_equal(send(p.server, OK, strlen(OK), MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	pair_free(p);
}

/* The rest of a request that comes while its answer streams makes no other one of it: words of
 * ours in the middle of the answer would be taken for a part of it. */
static void test_both_ways_at_once(void **state)
{
	struct pair p = pair_new();

	ask(p, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
	say(p, OK "transfer-encoding: chunked\r\n\r\n");
	ask(p, "1\r\na\r\n");
	assert_int_equal(accepted_turn_away(later(LIMIT_MS), LIMIT_MS), 0);
	say(p, "1\r\na\r\n0\r\n\r\n");
	/* The next one has a limit again. */
	ask(p, "HEAD / HTTP/1.1\r\n\r\n");
	say(p, OK "content-length: 5\r\n\r\n");
	ask(p, REQUEST);
	assert_int_equal(accepted_turn_away(later(LIMIT_MS), LIMIT_MS), 1);
	pair_free(p);
}

/* Who says nothing keeps his connection as long as there are enough. */
static void test_room(void **state)
{
	struct rlimit files = { 4 * MANY, 4 * MANY };
	struct pair pairs[MANY];
	char byte;

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	for (size_t i = 0; i < MANY - 1; i++)
		pairs[i] = pair_new();
	accepted_make_room(later(LIMIT_MS), LIMIT_MS);
	assert_int_equal(recv(pairs[0].server, &byte, 1, MSG_DONTWAIT), -1);
	pairs[MANY - 1] = pair_new();
	ask(pairs[1], REQUEST);
	ask(pairs[2], REQUEST);
	say(pairs[2], OK "content-length: 9\r\n\r\nabc");
	accepted_make_room(later(LIMIT_MS / 2), LIMIT_MS);
	assert_int_equal(recv(pairs[0].server, &byte, 1, MSG_DONTWAIT), -1);
	accepted_make_room(later(LIMIT_MS), LIMIT_MS);
	assert_int_equal(recv(pairs[0].server, &byte, 1, MSG_DONTWAIT), 0);
	/* These wait for something. */
	assert_int_equal(recv(pairs[1].server, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(recv(pairs[2].server, &byte, 1, MSG_DONTWAIT), -1);
	for (size_t i = 0; i < MANY; i++)
		pair_free(pairs[i]);
}

static void test_cut(void **state)
{
	struct pair p = pair_new();
	char text[64];

	ask(p, REQUEST);
	say(p, "HTTP/1.0 200 OK\r\n\r\n");
	assert_int_equal(recv(p.visitor, text, sizeof text, 0), 19);
	accepted_cut();
	close(p.server);
	assert_int_equal(recv(p.visitor, text, sizeof text, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(p.visitor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turn_away),
		cmocka_unit_test(test_body),
		cmocka_unit_test(test_head_in_pieces),
		cmocka_unit_test(test_too_late),
		cmocka_unit_test(test_both_ways_at_once),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
