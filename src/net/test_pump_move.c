/* SPDX-License-Identifier: MIT */
/*
 * A pump that goes from the loop to a thread in the middle of something: what it waits for, what it
 * holds and what it was asked for go with it. All of them have blocks on one side.
 */
#include "net/test_pump_half.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/lang.h"
#include "net/bucket.h"
#include "net/pump.h"
#include "net/pump_worker.h"
#include "net/test_turn.h"
#include "proto/block.h"

#define FEW_TURNS 8
#define MANY_TURNS 1000000 /* so that only what is bulk or old leaves the loop */
#define STUCK_BUFFER 16384
#define STUCK_BYTES (512U * 1024U) /* more than all buffers on the way */
#define FAST (UINT64_C(1) << 40)

/* --- the gate: while it is shut, a thread learns of nothing --- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	bool shut;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER };
static _Thread_local bool is_loop;

int __real_epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms);

int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
	int n = __real_epoll_wait(fd, events, max, timeout_ms);

	if (is_loop)
		return n;
	pthread_mutex_lock(&gate.lock);
	while (gate.shut)
		pthread_cond_wait(&gate.opened, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
	return n;
}

static void gate_set(bool shut)
{
	pthread_mutex_lock(&gate.lock);
	gate.shut = shut;
	pthread_cond_broadcast(&gate.opened);
	pthread_mutex_unlock(&gate.lock);
}

/* --- pumps on the loop --- */

static struct fixture *begin(struct half *h, unsigned inline_turns, int buffer_bytes)
{
	struct fixture *f = fixture_new(pool_of(.inline_turns = inline_turns));

	is_loop = true;
	half_open(h, f, buffer_bytes);
	return f;
}

static void end(struct half *h, struct fixture *f)
{
	half_close(h);
	fixture_free(f);
}

/* A thread has it, or will have it: it is not the loop's any more. */
static bool has_moved(const struct half *h)
{
	assert_false(h->l.done);
	return !h->l.pump->worker->on_loop;
}

static void wait_moved(struct half *h)
{
	while (!has_moved(h))
		test_turn(&h->l.fixture->loop);
}

/* The visitor says something, a byte a turn, till it has moved. */
static void visitor_talks(struct half *h)
{
	while (!has_moved(h)) {
		say(h->l.visitor, TEXT("x"));
		expect(h->wire, TEXT("\1\0\0\1x"));
	}
}

/* So does the other side. */
static void wire_talks(struct half *h)
{
	while (!has_moved(h)) {
		say(h->wire, TEXT("\1\0\0\1y"));
		expect(h->l.visitor, TEXT("y"));
	}
}

/* Both directions, and their ends: it works, and the connection can be used again. */
static void serve(struct half *h)
{
	say(h->l.visitor, TEXT("ask"));
	expect(h->wire, TEXT("\1\0\0\3ask"));
	say(h->wire, TEXT("\1\0\0\6answer\2\0\0\0"));
	expect(h->l.visitor, TEXT("answer"));
	expect_end(h->l.visitor, 0);
	h->l.visitor = fd_close(h->l.visitor);
	expect(h->wire, TEXT("\2\0\0\0"));
	link_wait(&h->l);
	assert_int_equal(h->result.end, PUMP_END_CLOSED);
	assert_true(h->result.fd[PUMP_INNER] >= 0);
}

static void test_one_that_waits(void **state)
{
	struct half h;
	struct fixture *f = begin(&h, FEW_TURNS, 0);

	(void)state;
	half_add(&h);
	visitor_talks(&h);
	serve(&h);
	end(&h, f);
}

/* Its bucket is empty: the thread has to ask again for it, and the preface waits for no bucket. */
static void test_throttled(void **state)
{
	struct half h;
	struct fixture *f = begin(&h, FEW_TURNS, 0);
	uint64_t bytes[PUMP_SIDES];
	struct bucket bucket;

	(void)state;
	bucket_init(&bucket);
	bucket_set_rate(&bucket, 1);
	h.job.bucket[PUMP_OUTER] = h.job.bucket[PUMP_INNER] = &bucket;
	h.job.preface = PREFACE;
	h.job.preface_len = strlen(PREFACE);
	say(h.l.visitor, TEXT("ask"));
	say(h.wire, TEXT("\1\0\0\6answer\2\0\0\0"));
	half_add(&h);
	expect(h.wire, TEXT(PREFACE));
	wait_moved(&h);
	pump_bytes(h.l.pump, bytes);
	assert_int_equal(bytes[PUMP_OUTER] + bytes[PUMP_INNER], 0);
	bucket_set_rate(&bucket, FAST);
	expect(h.wire, TEXT("\1\0\0\3ask"));
	expect(h.l.visitor, TEXT("answer"));
	expect_end(h.l.visitor, 0);
	h.l.visitor = fd_close(h.l.visitor);
	expect(h.wire, TEXT("\2\0\0\0"));
	link_wait(&h.l);
	assert_int_equal(h.result.end, PUMP_END_CLOSED);
	assert_int_equal(h.result.bytes[PUMP_OUTER], 3);
	assert_int_equal(h.result.bytes[PUMP_INNER], 6);
	bucket_deinit(&bucket);
	end(&h, f);
}

/* Who looks on misses nothing, and sees nothing twice. */
static void test_tapped(void **state)
{
	struct half h;
	struct fixture *f = begin(&h, FEW_TURNS, 0);
	struct seen seen;

	(void)state;
	seen_open(&seen, &h);
	half_add(&h);
	wire_talks(&h);
	serve(&h);
	seen_close(&seen, &h);
	assert_int_equal(seen.len, h.result.bytes[PUMP_INNER]);
	assert_memory_equal(seen.text, "yyyyyyyyyyyyyyyyy", seen.len - 6);
	assert_memory_equal(seen.text + seen.len - 6, "answer", 6);
	assert_true(seen.end);
	end(&h, f);
}

static void test_taken_comes_on_the_thread(void **state)
{
	struct half h;
	struct fixture *f = begin(&h, FEW_TURNS, 0);

	(void)state;
	h.job.awaits_taken = true;
	half_add(&h);
	visitor_talks(&h);
	say(h.wire, TEXT("\4\0\0\0"));
	serve(&h);
	assert_false(h.result.untaken);
	end(&h, f);
}

/* The time for it runs from the pump's start. Who has said nothing till then loses nothing. */
static void test_taken_never_comes(void **state)
{
	struct half h[2];
	struct fixture *f = begin(&h[0], FEW_TURNS, 0);
	uint64_t begin_ms = clock_now_ms();
	char byte;

	(void)state;
	half_open(&h[1], f, 0);
	for (size_t i = 0; i < ARRAY_LEN(h); i++) {
		h[i].job.awaits_taken = true;
		half_add(&h[i]);
	}
	visitor_talks(&h[0]);
	wait_moved(&h[1]);
	for (size_t i = 0; i < ARRAY_LEN(h); i++) {
		link_wait(&h[i].l);
		assert_true(clock_now_ms() - begin_ms >= PUMP_TAKEN_MS);
		assert_int_equal(h[i].result.error, ETIMEDOUT);
		assert_true(h[i].result.untaken);
	}
	assert_int_equal(h[0].result.end, PUMP_END_RESET);
	assert_int_equal(h[1].result.end, PUMP_END_UNTAKEN);
	say(h[1].l.visitor, TEXT("x"));
	assert_int_equal(recv(h[1].result.fd[PUMP_OUTER], &byte, 1, MSG_WAITALL), 1);
	half_close(&h[1]);
	end(&h[0], f);
}

/* It was said in time, and it was we who stood still till that was over: nobody is cut for it. */
static void test_taken_is_read_late(void **state)
{
	struct half h;
	struct fixture *f = begin(&h, MANY_TURNS, 0);
	const uint64_t end_ms = clock_now_ms() + PUMP_TAKEN_MS + 100;

	(void)state;
	h.job.awaits_taken = true;
	half_add(&h);
	say(h.l.visitor, TEXT("ask"));
	expect(h.wire, TEXT("\1\0\0\3ask"));
	say(h.wire, TEXT("\4\0\0\0\1\0\0\6answer\2\0\0\0"));
	while (clock_now_ms() < end_ms)
		(void)usleep(10000); /* and the loop doesn't run */
	expect(h.l.visitor, TEXT("answer"));
	expect_end(h.l.visitor, 0);
	h.l.visitor = fd_close(h.l.visitor);
	link_wait(&h.l);
	assert_int_equal(h.result.end, PUMP_END_CLOSED);
	assert_true(h.result.taken);
	end(&h, f);
}

/* The peer has said RAW on the loop, which copies; the thread splices, and knows TCP's FIN for the
 * end. */
static void test_raw(void **state)
{
	struct half h;
	struct fixture *f = begin(&h, FEW_TURNS, 0);
	struct talker source = { .seed = 3, .len = RAW_AFTER, .write = true, .until_eof = true };
	struct pump_stats stats;

	(void)state;
	half_add(&h);
	say(h.wire, TEXT("\1\0\0\1y\3\0\0\0"));
	expect(h.l.visitor, TEXT("y"));
	visitor_talks(&h);
	source.fd = h.wire;
	talker_start(&source);
	assert_true(stream_read(h.l.visitor, 3, source.len));
	expect_end(h.l.visitor, 0);
	assert_true(talker_join(&source));
	h.l.visitor = fd_close(h.l.visitor);
	expect(h.wire, TEXT("\2\0\0\0"));
	link_wait(&h.l);
	assert_int_equal(h.result.end, PUMP_END_CLOSED);
	assert_int_equal(h.result.fd[PUMP_INNER], -1);
	assert_int_equal(h.result.bytes[PUMP_INNER], source.len + 1);
	pump_pool_stats(f->pool, &stats);
	assert_true(stats.spliced_bytes > 0);
	end(&h, f);
}

/* Bytes for who doesn't read, till the pump holds some: however little comes at a time, it has not
 * become a thread's before that. */
static void stick(struct half *h, struct talker *source)
{
	struct pump_stats stats = { 0 };

	talker_start(source);
	while (!stats.held_bytes) {
		if (!has_moved(h)) {
			h->l.pump->turns = 0;
			h->l.pump->started_ms = clock_now_ms();
		}
		fixture_serve();
		pump_pool_stats(h->l.fixture->pool, &stats);
	}
}

static void test_with_bytes_for_a_visitor_who_does_not_read(void **state)
{
	struct half h;
	struct fixture *f = begin(&h, FEW_TURNS, STUCK_BUFFER);
	struct talker source = { .fd = h.wire, .seed = 4, .len = STUCK_BYTES, .write = true };
	uint8_t head[BLOCK_HEAD_LEN];

	(void)state;
	half_add(&h);
	block_encode(BLOCK_DATA, STUCK_BYTES, head);
	say(h.wire, (const char *)head, sizeof(head));
	stick(&h, &source);
	visitor_talks(&h);
	assert_true(stream_read(h.l.visitor, 4, STUCK_BYTES));
	assert_true(talker_join(&source));
	serve(&h);
	end(&h, f);
}

/* A block is in pieces on the thread then, its head perhaps. */
static void test_with_bytes_for_a_peer_that_does_not_read(void **state)
{
	struct half h;
	struct fixture *f = begin(&h, FEW_TURNS, STUCK_BUFFER);
	struct talker source = {
		.fd = h.l.visitor, .seed = 5, .len = STUCK_BYTES, .write = true, .until_eof = true
	};

	(void)state;
	half_add(&h);
	stick(&h, &source);
	wire_talks(&h);
	assert_false(read_wire(h.wire, 5, STUCK_BYTES));
	assert_true(talker_join(&source));
	say(h.wire, TEXT("\2\0\0\0"));
	expect_end(h.l.visitor, 0);
	link_wait(&h.l);
	assert_int_equal(h.result.end, PUMP_END_CLOSED);
	assert_int_equal(h.result.bytes[PUMP_OUTER], STUCK_BYTES);
	assert_true(h.result.fd[PUMP_INNER] >= 0);
	end(&h, f);
}

/* --- on its way: not the loop's any more, not yet the thread's --- */

enum cargo { CARGO_NOTHING, CARGO_BYTES, CARGO_ENDS, CARGOS };

/* Says it till the pump has moved, and waits for no answer: it may move in a turn that wasn't for
 * the last one, and nobody answers behind the gate. */
static void talk_unheard(const struct half *h, int fd, const char *data, size_t len)
{
	while (!has_moved(h)) {
		say(fd, data, len);
		uv_run(&h->l.fixture->loop, UV_RUN_NOWAIT);
	}
}

/* On its way, with what may come while it is. */
static struct fixture *begin_move(struct half *h, enum cargo cargo, struct talker *source)
{
	struct fixture *f = begin(h, FEW_TURNS, cargo == CARGO_BYTES ? STUCK_BUFFER : 0);

	*source =
		(struct talker){ .fd = h->l.visitor, .seed = 6, .len = STUCK_BYTES, .write = true };
	gate_set(true);
	half_add(h);
	if (cargo == CARGO_BYTES) {
		stick(h, source);
		talk_unheard(h, h->wire, TEXT("\1\0\0\1y"));
	} else {
		talk_unheard(h, h->l.visitor, TEXT("x"));
	}
	if (cargo == CARGO_ENDS) {
		say(h->wire, TEXT("\2\0\0\0"));
		assert_int_equal(shutdown(h->l.visitor, SHUT_WR), 0);
	}
	return f;
}

static void expect_aborted(struct half *h, enum cargo cargo, struct talker *source)
{
	assert_int_equal(h->result.end, PUMP_END_ABORTED);
	assert_int_equal(h->result.fd[PUMP_INNER], -1);
	assert_int_equal(h->result.fd[PUMP_OUTER], -1);
	if (cargo == CARGO_BYTES)
		assert_false(talker_join(source));
	else
		expect_end(h->l.visitor, ECONNRESET);
}

static void test_abort_on_its_way(void **state)
{
	(void)state;
	for (enum cargo cargo = 0; cargo < CARGOS; cargo++) {
		struct half h;
		struct talker source;
		struct fixture *f = begin_move(&h, cargo, &source);

		pump_abort(f->pool, h.l.pump);
		pump_abort(f->pool, h.l.pump);
		assert_false(h.l.done);
		gate_set(false);
		link_wait(&h.l);
		expect_aborted(&h, cargo, &source);
		end(&h, f);
	}
}

static void test_pool_is_closed_on_its_way(void **state)
{
	(void)state;
	for (enum cargo cargo = 0; cargo < CARGOS; cargo++) {
		struct half h;
		struct talker source;
		struct fixture *f = begin_move(&h, cargo, &source);

		fixture_close_pool(f);
		assert_false(h.l.done);
		gate_set(false);
		link_wait(&h.l);
		expect_aborted(&h, cargo, &source);
		end(&h, f);
	}
}

/* --- beside each other --- */

/* Readers who don't read hold up their own streams: on the loop, and on a thread. */
static void test_slow_readers_hold_up_nobody_else(void **state)
{
	static const unsigned turns[] = { MANY_TURNS, 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(turns); i++) {
		struct half slow, other;
		struct fixture *f = begin(&slow, turns[i], STUCK_BUFFER);
		struct talker up = { .fd = slow.l.visitor,
			.seed = 7,
			.len = STUCK_BYTES,
			.write = true,
			.until_eof = true };
		struct talker down = {
			.fd = slow.wire, .seed = 8, .len = STUCK_BYTES, .write = true
		};
		uint8_t head[BLOCK_HEAD_LEN];

		half_add(&slow);
		block_encode(BLOCK_DATA, STUCK_BYTES, head);
		say(slow.wire, (const char *)head, sizeof(head));
		stick(&slow, &up);
		talker_start(&down);
		for (int n = 0; n < 20; n++) {
			half_open(&other, f, 0);
			half_add(&other);
			serve(&other);
			half_close(&other);
		}
		assert_false(slow.l.done);
		assert_false(read_wire(slow.wire, 7, STUCK_BYTES));
		assert_true(talker_join(&up));
		assert_true(stream_read(slow.l.visitor, 8, STUCK_BYTES));
		assert_true(talker_join(&down));
		say(slow.wire, TEXT("\2\0\0\0"));
		expect_end(slow.l.visitor, 0);
		link_wait(&slow.l);
		assert_int_equal(slow.result.end, PUMP_END_CLOSED);
		end(&slow, f);
	}
}

#define RATE 4000000U
#define RATED_BYTES 500000U

/* One bucket for both directions: no more comes through than it gives, and all of it. */
static void test_rate(void **state)
{
	struct half h;
	struct fixture *f = begin(&h, MANY_TURNS, 0);
	struct talker up = {
		.fd = h.l.visitor, .seed = 9, .len = RATED_BYTES, .write = true, .until_eof = true
	};
	struct talker down = { .fd = h.wire, .seed = 10, .len = RATED_BYTES, .write = true };
	struct talker reader = { .fd = h.l.visitor, .seed = 10, .len = RATED_BYTES };
	uint64_t most = RATE * (uint64_t)BUCKET_BURST_MS / 1000, begin_ms = clock_now_ms();
	uint8_t head[BLOCK_HEAD_LEN];
	struct bucket bucket;

	(void)state;
	bucket_init(&bucket);
	bucket_set_rate(&bucket, RATE);
	h.job.bucket[PUMP_OUTER] = h.job.bucket[PUMP_INNER] = &bucket;
	half_add(&h);
	block_encode(BLOCK_DATA, RATED_BYTES, head);
	say(h.wire, (const char *)head, sizeof(head));
	talker_start(&up);
	talker_start(&down);
	talker_start(&reader);
	assert_false(read_wire(h.wire, 9, RATED_BYTES));
	assert_true(talker_join(&up));
	assert_true(talker_join(&down));
	assert_true(talker_join(&reader));
	most += (clock_now_ms() - begin_ms + 1) * RATE / 1000;
	assert_true(most >= 2 * RATED_BYTES);
	say(h.wire, TEXT("\2\0\0\0"));
	expect_end(h.l.visitor, 0);
	link_wait(&h.l);
	assert_int_equal(h.result.end, PUMP_END_CLOSED);
	assert_int_equal(h.result.bytes[PUMP_OUTER], RATED_BYTES);
	assert_int_equal(h.result.bytes[PUMP_INNER], RATED_BYTES);
	bucket_deinit(&bucket);
	end(&h, f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_that_waits),
		cmocka_unit_test(test_throttled),
		cmocka_unit_test(test_tapped),
		cmocka_unit_test(test_taken_comes_on_the_thread),
		cmocka_unit_test(test_taken_never_comes),
		cmocka_unit_test(test_taken_is_read_late),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_with_bytes_for_a_visitor_who_does_not_read),
		cmocka_unit_test(test_with_bytes_for_a_peer_that_does_not_read),
		cmocka_unit_test(test_abort_on_its_way),
		cmocka_unit_test(test_pool_is_closed_on_its_way),
		cmocka_unit_test(test_slow_readers_hold_up_nobody_else),
		cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests_name("net/pump_move", tests, NULL, NULL);
}
