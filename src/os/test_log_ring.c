/* SPDX-License-Identifier: MIT */
/* Numbers, both bounds, and what the follower sees. */
#include "os/log_ring.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append(struct log_ring *ring, const char *text)
{
	log_ring_append(ring, LOG_STREAM_STDOUT, text, strlen(text));
}

static void test_numbers(void **state)
{
	struct log_ring *ring = log_ring_new();
	struct log_line line;

	assert_int_equal(log_ring_first(ring), 1);
	assert_int_equal(log_ring_next(ring), 1);
	assert_false(log_ring_get(ring, 0, &line));
	assert_false(log_ring_get(ring, 1, &line));
	append(ring, "one");
	log_ring_append(ring, LOG_STREAM_SUPERVISOR, "t\0o", 3);
	assert_int_equal(log_ring_next(ring), 3);
	assert_true(log_ring_get(ring, 1, &line));
	assert_string_equal(line.text, "one");
	assert_true(log_ring_get(ring, 2, &line));
	assert_int_equal(line.seq, 2);
	assert_int_equal(line.stream, LOG_STREAM_SUPERVISOR);
	assert_int_equal(line.len, 3);
	assert_memory_equal(line.text, "t\0o", 4);
	assert_true(line.time_ms > 0);
	assert_false(log_ring_get(ring, 3, &line));
	log_ring_free(ring);
}

static void test_bounded_lines(void **state)
{
	struct log_ring *ring = log_ring_new();
	struct log_line line;
	char text[32];

	for (int i = 1; i <= LOG_RING_LINES + 5; i++) {
		snprintf(text, sizeof text, "line %d", i);
		append(ring, text);
	}
	assert_int_equal(log_ring_first(ring), 6);
	assert_int_equal(log_ring_next(ring), LOG_RING_LINES + 6);
	assert_false(log_ring_get(ring, 5, &line));
	assert_true(log_ring_get(ring, 6, &line));
	assert_string_equal(line.text, "line 6");
	assert_true(log_ring_get(ring, LOG_RING_LINES + 5, &line));
	assert_string_equal(line.text, text);
	log_ring_free(ring);
}

/* Long lines are cut, and together they never take more than LOG_RING_BYTES. */
static void test_bounded_bytes(void **state)
{
	static char text[LOG_RING_LINE_MAX + 1];
	const uint64_t fit = LOG_RING_BYTES / LOG_RING_LINE_MAX;
	struct log_ring *ring = log_ring_new();
	struct log_line line;

	memset(text, 'x', sizeof text);
	for (uint64_t i = 0; i < fit + 3; i++)
		log_ring_append(ring, LOG_STREAM_STDERR, text, sizeof text);
	assert_int_equal(log_ring_next(ring) - log_ring_first(ring), fit);
	assert_int_equal(log_ring_first(ring), 4);
	assert_true(log_ring_get(ring, 4, &line));
	assert_int_equal(line.len, LOG_RING_LINE_MAX);
	log_ring_free(ring);
}

static void count_line(void *owner, const struct log_line *line)
{
	uint64_t *sum = owner;

	*sum += line->seq;
}

static void test_follower(void **state)
{
	struct log_ring *ring = log_ring_new();
	uint64_t sum = 0;

	append(ring, "unseen");
	log_ring_follow(ring, count_line, &sum);
	append(ring, "a");
	append(ring, "b");
	assert_int_equal(sum, 2 + 3);
	log_ring_free(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_bounded_lines),
		cmocka_unit_test(test_bounded_bytes),
		cmocka_unit_test(test_follower),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
