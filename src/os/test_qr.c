/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "os/qr.h"

#define URL "http://bore.pub:12345"

static char *drawn(int (*draw)(FILE *out, const char *text), const char *text, int expected)
{
	char *data = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&data, &len);

	assert_non_null(out);
	assert_int_equal(draw(out, text) == 0, expected == 0);
	assert_int_equal(fclose(out), 0);
	return data;
}

static void test_svg(void **state)
{
	char *svg = drawn(qr_write_svg, URL, 0);

	/* Version 2, 25 modules, holds up to 26 bytes at level M. */
	assert_memory_equal(svg, "<svg ", 5);
	assert_non_null(strstr(svg, "viewBox=\"0 0 33 33\""));
	/* The corners of the three finder patterns, behind the quiet zone. */
	assert_non_null(strstr(svg, "M4 4h1v1h-1z"));
	assert_non_null(strstr(svg, "M28 4h1v1h-1z"));
	assert_non_null(strstr(svg, "M4 28h1v1h-1z"));
	assert_non_null(strstr(svg, "</svg>\n"));
	free(svg);
}

static int draw_large(FILE *out, const char *text)
{
	return qr_write_terminal(out, text, 1000, 1000);
}

static int draw_in_fitting(FILE *out, const char *text)
{
	return qr_write_terminal(out, text, 25 + 2 * 2, 15);
}

static int draw_in_narrow(FILE *out, const char *text)
{
	return qr_write_terminal(out, text, 25 + 2 * 2 - 1, 15);
}

static int draw_in_low(FILE *out, const char *text)
{
	return qr_write_terminal(out, text, 25 + 2 * 2, 14);
}

static void test_terminal_too_small(void **state)
{
	char *fits = drawn(draw_in_fitting, URL, 0), *narrow = drawn(draw_in_narrow, URL, -1),
	     *low = drawn(draw_in_low, URL, -1);

	assert_true(strlen(fits) > 0);
	assert_string_equal(narrow, "");
	assert_string_equal(low, "");
	free(fits);
	free(narrow);
	free(low);
}

static void test_terminal(void **state)
{
	char *text = drawn(draw_large, URL, 0);
	unsigned lines = 0;

	for (const char *p = text; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, (25 + 2 * 2 + 1) / 2);
	/* The first line is the quiet zone. */
	assert_memory_equal(text, "\x1b[97;40m█████", strlen("\x1b[97;40m█████"));
	free(text);
}

static void test_too_long(void **state)
{
	char text[4000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	free(drawn(qr_write_svg, text, -1));
	free(drawn(draw_large, text, -1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_svg),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_terminal_too_small),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
