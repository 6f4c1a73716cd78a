/* SPDX-License-Identifier: MIT */
/* The lines of the connection log, and its file. */
#include "relay/conn_log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
		cmocka_unit_test(test_no_file_and_no_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
