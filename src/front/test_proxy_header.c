/* SPDX-License-Identifier: MIT */
/* Both versions, whole and with every piece of them first. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/lang.h"
#include "front/proxy_header.h"

#define NONE PROXY_HEADER_NONE
#define PARTIAL PROXY_HEADER_PARTIAL
#define CLIENT PROXY_HEADER_CLIENT
#define LOCAL PROXY_HEADER_LOCAL
#define BAD PROXY_HEADER_BAD

#define TEXT(literal) (literal), sizeof(literal) - 1
#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define IPV4 "\xc0\x00\x02\x01\xc0\x00\x02\x02\xc3\x50\x1e\x9b"
#define V6_ADDR "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define V6_MAPPED "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01"
#define LONG_48 "0000:0000:0000:0000:0000:ffff:192.0.2.1"

static const struct {
	const char *text;
	size_t len;
	enum proxy_header_result result;
	const char *client;
	size_t rest;
} cases[] = {
	{ TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 50000 7835\r\n"), CLIENT, "192.0.2.1:50000", 0 },
	{ TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 0 65535\r\n{\"He"), CLIENT, "192.0.2.1:0", 4 },
	{ TEXT("PROXY TCP6 2001:db8::1 ::1 50000 7835\r\n"), CLIENT, "[2001:db8::1]:50000", 0 },
	{ TEXT("PROXY TCP6 ::ffff:192.0.2.1 ::1 50000 7835\r\n"), CLIENT, "192.0.2.1:50000", 0 },
	{ TEXT("PROXY UNKNOWN\r\n"), LOCAL, .rest = 0 },
	{ TEXT("PROXY UNKNOWN whatever 1 2\r\nx"), LOCAL, .rest = 1 },
	{ TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 50000 7835"), PARTIAL },
	{ TEXT("P"), PARTIAL },
	{ TEXT("POST / HTTP/1.1\r\n"), NONE },
	{ TEXT("PROXY\r\n"), NONE },
	{ TEXT("{\"Hello\":0}"), NONE },
	{ TEXT("\r\n{\"Hello\":0}"), NONE },
	{ TEXT("PROXY \r\n"), BAD },
	{ TEXT("PROXY TCP5 192.0.2.1 192.0.2.2 50000 7835\r\n"), BAD },
	{ TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 50000 7835\n"), BAD },
	{ TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 50000\r\n"), BAD },
	{ TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 50000 7835 1\r\n"), BAD },
	{ TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 50000 7835 \r\n"), BAD },
	{ TEXT("PROXY TCP4  192.0.2.1 192.0.2.2 50000 7835\r\n"), BAD },
	{ TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 050000 7835\r\n"), BAD },
	{ TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 65536 7835\r\n"), BAD },
	{ TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 +1 7835\r\n"), BAD },
	{ TEXT("PROXY TCP4 192.0.2 192.0.2.2 50000 7835\r\n"), BAD },
	{ TEXT("PROXY TCP4 192.0.2.1 none 50000 7835\r\n"), BAD },
	{ TEXT("PROXY TCP4 ::1 ::1 50000 7835\r\n"), BAD },
	{ TEXT("PROXY TCP6 192.0.2.1 ::1 50000 7835\r\n"), BAD },
	{ TEXT("PROXY TCP4 192.0.2.1\0 192.0.2.2 50000 7835\r\n"), BAD },
	{ TEXT("PROXY UNKNOWN " LONG_48 " " LONG_48 "                         "), BAD },

	{ TEXT(V2 "\x21\x11\0\x0c" IPV4), CLIENT, "192.0.2.1:50000", 0 },
	{ TEXT(V2 "\x21\x11\0\x0f" IPV4 "\x03\0\0"
		  "HE"),
		CLIENT, "192.0.2.1:50000", 2 },
	{ TEXT(V2 "\x21\x21\0\x24" V6_ADDR V6_ADDR "\xc3\x50\x1e\x9b"), CLIENT,
		"[2001:db8::1]:50000", 0 },
	{ TEXT(V2 "\x21\x21\0\x24" V6_MAPPED V6_ADDR "\xc3\x50\x1e\x9b"), CLIENT, "192.0.2.1:50000",
		0 },
	{ TEXT(V2 "\x20\0\0\0"), LOCAL, .rest = 0 },
	{ TEXT(V2 "\x20\x11\0\x0c" IPV4 "x"), LOCAL, .rest = 1 },
	{ TEXT(V2 "\x21\0\0\0"), LOCAL, .rest = 0 },
	{ TEXT(V2 "\x21\x12\0\x0c" IPV4), LOCAL, .rest = 0 }, /* UDP */
	{ TEXT(V2 "\x21\x11\0\x0b" IPV4), BAD },
	{ TEXT(V2 "\x21\x21\0\x0c" IPV4), BAD },
	{ TEXT(V2 "\x11\x11\0\x0c" IPV4), BAD },
	{ TEXT(V2 "\x22\x11\0\x0c" IPV4), BAD },
	{ TEXT(V2 "\x22"), BAD },
	{ TEXT(V2 "\x21\x11\x03\xf1" IPV4), BAD }, /* 1025 bytes */
	{ TEXT(V2 "\x21\x11\x03\xf0" IPV4), PARTIAL },
	{ TEXT(V2 "\x21\x11\xff\xff"), BAD },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const uint8_t *data = (const uint8_t *)cases[i].text;
		char text[ADDR_TEXT_MAX];
		struct addr client;
		size_t used = 0;
		enum proxy_header_result r = proxy_header_read(data, cases[i].len, &client, &used);

		if (r != cases[i].result)
			fail_msg("case %zu, '%s': %d", i, cases[i].text, (int)r);
		if (r == CLIENT)
			assert_string_equal(addr_format(&client, text), cases[i].client);
		if (r != CLIENT && r != LOCAL)
			continue;
		assert_int_equal(cases[i].len - used, cases[i].rest);
		for (size_t n = 1, whole = used; n < whole; n++)
			assert_int_equal(proxy_header_read(data, n, &client, &used), PARTIAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
