/* SPDX-License-Identifier: MIT */
/* The lines of the connection log, and its file. */
#include "relay/conn_log.h"

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

/* The only line of a file, without its time. */
static void read_line(const char *path, char *ret_line, size_t size)
{
	FILE *file = fopen(path, "r");
	char line[512], more[8];
	int start = 0;

	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	assert_null(fgets(more, sizeof(more), file));
	(void)fclose(file);
	assert_int_equal(
		sscanf(line, "%*4[0-9]-%*2[0-9]-%*2[0-9]T%*2[0-9]:%*2[0-9]:%*2[0-9].%*3[0-9]Z %n",
			&start),
		0);
	assert_int_equal(start, strlen("2026-01-01T00:00:00.000Z "));
	(void)snprintf(ret_line, size, "%s", line + start);
}

static void test_lines(void **state)
{
	struct addr addr;
	const struct relay_event closed = {
		.type = RELAY_VISITOR_CLOSED,
		.port = 4000,
		.addr = &addr,
		.id = "0f0e0d0c-0b0a-4009-8807-060504030201",
		.bytes_in = 5,
		.bytes_out = 6000000000,
		.duration_ms = 7,
		.why = "closed",
	};
	char path[] = "conn-log-XXXXXX", line[512];
	struct conn_log *log;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(addr_parse_ip("2001:db8::1", 9, &addr), 0);
	assert_int_equal(conn_log_open(path, &log), 0);
	conn_log_write(log, &closed);
	conn_log_flush(log);
	read_line(path, line, sizeof(line));
	assert_string_equal(line, "visitor_closed port=4000 addr=[2001:db8::1]:9 "
				  "id=0f0e0d0c-0b0a-4009-8807-060504030201"
				  " in=5 out=6000000000 ms=7 why='closed'\n");

	/* Rotated: the next line is in the new file. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(conn_log_reopen(log, path), 0);
	conn_log_write(log, &(struct relay_event){ .type = RELAY_DRAINING });
	log = conn_log_close(log);
	read_line(path, line, sizeof(line));
	assert_string_equal(line, "draining\n");
	assert_int_equal(unlink(path), 0);
}

/* A pipe that nobody reads: the relay goes on, and the log says what is missing. */
static void test_lost_lines(void **state)
{
	const struct relay_event event = { .type = RELAY_DRAINING };
	char path[] = "conn-log-XXXXXX", page[65536];
	int fd = mkstemp(path), reader;
	struct conn_log *log;
	ssize_t n;

	assert_int_equal(fd_close(fd), -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0);
	assert_int_equal(conn_log_open(path, &log), 0);
	for (int i = 0; i < 10000; i++) {
		conn_log_write(log, &event);
		conn_log_flush(log);
	}
	while (read(reader, page, sizeof(page)) > 0)
		;
	conn_log_write(log, &event);
	conn_log_flush(log);
	n = read(reader, page, sizeof(page) - 1);
	assert_true(n > 0);
	page[n] = '\0';
	assert_int_equal(page[0], '\n');
	assert_non_null(strstr(page, "Z lines_lost count="));
	assert_non_null(strstr(page, "Z draining\n"));
	(void)conn_log_close(log);
	assert_int_equal(fd_close(reader), -1);
	assert_int_equal(unlink(path), 0);
}

static void test_no_file_and_no_log(void **state)
{
	struct conn_log *log;

	assert_int_equal(conn_log_open("/nonexistent/log", &log), -ENOENT);
	conn_log_write(NULL, &(struct relay_event){ .type = RELAY_DRAINING });
	conn_log_flush(NULL);
	assert_null(conn_log_close(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_lost_lines),
		cmocka_unit_test(test_no_file_and_no_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
