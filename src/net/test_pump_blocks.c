/* SPDX-License-Identifier: MIT */
/* Blocks on one side of a pump, byte by byte: here the test itself is the peer that speaks them. */
#include "net/test_pump_half.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/lang.h"
#include "base/owner.h"
#include "net/bucket.h"
#include "net/sockopt.h"
#include "proto/block.h"

/* What the visitor has said already goes behind the preface, and his end behind that. */
static void test_preface_goes_with_the_first_bytes(void **state)
{
	struct fixture *f = fixture_new(pool_of(.mode = PUMP_COPY));
	static const struct {
		const char *said;
		bool ends;
		const char *wire;
		size_t len;
	} cases[] = {
		{ "", false, TEXT(PREFACE) },
		{ "abc", false, TEXT(PREFACE "\1\0\0\3abc") },
		{ "abc", true, TEXT(PREFACE "\1\0\0\3abc\2\0\0\0") },
		{ "", true, TEXT(PREFACE "\2\0\0\0") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct half h;

		half_open(&h, f, 0);
		h.job.preface = PREFACE;
		h.job.preface_len = strlen(PREFACE);
		say(h.l.visitor, cases[i].said, strlen(cases[i].said));
		if (cases[i].ends)
			assert_int_equal(shutdown(h.l.visitor, SHUT_WR), 0);
		half_add(&h);
		expect(h.wire, cases[i].wire, cases[i].len);
		say(h.wire, TEXT("\1\0\0\2ok\2\0\0\0"));
		expect(h.l.visitor, TEXT("ok"));
		expect_end(h.l.visitor, 0);
		h.l.visitor = fd_close(h.l.visitor);
		link_wait(&h.l);
		assert_int_equal(h.result.end, PUMP_END_CLOSED);
		assert_int_equal(h.result.bytes[PUMP_OUTER], strlen(cases[i].said));
		assert_int_equal(h.result.bytes[PUMP_INNER], 2);
		assert_true(h.result.fd[PUMP_INNER] >= 0);
		half_close(&h);
	}
	fixture_free(f);
}

/* One write each, whatever there is of preface, bytes and end. */
static void test_one_segment(void **state)
{
	struct fixture *f = fixture_new(pool_of(.mode = PUMP_COPY));
	struct half h;

	(void)state;
	half_open(&h, f, 0);
	h.job.preface = PREFACE;
	h.job.preface_len = strlen(PREFACE);
	h.job.early[PUMP_OUTER] = "early";
	h.job.early_len[PUMP_OUTER] = 5;
	half_add(&h);
	expect_at_once(h.wire, TEXT(PREFACE "\1\0\0\5early"));
	say(h.l.visitor, TEXT("abc"));
	expect_at_once(h.wire, TEXT("\1\0\0\3abc"));
	half_close(&h);
	link_wait(&h.l);
	fixture_free(f);
}

/* Stream after stream on the same connection; what comes behind the last END is handed on. */
static void test_connection_is_used_again(void **state)
{
	struct fixture *f = fixture_new(pool_of(.mode = test_mode(state)));
	int fd = -1, wire = -1;

	for (int i = 0; i < 100; i++) {
		bool left = i % 3 == 0;
		struct half h;

		half_open(&h, f, 0);
		if (fd >= 0) {
			(void)fd_close(h.job.fd[PUMP_INNER]);
			(void)fd_close(h.wire);
			h.job.fd[PUMP_INNER] = take_fd(&fd);
			h.wire = take_fd(&wire);
		}
		half_add(&h);
		say(h.wire, "\1\0\0\6answer\2\0\0\0more", left ? 18 : 14);
		expect(h.l.visitor, TEXT("answer"));
		expect_end(h.l.visitor, 0);
		assert_int_equal(shutdown(h.l.visitor, SHUT_WR), 0);
		expect(h.wire, TEXT("\2\0\0\0"));
		link_wait(&h.l);
		assert_int_equal(h.result.end, PUMP_END_CLOSED);
		assert_int_equal(h.result.rest_len, left ? 4 : 0);
		assert_memory_equal(h.rest, "more", h.result.rest_len);
		fd = take_fd(&h.result.fd[PUMP_INNER]);
		assert_true(fd >= 0);
		wire = take_fd(&h.wire);
		half_close(&h);
	}
	(void)fd_close(fd);
	(void)fd_close(wire);
	fixture_free(f);
}

/* What the peer says first of all, in place of TAKEN, and what becomes of the visitor. */
enum last { LAST_NOTHING, LAST_FIN, LAST_RESET };

static void cut(int *fd, enum last last)
{
	if (last == LAST_FIN)
		*fd = fd_close(*fd);
	else if (last == LAST_RESET)
		reset_fd(fd);
}

static void test_untaken(void **state)
{
	struct fixture *f = fixture_new(pool_of(.mode = test_mode(state)));
	static const struct {
		const char *says;
		size_t len;
		enum last last;
	} cases[] = {
		{ TEXT(""), LAST_FIN },
		{ TEXT(""), LAST_RESET },
		{ TEXT("\4\0"), LAST_FIN },
		{ TEXT("\1\0\0\1x"), LAST_NOTHING },
		{ TEXT("\2\0\0\0"), LAST_NOTHING },
		{ TEXT("HTTP/1.1 400 Bad Request\r\n"), LAST_FIN },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (int said = 0; said < 2; said++) {
			struct half h;
			struct linger linger;
			socklen_t len = sizeof(linger);
			char byte;

			half_open(&h, f, 0);
			h.job.awaits_taken = true;
			if (said)
				say(h.l.visitor, TEXT("x"));
			half_add(&h);
			/* Till the visitor's byte is read, if there is one. */
			if (said)
				link_wait_bytes(&h.l, PUMP_OUTER, 1);
			say(h.wire, cases[i].says, cases[i].len);
			cut(&h.wire, cases[i].last);
			link_wait(&h.l);
			assert_int_equal(h.result.end, said ? PUMP_END_RESET : PUMP_END_UNTAKEN);
			assert_true(h.result.untaken && !h.result.taken);
			assert_int_equal(h.result.side, PUMP_INNER);
			assert_int_equal(h.result.fd[PUMP_INNER], -1);
			assert_int_equal(h.result.bytes[PUMP_INNER], 0);
			assert_int_equal(h.result.bytes[PUMP_OUTER], said);
			if (said) {
				assert_int_equal(h.result.fd[PUMP_OUTER], -1);
				expect_end(h.l.visitor, ECONNRESET);
			} else {
				int fd = h.result.fd[PUMP_OUTER];

				say(h.l.visitor, TEXT("y"));
				assert_int_equal(recv(fd, &byte, 1, MSG_WAITALL), 1);
				assert_int_equal(byte, 'y');
				assert_int_equal(
					getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len), 0);
				assert_true(linger.l_onoff && linger.l_linger == 0);
			}
			half_close(&h);
		}
	}
	fixture_free(f);
}

/* Said by nobody within the time: as if it were dead. Nothing is cut where it was said. */
static void test_taken_has_a_deadline(void **state)
{
	struct fixture *f = fixture_new(pool_of(.mode = PUMP_AUTO));
	const enum pump_end ends[] = { PUMP_END_UNTAKEN, PUMP_END_RESET, PUMP_END_CLOSED };
	struct half h[ARRAY_LEN(ends)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		half_open(&h[i], f, 0);
		h[i].job.awaits_taken = true;
		half_add(&h[i]);
		if (ends[i] == PUMP_END_RESET)
			say(h[i].l.visitor, TEXT("x"));
		if (ends[i] == PUMP_END_CLOSED)
			say(h[i].wire, TEXT("\4\0\0\0"));
	}
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		if (ends[i] == PUMP_END_CLOSED) {
			link_pause(&h[i].l, 400);
			say(h[i].wire, TEXT("\1\0\0\2ok\2\0\0\0"));
			expect(h[i].l.visitor, TEXT("ok"));
			expect_end(h[i].l.visitor, 0);
			h[i].l.visitor = fd_close(h[i].l.visitor);
		}
		link_wait(&h[i].l);
		assert_int_equal(h[i].result.end, ends[i]);
		assert_int_equal(h[i].result.error, ends[i] == PUMP_END_CLOSED ? 0 : ETIMEDOUT);
		assert_int_equal(h[i].result.taken, ends[i] == PUMP_END_CLOSED);
		half_close(&h[i]);
	}
	fixture_free(f);
}

/* What ends a connection of blocks, and is no END: what had come is delivered, and then a reset. */
static void test_cut_is_a_reset(void **state)
{
	struct fixture *f = fixture_new(pool_of(.mode = test_mode(state)));
	static const struct {
		const char *says;
		size_t len;
		enum last last;
		const char *had;
		bool whole;
	} cases[] = {
		/* The control: in order. */
		{ TEXT("\4\0\0\0\1\0\0\2ab\2\0\0\0"), LAST_NOTHING, "ab", true },
		{ TEXT("\4\0\0\0\3\0\0\0ab"), LAST_FIN, "ab", true },
		{ TEXT("\4\0\0\0"), LAST_FIN, "", false },
		{ TEXT("\4\0\0\0\1\0\0\2ab"), LAST_FIN, "ab", false },
		{ TEXT("\4\0\0\0\1\0\0\2ab"), LAST_RESET, "ab", false },
		{ TEXT("\4\0\0\0\1\0\0\3ab"), LAST_FIN, "ab", false },
		{ TEXT("\4\0\0\0\1\0\0\2ab\2\0\0"), LAST_FIN, "ab", false },
		{ TEXT("\4\0\0\0\3\0\0\0ab"), LAST_RESET, "ab", false },
		{ TEXT("\4\0\0\0\1\0\0\2ab\4\0\0\0\1\0\0\2cd"), LAST_NOTHING, "ab", false },
		{ TEXT("\4\0\0\0\1\0\0\2ab\5\0\0\0\1\0\0\2cd"), LAST_NOTHING, "ab", false },
		{ TEXT("\4\0\0\0\1\0\0\2ab\1\0\0\0"), LAST_NOTHING, "ab", false },
		{ TEXT("\4\0\0\0\1\0\0\2ab\2\0\0\1x"), LAST_NOTHING, "ab", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct half h;

		half_open(&h, f, 0);
		h.job.awaits_taken = true;
		half_add(&h);
		say(h.wire, cases[i].says, cases[i].len);
		if (cases[i].last == LAST_RESET)
			wait_acknowledged(h.wire);
		cut(&h.wire, cases[i].last);
		expect(h.l.visitor, cases[i].had, strlen(cases[i].had));
		expect_end(h.l.visitor, cases[i].whole ? 0 : ECONNRESET);
		h.l.visitor = fd_close(h.l.visitor);
		link_wait(&h.l);
		assert_int_equal(h.result.end, cases[i].whole ? PUMP_END_CLOSED : PUMP_END_RESET);
		assert_int_equal(h.result.bytes[PUMP_INNER], strlen(cases[i].had));
		/* Nobody else gets a connection that hasn't said END. */
		assert_int_equal(h.result.fd[PUMP_INNER] >= 0, i == 0);
		half_close(&h);
	}
	fixture_free(f);
}

/* The visitor's reset: his bytes, no END, and a reset. */
static void test_reset_of_the_visitor(void **state)
{
	struct fixture *f = fixture_new(pool_of(.mode = PUMP_COPY));
	struct half h;

	(void)state;
	half_open(&h, f, 0);
	half_add(&h);
	say(h.l.visitor, TEXT("abc"));
	wait_acknowledged(h.l.visitor);
	reset_fd(&h.l.visitor);
	expect(h.wire, TEXT("\1\0\0\3abc"));
	expect_end(h.wire, ECONNRESET);
	link_wait(&h.l);
	assert_int_equal(h.result.end, PUMP_END_RESET);
	assert_int_equal(h.result.side, PUMP_OUTER);
	half_close(&h);
	fixture_free(f);
}

/* Bulk says RAW, and a page doesn't; nor does anything where nothing is spliced. */
static void test_raw_is_for_bulk(void **state)
{
	static const struct {
		enum pump_mode mode;
		size_t len;
		bool raw;
	} cases[] = {
		{ PUMP_AUTO, RAW_AFTER / 2, false },
		{ PUMP_AUTO, 16 * RAW_AFTER, true },
		{ PUMP_COPY, 16 * RAW_AFTER, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct fixture *f = fixture_new(pool_of(.mode = cases[i].mode));
		struct half h;

		half_open(&h, f, 0);
		struct talker visitor = { .fd = h.l.visitor,
			.seed = i,
			.len = cases[i].len,
			.write = true,
			.until_eof = true };

		talker_start(&visitor);
		half_add(&h);
		assert_int_equal(read_wire(h.wire, i, cases[i].len), cases[i].raw);
		assert_true(talker_join(&visitor));
		say(h.wire, TEXT("\2\0\0\0"));
		expect_end(h.l.visitor, 0);
		link_wait(&h.l);
		assert_int_equal(h.result.end, PUMP_END_CLOSED);
		assert_int_equal(h.result.bytes[PUMP_OUTER], cases[i].len);
		assert_true((h.result.fd[PUMP_INNER] >= 0) == !cases[i].raw);
		half_close(&h);
		fixture_free(f);
	}
}

/* A visitor who leaves before TAKEN says nothing of whether it would have come. */
static void test_impatient_visitor(void **state)
{
	struct fixture *f = fixture_new(pool_of(.mode = test_mode(state)));
	struct half h;

	for (int taken = 0; taken < 2; taken++) {
		half_open(&h, f, 0);
		h.job.awaits_taken = true;
		half_add(&h);
		if (taken) {
			say(h.wire, TEXT("\4\0\0\0\1\0\0\1x"));
			expect(h.l.visitor, TEXT("x"));
		}
		reset_fd(&h.l.visitor);
		link_wait(&h.l);
		assert_int_equal(h.result.end, PUMP_END_RESET);
		assert_int_equal(h.result.side, PUMP_OUTER);
		assert_false(h.result.untaken);
		assert_int_equal(h.result.taken, taken);
		half_close(&h);
	}
	fixture_free(f);
}

/*
 * The peer of blocks has said END and is gone, in whatever form: a visitor who says nothing more
 * was left with half a connection, until he did. He has his whole answer and its end, and then a
 * reset.
 */
static void test_tcps_end_behind_end_is_a_reset(void **state)
{
	struct fixture *f = fixture_new(pool_of(.mode = test_mode(state)));
	static const enum last lasts[] = { LAST_FIN, LAST_RESET };

	for (size_t i = 0; i < 2 * ARRAY_LEN(lasts); i++) {
		struct half h;

		half_open(&h, f, 0);
		half_add(&h);
		say(h.wire, TEXT("\1\0\0\2ok\2\0\0\0"));
		/* Together with END, and when that was passed on. */
		if (i % 2 || lasts[i / 2] == LAST_RESET) {
			expect(h.l.visitor, TEXT("ok"));
			expect_end(h.l.visitor, 0);
			cut(&h.wire, lasts[i / 2]);
		} else {
			cut(&h.wire, lasts[i / 2]);
			expect(h.l.visitor, TEXT("ok"));
			expect_end(h.l.visitor, 0);
		}
		link_wait(&h.l);
		assert_int_equal(h.result.end, PUMP_END_RESET);
		assert_int_equal(h.result.side, PUMP_INNER);
		assert_int_equal(h.result.fd[PUMP_INNER], -1);
		assert_int_equal(h.result.bytes[PUMP_INNER], 2);
		/* tcp_reset(): a reset behind a FIN. */
		assert_int_equal(sockopt_take_error(h.l.visitor), -EPIPE);
		half_close(&h);
	}
	fixture_free(f);
}

/* Once both have said END, TCP's is none of this stream's: the next may have said RAW, and all. */
static void test_fin_behind_both_ends_is_left_to_the_owner(void **state)
{
	struct fixture *f = fixture_new(pool_of(.mode = test_mode(state)));
	struct half h;

	half_open(&h, f, 0);
	half_add(&h);
	say(h.wire, TEXT("\1\0\0\2ok\2\0\0\0"));
	expect(h.l.visitor, TEXT("ok"));
	expect_end(h.l.visitor, 0);
	assert_int_equal(shutdown(h.l.visitor, SHUT_WR), 0);
	expect(h.wire, TEXT("\2\0\0\0"));
	assert_int_equal(shutdown(h.wire, SHUT_WR), 0);
	link_wait(&h.l);
	assert_int_equal(h.result.end, PUMP_END_CLOSED);
	assert_true(h.result.fd[PUMP_INNER] >= 0);
	expect_end(h.result.fd[PUMP_INNER], 0);
	half_close(&h);
	fixture_free(f);
}

/* --- a bucket --- */

/* Small blocks were read for a fifth of what they are: their heads counted nowhere. */
static void test_bucket_has_the_heads_as_well(void **state)
{
	enum { BLOCKS = 4000, RATE = 10000 };
	struct fixture *f = fixture_new(pool_of(.mode = test_mode(state)));
	static char blocks[BLOCKS][BLOCK_HEAD_LEN + 1];
	static char got[BLOCKS];
	struct bucket bucket;
	uint64_t begun_ms;
	struct half h;

	for (size_t i = 0; i < BLOCKS; i++)
		memcpy(blocks[i], "\1\0\0\1x", sizeof(blocks[i]));
	bucket_init(&bucket);
	bucket_set_rate(&bucket, RATE);
	half_open(&h, f, 0);
	h.job.bucket[PUMP_INNER] = &bucket;
	half_add(&h);
	begun_ms = clock_now_ms();
	say(h.wire, blocks[0], sizeof(blocks));
	assert_int_equal(recv(h.l.visitor, got, BLOCKS, MSG_WAITALL), BLOCKS);
	/* What goes beyond the burst, but for the last piece, has waited. */
	assert_true(clock_now_ms() - begun_ms >=
		    (sizeof(blocks) - BUCKET_BURST_MIN - BUCKET_PIECE) * 1000 / RATE);
	say(h.wire, TEXT("\2\0\0\0"));
	h.l.visitor = fd_close(h.l.visitor);
	link_wait(&h.l);
	assert_int_equal(h.result.bytes[PUMP_INNER], BLOCKS);
	half_close(&h);
	bucket_deinit(&bucket);
	fixture_free(f);
}

/* Who looks on sees the stream, early bytes and all, and no block of it. */
static void test_tap_sees_the_stream(void **state)
{
	struct fixture *f = fixture_new(pool_of(.mode = PUMP_AUTO));
	struct seen seen;
	struct half h;

	(void)state;
	half_open(&h, f, 0);
	seen_open(&seen, &h);
	h.job.early[PUMP_INNER] = "\1\0\0\3abc\1\0";
	h.job.early_len[PUMP_INNER] = 9;
	half_add(&h);
	say(h.wire, TEXT("\0\3def\2\0\0\0"));
	expect(h.l.visitor, TEXT("abcdef"));
	expect_end(h.l.visitor, 0);
	h.l.visitor = fd_close(h.l.visitor);
	link_wait(&h.l);
	seen_close(&seen, &h);
	assert_int_equal(seen.len, 6);
	assert_memory_equal(seen.text, "abcdef", 6);
	assert_true(seen.end);
	assert_int_equal(h.result.bytes[PUMP_INNER], 6);
	half_close(&h);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_preface_goes_with_the_first_bytes),
		cmocka_unit_test(test_one_segment),
		test_in_modes(test_connection_is_used_again),
		test_in_modes(test_untaken),
		cmocka_unit_test(test_taken_has_a_deadline),
		test_in_modes(test_cut_is_a_reset),
		cmocka_unit_test(test_reset_of_the_visitor),
		cmocka_unit_test(test_raw_is_for_bulk),
		test_in_modes(test_impatient_visitor),
		test_in_modes(test_tcps_end_behind_end_is_a_reset),
		test_in_modes(test_fin_behind_both_ends_is_left_to_the_owner),
		test_in_modes(test_bucket_has_the_heads_as_well),
		cmocka_unit_test(test_tap_sees_the_stream),
	};

	return cmocka_run_group_tests_name("net/pump_blocks", tests, NULL, NULL);
}
