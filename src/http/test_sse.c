/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "http/sse.h"

#define QUEUE_MAX 64

/* Pulls all, `step` bytes at a time. */
static const char *pull_all(struct sse_queue *queue, size_t step)
{
	static char text[1024];
	size_t len = 0, n;

	while ((n = sse_queue_pull(queue, text + len, step)))
		len += n;
	text[len] = '\0';
	return text;
}

static void test_order(void **state)
{
	struct sse_queue queue;

	sse_queue_init(&queue, QUEUE_MAX);
	assert_string_equal(pull_all(&queue, 100), "");
	sse_queue_push(&queue, "app", "{}");
	sse_queue_push(&queue, "log", "[1]");
	assert_string_equal(
		pull_all(&queue, 100), "event: app\ndata: {}\n\nevent: log\ndata: [1]\n\n");
	sse_queue_push(&queue, "app", "{}");
	assert_string_equal(pull_all(&queue, 1), "event: app\ndata: {}\n\n");
	sse_queue_deinit(&queue);
}

/* What comes after the first loss is lost, too, so that `lost` stands at the gap's place. */
static void test_overflow(void **state)
{
	struct sse_queue queue;
	char out[8];

	sse_queue_init(&queue, QUEUE_MAX);
	sse_queue_push(&queue, "log", "\"a line of text\"");
	sse_queue_push(&queue, "log", "\"a longer line of text\"");
	sse_queue_push(&queue, "log", "\"x\"");
	assert_int_equal(sse_queue_pull(&queue, out, sizeof(out)), sizeof(out));
	sse_queue_push(&queue, "log", "\"y\"");
	assert_string_equal(pull_all(&queue, 100),
		"og\ndata: \"a line of text\"\n\nevent: lost\ndata: {\"count\":3}\n\n");
	sse_queue_push(&queue, "log", "\"z\"");
	assert_string_equal(pull_all(&queue, 100), "event: log\ndata: \"z\"\n\n");
	sse_queue_deinit(&queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
