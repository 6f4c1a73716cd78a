/* SPDX-License-Identifier: MIT */
/* What may stand before the handshake, from a trusted proxy and from anybody else. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/lang.h"
#include "front/preamble.h"

#define PROXY "PROXY TCP4 192.0.2.1 192.0.2.2 50000 7835\r\n"
#define VIA_PROXY "PROXY TCP4 10.0.0.2 192.0.2.2 50000 7835\r\n"
#define GET "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: bore\r\n"
#define REAL "X-Real-IP: 192.0.2.7\r\n"
#define HELLO "{\"Hello\":0}"

static const struct {
	bool trusted;
	const char *text;
	enum preamble_result result;
	const char *from, *rest;
} cases[] = {
	{ false, HELLO, PREAMBLE_PLAIN, "10.0.0.1:1", HELLO },
	{ false, "HELLO 1\n", PREAMBLE_PLAIN, "10.0.0.1:1", "HELLO 1\n" },
	{ false, GET "\r\n" HELLO, PREAMBLE_UPGRADE, "10.0.0.1:1", HELLO },
	/* Who isn't trusted is nobody but himself. */
	{ false, GET REAL "\r\n" HELLO, PREAMBLE_UPGRADE, "10.0.0.1:1", HELLO },
	{ false, PROXY HELLO, PREAMBLE_PLAIN, "10.0.0.1:1", PROXY HELLO },
	{ false, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", PREAMBLE_REFUSED, "10.0.0.1:1" },
	/* A HEAD in pieces was taken for a word of the line dialect. */
	{ false, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", PREAMBLE_REFUSED, "10.0.0.1:1" },
	{ true, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", PREAMBLE_REFUSED, "10.0.0.1:1" },
	{ true, GET "\r\n" HELLO, PREAMBLE_UPGRADE, "10.0.0.1:1", HELLO },
	{ true, GET REAL "\r\n" HELLO, PREAMBLE_UPGRADE, "192.0.2.7:0", HELLO },
	{ true, GET REAL REAL "\r\n", PREAMBLE_REFUSED, "10.0.0.1:1" },
	{ true, PROXY HELLO, PREAMBLE_PLAIN, "192.0.2.1:50000", HELLO },
	{ true, PROXY "HELLO 1\n", PREAMBLE_PLAIN, "192.0.2.1:50000", "HELLO 1\n" },
	{ true, "PROXY UNKNOWN\r\n" HELLO, PREAMBLE_PLAIN, "10.0.0.1:1", HELLO },
	{ true, PROXY, PREAMBLE_MORE, "192.0.2.1:50000", "" },
	/* Behind the header the client's own word counts only where he is a trusted proxy, too. */
	{ true, PROXY GET REAL "\r\n" HELLO, PREAMBLE_UPGRADE, "192.0.2.1:50000", HELLO },
	{ true, VIA_PROXY GET REAL "\r\n" HELLO, PREAMBLE_UPGRADE, "192.0.2.7:0", HELLO },
	/* One header: the next one is the client's. */
	{ true, PROXY VIA_PROXY HELLO, PREAMBLE_PLAIN, "192.0.2.1:50000", VIA_PROXY HELLO },
	{ true, VIA_PROXY PROXY HELLO, PREAMBLE_PLAIN, "10.0.0.2:50000", PROXY HELLO },
	{ true, HELLO, PREAMBLE_BAD, "10.0.0.1:1" },
	{ true, "HELLO 1\n", PREAMBLE_BAD, "10.0.0.1:1" },
	{ true, "\n" HELLO, PREAMBLE_BAD, "10.0.0.1:1" },
	{ true, "PROXY TCP4 x\r\n", PREAMBLE_BAD, "10.0.0.1:1" },
};

/* In pieces of `piece` bytes, as a chan would give them. */
static void feed(size_t i, size_t piece)
{
	struct trusted trusted = { 0 };
	const char *text = cases[i].text;
	size_t len = strlen(text), at = 0, have = 0, used;
	char why[TRUSTED_WHY_MAX], from[ADDR_TEXT_MAX];
	enum preamble_result r = PREAMBLE_MORE;
	struct preamble p;
	struct addr peer;

	assert_int_equal(addr_parse_ip("10.0.0.1", 1, &peer), 0);
	if (cases[i].trusted)
		assert_int_equal(
			trusted_parse("10.0.0.0/8", &trusted.nets[trusted.count++], why), 0);
	preamble_init(&p, &trusted, &peer);
	assert_int_equal(preamble_is_awaited(&p), cases[i].trusted);
	while (r == PREAMBLE_MORE && have < len) {
		have = min_u64(have + piece, len);
		r = preamble_feed(&p, (const uint8_t *)text + at, have - at, &used);
		at += used;
	}
	if (r != cases[i].result)
		fail_msg("case %zu in pieces of %zu: %d", i, piece, (int)r);
	assert_string_equal(addr_format(&p.from, from), cases[i].from);
	assert_int_equal(p.done, r == PREAMBLE_PLAIN || r == PREAMBLE_UPGRADE);
	assert_int_equal(p.upgraded, r == PREAMBLE_UPGRADE);
	if (cases[i].rest)
		assert_string_equal(text + at, cases[i].rest);
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t piece = 1; piece < 200; piece++)
			feed(i, piece);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
