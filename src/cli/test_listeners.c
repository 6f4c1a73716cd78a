/* SPDX-License-Identifier: MIT */
/* The tables as the kernel writes them, and what it never writes. */
#include "cli/listeners.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/lang.h"
#include "net/addr.h"

#define HEAD "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
#define REST \
	" 00000000:00000000 00:00000000 00000000  1000        0 31337 1 0000000000000000 100 0\n"

static const struct {
	const char *row;
	const char *addr; /* NULL: none */
} rows[] = {
	{ "   0: 0100007F:1F90 00000000:0000 0A" REST, "127.0.0.1:8080" },
	{ "   0: 0100007F:1f90 00000000:0000 0A" REST, "127.0.0.1:8080" },
	{ "1234: 00000000:0050 00000000:0000 0A" REST, "0.0.0.0:80" },
	{ "   0: FFFFFFFF:FFFF 00000000:0000 0A", "255.255.255.255:65535" },
	{ "   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 "
	  "0A" REST,
		"[::]:8080" },
	{ "   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 "
	  "0A" REST,
		"[::1]:8080" },
	{ "   0: B80D0120000000000000000001000000:0001 00000000000000000000000000000000:0000 "
	  "0A" REST,
		"[2001:db8::1]:1" },
	/* IPv4, as a socket of IPv6 has it. */
	{ "   0: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 "
	  "0A" REST,
		"127.0.0.1:8080" },
	/* Established, and closing. */
	{ "   0: 0100007F:1F90 0100007F:C350 01" REST, NULL },
	{ "   0: 0100007F:1F90 0100007F:C350 0B" REST, NULL },
	{ "   0: 0100007F:1F90 00000000:0000 0A0" REST, NULL },
	{ HEAD, NULL },
	{ "", NULL },
	{ "\n", NULL },
	{ "   0: 0100007F:1F90", NULL },
	{ "   0: 0100007F 00000000:0000 0A" REST, NULL },
	{ "   0: 0100007F: 00000000:0000 0A" REST, NULL },
	{ "   0: 0100007F:1F9 00000000:0000 0A" REST, NULL },
	{ "   0: 0100007F:1F900 00000000:0000 0A" REST, NULL },
	{ "   0: 0100007F:1F9G 00000000:0000 0A" REST, NULL },
	{ "   0: 0100007G:1F90 00000000:0000 0A" REST, NULL },
	{ "   0: 0100007:1F90 00000000:0000 0A" REST, NULL },
	{ "   0: :1F90 00000000:0000 0A" REST, NULL },
	{ "   0: 0000000000000000FFFF0000010000:1F90 0:0 0A" REST, NULL },
	{ "   0: 0000000000000000000000000000000000000000000000000000000000000000:1F90 0:0 0A",
		NULL },
	{ "\xff\xfe \x01 %s %n 0A", NULL },
};

/* The rows above are those of a little-endian machine; a big-endian one has each word the other way
 * round. */
static bool is_little_endian(void)
{
	const uint16_t one = 1;

	return *(const uint8_t *)&one == 1;
}

static void test_rows(void **state)
{
	char text[ADDR_TEXT_MAX];

	(void)state;
	if (!is_little_endian())
		skip();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr addr;
		bool listens = listeners_parse(rows[i].row, &addr);

		if (listens != (rows[i].addr != NULL))
			fail_msg("'%s'", rows[i].row);
		if (listens)
			assert_string_equal(addr_format(&addr, text), rows[i].addr);
	}
}

static void add(const char *table, uint16_t port, char *text, size_t size)
{
	FILE *file = fmemopen((void *)(uintptr_t)table, strlen(table), "r");

	assert_non_null(file);
	listeners_add(file, port, text, size);
	assert_int_equal(fclose(file), 0);
}

static void test_tables(void **state)
{
	/* Two that share a port, another port, one that no longer listens. */
	static const char v4[] = HEAD "   0: 0200007F:1F90 00000000:0000 0A" REST
				      "   1: 0200007F:1F90 00000000:0000 0A" REST
				      "   2: 0300007F:1F91 00000000:0000 0A" REST
				      "   3: 0400007F:1F90 0100007F:0050 01" REST
				      "   4: 2200007F:1F90 00000000:0000 0A" REST;
	static const char v6[] = HEAD "   0: 00000000000000000000000001000000:1F90 "
				      "00000000000000000000000000000000:0000 0A" REST
				      "   1: 0000000000000000FFFF00000200007F:1F90 "
				      "00000000000000000000000000000000:0000 0A" REST;
	char text[64] = "";

	(void)state;
	if (!is_little_endian())
		skip();
	listeners_add(NULL, 8080, text, sizeof(text));
	assert_string_equal(text, "");
	add(v4, 8080, text, sizeof(text));
	assert_string_equal(text, "127.0.0.2, 127.0.0.34");
	add(v6, 8080, text, sizeof(text));
	assert_string_equal(text, "127.0.0.2, 127.0.0.34, ::1");
}

/* None is cut in the middle, which would be another address. */
static void test_many(void **state)
{
	static char table[200 * 128];
	char text[40] = "";
	size_t len = 0;

	(void)state;
	if (!is_little_endian())
		skip();
	for (unsigned i = 1; i <= 200; i++)
		len += (size_t)snprintf(table + len, sizeof(table) - len,
			"%4u: %02X00007F:1F90 00000000:0000 0A" REST, i, i);
	add(table, 8080, text, sizeof(text));
	assert_string_equal(text, "127.0.0.1, 127.0.0.2, 127.0.0.3");
}

/* What this machine's kernel writes, whichever way round. */
static void test_of_this_kernel(void **state)
{
	const struct {
		int family;
		const char *ip, *table;
	} kinds[] = {
		{ AF_INET, "127.0.0.1", "/proc/self/net/tcp" },
		{ AF_INET6, "::1", "/proc/self/net/tcp6" },
	};
	unsigned seen = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		char text[64] = "";
		struct addr addr;
		FILE *table = fopen(kinds[i].table, "re");
		int fd = socket(kinds[i].family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(addr_parse_ip(kinds[i].ip, 0, &addr), 0);
		if (table && fd >= 0 && bind(fd, &addr.sa, addr_len(&addr)) == 0) {
			assert_int_equal(listen(fd, 1), 0);
			assert_int_equal(addr_of_socket(fd, &addr), 0);
			listeners_add(table, addr_port(&addr), text, sizeof(text));
			assert_string_equal(text, kinds[i].ip);
			seen++;
		}
		(void)fd_close(fd);
		if (table)
			(void)fclose(table);
	}
	if (!seen)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_of_this_kernel),
	};

	return cmocka_run_group_tests_name("cli/listeners", tests, NULL, NULL);
}
