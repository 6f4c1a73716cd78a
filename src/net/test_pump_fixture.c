/* SPDX-License-Identifier: MIT */
/* The fixture of the pump's tests: see its header. Failed set-up ends the test with an assertion.
 */
#include "net/test_pump_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/owner.h"
#include "base/fd.h"
#include "net/sockopt.h"
#include "net/tap.h"
#include "net/test_turn.h"
#include "proto/block.h"

const enum pump_mode test_modes[3] = { PUMP_AUTO, PUMP_COPY, PUMP_SPLICE };

static void on_deadline(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("the deadline of a test has passed");
}

#define TAPPED_MAX_BYTES (1U << 20)

static void on_took(void *owner, const struct tap_chunk *chunk)
{
	struct link *l = owner;

	assert_ptr_equal(chunk->tap, l->tap);
}

static _Thread_local struct fixture *fixture_served;

bool fixture_serves(void)
{
	return fixture_served;
}

void fixture_serve(void)
{
	struct fixture *f = fixture_served;

	if (!f)
		return;
	/* Not once more from within a turn. */
	fixture_served = NULL;
	uv_run(&f->loop, UV_RUN_NOWAIT);
	fixture_served = f;
}

struct fixture *fixture_new(const struct pump_pool_config *wanted)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct pump_pool_config own = *wanted, *config = &own;
	const char *turns = getenv("TEST_INLINE");

	assert_non_null(f);
	if (turns && !own.inline_turns)
		own.inline_turns = (unsigned)atoi(turns);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(uv_timer_init(&f->loop, &f->deadline), 0);
	assert_int_equal(uv_timer_start(&f->deadline, on_deadline, FIXTURE_DEADLINE_MS, 0), 0);
	assert_int_equal(pump_pool_new(&f->loop, config, &f->pool), 0);
	if (getenv("TEST_TAPPED")) {
		const struct tap_hub_config hub = { .loop = &f->loop,
			.max_bytes = TAPPED_MAX_BYTES,
			.max_each = TAPPED_MAX_BYTES,
			.took = on_took };

		assert_int_equal(tap_hub_new(&hub, &f->hub), 0);
	}
	if (own.inline_turns)
		fixture_served = f;
	return f;
}

static void on_closed(void *owner)
{
	struct fixture *f = owner;

	f->closed = true;
}

void fixture_close_pool(struct fixture *f)
{
	pump_pool_close(take_ptr(f->pool), on_closed, f);
}

void fixture_free(struct fixture *f)
{
	fixture_served = NULL;
	if (f->pool)
		fixture_close_pool(f);
	while (!f->closed)
		test_turn(&f->loop);
	f->closed = false;
	if (f->hub)
		tap_hub_close(f->hub, on_closed, f);
	while (f->hub && !f->closed)
		test_turn(&f->loop);
	uv_close((uv_handle_t *)&f->deadline, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	free(f);
}

static void set_buffers(int fd, int bytes)
{
	if (bytes == 0)
		return;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)), 0);
}

static void set_timeout(int fd)
{
	const struct timeval t = { .tv_sec = FIXTURE_DEADLINE_MS / 1000 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)), 0);
}

unsigned fixture_pumps(void)
{
	return getenv("TEST_BLOCKS") ? 2 : 1;
}

void test_tcp_pair(int buffer_bytes, int *ret_peer, int *ret_pump)
{
	_cleanup_(fd_closep) int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);

	assert_true(listener >= 0);
	set_buffers(listener, buffer_bytes);
	sockopt_set_stream(listener, false);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	*ret_peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(*ret_peer >= 0);
	set_buffers(*ret_peer, buffer_bytes);
	assert_int_equal(connect(*ret_peer, (struct sockaddr *)&addr, len), 0);
	*ret_pump = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(*ret_pump >= 0);
	sockopt_set_reset(*ret_pump);
	set_timeout(*ret_peer);
}

void link_open(struct fixture *f, struct link *l, int buffer_bytes)
{
	memset(l, 0, sizeof(*l));
	l->fixture = f;
	l->buffer_bytes = buffer_bytes;
	l->parked[PUMP_OUTER] = l->parked[PUMP_INNER] = -1;
	test_tcp_pair(buffer_bytes, &l->visitor, &l->pump_fd[PUMP_OUTER]);
	test_tcp_pair(buffer_bytes, &l->app, &l->pump_fd[PUMP_INNER]);
}

static void on_done(void *owner, const struct pump_result *result)
{
	struct link *l = owner;

	assert_true(l->pumps > 0);
	l->pumps--;
	l->ended = true;
	l->done = l->pumps == 0;
	if (l->tap && l->fixture->hub)
		tap_hub_drain(l->fixture->hub);
	if (l->done)
		l->tap = tap_release(l->tap);
	l->duration_ms = clock_now_ms() - l->added_ms;
	/* What the one has said last may still be on its way to the other: parked, till both are
	 * done. */
	for (int side = 0; side < PUMP_SIDES; side++) {
		if (result->fd[side] >= 0)
			l->parked[side] = result->fd[side];
		if (l->done)
			l->parked[side] = fd_close(l->parked[side]);
	}
}

static void on_near_done(void *owner, const struct pump_result *result)
{
	struct link *l = owner;
	uint64_t bytes = l->result.bytes[PUMP_OUTER];

	if (!l->ended)
		l->result = *result;
	if (fixture_pumps() == 2)
		l->result.bytes[PUMP_OUTER] = bytes;
	l->result.bytes[PUMP_INNER] = result->bytes[PUMP_INNER];
	l->pump = NULL;
	on_done(l, result);
}

static void on_far_done(void *owner, const struct pump_result *result)
{
	struct link *l = owner;
	uint64_t bytes = l->result.bytes[PUMP_INNER];

	if (!l->ended)
		l->result = *result;
	l->result.bytes[PUMP_INNER] = bytes;
	l->result.bytes[PUMP_OUTER] = result->bytes[PUMP_OUTER];
	l->far_pump = NULL;
	on_done(l, result);
}

/* What stands before the blocks, as the relay's frame. */
static const char preface[] = "this is for a visitor";

/* As the client does: reads what says that a visitor is there, and takes him. */
static void link_add_far(struct link *l, int fd, const char *early)
{
	static const uint8_t taken[BLOCK_HEAD_LEN] = { BLOCK_TAKEN };
	char text[256];
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	size_t have = 0;
	ssize_t n = 1;

	while (have < sizeof(preface) && n > 0) {
		assert_int_equal(poll(&ready, 1, FIXTURE_DEADLINE_MS), 1);
		n = recv(fd, text + have, sizeof(text) - have, 0);
		have += n > 0 ? (size_t)n : 0;
	}
	if (n > 0)
		n = send(fd, taken, sizeof(taken), MSG_NOSIGNAL);
	if (n <= 0) {
		/* The visitor is gone already, perhaps since his announcement was read. */
		(void)fd_close(fd);
		reset_fd(&l->pump_fd[PUMP_INNER]);
		l->pumps--;
		return;
	}
	assert_int_equal(n, sizeof(taken));
	assert_memory_equal(text, preface, sizeof(preface));
	sockopt_set_reset(fd);
	const struct pump_job job = {
		.fd = { fd, l->pump_fd[PUMP_INNER] },
		.early = { text + sizeof(preface), early },
		.early_len = { have - sizeof(preface), early ? strlen(early) : 0 },
		.wire = { [PUMP_OUTER] = PUMP_WIRE_BLOCKS },
		.done = on_far_done,
		.owner = l,
	};

	assert_int_equal(pump_pool_add(l->fixture->pool, &job, &l->far_pump), 0);
}

void link_add(struct link *l, const char *early_outer, const char *early_inner)
{
	struct pump_job job = {
		.fd = { l->pump_fd[PUMP_OUTER], l->pump_fd[PUMP_INNER] },
		.early = { early_outer, early_inner },
		.early_len = { early_outer ? strlen(early_outer) : 0,
			early_inner ? strlen(early_inner) : 0 },
		.answers = { [PUMP_OUTER] = l->answers },
		.done = on_near_done,
		.owner = l,
	};
	int far = -1;

	if (l->fixture->hub && !l->tap)
		l->tap = tap_new(l->fixture->hub, l);
	job.tap = l->tap;
	l->added_ms = clock_now_ms();
	l->pumps = fixture_pumps();
	if (l->pumps == 2) {
		test_tcp_pair(l->buffer_bytes, &far, &job.fd[PUMP_INNER]);
		assert_int_equal(fcntl(far, F_SETFL, O_NONBLOCK), 0);
		job.early_len[PUMP_INNER] = 0;
		job.wire[PUMP_INNER] = PUMP_WIRE_BLOCKS;
		job.awaits_taken = true;
		job.preface = preface;
		job.preface_len = sizeof(preface);
	}
	assert_int_equal(pump_pool_add(l->fixture->pool, &job, &l->pump), 0);
	if (far >= 0)
		link_add_far(l, far, early_inner);
}

void link_wait(struct link *l)
{
	while (!l->done)
		test_turn(&l->fixture->loop);
}

void link_wait_bytes(struct link *l, enum pump_side side, uint64_t bytes)
{
	uint64_t moved[PUMP_SIDES] = { 0 };
	const struct pump *pump;

	while (!l->done && moved[side] < bytes) {
		uv_run(&l->fixture->loop, UV_RUN_NOWAIT);
		pump = side == PUMP_OUTER && fixture_pumps() == 2 ? l->far_pump : l->pump;
		if (pump)
			pump_bytes(pump, moved);
		sched_yield();
	}
}

void link_pause(struct link *l, uint64_t ms)
{
	uint64_t end_ms = clock_now_ms() + ms;

	while (clock_now_ms() < end_ms) {
		uv_run(&l->fixture->loop, UV_RUN_NOWAIT);
		assert_false(l->done);
		(void)poll(NULL, 0, 1);
	}
}

void link_close(struct link *l)
{
	l->visitor = fd_close(l->visitor);
	l->app = fd_close(l->app);
}

struct link *link_begin(const struct pump_pool_config *config, int buffer_bytes)
{
	struct link *l = malloc(sizeof(*l));

	assert_non_null(l);
	link_open(fixture_new(config), l, buffer_bytes);
	link_add(l, NULL, NULL);
	return l;
}

void link_await_end(struct link *l, enum pump_end end)
{
	link_wait(l);
	assert_int_equal(l->result.end, end);
}

void link_await_reset(struct link *l, enum pump_side side)
{
	link_await_end(l, PUMP_END_RESET);
	assert_int_equal(l->result.side, side);
}

void link_end(struct link *l)
{
	link_close(l);
	fixture_free(l->fixture);
	free(l);
}
