/* SPDX-License-Identifier: MIT */
/*
 * A guest that means harm: what no client of ours sends, more than anybody needs, and what would
 * make somebody wait. The broker goes on for others.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/lang.h"
#include "base/owner.h"
#include "net/addr.h"
#include "os/broker_fixture.h"
#include "os/stall.h"

static const struct network_limits *const limits = &fixture_limits;

static const char *rule_localhost(uint16_t port)
{
	static char text[32];

	snprintf(text, sizeof text, "localhost:%u", port);
	return text;
}

static int call(struct fixture *f, const struct broker_request *r)
{
	struct broker_answer a;
	int fd, error = guest_call(f, &f->guest, r, &a, &fd);

	(void)fd_close(fd);
	return error;
}

/* The others are served. */
static void expect_service(struct fixture *f)
{
	const struct broker_request r = request_resolve("localhost", BROKER_IPV4);

	assert_int_equal(call(f, &r), 0);
}

enum cargo {
	CARGO_REPLY,
	CARGO_NONE,
	CARGO_TWO,
	CARGO_FILE,
	CARGO_STREAM,
	CARGO_LISTENER,
	CARGO_LINGERING,
};

#define LINGER_S 60 /* more than all of this may take */

/* Fills it, until its peer has taken no more for so long. */
static void make_linger(int fd, int patience_ms)
{
	static char bytes[1 << 20];
	const struct linger waits = { .l_onoff = 1, .l_linger = LINGER_S };
	struct pollfd full = { .fd = fd, .events = POLLOUT };

	while (poll(&full, 1, patience_ms) == 1)
		(void)send(fd, bytes, sizeof bytes, MSG_DONTWAIT);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &waits, sizeof waits), 0);
}

/* A connection whose close(2) would wait for a reader who never reads. */
static int make_lingering(int *ret_peer)
{
	uint16_t port;
	int server = server_open(&port), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct addr addr;

	(void)addr_parse_ip("127.0.0.1", port, &addr);
	assert_int_equal(connect(fd, &addr.sa, addr_len(&addr)), 0);
	*ret_peer = accept(server, NULL, NULL);
	(void)fd_close(server);
	make_linger(fd, 0);
	return fd;
}

static size_t make_cargo(enum cargo cargo, int fds[2], int *ret_peer)
{
	int pair[2];
	uint16_t port;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	*ret_peer = pair[1];
	fds[0] = pair[0];
	fds[1] = -1;
	switch (cargo) {
	case CARGO_NONE:
		(void)fd_close(pair[0]);
		return 0;
	case CARGO_TWO:
		fds[1] = dup(pair[0]);
		return 2;
	case CARGO_FILE:
		(void)fd_close(pair[0]);
		fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		break;
	case CARGO_STREAM:
		(void)fd_close(pair[0]);
		(void)fd_close(pair[1]);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		*ret_peer = take_fd(&fds[1]);
		break;
	case CARGO_LISTENER:
		(void)fd_close(pair[0]);
		fds[0] = server_open(&port);
		break;
	case CARGO_LINGERING:
		(void)fd_close(pair[0]);
		(void)fd_close(pair[1]);
		fds[0] = make_lingering(ret_peer);
		break;
	default:
		break;
	}
	return 1;
}

#define REQUEST_SIZE sizeof(struct broker_request)

/* What no client sends, each made of one that is good by a byte, a length or a descriptor. */
static const struct hostile_case {
	const char *what;
	size_t at;     /* this byte of a good request ... */
	uint8_t value; /* ... becomes this */
	size_t len;
	enum broker_op op;
	enum cargo cargo;
	bool good;
} cases[] = {
	{ "resolve", 0, BROKER_RESOLVE, REQUEST_SIZE, BROKER_RESOLVE, CARGO_REPLY, true },
	{ "connect", 0, BROKER_CONNECT, REQUEST_SIZE, BROKER_CONNECT, CARGO_REPLY, true },
	{ "listen", 0, BROKER_LISTEN, REQUEST_SIZE, BROKER_LISTEN, CARGO_REPLY, true },
	{ "op 0", 0, 0, REQUEST_SIZE, BROKER_CONNECT, CARGO_REPLY, false },
	{ "datagrams", 0, BROKER_DATAGRAMS, REQUEST_SIZE, BROKER_DATAGRAMS, CARGO_REPLY, true },
	{ "op 5", 0, 5, REQUEST_SIZE, BROKER_CONNECT, CARGO_REPLY, false },
	{ "op 255", 0, 255, REQUEST_SIZE, BROKER_CONNECT, CARGO_REPLY, false },
	{ "zero", 1, 1, REQUEST_SIZE, BROKER_CONNECT, CARGO_REPLY, false },
	{ "port of a name", 2, 1, REQUEST_SIZE, BROKER_RESOLVE, CARGO_REPLY, false },
	{ "no family", 4, 0, REQUEST_SIZE, BROKER_CONNECT, CARGO_REPLY, false },
	{ "family 5", 4, 5, REQUEST_SIZE, BROKER_CONNECT, CARGO_REPLY, false },
	{ "family 5 of a name", 4, 5, REQUEST_SIZE, BROKER_RESOLVE, CARGO_REPLY, false },
	{ "family 5 to listen", 4, 5, REQUEST_SIZE, BROKER_LISTEN, CARGO_REPLY, false },
	{ "behind IPv4", 5 + 4, 1, REQUEST_SIZE, BROKER_CONNECT, CARGO_REPLY, false },
	{ "an address of a name", 5, 1, REQUEST_SIZE, BROKER_RESOLVE, CARGO_REPLY, false },
	{ "a name to connect", 21, 'a', REQUEST_SIZE, BROKER_CONNECT, CARGO_REPLY, false },
	{ "a name to listen", 21, 'a', REQUEST_SIZE, BROKER_LISTEN, CARGO_REPLY, false },
	{ "a name for datagrams", 21, 'a', REQUEST_SIZE, BROKER_DATAGRAMS, CARGO_REPLY, false },
	{ "a port for datagrams", 2, 1, REQUEST_SIZE, BROKER_DATAGRAMS, CARGO_REPLY, false },
	{ "an address for datagrams", 5, 1, REQUEST_SIZE, BROKER_DATAGRAMS, CARGO_REPLY, false },
	{ "no family for datagrams", 4, 0, REQUEST_SIZE, BROKER_DATAGRAMS, CARGO_REPLY, false },
	{ "no name", 21, 0, REQUEST_SIZE, BROKER_RESOLVE, CARGO_REPLY, false },
	{ "behind the name", 21 + 200, 'x', REQUEST_SIZE, BROKER_RESOLVE, CARGO_REPLY, false },
	{ "short", 0, BROKER_CONNECT, REQUEST_SIZE - 1, BROKER_CONNECT, CARGO_REPLY, false },
	{ "empty", 0, BROKER_CONNECT, 0, BROKER_CONNECT, CARGO_REPLY, false },
	{ "nothing at all", 0, BROKER_CONNECT, 0, BROKER_CONNECT, CARGO_NONE, false },
	{ "long", 0, BROKER_CONNECT, REQUEST_SIZE + 1, BROKER_CONNECT, CARGO_REPLY, false },
	{ "very long", 0, BROKER_CONNECT, 60000, BROKER_CONNECT, CARGO_REPLY, false },
	{ "no descriptor", 0, BROKER_CONNECT, REQUEST_SIZE, BROKER_CONNECT, CARGO_NONE, false },
	{ "two", 0, BROKER_CONNECT, REQUEST_SIZE, BROKER_CONNECT, CARGO_TWO, false },
	{ "a file", 0, BROKER_CONNECT, REQUEST_SIZE, BROKER_CONNECT, CARGO_FILE, false },
	{ "a stream", 0, BROKER_CONNECT, REQUEST_SIZE, BROKER_CONNECT, CARGO_STREAM, false },
	{ "a listener", 0, BROKER_CONNECT, REQUEST_SIZE, BROKER_CONNECT, CARGO_LISTENER, false },
	{ "one that lingers", 0, BROKER_CONNECT, REQUEST_SIZE, BROKER_CONNECT, CARGO_LINGERING,
		false },
};

static void try_hostile(const struct hostile_case *c)
{
	static uint8_t data[60000];
	struct broker_request good = c->op == BROKER_RESOLVE     ? request_resolve("a", BROKER_ANY)
				     : c->op == BROKER_LISTEN    ? request_listen(9001)
				     : c->op == BROKER_DATAGRAMS ? request_datagrams()
								 : request_connect("192.0.2.1", 1);
	struct fixture f;
	struct guest g;
	int fds[2], peer;
	size_t count = make_cargo(c->cargo, fds, &peer);

	memset(data, 0, sizeof data);
	memcpy(data, &good, sizeof good);
	data[c->at] = c->value;
	fixture_open(&f, NO_RULES, limits);
	guest_open(&f, &g);
	guest_send(&g, data, c->len, fds, count);
	for (size_t n = 0; n < count; n++)
		(void)fd_close(fds[n]);
	if (c->good)
		WAIT_UNTIL(&f, is_readable(peer));
	else
		WAIT_UNTIL(&f, g.hostile);
	if (g.hostile != !c->good)
		fail_msg("%s: %s", c->what, g.why);
	/* Nothing more is read from it, and others are served. */
	expect_service(&f);
	(void)fd_close(peer);
	guest_close(&g);
	fixture_close(&f);
}

static void test_hostile(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		try_hostile(&cases[i]);
}

/* It sends a connection that lingers, and is gone before that was read: nobody waits for it. */
static void test_an_end_with_messages_waits_for_nobody(void **state)
{
	struct broker_request r = request_resolve("a", BROKER_ANY);
	struct fixture f;
	struct guest g;
	int lingering, peer;

	fixture_open(&f, NO_RULES, limits);
	guest_open(&f, &g);
	guest_send(&g, "", 0, NULL, 0);
	for (int i = 0; i < 3; i++) {
		lingering = make_lingering(&peer);
		guest_send(&g, &r, sizeof r, &lingering, 1);
		(void)fd_close(lingering);
	}
	guest_close(&g);
	(void)fd_close(peer);
	expect_service(&f);
	fixture_close(&f);
}

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

#define NESTED 20

/* In the queue of the answer's end is such a connection, and another queue with one, and so on. The
 * request is like any other. */
static void test_queue_in_a_queue(void **state)
{
	struct broker_request r = request_resolve("localhost", BROKER_IPV4);
	int inner = -1, peers[NESTED], pair[2], reply, fd;
	uint64_t sent;
	struct broker_answer a;
	struct fixture f;
	struct guest g;

	fixture_open(&f, NO_RULES, limits);
	guest_open(&f, &g);
	for (int i = 0; i < NESTED; i++) {
		int fds[2] = { make_lingering(&peers[i]), inner };

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
		guest_send(&(struct guest){ .fd = pair[0] }, "x", 1, fds, inner < 0 ? 1 : 2);
		(void)fd_close(fds[0]);
		(void)fd_close(inner);
		inner = pair[1];
		if (i < NESTED - 1)
			(void)fd_close(pair[0]);
	}
	reply = pair[0];
	sent = now_ms();
	guest_send(&g, &r, sizeof r, &inner, 1);
	(void)fd_close(inner);
	/* A reset, because of what was in the queue, and the answer behind it. */
	WAIT_UNTIL(&f, has_answer(reply));
	(void)fd_close(reply);
	assert_int_equal(g.hostile, 0);
	/* Others needn't wait; who has made us wait does, and is served. */
	reply = guest_ask(&g, &r);
	expect_service(&f);
	WAIT_UNTIL(&f, has_answer(reply));
	assert_int_equal(take_answer(reply, &a, &fd), 0);
	/* By the loop's clock, which may be behind. */
	assert_in_range(now_ms() - sent, STALL_REST_MS / 2, LINGER_S * 1000 / 2);
	for (int i = 0; i < NESTED; i++)
		(void)fd_close(peers[i]);
	guest_close(&g);
	fixture_close(&f);
}

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

static int hasty = -1; /* where a guest waits for a connection that it closes at once */

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	ssize_t n = __real_sendmsg(fd, message, flags);
	struct broker_answer a;
	int connected;

	if (hasty >= 0 && message->msg_iov->iov_len == sizeof a) {
		assert_int_equal(take_answer(take_fd(&hasty), &a, &connected), 0);
		make_linger(connected, 300);
		(void)fd_close(connected);
	}
	return n;
}

/* It closes its connection before we have closed ours of that end, and the destination takes no
 * more than its buffers do. */
static void test_hasty(void **state)
{
	uint64_t began = now_ms();
	struct broker_request r;
	struct fixture f;
	struct guest g;
	uint16_t port;
	int server = server_open(&port), taken;

	fixture_open(&f, RULES(rule_localhost(port)), limits);
	guest_open(&f, &g);
	r = request_connect("127.0.0.1", port);
	hasty = guest_ask(&g, &r);
	WAIT_UNTIL(&f, hasty < 0);
	taken = accept(server, NULL, NULL);
	expect_service(&f);
	assert_in_range(now_ms() - began, 0, LINGER_S * 1000 / 2);
	(void)fd_close(taken);
	(void)fd_close(server);
	guest_close(&g);
	fixture_close(&f);
}

int __real_close(int fd);
int __wrap_close(int fd);

static _Atomic ino_t slow; /* the file whose close(2) takes as long as its file system likes */
static pthread_t loop_thread;
static atomic_uint closed_here, closed_apart;

int __wrap_close(int fd)
{
	struct stat st;

	if (slow && fstat(fd, &st) == 0 && st.st_ino == slow)
		atomic_fetch_add(
			pthread_equal(pthread_self(), loop_thread) ? &closed_here : &closed_apart,
			1);
	return __real_close(fd);
}

static void test_file(void **state)
{
	struct broker_request r = request_connect("127.0.0.1", 1);
	int file = memfd_create("slow", MFD_CLOEXEC);
	struct fixture f;
	struct guest g;
	struct stat st;

	fixture_open(&f, NO_RULES, limits);
	guest_open(&f, &g);
	guest_send(&g, &r, sizeof r, &file, 1);
	assert_int_equal(fstat(file, &st), 0);
	(void)fd_close(file);
	loop_thread = pthread_self();
	slow = st.st_ino;
	WAIT_UNTIL(&f, closed_here + closed_apart > 0);
	slow = 0;
	assert_int_equal(closed_here, 0);
	assert_int_equal(g.hostile, 1);
	expect_service(&f);
	guest_close(&g);
	fixture_close(&f);
}

/* --- how many --- */

static void test_requests_are_limited(void **state)
{
	struct network_limits many = fixture_limits;
	int replies[BROKER_REQUESTS_MAX], last, fd;
	struct broker_request r;
	struct broker_answer a;
	struct silent silent;
	struct fixture f;

	many.max_connections = 1000;
	silent_open(&silent);
	fixture_open(&f, RULES(rule_localhost(silent.port)), &many);
	r = request_connect("127.0.0.1", silent.port);
	for (int i = 0; i < BROKER_REQUESTS_MAX; i++)
		replies[i] = guest_ask(&f.guest, &r);
	r = request_resolve("localhost", BROKER_IPV4);
	last = guest_ask(&f.guest, &r);
	WAIT_UNTIL(&f, outward_count(broker_outward(f.broker)) == BROKER_REQUESTS_MAX);
	fixture_turn(&f);
	/* On a slow machine the others may have been told "soon" by now, and have made room. */
	assert_true(!has_answer(last) || has_answer(replies[0]));
	/* One is given up, and there is room. */
	(void)fd_close(replies[7]);
	WAIT_UNTIL(&f, has_answer(last));
	assert_int_equal(take_answer(last, &a, &fd), 0);
	for (int i = 0; i < BROKER_REQUESTS_MAX; i++)
		if (i != 7)
			(void)fd_close(replies[i]);
	fixture_close(&f);
	silent_close(&silent);
}

/* All but `spare` descriptors; a pair of TCP sockets takes three. */
static void answer_without_descriptors(struct fixture *f, const struct broker_request *r, int spare)
{
	struct broker_answer a;
	struct rlimit before;
	int replies[8], fd, taken[256], count = 0;

	for (int i = 0; i < 8; i++)
		replies[i] = guest_ask(&f->guest, r);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 128, before.rlim_max }), 0);
	while ((fd = dup(f->gate)) >= 0)
		taken[count++] = fd;
	for (int i = 0; i < spare; i++)
		(void)fd_close(taken[--count]);
	for (int i = 0; i < 8; i++)
		WAIT_UNTIL(f, has_answer(replies[i]));
	while (count > 0)
		(void)fd_close(taken[--count]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(take_answer(replies[i], &a, &fd), EMFILE);
}

/* No descriptor is left here: each request is answered all the same, and the log has each that was
 * read. */
static void test_shortage(void **state)
{
	struct broker_request r;
	struct fixture f;
	uint16_t port;
	int server = server_open(&port);

	fixture_open(&f, RULES(rule_localhost(port)), limits);
	r = request_connect("127.0.0.1", port);
	assert_int_equal(call(&f, &r), 0);
	(void)fd_close(accept(server, NULL, NULL));
	WAIT_UNTIL(&f, f.ended == 1);
	answer_without_descriptors(&f, &r, 0);
	assert_int_equal(f.ended, 1);
	answer_without_descriptors(&f, &r, 2);
	assert_int_equal(f.ended, 9);
	assert_string_equal(f.last.why, "not connected: too many open files");
	assert_int_equal(f.guest.hostile, 0);
	assert_int_equal(call(&f, &r), 0);
	fixture_close(&f);
	(void)fd_close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_an_end_with_messages_waits_for_nobody),
		cmocka_unit_test(test_queue_in_a_queue),
		cmocka_unit_test(test_hasty),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_requests_are_limited),
		cmocka_unit_test(test_shortage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
