/* SPDX-License-Identifier: MIT */
#include "base/line_file.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define NEW_NAME "line-file-XXXXXX"

static void name_make(char name[sizeof(NEW_NAME)])
{
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	(void)fd_close(fd);
	assert_int_equal(unlink(name), 0);
}

static int say(struct line_file *f, const char *line)
{
	uint64_t lost;
	FILE *out = line_file_begin(f, 1, &lost);

	if (lost)
		(void)fprintf(out, "lost %u\n", (unsigned)lost);
	(void)fprintf(out, "%s\n", line);
	return line_file_flush(f);
}

static void assert_holds(const char *name, const char *text)
{
	char got[256];
	int fd = open(name, O_RDONLY);
	ssize_t n = fd_read_full(fd, got, sizeof(got) - 1);

	assert_true(n >= 0);
	got[n] = '\0';
	(void)fd_close(fd);
	assert_string_equal(got, text);
}

/* What is there stays, and a rotated file gets no more. */
static void test_appends_and_is_opened_anew(void **state)
{
	char name[] = NEW_NAME, old[sizeof(NEW_NAME) + 2];
	struct line_file *f;
	struct stat st;

	name_make(name);
	(void)snprintf(old, sizeof(old), "%s.1", name);
	assert_int_equal(line_file_open(name, 0600, &f), 0);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(say(f, "one"), 0);
	f = line_file_close(f);
	assert_int_equal(line_file_open(name, 0600, &f), 0);
	assert_int_equal(say(f, "two"), 0);
	assert_int_equal(rename(name, old), 0);
	assert_int_equal(say(f, "three"), 0);
	assert_int_equal(line_file_reopen(f, name, 0600), 0);
	assert_int_equal(say(f, "four"), 0);
	assert_holds(old, "one\ntwo\nthree\n");
	assert_holds(name, "four\n");
	/* Where it can't be, the old one goes on. */
	assert_int_equal(line_file_reopen(f, "/nonexistent/log", 0600), -ENOENT);
	assert_int_equal(say(f, "five"), 0);
	assert_holds(name, "four\nfive\n");
	assert_null(line_file_close(f));
	assert_int_equal(unlink(name), 0);
	assert_int_equal(unlink(old), 0);
}

/* Nothing fits into this one: it is told once, and counted for when something does. */
static void test_full(void **state)
{
	char name[] = NEW_NAME;
	struct line_file *f;

	assert_int_equal(line_file_open("/dev/full", 0600, &f), 0);
	assert_int_equal(say(f, "one"), -ENOSPC);
	assert_int_equal(say(f, "two"), 0);
	name_make(name);
	/* Another file is another start. */
	assert_int_equal(line_file_reopen(f, name, 0600), 0);
	assert_int_equal(say(f, "three"), 0);
	assert_holds(name, "three\n");
	assert_int_equal(line_file_reopen(f, "/dev/full", 0600), 0);
	assert_int_equal(say(f, "four"), -ENOSPC);
	assert_null(line_file_close(f));
	assert_int_equal(unlink(name), 0);
}

static void test_lost_lines_are_counted(void **state)
{
	char name[] = NEW_NAME, got[65536 + 1];
	unsigned told = 0;
	struct line_file *f;
	ssize_t n = 0;
	int reader;

	name_make(name);
	assert_int_equal(mkfifo(name, 0600), 0);
	reader = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	assert_int_equal(line_file_open(name, 0600, &f), 0);
	for (int i = 0; i < 20000; i++)
		told += say(f, "a line") < 0;
	assert_int_equal(told, 1);
	for (ssize_t more = 1; more > 0; n += more)
		more = read(reader, got, sizeof(got));
	assert_int_equal(say(f, "the last"), 0);
	n = read(reader, got, sizeof(got) - 1);
	assert_true(n > 0);
	got[n] = '\0';
	assert_memory_equal(got, "\nlost ", strlen("\nlost "));
	assert_non_null(strstr(got, "\nthe last\n"));
	assert_int_equal(say(f, "it fits"), 0);
	n = read(reader, got, sizeof(got) - 1);
	assert_true(n > 0);
	got[n] = '\0';
	assert_string_equal(got, "it fits\n");
	assert_null(line_file_close(f));
	(void)fd_close(reader);
	assert_int_equal(unlink(name), 0);
}

static void test_what_is_no_file(void **state)
{
	struct line_file *f;

	assert_int_equal(line_file_open("/nonexistent/log", 0600, &f), -ENOENT);
	assert_int_equal(line_file_open("/", 0600, &f), -EISDIR);
	assert_null(line_file_close(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends_and_is_opened_anew),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_lost_lines_are_counted),
		cmocka_unit_test(test_what_is_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
