/* SPDX-License-Identifier: MIT */
/* Log lines as they land on stderr, and the escaping of peers' text. */
#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

/* Runs one log call with stderr going into a pipe; returns what arrived. */
#define CAPTURE(line, call)                                        \
	do {                                                       \
		int pipe_fds[2], stderr_copy = dup(STDERR_FILENO); \
		ssize_t got;                                       \
		assert_int_equal(pipe(pipe_fds), 0);               \
		dup2(pipe_fds[1], STDERR_FILENO);                  \
		close(pipe_fds[1]);                                \
		call;                                              \
		dup2(stderr_copy, STDERR_FILENO);                  \
		close(stderr_copy);                                \
		got = read(pipe_fds[0], line, sizeof line - 1);    \
		assert_true(got >= 0);                             \
		line[got] = '\0';                                  \
		close(pipe_fds[0]);                                \
	} while (0)

static void test_line(void **state)
{
	char line[LOG_LINE_MAX * 2];

	CAPTURE(line, log_warn("tunnel", "relay '%s' is gone, retrying in %d s", "a", 4));
	assert_string_equal(line, "warn tunnel: relay 'a' is gone, retrying in 4 s\n");
	errno = EPIPE;
	CAPTURE(line, log_error("tunnel", "%s", "x"));
	assert_string_equal(line, "error tunnel: x\n");
}

static void test_level(void **state)
{
	char line[LOG_LINE_MAX * 2];

	CAPTURE(line, log_debug("a", "hidden"));
	assert_string_equal(line, "");
	log_set_level(LOG_LEVEL_DEBUG);
	CAPTURE(line, log_debug("a", "shown"));
	assert_string_equal(line, "debug a: shown\n");
	log_set_level(LOG_LEVEL_ERROR);
	CAPTURE(line, log_warn("a", "hidden"));
	assert_string_equal(line, "");
	log_set_level(LOG_LEVEL_STEP);
}

static void test_long_line_is_cut(void **state)
{
	char text[2 * LOG_LINE_MAX + 1], line[LOG_LINE_MAX * 2];

	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	CAPTURE(line, log_info("c", "%s", text));
	assert_int_equal(strlen(line), LOG_LINE_MAX);
	assert_int_equal(line[LOG_LINE_MAX - 1], '\n');
	assert_int_equal(line[LOG_LINE_MAX - 2], 'a');
	CAPTURE(line, log_write(LOG_LEVEL_INFO, text, "b"));
	assert_int_equal(strlen(line), LOG_LINE_MAX);
	assert_int_equal(line[LOG_LINE_MAX - 1], '\n');
}

/* A level may come from who counts how often he was asked. */
static void test_level_is_evaluated_once(void **state)
{
	char line[LOG_LINE_MAX * 2];
	int asked = 0;

	CAPTURE(line, log_at(asked++ ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "a", "b"));
	assert_string_equal(line, "info a: b\n");
	assert_int_equal(asked, 1);
}

static void test_step(void **state)
{
	char line[LOG_LINE_MAX * 2];

	CAPTURE(line, log_step("app", "building"));
	assert_string_equal(line, "info app: building\n");
	log_set_level(LOG_LEVEL_INFO);
	CAPTURE(line, log_step("app", "hidden"));
	assert_string_equal(line, "");
	log_set_level(LOG_LEVEL_STEP);
}

/* The time is that of TZ. */
static void assert_for_terminal(const char *line, const char *erase, const char *rest)
{
	const char *shown = line + strlen(erase);
	unsigned hour, minute, second;
	struct tm tm;
	time_t now = time(NULL);

	assert_memory_equal(line, erase, strlen(erase));
	assert_int_equal(sscanf(shown, "%2u:%2u:%2u ", &hour, &minute, &second), 3);
	assert_string_equal(shown + strlen("12:00:00 "), rest);
	/* Half an hour off UTC, so that it can be told from it. */
	(void)gmtime_r(&now, &tm);
	assert_true((minute + 60 - (unsigned)tm.tm_min) % 60 >= 29);
	assert_true((minute + 60 - (unsigned)tm.tm_min) % 60 <= 31);
}

static void test_for_terminal(void **state)
{
	char line[LOG_LINE_MAX * 2];

	assert_int_equal(setenv("TZ", "XYZ-5:30", 1), 0);
	log_set_format(LOG_FORMAT_TERMINAL);
	CAPTURE(line, log_info("app", "restarted"));
	assert_for_terminal(line, "", "app: restarted\n");
	/* Who writes next erases what was left, once. */
	log_leave_line();
	CAPTURE(line, log_warn("app", "a\nb"));
	assert_for_terminal(line, "\r\033[K", "warn app: a\\x0ab\n");
	CAPTURE(line, log_error("app", "c"));
	assert_for_terminal(line, "", "error app: c\n");
	assert_string_equal(log_erase_line(), "");
	log_set_format(LOG_FORMAT_PLAIN);
	assert_int_equal(unsetenv("TZ"), 0);
}

static void test_json(void **state)
{
	static const char head[] = "{\"time\":\"2", level[] = ",\"level\":\"error\",";
	char line[LOG_LINE_MAX * 4];

	log_set_format(LOG_FORMAT_JSON);
	CAPTURE(line, log_error("tunnel", "a '%s'", "\xff\n\""));
	log_set_format(LOG_FORMAT_PLAIN);
	assert_memory_equal(line, head, strlen(head));
	assert_string_equal(strstr(line, level), ",\"level\":\"error\",\"component\":\"tunnel\","
						 "\"message\":\"a '\\ufffd\\u000a\\\"'\"}\n");
}

/* A server's name with control characters forged lines of the log, and steered the terminal that
 * showed them. */
static void test_text_stays_in_its_line(void **state)
{
	char line[LOG_LINE_MAX * 2], text[LOG_LINE_MAX + 1];

	CAPTURE(line, log_info("tunnel", "connecting to %s",
			      "a\ninfo os: forged\033[2J\x9b"
			      "1m"));
	assert_string_equal(line, "info tunnel: connecting to a\\x0ainfo os: forged\\x1b[2J"
				  "\\x9b1m\n");
	CAPTURE(line, log_info("tunnel", "%s", "\xc3\xa4 'b'"));
	assert_string_equal(line, "info tunnel: \xc3\xa4 'b'\n");
	/* What is longer than a line when it is shown is cut between two characters. */
	memset(text, '\n', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	CAPTURE(line, log_info("c", "%s", text));
	assert_true(strlen(line) <= LOG_LINE_MAX);
	assert_string_equal(line + strlen(line) - 5, "\\x0a\n");
}

/* A stopped terminal or pager once stopped the loop with it. */
static void test_nobody_reads(void **state)
{
	char line[LOG_LINE_MAX * 2], page[4096] = { 0 };
	int pipe_fds[2], saved = dup(STDERR_FILENO);
	unsigned lost = 0;
	ssize_t got;

	assert_int_equal(pipe(pipe_fds), 0);
	dup2(pipe_fds[1], STDERR_FILENO);
	while (fd_has_room(pipe_fds[1]))
		assert_int_equal(write(pipe_fds[1], page, sizeof page), sizeof page);
	while (lost++ < 3)
		log_info("a", "lost");
	while (poll(&(struct pollfd){ .fd = pipe_fds[0], .events = POLLIN }, 1, 0) == 1)
		assert_true(read(pipe_fds[0], page, sizeof page) > 0);
	log_info("a", "shown");
	log_info("a", "shown again");
	dup2(saved, STDERR_FILENO);
	close(saved);
	got = read(pipe_fds[0], line, sizeof line - 1);
	assert_true(got > 0);
	line[got] = '\0';
	assert_string_equal(line, "warn log: 3 lines are missing here, for nobody read on\n"
				  "info a: shown\n"
				  "info a: shown again\n");
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void test_escape(void **state)
{
	char buf[64], tight[6];

	assert_string_equal(log_escape(buf, sizeof buf, "plain ~", 7), "plain ~");
	assert_string_equal(log_escape(buf, sizeof buf, "\x1b[2J\n\0\x7f\xff", 8),
		"\\x1b[2J\\x0a\\x00\\x7f\\xff");
	assert_string_equal(log_escape(buf, sizeof buf, "a'b\\c", 5), "a\\'b\\\\c");
	assert_string_equal(log_escape(buf, sizeof buf, "", 0), "");
	/* An escape that doesn't fit whole is left out. */
	assert_string_equal(log_escape(tight, sizeof tight, "ab\n", 3), "ab");
	assert_string_equal(log_escape(tight, sizeof tight, "a\n", 2), "a\\x0a");
	assert_string_equal(log_escape(tight, sizeof tight, "abcdefg", 7), "abcde");
	assert_string_equal(log_escape(tight, 1, "abc", 3), "");
}

/* The time in front of each line would make them all different. */
static int no_time(void **state)
{
	return setenv("JOURNAL_STREAM", "1:1", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_level),
		cmocka_unit_test(test_level_is_evaluated_once),
		cmocka_unit_test(test_step),
		cmocka_unit_test(test_for_terminal),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_long_line_is_cut),
		cmocka_unit_test(test_text_stays_in_its_line),
		cmocka_unit_test(test_nobody_reads),
		cmocka_unit_test(test_escape),
	};

	return cmocka_run_group_tests(tests, no_time, NULL);
}
