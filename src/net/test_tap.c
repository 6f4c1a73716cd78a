/* SPDX-License-Identifier: MIT */
/* What a tap sees: all that the pump has read, in order, or what is left out of it, told as such.
 */
#include "net/test_pump_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/lang.h"
#include "net/tap.h"
#include "net/test_turn.h"

#define BULK_BYTES (8U * 1024U * 1024U)

/* What an onlooker keeps of a connection. */
struct look {
	uint8_t *bytes[PUMP_SIDES];
	uint64_t len[PUMP_SIDES];  /* behind the last byte that has come */
	uint64_t seen[PUMP_SIDES]; /* bytes that have come */
	uint64_t left_out;         /* bytes of both sides, by the offsets */
	bool end[PUMP_SIDES];
	struct tap *tap;
	uint64_t release_at; /* bytes of the outer side; 0: never */
};

static void look_take(void *owner, const struct tap_chunk *chunk)
{
	struct look *look = owner;
	enum pump_side side = chunk->side;

	assert_true(chunk->offset >= look->len[side]);
	assert_false(look->end[side]);
	look->end[side] = chunk->end;
	look->left_out += chunk->offset - look->len[side];
	assert_true(chunk->end == (chunk->len == 0));
	if (look->bytes[side] && chunk->len)
		memcpy(look->bytes[side] + chunk->offset, chunk->data, chunk->len);
	look->len[side] = chunk->offset + chunk->len;
	look->seen[side] += chunk->len;
	if (look->release_at && look->len[PUMP_OUTER] >= look->release_at)
		look->tap = tap_release(look->tap);
}

/* One connection that is looked at. */
static struct link *begin_within(const struct pump_pool_config *config, size_t max_bytes,
	size_t max_each, struct look *look, const char *early)
{
	struct link *l = malloc(sizeof(*l));
	struct fixture *f = fixture_new(config);
	const struct tap_hub_config hub = {
		.loop = &f->loop, .max_bytes = max_bytes, .max_each = max_each, .took = look_take
	};

	assert_non_null(l);
	assert_int_equal(tap_hub_new(&hub, &f->hub), 0);
	link_open(f, l, 0);
	look->tap = l->tap = tap_new(f->hub, look);
	link_add(l, early, NULL);
	return l;
}

static struct link *begin(const struct pump_pool_config *config, size_t max_bytes,
	struct look *look, const char *early)
{
	return begin_within(config, max_bytes, max_bytes, look, early);
}

static void both_ends_in_order(struct link *l)
{
	assert_int_equal(shutdown(l->visitor, SHUT_WR), 0);
	assert_int_equal(shutdown(l->app, SHUT_WR), 0);
	link_await_end(l, PUMP_END_CLOSED);
}

static void test_early_bytes_and_what_follows(void **state)
{
	uint8_t outer[16] = "", inner[16] = "";
	struct look look = { .bytes = { outer, inner } };
	struct link *l = begin(pool_of(.mode = test_mode(state)), 1 << 20, &look, "hello");
	char buf[16];

	assert_int_equal(send(l->visitor, " world", 6, 0), 6);
	assert_int_equal(recv(l->app, buf, 11, MSG_WAITALL), 11);
	assert_int_equal(send(l->app, "answer", 6, 0), 6);
	assert_int_equal(recv(l->visitor, buf, 6, MSG_WAITALL), 6);
	both_ends_in_order(l);
	assert_string_equal((char *)outer, "hello world");
	assert_string_equal((char *)inner, "answer");
	assert_true(look.end[PUMP_OUTER]);
	assert_true(look.end[PUMP_INNER]);
	link_end(l);
}

/* A reset is no end. */
static void test_reset(void **state)
{
	struct look look = { 0 };
	struct link *l = begin(pool_of(.mode = test_mode(state)), 1 << 20, &look, NULL);
	char buf[8];

	assert_int_equal(send(l->visitor, "half", 4, 0), 4);
	assert_int_equal(recv(l->app, buf, 4, MSG_WAITALL), 4);
	reset_fd(&l->visitor);
	link_await_reset(l, PUMP_OUTER);
	assert_int_equal(look.len[PUMP_OUTER], 4);
	assert_false(look.end[PUMP_OUTER]);
	link_end(l);
}

static void send_bulk(struct link *l)
{
	struct talker talkers[] = {
		{ .fd = l->visitor,
			.seed = 1,
			.len = BULK_BYTES,
			.write = true,
			.until_eof = true },
		{ .fd = l->app, .seed = 1, .len = BULK_BYTES, .until_eof = true },
	};

	for (size_t i = 0; i < ARRAY_LEN(talkers); i++)
		talker_start(&talkers[i]);
	for (size_t i = 0; i < ARRAY_LEN(talkers); i++) {
		/* Else the copies find room only while nobody moves bytes. */
		link_wait_bytes(l, PUMP_OUTER, BULK_BYTES);
		assert_true(talker_join(&talkers[i]));
	}
}

static void test_bulk_whole(void **state)
{
	struct look look = { .bytes = { malloc(BULK_BYTES), NULL } };
	struct link *l = begin(pool_of(.mode = test_mode(state)), BULK_BYTES, &look, NULL);
	struct pump_stats stats;
	int pair[2];

	assert_non_null(look.bytes[PUMP_OUTER]);
	send_bulk(l);
	both_ends_in_order(l);
	assert_int_equal(look.seen[PUMP_OUTER], BULK_BYTES);
	assert_int_equal(look.left_out, 0);
	pump_pool_stats(l->fixture->pool, &stats);
	assert_int_equal(stats.spliced_bytes, 0);
	/* The stream that the seed names, read by who checks it. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	struct talker check = { .fd = pair[1], .seed = 1, .len = BULK_BYTES };

	talker_start(&check);
	for (size_t at = 0; at < BULK_BYTES;)
		at += (size_t)send(
			pair[0], look.bytes[PUMP_OUTER] + at, BULK_BYTES - at, MSG_NOSIGNAL);
	assert_true(talker_join(&check));
	(void)shutdown(pair[0], SHUT_RDWR);
	reset_fd(&pair[0]);
	reset_fd(&pair[1]);
	free(look.bytes[PUMP_OUTER]);
	link_end(l);
}

/* Who finds no room leaves out, and the stream doesn't notice. */
static void no_room(enum pump_mode mode, size_t max_bytes, size_t max_each)
{
	struct look look = { 0 };
	struct link *l = begin_within(pool_of(.mode = mode), max_bytes, max_each, &look, NULL);

	send_bulk(l);
	both_ends_in_order(l);
	assert_true(look.left_out > 0);
	assert_int_equal(look.seen[PUMP_OUTER] + look.left_out, BULK_BYTES);
	assert_true(look.end[PUMP_OUTER]);
	assert_int_equal(look.len[PUMP_OUTER], BULK_BYTES);
	link_end(l);
}

static void test_no_room(void **state)
{
	no_room(test_mode(state), 1000, 1 << 30);
}

static void test_no_room_of_its_own(void **state)
{
	no_room(test_mode(state), 1 << 30, 1000);
}

static void test_skip(void **state)
{
	struct look look = { 0 };
	struct link *l = begin(pool_of(.mode = test_mode(state)), 1 << 20, &look, NULL);
	char buf[8];

	tap_skip(look.tap, PUMP_OUTER, 6);
	for (const char *word = "abcdefgh"; *word; word++) {
		assert_int_equal(send(l->visitor, word, 1, 0), 1);
		assert_int_equal(recv(l->app, buf, 1, 0), 1);
	}
	tap_skip(look.tap, PUMP_OUTER, TAP_ALL);
	tap_skip(look.tap, PUMP_OUTER, 0);
	assert_int_equal(send(l->visitor, "i", 1, 0), 1);
	assert_int_equal(recv(l->app, buf, 1, 0), 1);
	both_ends_in_order(l);
	assert_int_equal(look.seen[PUMP_OUTER], 2);
	assert_int_equal(look.len[PUMP_OUTER], 8);
	assert_false(look.end[PUMP_OUTER]);
	link_end(l);
}

/* Once nobody looks on any more, bulk is spliced as ever. */
static void test_release_under_way(void **state)
{
	struct look look = { .release_at = 100000 };
	struct link *l = begin(pool_of(.mode = test_mode(state)), 1 << 20, &look, NULL);
	struct pump_stats stats;

	assert_true(stream_write(l->visitor, 5, 100000));
	assert_true(stream_read(l->app, 5, 100000));
	while (look.tap)
		test_turn(&l->fixture->loop);
	l->tap = NULL;
	send_bulk(l);
	both_ends_in_order(l);
	assert_int_equal(look.seen[PUMP_OUTER], 100000);
	pump_pool_stats(l->fixture->pool, &stats);
	assert_true((stats.spliced_bytes > 0) == (test_mode(state) != PUMP_COPY));
	link_end(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_in_modes(test_early_bytes_and_what_follows),
		test_in_modes(test_reset),
		test_in_modes(test_bulk_whole),
		test_in_modes(test_no_room),
		test_in_modes(test_no_room_of_its_own),
		test_in_modes(test_skip),
		test_in_modes(test_release_under_way),
	};

	return cmocka_run_group_tests_name("net/tap", tests, NULL, NULL);
}
