/* SPDX-License-Identifier: MIT */
/* The bytes: whatever goes in at one end comes out at the other, in order and to the last one. */
#include "net/test_pump_fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/lang.h"

#define BULK_BYTES (24U * 1024U * 1024U)
/* More than four buffers of SLOW_BUFFER hold, and not much more: see net/test_pump_fixture.h. */
#define SLOW_BUFFER 16384
#define SLOW_BYTES (512U * 1024U)
#define MESSAGE_BYTES 300

static void assert_closed(const struct link *l, uint64_t outer, uint64_t inner)
{
	assert_int_equal(l->result.end, PUMP_END_CLOSED);
	assert_int_equal(l->result.error, 0);
	assert_int_equal(l->result.bytes[PUMP_OUTER], outer);
	assert_int_equal(l->result.bytes[PUMP_INNER], inner);
}

/* One message there and one back, in the calling thread. */
static void assert_ping_pong(const struct link *l, uint64_t seed)
{
	assert_true(stream_write(l->visitor, seed, MESSAGE_BYTES));
	assert_true(stream_read(l->app, seed, MESSAGE_BYTES));
	assert_true(stream_write(l->app, seed + 1, MESSAGE_BYTES));
	assert_true(stream_read(l->visitor, seed + 1, MESSAGE_BYTES));
}

static void test_bulk_both_ways(void **state)
{
	const struct pump_pool_config config = { .workers = 2, .mode = test_mode(state) };
	struct fixture *f = fixture_new(&config);
	struct pump_stats stats;
	struct link l;

	link_open(f, &l, 0);
	struct talker talkers[] = {
		{ .fd = l.visitor, .seed = 1, .len = BULK_BYTES, .write = true, .until_eof = true },
		{ .fd = l.app, .seed = 1, .len = BULK_BYTES, .until_eof = true },
		{ .fd = l.app, .seed = 2, .len = BULK_BYTES, .write = true, .until_eof = true },
		{ .fd = l.visitor, .seed = 2, .len = BULK_BYTES, .until_eof = true },
	};

	link_add(&l, NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(talkers); i++)
		talker_start(&talkers[i]);
	link_wait(&l);
	for (size_t i = 0; i < ARRAY_LEN(talkers); i++)
		assert_true(talker_join(&talkers[i]));
	assert_closed(&l, BULK_BYTES, BULK_BYTES);
	pump_pool_stats(f->pool, &stats);
	assert_int_equal(stats.bytes[PUMP_OUTER], fixture_pumps() * BULK_BYTES);
	assert_int_equal(stats.bytes[PUMP_INNER], fixture_pumps() * BULK_BYTES);
	assert_true((stats.spliced_bytes > 0) == (config.mode != PUMP_COPY && !f->hub));
	link_close(&l);
	fixture_free(f);
}

/* Bulk turns a direction to splicing, small messages turn it back; the stream must not notice. */
static void test_small_and_bulk_in_turn(void **state)
{
	struct link *l = link_begin(pool_of(.mode = test_mode(state)), 0);

	for (uint64_t round = 0; round < 8; round++) {
		struct talker bulk = {
			.fd = l->app, .seed = round, .len = BULK_BYTES / 8, .write = true
		};

		for (uint64_t i = 0; i < 200; i++)
			assert_ping_pong(l, 1000 * round + i);
		talker_start(&bulk);
		assert_true(stream_read(l->visitor, round, bulk.len));
		assert_true(talker_join(&bulk));
	}
	assert_int_equal(shutdown(l->visitor, SHUT_WR), 0);
	assert_int_equal(shutdown(l->app, SHUT_WR), 0);
	link_wait(l);
	assert_closed(l, 8 * 200 * MESSAGE_BYTES, 8 * 200 * MESSAGE_BYTES + BULK_BYTES);
	link_end(l);
}

/* Bytes that came behind the handshake go first, even when the source has already ended. */
static void test_early_bytes_and_eof(void **state)
{
	const struct pump_pool_config config = { .workers = 1, .mode = test_mode(state) };
	struct fixture *f = fixture_new(&config);
	struct link l;
	char buf[32];

	link_open(f, &l, 0);
	assert_int_equal(send(l.visitor, " world", 6, 0), 6);
	assert_int_equal(shutdown(l.visitor, SHUT_WR), 0);
	assert_int_equal(shutdown(l.app, SHUT_WR), 0);
	link_add(&l, "hello", "answer");
	assert_int_equal(recv(l.app, buf, 11, MSG_WAITALL), 11);
	assert_memory_equal(buf, "hello world", 11);
	assert_int_equal(recv(l.app, buf, sizeof(buf), 0), 0);
	assert_int_equal(recv(l.visitor, buf, 6, MSG_WAITALL), 6);
	assert_memory_equal(buf, "answer", 6);
	assert_int_equal(recv(l.visitor, buf, sizeof(buf), 0), 0);
	link_wait(&l);
	assert_closed(&l, 11, 6);
	link_close(&l);
	fixture_free(f);
}

static void run_half_close(enum pump_mode mode, enum pump_side first)
{
	struct link *l =
		link_begin(pool_of(.mode = mode, .half_close_timeout_ms = FIXTURE_DEADLINE_MS), 0);
	int closer, other;
	char byte;

	closer = first == PUMP_OUTER ? l->visitor : l->app;
	other = first == PUMP_OUTER ? l->app : l->visitor;
	assert_true(stream_write(closer, 1, 100000));
	assert_int_equal(shutdown(closer, SHUT_WR), 0);
	assert_true(stream_read(other, 1, 100000));
	assert_int_equal(recv(other, &byte, 1, 0), 0);

	/* The other direction goes on for as long as it likes. */
	struct talker answer = { .fd = other, .seed = 2, .len = BULK_BYTES, .write = true };

	talker_start(&answer);
	assert_true(stream_read(closer, 2, BULK_BYTES));
	assert_true(talker_join(&answer));
	assert_false(l->done);
	assert_int_equal(shutdown(other, SHUT_WR), 0);
	assert_int_equal(recv(closer, &byte, 1, 0), 0);
	link_await_end(l, PUMP_END_CLOSED);
	link_end(l);
}

static void test_half_close_by_visitor(void **state)
{
	run_half_close(test_mode(state), PUMP_OUTER);
}

static void test_half_close_by_app(void **state)
{
	run_half_close(test_mode(state), PUMP_INNER);
}

/* What is stuck is counted, on the heap where bytes are copied. */
static void wait_held(struct fixture *f)
{
	struct pump_stats stats = { 0 };

	while (stats.held_bytes == 0) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
		pump_pool_stats(f->pool, &stats);
		sched_yield();
	}
}

/* With a direction stuck behind a reader that doesn't read, the other one works, and nothing is
 * lost. */
static void test_slow_reader(void **state)
{
	struct link *l = link_begin(pool_of(.mode = test_mode(state)), SLOW_BUFFER);
	struct talker bulk = {
		.fd = l->app, .seed = 7, .len = SLOW_BYTES, .write = true, .until_eof = true
	};

	talker_start(&bulk);
	link_wait_bytes(l, PUMP_INNER, SLOW_BUFFER);
	for (uint64_t i = 0; i < 20; i++) {
		assert_true(stream_write(l->visitor, i, MESSAGE_BYTES));
		assert_true(stream_read(l->app, i, MESSAGE_BYTES));
	}
	if (test_mode(state) == PUMP_COPY)
		wait_held(l->fixture);
	assert_true(stream_read(l->visitor, 7, bulk.len));
	assert_true(talker_join(&bulk));
	assert_int_equal(shutdown(l->visitor, SHUT_WR), 0);
	link_wait(l);
	assert_closed(l, 20 * MESSAGE_BYTES, bulk.len);
	link_end(l);
}

/*
 * FTP's ABOR and telnet's Synch lost the byte that they send as urgent data. It stays where it is
 * in the stream: behind what was sent before, the second of two urgent bytes as well as the first.
 * A read stops at the mark although there is more behind it, and no second edge tells of that.
 */
static void send_urgent(int from, int to)
{
	char buf[16];

	assert_int_equal(send(from, "abc", 3, 0), 3);
	assert_int_equal(send(from, "!", 1, MSG_OOB), 1);
	assert_int_equal(send(from, "?", 1, MSG_OOB), 1);
	assert_int_equal(send(from, "def", 3, 0), 3);
	assert_int_equal(recv(to, buf, 8, MSG_WAITALL), 8);
	assert_memory_equal(buf, "abc!?def", 8);
}

static void test_urgent_data_stays_in_its_place(void **state)
{
	const struct pump_pool_config config = { .workers = 1, .mode = test_mode(state) };
	struct fixture *f = fixture_new(&config);
	struct link l;
	char buf[8];

	link_open(f, &l, 0);
	/* Before the pump has the socket, too. */
	assert_int_equal(send(l.visitor, "1", 1, MSG_OOB), 1);
	assert_int_equal(send(l.visitor, "2", 1, MSG_OOB), 1);
	link_add(&l, NULL, NULL);
	assert_int_equal(recv(l.app, buf, 2, MSG_WAITALL), 2);
	assert_memory_equal(buf, "12", 2);
	for (int round = 0; round < 20; round++) {
		send_urgent(l.visitor, l.app);
		send_urgent(l.app, l.visitor);
	}
	/* The last byte of a stream. */
	assert_int_equal(send(l.visitor, "!", 1, MSG_OOB), 1);
	assert_int_equal(shutdown(l.visitor, SHUT_WR), 0);
	assert_int_equal(recv(l.app, buf, sizeof(buf), MSG_WAITALL), 1);
	assert_int_equal(buf[0], '!');
	link_close(&l);
	link_wait(&l);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_in_modes(test_bulk_both_ways),
		test_in_modes(test_small_and_bulk_in_turn),
		test_in_modes(test_early_bytes_and_eof),
		test_in_modes(test_half_close_by_visitor),
		test_in_modes(test_half_close_by_app),
		test_in_modes(test_slow_reader),
		test_in_modes(test_urgent_data_stays_in_its_place),
	};

	return cmocka_run_group_tests_name("net/pump", tests, NULL, NULL);
}
